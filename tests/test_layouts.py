import errno
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import groups_of, touch

from data.files import InputError, ReadError
from data.layouts import (
    SAMPLE_DIR,
    SPLITS,
    check_list,
    find_videos,
    list_video_files,
    read_drawn_by,
    sample_command,
)

# --- Class folders ---


def test_label_comes_from_the_class_folder_alone(tmp_path):
    touch(
        tmp_path,
        "real/fake_looking.MP4",
        "real/a/b/x.webm",
        "fake/real.avi",
        "fake/Face2Face/x.mp4",
    )
    touch(
        tmp_path,
        "real/.hidden.mp4",
        "fake/._x.mp4",
        "fake/.cache/y.mp4",
        "real/notes.txt",
        "fake/masks.png",
    )
    found = {video.video: (video.label, video.method) for video in find_videos(tmp_path)}
    assert found == {
        "fake/Face2Face/x.mp4": (1, "Face2Face"),
        "fake/real.avi": (1, ""),
        "real/a/b/x.webm": (0, ""),
        "real/fake_looking.MP4": (0, ""),
    }
    assert list(found) == sorted(found)


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "elsewhere/x.mp4", "set/fake/y.mp4")
    (tmp_path / "set/real").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/up").symlink_to(tmp_path / "elsewhere")
    assert [video.video for video in find_videos(tmp_path / "set")] == ["fake/y.mp4", "real/x.mp4"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"is not a folder: point --videos-dir at a folder with real/ and fake/"),
        (["real/x.mp4"], r"fake is missing: expected real/ and fake/ with videos in"),
        (["real/x.mp4", "fake/readme.txt"], r"fake holds no videos"),
        (["val/real/x.mp4", "val/fake/x.mp4"], r"has no real video to train on"),
        (
            ["footage/x.mp4"],
            r"no data set that is known. Looked for FaceForensics\+\+: original_.* or .*DFDC: meta",
        ),
        (["train/real/x.mp4", "train/fake/x.mp4", "test/real/x.mp4"], r"test/fake is missing"),
    ],
)
def test_unexpected_folders(tmp_path, names, message):
    if names:
        touch(tmp_path / "set", *names)
    with pytest.raises(InputError, match=message):
        find_videos(tmp_path / "set")


def test_without_the_sample_set_the_default_says_how_to_draw_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = r"python /.*data/make_sample\.py --output-dir data/sample"
    with pytest.raises(InputError, match=rf"draw the sample set with `{command}`.*--videos-dir"):
        find_videos(SAMPLE_DIR)
    script = Path(sample_command().split()[1])
    assert script.is_file()
    assert script.parent.parent != tmp_path
    monkeypatch.chdir(script.parent.parent)  # where the script draws to by itself
    assert sample_command() == "python data/make_sample.py"


def test_the_command_of_the_hint_draws_where_the_default_looks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--people", "2", "--num-workers", "1"]
    command = [sys.executable, *sample_command().split()[1:], *options]
    subprocess.run(command, check=True, capture_output=True)
    assert len(find_videos(SAMPLE_DIR)) == 4
    assert read_drawn_by(SAMPLE_DIR)["people"] == 2


def test_only_the_drawn_set_is_taken_for_drawn(tmp_path):
    assert read_drawn_by(tmp_path) is None
    for content in ("[", "[]", "{}", '{"drawn_by": "me"}'):
        (tmp_path / "sample.json").write_text(content)
        assert read_drawn_by(tmp_path) is None


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch, capsys):
    touch(tmp_path, "real/x.mp4", "real/closed/y.mp4", "fake/z.mp4")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert len(list_video_files(tmp_path)) == 2
    err = capsys.readouterr().err
    assert err.startswith("WARNING: videos may be left out: no permission for ") and "closed" in err
    assert list_video_files(tmp_path / "gone") == [] and not capsys.readouterr().err


