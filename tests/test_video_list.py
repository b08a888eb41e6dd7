"""A CSV that lists videos."""

import os
from unicodedata import normalize

import pytest
from conftest import groups_of, touch

from data.files import InputError
from data.layouts import find_data_set, find_videos
from data.video_list import check_list


def write(folder, text, there="a.mp4"):
    """A list, in a folder in which this video is there."""
    touch(folder, there)
    file = folder / "list.csv"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    return file


def test_list_of_videos(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "lists").mkdir()
    text = (
        "\ufeffpath,label,group,split,method\na/x.mp4,real,p1,Train,\n./a/y.mp4 , FAKE,p1 ,,swap \n"
        f"../elsewhere/z.mp4,1,,dev,\n\n{tmp_path}/lists/w.mp4,0,p2, val,\n"
    )
    file = write(tmp_path / "lists", text, "a/x.mp4")
    data_set = find_data_set(file)
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
    "header",
    ["filename,label", "file,is_fake", "video,label", "File Path,label", " file_path,label"],
)
def test_columns_of_other_people(tmp_path, header):
    (video,) = find_videos(write(tmp_path, f"{header},fps\na.mp4,1,25\n"))
    assert (video.video, video.label) == ("a.mp4", 1)
    assert find_data_set(tmp_path / "list.csv").notes[0] == "columns not used: fps"


def test_the_column_path_comes_before_its_aliases(tmp_path):
    data_set = find_data_set(write(tmp_path, "video,path,label,file\nx.mp4,a.mp4,1,y\n"))
    assert [video.video for video in data_set.videos] == ["a.mp4"]
    assert data_set.notes[0] == "columns not used: video, file"


def test_names_of_columns_are_stripped_and_lowered_and_others_are_named(tmp_path):
    touch(tmp_path, "b.mp4")
    text = "Path, Label,GROUPS, Set ,spilt,\na.mp4,0.0,anna; ben,Test,x,\nb.mp4,True,ben,,,\n"
    data_set = find_data_set(write(tmp_path, text))
    a, b = data_set.videos
    assert [(video.label, video.split) for video in (a, b)] == [(0, "test"), (1, "train")]
    assert (a.people, b.people) == (("@anna", "@ben"), ("@ben",))
    assert a.group == b.group and data_set.notes[0] == "columns not used: spilt"


def test_a_list_from_windows_has_backslashes(tmp_path):
    (video,) = find_videos(write(tmp_path, "path,label\nclips\\a.mp4,1\n", "clips/a.mp4"))
    assert (video.video, video.path.is_file()) == ("clips/a.mp4", True)


def test_a_list_of_a_public_set_has_its_ids_and_its_official_split(tmp_path):
    names = ["Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4", "YouTube-real/1.mp4"]
    touch(tmp_path, *(f"set/{name}" for name in names))
    (tmp_path / "set/List_of_testing_videos.txt").write_text("0 Celeb-synthesis/id0_id1_0000.mp4")
    lines = [f"set/{name},{i % 2},{'val' * (i == 2)}" for i, name in enumerate(names)]
    videos = find_videos(write(tmp_path, "\n".join(["path,label,split", *lines])))
    assert [video.people for video in videos] == [
        ("Celeb-DF id0",),
        ("Celeb-DF id0", "Celeb-DF id1"),
        (),
    ]
    assert [video.split for video in videos] == ["train", "test", "val"]
    assert videos[0].clip == videos[1].clip == "Celeb-DF id0_0000"


