"""A list of videos: a CSV, a text or a JSON."""

import json
import os
from pathlib import Path
from unicodedata import normalize

import pytest
from conftest import groups_of, touch

from data.files import InputError
from data.layouts import find_data_set, find_videos
from data.video_list import check_list


def write(folder: Path, header: str, *lines: str, there: str = "a.mp4") -> Path:
    """A list, in a folder in which this video is there."""
    touch(folder, there)
    file = folder / "list.csv"
    text = "\n".join([header, *lines, ""])
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    return file


def test_list_of_videos(tmp_path):
    lines = [
        "\ufeffpath,label,group,split,method",
        "a/x.mp4,real,p1,Train,",
        "./a/y.mp4 , FAKE,p1 ,,swap ",
        "../elsewhere/z.mp4,1,,dev,\n",
        f"{tmp_path}/lists/w.mp4,0,p2, val,",
    ]
    data_set = find_data_set(write(tmp_path / "lists", *lines, there="a/x.mp4"))
    videos = {video.video: video for video in data_set.videos}
    found = {name: (video.label, video.split, video.method) for name, video in videos.items()}
    assert found == {
        "../elsewhere/z.mp4": (1, "val", "elsewhere"),
        "a/x.mp4": (0, "train", ""),
        "a/y.mp4": (1, "train", "swap"),
        "w.mp4": (0, "val", ""),
    }
    assert groups_of(videos.values()) == [["../elsewhere/z.mp4"], ["a/x.mp4", "a/y.mp4"], ["w.mp4"]]
    assert videos["a/y.mp4"].path == tmp_path / "lists/a/y.mp4"
    assert (data_set.layout, data_set.found, data_set.left_out) == ("list", 4, [])
    assert data_set.notes == [
        "1 of 4 lines have no group: they go by names",
        "WARNING: 3 of 4 paths of the list are not there: a/y.mp4, ../elsewhere/z.mp4, w.mp4",
    ]


@pytest.mark.parametrize(
    ("header", "line", "not_used"),
    [
        ("filename,label,fps", "a.mp4,1,25", "fps"),
        ("FPS,file,is_fake", "25,a.mp4,True", "FPS"),
        ("video,label,fps", "a.mp4,1.0,", "fps"),
        ("File Path, Label ,fps,", "a.mp4,1,25,x", "fps"),
        ("video,path,label,file", "x.mp4,a.mp4,FAKE,y", "video, file"),
        ("filepath,filename,label", "x.mp4,a.mp4,fake", "filepath"),
    ],
)
def test_columns_of_other_people(tmp_path, header, line, not_used):
    data_set = find_data_set(write(tmp_path, header, line))
    assert [(video.video, video.label) for video in data_set.videos] == [("a.mp4", 1)]
    alone = "no real video here: a set to test on, not to train on"
    assert data_set.notes == [f"columns not used: {not_used}", alone]


def test_other_names_of_groups_splits_and_methods(tmp_path):
    lines = ["a.mp4,0.0,anna; Ben,Test,", "b.mp4,True,ben,,gan"]
    a, b = find_videos(write(tmp_path, "Path,Label,GROUPS, Set ,methods", *lines))
    assert (a.split, a.people) == ("test", ("@anna", "@ben"))
    assert (b.split, b.people, b.method) == ("train", ("@ben",), "gan")
    assert a.group == b.group


def test_a_list_from_windows_has_backslashes(tmp_path):
    file = write(tmp_path, "path,label", "clips\\a.mp4,1", there="clips/a.mp4")
    (video,) = find_videos(file)
    assert (video.video, video.path.is_file()) == ("clips/a.mp4", True)


def test_a_list_of_a_public_set_has_its_ids_and_its_official_split(tmp_path):
    names = ["Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4", "YouTube-real/1.mp4"]
    touch(tmp_path, *(f"set/{name}" for name in names))
    (tmp_path / "set/List_of_testing_videos.txt").write_text("0 Celeb-synthesis/id0_id1_0000.mp4")
    lines = [f"set/{name},{i % 2},{'val' * (i == 2)}" for i, name in enumerate(names)]
    videos = find_videos(write(tmp_path, "path,label,split", *lines))
    assert [(video.split, *video.people) for video in videos] == [
        ("train", "Celeb-DF id0"),
        ("test", "Celeb-DF id0", "Celeb-DF id1"),
        ("val",),
    ]
    assert videos[0].clip == videos[1].clip == "Celeb-DF id0_0000"
    assert videos[1].is_known  # names are not asked