def test_counts_are_printed_by_split_class_and_method(tmp_path, capsys):
    touch(tmp_path, "train/real/a.mp4", "train/fake/m/a_1.mp4", "train/fake/m/a_2.mp4")
    touch(tmp_path, "train/fake/k/a_1.mp4", "test/real/b.mp4", "test/fake/b_1.mp4")
    find_videos(tmp_path)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][-3:] == ["layout:", "class", "folders"]
    assert lines[1:-1] == [
        ["train", "real", "1"],
        ["train", "fake", "k", "1"],
        ["train", "fake", "m", "2"],
        ["train", "in", "1", "groups"],
        ["test", "real", "1"],
        ["test", "fake", "1"],
        ["test", "in", "1", "groups"],
    ]
    assert lines[-1][:8] == ["in", "all", "2", "groups,", "2", "of", "them", "of"]


# --- Identifiers ---


def test_a_video_on_another_drive_is_identified_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "list.csv").write_text(f"path,label\na.mp4,0\n{tmp_path}/elsewhere/b.mp4,1\n")
    relpath = os.path.relpath

    def windows(path, base):
        if "elsewhere" in str(path):
            raise ValueError("path is on mount 'D:', start on mount 'C:'")
        return relpath(path, base)

    monkeypatch.setattr("os.path.relpath", windows)
    found = {video.video for video in find_videos(tmp_path / "list.csv")}
    assert found == {"a.mp4", (tmp_path / "elsewhere/b.mp4").as_posix()}


# --- FaceForensics++ and DFD ---

FF_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")


def faceforensics(root, pairs, compressions=("c23",)):
    """The tree as its authors ship it, with all that a recursive glob would stumble over."""
    for compression in compressions:
        for a, b in pairs:
            touch(
                root,
                *(f"original_sequences/youtube/{compression}/videos/{name}.mp4" for name in (a, b)),
            )
            for method in FF_METHODS:
                folder = f"manipulated_sequences/{method}/{compression}/videos"
                touch(root, f"{folder}/{a}_{b}.mp4", f"{folder}/{b}_{a}.mp4")
    for a, b in pairs:
        touch(
            root,
            f"manipulated_sequences/Deepfakes/masks/videos/{a}_{b}.mp4",
            f"downloaded_videos/{a}.mp4",
        )
        touch(root, "original_sequences/stray.mp4")
        touch(root, f"original_sequences/youtube/c23/images/{a}/0000.png")


def write_official_splits(folder, **pairs):
    folder.mkdir(parents=True, exist_ok=True)
    for split, members in pairs.items():
        (folder / f"{split}.json").write_text(json.dumps(members))


@pytest.mark.parametrize("where", ["", "splits"])
def test_faceforensics_with_official_splits(tmp_path, where, capsys):
    pairs = [("000", "003"), ("001", "002"), ("008", "990")]
    faceforensics(tmp_path, pairs)
    write_official_splits(
        tmp_path / where, train=[["003", "000"]], val=[["001", "002"]], test=[["008", "990"]]
    )
    videos = find_videos(tmp_path)
    assert (
        len(videos) == len({video.video for video in videos}) == 3 * (2 + 2 * 5)
    )  # no mask, no download
    for split, pair in zip(("train", "val", "test"), pairs, strict=True):
        members = [video for video in videos if video.split == split]
        assert len(members) == 12 and len({video.group for video in members}) == 1
        assert all(set(video.path.stem.split("_")) <= set(pair) for video in members)
    assert {video.method for video in videos} == {*FF_METHODS, ""}
    same_name = [video for video in videos if video.path.stem == "000_003"]
    assert len(same_name) == 5
    assert {video.clip for video in same_name} == {"FaceForensics++ 000"}
    assert all(video.label == video.video.startswith("manipulated") for video in videos)
    out = capsys.readouterr().out
    assert "layout: FaceForensics++" in out
    assert [line.split() for line in out.splitlines() if "NeuralTextures" in line] == [
        [split, "fake", "NeuralTextures", "2"] for split in ("train", "val", "test")
    ]