@pytest.mark.parametrize(("on_disk", "in_list"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_from_a_mac(tmp_path, on_disk, in_list):
    name = "café/été.mp4"
    touch(tmp_path, normalize(on_disk, name))
    lines = [f"{normalize(in_list, name)},0,{normalize(form, 'é')}" for form in [in_list]]
    lines.append(f"b.mp4,0,{normalize(on_disk, 'é')}")
    videos = find_videos(write(tmp_path, "\n".join(["path,label,group", *lines])))
    assert sorted(video.path.exists() for video in videos) == [False, True]
    assert len({video.group for video in videos}) == 1
    twice = "\n".join(f"{normalize(form, name)},0" for form in ("NFC", "NFD"))
    with pytest.raises(InputError, match=r"line 3: .* is listed twice, first in line 2"):
        find_videos(write(tmp_path, f"path,label\n{twice}\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na.mp4,0\n", r"line 1: \['name', 'label'\], expected path,label\["),
        ("", r"line 1: \[\], expected path,label"),
        ("path;label\na.mp4;0\n", r"line 1: columns separated by ';': save it with commas"),
        ("path\tlabel\na.mp4\t0\n", r"line 1: columns separated by '\\t': save it with commas"),
        (
            "path,label\na.mp4,0\nb.mp4,maybe\n",
            r"line 3 has no label REAL or FAKE, .* but 'maybe'",
        ),
        ("path,label\na.mp4\n", r"line 2 has no label REAL or FAKE, 0 or 1, but ''"),
        ("path,label\n,1\n", r"line 2: path '', expected the path of a video"),
        ("path,label\n.,1\n", r"line 2: path '\.', expected the path of a video"),
        ("path,label\na.mp4,0\nb.mp4,0\n./a.mp4,1\n", r"line 4: './a.mp4' is listed twice, .* 2$"),
        ("path,label\na\0.mp4,0\n", r"line 2|line contains NUL"),
        ("path,label\ncaf\udce9.mp4,0\n", r"not a CSV in UTF-8"),
        ("path,label,split\na.mp4,0,odd\n", r"line 2 has split 'odd', not train, val, test"),
        ("path,label\n", r"\(list\) has no video to use"),
        ("path,label\na.mp4,0,anna\n", r"line 2: 3 values for 2 columns: name all columns"),
    ],
)
def test_bad_lines_of_a_list(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        find_videos(write(tmp_path, text))


def test_a_wrong_value_is_named_alone(tmp_path):
    with pytest.raises(InputError, match="'odd'") as caught:
        find_videos(write(tmp_path, "path,label,split\na.mp4,0,odd\n"))
    message = str(caught.value)
    assert "a.mp4" not in message and "REAL" not in message and "once" not in message


def test_a_video_on_another_drive_is_identified_by_its_path(tmp_path, monkeypatch):
    write(tmp_path, f"path,label\na.mp4,0\n{tmp_path}/elsewhere/b.mp4,1\n")
    relpath = os.path.relpath

    def windows(path, base):
        if "elsewhere" in str(path):
            raise ValueError("path is on mount 'D:', start on mount 'C:'")
        return relpath(path, base)

    monkeypatch.setattr("os.path.relpath", windows)
    found = {video.video for video in find_videos(tmp_path / "list.csv")}
    assert found == {"a.mp4", (tmp_path / "elsewhere/b.mp4").as_posix()}


def test_what_is_no_list(tmp_path):
    touch(tmp_path, "folder/x.mp4", "clip.MP4")
    for name in ("folder", "gone.csv"):
        message = f"{name} is no file; expected a CSV with the columns path,label.*--videos-dir"
        with pytest.raises(InputError, match=message):
            check_list(tmp_path / name)
    for check in (check_list, find_videos):
        with pytest.raises(
            InputError, match=r"clip\.MP4 is one video or image: name the folder that holds"
        ):
            check(tmp_path / "clip.MP4")
    check_list(write(tmp_path, "path,label\na.mp4,0\n"))


def test_frames_and_photos_in_a_list_are_read_and_said_as_in_a_tree(tmp_path):
    for name in ("v/0.png", "v/1.png", "loose/ann_0.png", "loose/ann_1.png", "loose/bo_0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a.mp4").touch()
    loose = "loose/ann_{frame}"
    lines = ["path,label", "v,fake", f"{loose},fake", "loose/bo_0.png,fake", "a.mp4,real", ""]
    data_set = find_data_set(write(tmp_path, "\n".join(lines)))
    images = {video.video: video.n_images for video in data_set.videos}
    assert images == {"a.mp4": 0, "v": 2, loose: 2, "loose/bo_0.png": 1}
    warning = "WARNING: reals are videos, fakes frames and photos: that alone gives the label away"
    assert warning in data_set.notes
    assert "each folder of images is read as a video (videos: 1, frames: 2)" in data_set.notes


def test_a_list_over_folders_of_people(tmp_path):
    names = [f"{p}/{name}.mp4" for p in ("p1", "p2") for name in ("real", "fake_video_fake_audio")]
    touch(tmp_path, *names)
    text = "\n".join(["path,label", *(f"{name},{int('fake' in name)}" for name in names)])
    groups = groups_of(find_videos(write(tmp_path, text, names[0])))
    assert groups == [sorted(names[:2]), sorted(names[2:])]


def test_what_a_list_repeats_or_turns_round_is_said(tmp_path):
    touch(tmp_path, "real/a.mp4", "fake/b.mp4", "fake/b/1.png", "fake/b/2.png")
    lines = ["path,label", "real/a.mp4,1", "fake/b.mp4,0", "fake/b,0"]
    data_set = find_data_set(write(tmp_path, "\n".join(lines)))
    assert [(left.path, left.reason) for left in data_set.left_out] == [
        ("fake/b", "frames of a clip that is used already")
    ]
    assert data_set.found == 3
    warning = "WARNING: 3 of 3 labels are not those of the folders, real/a.mp4 for one: is 1 fake"
    assert any(note.startswith(warning) for note in data_set.notes)


def test_frames_that_are_listed_one_by_one_are_asked_about(tmp_path):
    names = ["real/ann_1.png", "real/ann_2.png", "real/bo_1.png"]
    touch(tmp_path, *names)
    text = "\n".join(["path,label", *(f"{name},0" for name in names)])
    message = r"real/ann_1.png and others may be frames of one video: list each video once"
    with pytest.raises(InputError, match=message):
        find_videos(write(tmp_path, text))
    assert len(find_videos(tmp_path / "list.csv", image_names="photo")) == 3
    with_groups = text.replace(",0", ",0,p").replace("label", "label,group")
    assert len(find_videos(write(tmp_path, with_groups))) == 3