ENTRIES = [{"file": "my clips/a.mp4", "label": "REAL"}, {"file": "b.mp4", "label": 1, "fps": 25}]
FORMS = {
    "semicolons": 'path;label;group\n"my clips/a.mp4";REAL;\nb.mp4;1;"ann;bo"',
    "tabs": "label\tFile Path\nreal\tmy clips/a.mp4\n1\tb.mp4\n",
    "text": "my clips/a.mp4 REAL\n\n  b.mp4 1 \n",
    "text with tabs": "my clips/a.mp4\t 0\r\nb.mp4\tfake\r\n",
    "text with commas": "my clips/a.mp4, false\nb.mp4, True",
    "a list": json.dumps(ENTRIES),
    "by path": json.dumps({"my clips/a.mp4": {"is_fake": False}, "b.mp4": {"is_fake": True}}),
    "old Mac": "path,label\rmy clips/a.mp4,0\rb.mp4,1\r",
    "people in lists": json.dumps([*ENTRIES[:1], ENTRIES[1] | {"group": ["ann", "bo"]}]),
    "labels by path": json.dumps({"my clips/a.mp4": 0, "b.mp4": "FAKE"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_list(tmp_path, form):
    touch(tmp_path, "my clips/a.mp4", "b.mp4")
    file = tmp_path / ("list.json" if FORMS[form][0] in "[{" else "list.txt")
    file.write_text(FORMS[form], encoding="utf-8-sig", newline="")
    data_set = find_data_set(file)
    found = [(video.video, video.label, video.people) for video in data_set.videos]
    people = ("@ann", "@bo") if form in ("semicolons", "people in lists") else ()
    assert found == [("b.mp4", 1, people), ("my clips/a.mp4", 0, ())]
    unused = ["columns not used: fps"] if "fps" in FORMS[form] else []
    assert [note for note in data_set.notes if "column" in note] == unused


def write_json(folder: Path, entries) -> Path:
    file = folder / "metadata.json"
    file.write_text(json.dumps(entries))
    return file


def test_the_list_of_lav_df_tells_of_the_picture_not_of_the_sound(tmp_path):
    rows = [("train/1", None, 0, 0), ("train/2", "train/1", 0, 1), ("dev/3", "dev/9", 1, 0)]
    entries = [
        {"file": f"{name}.mp4", "original": original and f"{original}.mp4", "n_fakes": 1}
        | {"modify_video": bool(video), "modify_audio": bool(audio), "label": video or audio}
        | {"split": name.split("/")[0]}
        for name, original, video, audio in rows
    ]
    touch(tmp_path, *(entry["file"] for entry in entries))
    data_set = find_data_set(write_json(tmp_path, entries))
    assert [(v.video, v.label, v.split, v.clip) for v in data_set.videos] == [
        ("dev/3.mp4", 1, "val", "dev/9"),
        ("train/1.mp4", 0, "train", "train/1.mp4"),
        ("train/2.mp4", 0, "train", "train/1.mp4"),
    ]
    assert groups_of(data_set.videos) == [["dev/3.mp4"], ["train/1.mp4", "train/2.mp4"]]
    assert "columns not used: n_fakes, modify_audio, label" in data_set.notes
    absent = "originals that the list does not name, or twice: 1, dev/9.mp4 for one"
    assert absent in data_set.notes


def test_the_list_of_av_deepfake1m(tmp_path):
    names = {"real": "real", "real_video_fake_audio": "audio_modified"}
    names |= {"fake_video_real_audio": "visual_modified", "fake_video_fake_audio": "both_modified"}
    entries = []
    for take in ("id1/x/00001", "id1/y/00001", "id2/x/00001"):
        for name, kind in names.items():
            original = f"VoxCeleb2/{take}.mp4" if name == "real" else f"{take}/real.mp4"
            entry = {"file": f"{take}/{name}.mp4", "original": original, "modify_type": kind}
            entries.append(entry | {"split": "val"})
    touch(tmp_path, *(entry["file"] for entry in entries))
    videos = find_videos(write_json(tmp_path, entries))
    assert {v.path.stem: v.label for v in videos} == dict(zip(names, (0, 0, 1, 1), strict=True))
    assert {v.clip for v in videos} == {
        f"{v.path.parent.relative_to(tmp_path)}/real.mp4" for v in videos
    }
    assert len(groups_of(videos)) == 2 and {v.split for v in videos} == {"val"}  # two people


def test_originals_are_paths_or_names_of_reals(tmp_path):
    lines = ["r/a.mp4,0,", "r/b.mp4,0,", "s/b.mp4,0,", "f/k.mp4,1,a.mp4", "f/l.mp4,1,./s/b.mp4"]
    lines += ["f/m.mp4,1,a", "f/n.mp4,1,b.mp4", "f/o.mp4,1,x.mp4", "f/p.mp4,1,X.mp4"]
    lines += ["g/a.mp4,1,a.mp4", "g/id0_id1_0000.mp4,1,r/a.mp4"]
    data_set = find_data_set(write(tmp_path, "path,label,original", *lines, there="r/a.mp4"))
    assert groups_of(data_set.videos) == [
        ["f/k.mp4", "f/m.mp4", "g/a.mp4", "g/id0_id1_0000.mp4", "r/a.mp4"],
        ["f/l.mp4", "s/b.mp4"],
        ["f/n.mp4"],
        ["f/o.mp4", "f/p.mp4"],
        ["r/b.mp4"],
    ]
    clips = {video.video: video.clip for video in data_set.videos}
    of_a = ("f/k.mp4", "f/m.mp4", "g/a.mp4", "g/id0_id1_0000.mp4", "r/a.mp4")
    assert {clips[name] for name in of_a} == {"r/a.mp4"} and clips["f/l.mp4"] == "s/b.mp4"
    assert "originals that the list does not name, or twice: 3, b.mp4 for one" in data_set.notes


def test_a_name_that_equals_a_reals_tells_nobody_beside_an_original(tmp_path):
    lines = ["real/0.mp4,0,", "real/1.mp4,0,", "fake/0.mp4,1,real/1.mp4", "fake/1.mp4,1,real/0.mp4"]
    videos = find_videos(write(tmp_path, "path,label,original", *lines, there="real/0.mp4"))
    assert groups_of(videos) == [["fake/0.mp4", "real/1.mp4"], ["fake/1.mp4", "real/0.mp4"]]


@pytest.mark.parametrize("split", ["split", "set", "set_name", "Subset"])
@pytest.mark.parametrize("person", ["groups", "person", "Subject", "subject_id"])
def test_people_and_splits_by_other_names(tmp_path, split, person):
    lines = ["a.mp4,0,dev,Ann", "b.mp4,1,testing,bo"]
    a, b = find_videos(write(tmp_path, f"path,label,{split},{person}", *lines))
    assert (a.split, a.people, b.split, b.people) == ("val", ("@ann",), "test", ("@bo",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", r"metadata.json is not valid JSON"),
        ("[]", r"metadata.json: \[\], expected path,label"),
        ('[{"file": "a.mp4"}]', r"metadata.json: \['file'\], expected path,label"),
        ('["a.mp4"]', r"metadata.json: \['label'\], expected path,label"),
        ('[{"file": "a.mp4", "label": 0}, {}]', r"json, entry 2: path '', expected the path of"),
        ('{"a.mp4": {"modify_type": "odd"}}', r"json, entry 1 has no label REAL .* but 'odd'"),
        ('[{"file": "a", "label": 0}, {"file": "a", "label": 1}]', r"entry 2: .* first in entry 1"),
    ],
)
def test_bad_entries_of_a_list(tmp_path, text, message):
    (tmp_path / "metadata.json").write_text(text)
    with pytest.raises(InputError, match=message):
        find_videos(tmp_path / "metadata.json")


@pytest.mark.parametrize(("on_disk", "in_list"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_from_a_mac(tmp_path, on_disk, in_list):
    name = "café/été.mp4"
    touch(tmp_path, normalize(on_disk, name))
    lines = [f"{normalize(in_list, name)},0,{normalize(in_list, 'é')}"]
    lines.append(f"b.mp4,0,{normalize(on_disk, 'é')}")
    videos = find_videos(write(tmp_path, "path,label,group", *lines))
    assert sorted(video.path.exists() for video in videos) == [False, True]
    assert len({video.group for video in videos}) == 1
    twice = [f"{normalize(form, 'é.mp4')},0" for form in ("NFC", "NFD")]
    with pytest.raises(InputError, match=r"line 3: .* is listed twice, first in line 2"):
        find_videos(write(tmp_path, "path,label", *twice))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na.mp4,0", r"line 1: \['name', 'label'\], expected path,label\["),
        ("", r"line 1: \[\], expected path,label"),
        ("path,label\na.mp4,0\nb.mp4,maybe", r"line 3 has no label REAL or FAKE, .* 'maybe'$"),
        ("path,label\na.mp4", r"line 2 has no label REAL or FAKE, 0 or 1, but ''"),
        ("path,label\n,1", r"line 2: path '', expected the path of a video"),
        ("path,label\n.,1", r"line 2: path '\.', expected the path of a video"),
        ("path,label\na.mp4,0\nb.mp4,0\n./a.mp4,1", r"line 4: './a.mp4' is listed twice, .* 2$"),
        ("path,label\ncaf\udce9.mp4,0", r"not a CSV in UTF-8"),
        (
            "path,label,split\na.mp4,0,odd",
            r"csv, line 2 has split 'odd', not train, val, test$",
        ),
        ("path,label", r"\(list\) has no video to use"),
        ("path,label\nb.mp4,0\nc.mp4,1", r"none of its 2 paths is there, .*b\.mp4 for one"),
        ("path;label\na.mp4,0", r"line 2 has no label REAL or FAKE, 0 or 1, but ''"),
        ("a.mp4 0\nb.mp4 2", r"line 2 has no label REAL or FAKE, 0 or 1, but '2'"),
        pytest.param("x" * 200_000, r"after line \d: not a CSV \(field larger", id="no list"),
        ("video_name,real\nb.mp4,1", r"line 1: \['video_name', 'real'\], expected"),
        ("a.mp4 maybe", r"line 1: \['a.mp4 maybe'\], expected .* a path and real or fake in each"),
        ("path,label\na.mp4,0,anna", r"line 2: 3 values for 2 columns: name all columns"),
    ],
)
def test_bad_lines_of_a_list(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        find_videos(write(tmp_path, text))


def test_a_video_on_another_drive_is_identified_by_its_path(tmp_path, monkeypatch):
    relpath = os.path.relpath

    def windows(path, base):
        if "elsewhere" in str(path):
            raise ValueError("path is on mount 'D:', start on mount 'C:'")
        return relpath(path, base)

    monkeypatch.setattr("os.path.relpath", windows)
    file = write(tmp_path, "path,label", "a.mp4,0", f"{tmp_path}/elsewhere/b.mp4,1")
    expected = {"a.mp4", (tmp_path / "elsewhere/b.mp4").as_posix()}
    assert {video.video for video in find_videos(file)} == expected


def test_what_is_no_list(tmp_path):
    touch(tmp_path, "folder/x.mp4", "clip.MP4")
    for name in ("folder", "gone.csv"):
        message = f"{name} is no file; expected a CSV with the columns path,label.*--videos-dir"
        with pytest.raises(InputError, match=message):
            check_list(tmp_path / name)
    message = r"clip\.MP4 is one video or image: name the folder that holds"
    for check in (check_list, find_videos):
        with pytest.raises(InputError, match=message):
            check(tmp_path / "clip.MP4")
    check_list(write(tmp_path, "path,label", "a.mp4,0"))


def test_frames_and_photos_in_a_list_are_read_and_said_as_in_a_tree(tmp_path):
    touch(tmp_path, *(f"v/frames/{n}.png" for n in (0, 1)))
    touch(tmp_path, "loose/ann_0.png", "loose/ann_1.png", "loose/bo_0.png")
    lines = ["v/frames,fake", "loose/ann_{frame},fake", "loose/bo_0.png,fake", "a.mp4,real"]
    data_set = find_data_set(write(tmp_path, "path,label", *lines))
    images = {video.video: video.n_images for video in data_set.videos}
    assert images == {"a.mp4": 0, "v/frames": 2, "loose/ann_{frame}": 2, "loose/bo_0.png": 1}
    assert [video.key for video in data_set.videos] == ["a", "loose/ann", "loose/bo_0", "v"]
    warning = "WARNING: reals are videos, fakes frames and photos: that alone gives the label away"
    assert warning in data_set.notes
    assert "each folder of images is read as a video (videos: 1, frames: 2)" in data_set.notes


def test_a_list_over_folders_of_people(tmp_path):
    names = [f"{p}/{name}.mp4" for p in ("p1", "p2") for name in ("real", "fake_video_fake_audio")]
    touch(tmp_path, *names)
    lines = [f"{name},{int('fake' in name)}" for name in names]
    groups = groups_of(find_videos(write(tmp_path, "path,label", *lines)))
    assert groups == [sorted(names[:2]), sorted(names[2:])]


def test_what_a_list_repeats_or_turns_round_is_said(tmp_path):
    touch(tmp_path, "real/a.mp4", "fake/b.mp4", "fake/b/1.png", "fake/b/2.png")
    lines = ["real/a.mp4,1", "fake/b.mp4,0", "fake/b,0"]
    data_set = find_data_set(write(tmp_path, "path,label", *lines))
    reason = "frames of a clip that is used already"
    assert [(left.path, left.reason) for left in data_set.left_out] == [("fake/b", reason)]
    assert data_set.found == 3
    warning = "WARNING: 3 of 3 labels are not those of the folders, real/a.mp4 for one: is 1 fake"
    assert any(note.startswith(warning) for note in data_set.notes)


def test_frames_that_are_listed_one_by_one_are_asked_about(tmp_path):
    names = ["real/ann_1.png", "real/ann_2.png", "real/bo_1.png"]
    touch(tmp_path, *names)
    file = write(tmp_path, "path,label", *(f"{name},0" for name in names))
    message = r"real/ann_1.png and others may be frames of one video: list each video once"
    with pytest.raises(InputError, match=message):
        find_videos(file)
    assert len(find_videos(file, image_names="photo")) == 3
    write(tmp_path, "path,label,group", *(f"{name},0,p" for name in names))
    assert len(find_videos(file)) == 3