def test_faceforensics_compressions_of_a_clip_share_a_group(tmp_path):
    faceforensics(tmp_path, [("000", "003"), ("001", "002")], ("raw", "c23", "c40"))
    videos = find_videos(tmp_path)
    assert len(videos) == 3 * 24 and {video.split for video in videos} == {"train"}
    assert len(groups_of(videos)) == 2
    assert {video.clip for video in videos if video.path.stem == "000"} == {"FaceForensics++ 000"}
    assert len({video.video for video in videos}) == len(videos)
    assert len(find_videos(tmp_path, "c40")) == 24
    with pytest.raises(InputError, match=r"no real video to train on with --compression c0"):
        find_videos(tmp_path, "c0")


def test_ids_of_faceforensics_hold_wherever_the_tree_lies(tmp_path):
    faceforensics(tmp_path / "here", [("000", "003")], ["c23"])
    faceforensics(tmp_path / "there/tree", [("000", "003")], ["c40"])
    here, there = find_videos(tmp_path / "here"), find_videos(tmp_path / "there/tree")
    assert [video.people for video in here] == [video.people for video in there]
    assert [video.clip for video in here] == [video.clip for video in there]
    assert {video.people for video in here if video.path.stem == "003_000"} == {
        ("FaceForensics++ 003", "FaceForensics++ 000")
    }
    assert {video.video for video in here}.isdisjoint(video.video for video in there)


def test_compression_is_for_faceforensics_alone(tmp_path):
    touch(tmp_path, "set/real/x.mp4", "set/fake/y.mp4")
    (tmp_path / "list.csv").write_text("path,label\na.mp4,0\nb.mp4,1\n")
    for root in (tmp_path / "set", tmp_path / "list.csv"):
        problem = r"--compression c23 is for FaceForensics\+\+, but .* is: (class folders|list)"
        with pytest.raises(InputError, match=problem):
            find_videos(root, "c23")


def test_faceforensics_has_500_groups(tmp_path):
    for i in range(0, 1000, 2):
        a, b = f"{i:03d}", f"{i + 1:03d}"
        touch(tmp_path, *(f"original_sequences/youtube/c23/videos/{name}.mp4" for name in (a, b)))
        touch(tmp_path, f"manipulated_sequences/Deepfakes/c23/videos/{a}_{b}.mp4")
    assert len(groups_of(find_videos(tmp_path))) == 500


def test_dfd_in_the_same_tree_is_for_training(tmp_path):
    faceforensics(tmp_path, [("01", "02"), ("03", "04")])
    write_official_splits(tmp_path, train=[["01", "02"]], test=[["03", "04"]])
    touch(
        tmp_path,
        *(
            f"original_sequences/actors/c23/videos/{name}.mp4"
            for name in ("03__exit", "07__exit", "09__hug")
        ),
    )
    touch(tmp_path, "manipulated_sequences/DeepFakeDetection/c23/videos/03_07__exit__ABCD1234.mp4")
    videos = {video.path.stem: video for video in find_videos(tmp_path)}
    fake = videos["03_07__exit__ABCD1234"]
    assert (fake.label, fake.split, fake.method) == (1, "train", "DeepFakeDetection")
    assert (fake.clip, fake.people) == ("DFD 03__exit", ("DFD 03", "DFD 07"))
    assert videos["03"].people == ("FaceForensics++ 03",)
    assert (
        fake.group
        == videos["03__exit"].group
        == videos["07__exit"].group
        != videos["09__hug"].group
    )
    assert videos["03__exit"].clip == fake.clip
    assert (
        videos["03"].split == "test" and videos["03"].group != fake.group
    )  # actor 03 is not video 03


def test_a_fake_across_official_splits_is_an_error(tmp_path):
    faceforensics(tmp_path, [("000", "003")])
    write_official_splits(tmp_path, train=[["000", "001"]], val=[["003", "002"]])
    with pytest.raises(
        InputError, match=r"000_003\.mp4 joins people of the official splits train and val"
    ):
        find_videos(tmp_path)
    for text in ("[[0, 3]]", '["000_003"]', '[["000", "003", "004"]]', '[[["000", "003"]]]'):
        (tmp_path / "val.json").write_text(text)
        with pytest.raises(InputError, match=r"val\.json: .* is not a pair of ids"):
            find_videos(tmp_path)
    (tmp_path / "val.json").write_text('[["000", "002"]]')
    with pytest.raises(InputError, match=r"val\.json: 000 is in the train split too"):
        find_videos(tmp_path)
    (tmp_path / "val.json").write_text("[[")
    with pytest.raises(InputError, match=r"val\.json is not valid JSON"):
        find_videos(tmp_path)


# --- Celeb-DF ---


@pytest.mark.parametrize("level", ["", "videos/"])
def test_celeb_df(tmp_path, level, capsys):
    touch(
        tmp_path,
        *(
            f"Celeb-real/{level}{name}.mp4"
            for name in ("id0_0000", "id0_0001", "id1_0000", "id27_0005")
        ),
    )
    touch(tmp_path, *(f"YouTube-real/{level}{name}.mp4" for name in ("00170", "00171")))
    touch(
        tmp_path,
        *(
            f"Celeb-synthesis/{level}{name}.mp4"
            for name in ("id0_id1_0000", "id0_id1_0001", "id2_id3_0000")
        ),
    )
    (tmp_path / "List_of_testing_videos.txt").write_text(
        "1 Celeb-real/id0_0001.mp4\n1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"
        "0 Celeb-synthesis/id9_id8_0000.mp4"  # listed, but not there; no final newline
    )
    videos = {video.path.stem: video for video in find_videos(tmp_path)}
    assert {name for name, video in videos.items() if video.split == "test"} == {
        "id0_0001",
        "00170",
        "id0_id1_0000",
    }
    assert all(video.label == ("Celeb-synthesis" in video.video) for video in videos.values())
    assert {video.split for video in videos.values()} == {"train", "test"}
    assert [len(group) for group in groups_of(videos.values())].count(
        5
    ) == 1  # id0 and id1, joined by swaps
    assert len(groups_of(videos.values())) == 5  # and id27, id2 with id3, and each YouTube clip
    assert videos["id0_id1_0000"].clip == videos["id0_0000"].clip != videos["id0_0001"].clip
    assert videos["id0_id1_0001"].clip == "Celeb-DF id0_0001"
    assert videos["id0_id1_0001"].people == ("Celeb-DF id0", "Celeb-DF id1")
    assert (videos["00170"].clip, videos["00170"].people) == ("Celeb-DF 00170", ())
    out = capsys.readouterr().out
    assert "on both sides" not in out
    assert (
        "layout: Celeb-DF" in out and "1 videos in List_of_testing_videos.txt are not there" in out
    )


def test_celeb_df_copies_at_both_levels_are_in_one_split(tmp_path):
    touch(
        tmp_path,
        *(f"Celeb-real/{level}id{i}_0000.mp4" for level in ("", "videos/") for i in (0, 1)),
    )
    touch(tmp_path, "Celeb-synthesis/id2_id3_0000.mp4")
    (tmp_path / "List_of_testing_videos.txt").write_text("1 Celeb-real/id0_0000.mp4\n")
    found = [(video.path.stem, video.split) for video in find_videos(tmp_path) if video.label == 0]
    assert sorted(found) == [("id0_0000", "test")] * 2 + [("id1_0000", "train")] * 2


@pytest.mark.parametrize(
    "line", ["0 Celeb-real/id0_0000.mp4", "1 Celeb-synthesis/id0_id1_0000.mp4", "real x.mp4"]
)
def test_celeb_df_list_that_disagrees_with_the_folder(tmp_path, line):
    touch(
        tmp_path,
        "Celeb-real/id0_0000.mp4",
        "Celeb-synthesis/id0_id1_0000.mp4",
        "YouTube-real/00000.mp4",
    )
    (tmp_path / "List_of_testing_videos.txt").write_text(f"1 YouTube-real/00000.mp4\n{line}\n")
    with pytest.raises(
        InputError, match=rf"List_of_testing_videos\.txt, line 2: '{line}' does not fit"
    ):
        find_videos(tmp_path)


# --- DFDC ---


def dfdc_part(folder, **entries):
    """entries: name = original of a fake, None for a real, "no key" for a real without that key."""
    touch(folder, *(f"{name}.mp4" for name in entries if not name.startswith("missing")))
    metadata = {}
    for name, original in entries.items():
        metadata[f"{name}.mp4"] = {
            "label": "FAKE" if original not in (None, "no key") else "REAL",
            "split": "train",
        }
        if original != "no key":
            metadata[f"{name}.mp4"]["original"] = original and f"{original}.mp4"
    (folder / "metadata.json").write_text(json.dumps(metadata))


def test_dfdc_one_part_is_grouped_by_original(tmp_path, capsys):
    folder = tmp_path / "train_sample_videos"
    dfdc_part(
        folder, aaa=None, bbb="aaa", ccc="missing_a", ddd="no key", eee="missing_a", missing_a=None
    )
    touch(folder, "unlisted.mp4")
    for root in (folder, tmp_path):
        videos = {video.path.stem: video for video in find_videos(root)}
        assert {name: video.label for name, video in videos.items()} == {
            "aaa": 0,
            "bbb": 1,
            "ccc": 1,
            "ddd": 0,
            "eee": 1,
        }
        assert [[name[-7:-4] for name in group] for group in groups_of(videos.values())] == [
            ["aaa", "bbb"],
            ["ccc", "eee"],
            ["ddd"],
        ]
        assert (
            "6 listed, 1 not there; 1 there but not listed unlisted.mp4" in capsys.readouterr().out
        )
    assert videos["bbb"].clip == videos["aaa"].clip == "DFDC aaa.mp4"
    assert videos["bbb"].people == videos["aaa"].people == ("DFDC aaa.mp4",)
    assert videos["ccc"].people == ("DFDC missing_a.mp4",)


def test_dfdc_parts_stay_together(tmp_path, capsys):
    dfdc_part(tmp_path / "dfdc_train_part_0", aaa=None, bbb="aaa", ccc=None)
    dfdc_part(tmp_path / "dfdc_train_part_1", ddd=None, eee="ddd")
    touch(tmp_path, "test_videos/fff.mp4", "test_videos/ggg.mp4")
    assert [len(group) for group in groups_of(find_videos(tmp_path))] == [3, 2]
    assert "2 videos in folders without metadata.json are left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ["[", '{"a.mp4": {"label": "UNKNOWN"}}', '{"a.mp4": 1}', '["a.mp4"]']
)
def test_dfdc_metadata_of_another_kind(tmp_path, text):
    touch(tmp_path, "a.mp4")
    (tmp_path / "metadata.json").write_text(text)
    with pytest.raises(InputError, match=r"metadata\.json"):
        find_videos(tmp_path)


# --- A list of videos ---


def test_list_of_videos(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "lists" / "mine.csv"
    file.parent.mkdir()
    file.write_text(
        "\ufeffpath,label,group,split,method\na/x.mp4,real,p1,train,\n./a/y.mp4,FAKE,p1,train,swap\n"
        f"../elsewhere/z.mp4,1,,val,\n{tmp_path}/lists/w.mp4,0,p2,val,\n",
        encoding="utf-8",
    )
    videos = {video.video: video for video in find_videos(file)}
    found = {name: (video.label, video.split, video.method) for name, video in videos.items()}
    assert found == {
        "../elsewhere/z.mp4": (1, "val", ""),
        "a/x.mp4": (0, "train", ""),
        "a/y.mp4": (1, "train", "swap"),
        "w.mp4": (0, "val", ""),
    }
    assert groups_of(videos.values()) == [["../elsewhere/z.mp4"], ["a/x.mp4", "a/y.mp4"], ["w.mp4"]]
    assert videos["a/y.mp4"].path == tmp_path / "lists/a/y.mp4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.mp4,0\n", r"line 1: \['file', 'label'\], expected path,label\["),
        ("", r"line 1: \[\], expected path,label"),
        ("path;label\na.mp4;0\n", r"line 1: the columns are separated by ';', expected commas"),
        ("path\tlabel\na.mp4\t0\n", r"line 1: the columns are separated by '\\t', expected c"),
        ("path,label\na.mp4,0\nb.mp4,maybe\n", r"line 3: label 'maybe', expected real, fake, 0 or"),
        ("path,label\na.mp4\n", r"line 2: label '', expected real"),
        ("path,label\n,1\n", r"line 2: path '', expected the path of a video"),
        ("path,label\n.,1\n", r"line 2: path '\.', expected the path of a video"),
        ("path,label\na.mp4,0\nb.mp4,0\n./a.mp4,1\n", r"line 4: './a.mp4' is listed twice, .* 2;"),
        ("path,label\na\0.mp4,0\n", r"line 2|line contains NUL"),
        ("path,label\ncaf\udce9.mp4,0\n", r"not a CSV in UTF-8"),
        ("path,label,split\na.mp4,0,dev\n", r"line 2: split 'dev', expected train, val or test"),
    ],
)
def test_bad_lines_of_a_list(tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match=message):
        find_videos(tmp_path / "list.csv")


def test_a_wrong_value_is_named_alone(tmp_path):
    (tmp_path / "list.csv").write_text("path,label,split\na.mp4,0,dev\n")
    with pytest.raises(InputError, match="'dev'") as caught:
        find_videos(tmp_path / "list.csv")
    message = str(caught.value)
    assert "a.mp4" not in message and "real, fake" not in message and "once" not in message


def test_what_is_no_list(tmp_path, monkeypatch):
    touch(tmp_path, "folder/x.mp4", "clip.MP4")
    with pytest.raises(InputError, match=r"folder is a folder: give it to --videos-dir, or name a"):
        check_list(tmp_path / "folder")
    with pytest.raises(InputError, match=r"gone\.csv: no such file; expected a CSV with the colum"):
        check_list(tmp_path / "gone.csv")
    for check in (check_list, find_videos):
        with pytest.raises(InputError, match=r"clip\.MP4 is a video: name the folder that holds"):
            check(tmp_path / "clip.MP4")
    (tmp_path / "list.csv").write_text("path,label\na.mp4,0\nb.mp4,1\n")
    check_list(tmp_path / "list.csv")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("data.layouts.open", refuse, raising=False)
    with pytest.raises(ReadError, match=r"no permission for .*list\.csv"):
        find_videos(tmp_path / "list.csv")


# --- The real trees ---


def counts(videos):
    found = {}
    for video in videos:
        found[video.split, video.label] = found.get((video.split, video.label), 0) + 1
    return found


def test_real_trees(real_videos, capsys):
    videos = find_videos(real_videos / "faceforensics")
    assert counts(videos) == {
        **{
            ("train", 0): 1,
            ("train", 1): 2,
            ("val", 0): 1,
            ("val", 1): 1,
            ("test", 0): 1,
            ("test", 1): 1,
        }
    }
    capsys.readouterr()
    assert counts(find_videos(real_videos / "dfdc")) == {("train", 0): 1, ("train", 1): 3}
    assert "3 listed, 2 not there" in capsys.readouterr().out


def test_official_faceforensics_splits_give_disjoint_identities(real_videos, tmp_path):
    """All names of the whole set, under the official split files."""
    folder = real_videos / "faceforensics" / "splits"
    pairs = {split: json.loads((folder / f"{split}.json").read_text()) for split in SPLITS}
    assert {split: len(members) for split, members in pairs.items()} == {
        "train": 360,
        "val": 70,
        "test": 70,
    }
    write_official_splits(tmp_path, **pairs)
    for a, b in itertools.chain(*pairs.values()):
        touch(tmp_path, *(f"original_sequences/youtube/c23/videos/{name}.mp4" for name in (a, b)))
        folder = "manipulated_sequences/NeuralTextures/c23/videos"
        touch(tmp_path, f"{folder}/{a}_{b}.mp4", f"{folder}/{b}_{a}.mp4")
    videos = find_videos(tmp_path)
    assert counts(videos) == {
        (split, label): 2 * len(pairs[split]) for split in SPLITS for label in (0, 1)
    }
    assert len({video.group for video in videos}) == 500
    splits_of_group = {}
    for video in videos:
        splits_of_group.setdefault(video.group, set()).add(video.split)
    assert all(len(splits) == 1 for splits in splits_of_group.values())
