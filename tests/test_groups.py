"""Groups of videos as far as their names tell. Sets that have ids are in test_layouts.py."""

import re
from pathlib import Path

import pytest
from conftest import groups_of, touch

from data.files import InputError
from data.groups import describe_lone_fakes
from data.layouts import find_data_set, find_videos
from features.extraction_screen import print_data_set


def write_list(file: Path, header: str, *lines: str) -> Path:
    file.write_text("\n".join([header, *lines]))
    return file


# --- Any names ---


def test_same_names_in_different_splits_are_different_videos(tmp_path):
    for split in ("train", "val"):
        touch(tmp_path, f"{split}/real/1.mp4", f"{split}/real/2.mp4", f"{split}/fake/1_2.mp4")
    videos = find_videos(tmp_path)
    assert [video.split for video in videos] == ["train"] * 3 + ["val"] * 3
    assert len(groups_of(videos)) == 2
    touch(tmp_path, "val/real/9.mp4", "train/fake/9_1.mp4")  # its real is on the other side
    groups = groups_of(find_videos(tmp_path))
    assert any({"val/real/9.mp4", "train/fake/9_1.mp4"} <= set(group) for group in groups)


def test_lines_of_a_list_without_groups_go_by_names(tmp_path):
    touch(tmp_path, "x.mp4")
    lines = ["000.mp4,0,", "003,0,g", "000_003.mp4,1,", "x.mp4,1,g"]
    videos = find_videos(write_list(tmp_path / "list.csv", "path,label,group", *lines))
    assert groups_of(videos) == [["000.mp4", "000_003.mp4", "003", "x.mp4"]]
    clips = {"000.mp4": "000.mp4", "000_003.mp4": "000.mp4", "003": "003", "x.mp4": ""}
    assert {video.video: video.clip for video in videos} == clips
    write_list(tmp_path / "list.csv", "path,label", *(line.rpartition(",")[0] for line in lines))
    groups = groups_of(find_videos(tmp_path / "list.csv"))
    assert groups == [["000.mp4", "000_003.mp4", "003"], ["x.mp4"]]


# --- Names of the public sets in class folders and lists ---

CELEB_DF = {  # folder: names
    "Celeb-real": "id9_0000 id9_0001 id26_0000 id3_0000 id40_0000",
    "YouTube-real": "00170 00171",
    "Celeb-synthesis": "id9_id26_0000 id9_id26_0001 id3_id4_0000 id5_id4_0000",
}
DFD = {
    "original_sequences/actors/c23/videos": "03__exit 03__hug_happy 07__exit 09__exit",
    "manipulated_sequences/DeepFakeDetection/c23/videos": "03_07__exit__ABCD1234 "
    "11_12__exit__ABCD1235 11_12__exit__ABCD1236 12_14__hug_happy__0BCD1237",
}
FACEFORENSICS = {  # some reals are missing
    "original_sequences/youtube/c23/videos": "000 003 001 870",
    "manipulated_sequences/Deepfakes/c23/videos": "000_003 001_870 004_982 982_004",
    "manipulated_sequences/FaceSwap/c23/videos": "003_000 870_001 004_982 013_883",
}


def stems_by(key: str, videos) -> list[list[str]]:
    """Names of the videos of each group or clip."""
    found = {}
    for video in videos:
        found.setdefault(getattr(video, key), []).append(video.path.stem)
    return sorted(map(sorted, found.values()))


@pytest.mark.parametrize(("names", "n_groups"), [(CELEB_DF, 5), (DFD, 3), (FACEFORENSICS, 4)])
def test_public_names_group_alike_wherever_the_videos_lie(tmp_path, names, n_groups):
    for folder, stems in names.items():
        touch(tmp_path / "set", *(f"{folder}/{stem}.mp4" for stem in stems.split()))
    own = find_videos(tmp_path / "set")
    for video in own:
        folder = "fake" if video.label else "real"
        touch(tmp_path / "sorted", f"{folder}/{video.method}/{video.path.name}")
    lines = [f"{video.path},{video.label}" for video in own]
    in_folders = find_videos(tmp_path / "sorted")
    in_list = find_videos(write_list(tmp_path / "list.csv", "path,label", *lines))
    assert len(stems_by("group", own)) == n_groups
    for key in ("group",) if names is FACEFORENSICS else ("group", "clip"):
        assert stems_by(key, in_folders) == stems_by(key, in_list) == stems_by(key, own)
    ids = {person for video in own for person in video.people}
    people = {person for video in in_folders for person in video.people}
    assert all(person[0] == "~" for person in people)  # anybody may name videos so
    assert names is FACEFORENSICS or people == {f"~{person}" for person in ids}


def test_public_names_join_people_across_splits(tmp_path):
    for split in ("train", "test"):
        touch(tmp_path, f"{split}/real/other_{split}.mp4", f"{split}/fake/own.mp4")
    touch(tmp_path, "train/real/id1_0000.mp4", "test/fake/id1_id2_0001.mp4")
    groups = groups_of(find_videos(tmp_path))
    assert ["test/fake/id1_id2_0001.mp4", "train/real/id1_0000.mp4"] in groups
    assert len(groups) == 5


def test_a_fake_without_ids_goes_by_the_name_of_a_real_of_whom_nobody_is_known(tmp_path):
    touch(tmp_path, "YouTube-real/00170.mp4", "Celeb-synthesis/00170_x.mp4", "Celeb-real/a.mp4")
    groups = groups_of(find_videos(tmp_path))
    assert groups[1:] == [["Celeb-synthesis/00170_x.mp4", "YouTube-real/00170.mp4"]]


@pytest.mark.parametrize(("real", "fake"), [("real", "fake"), ("Celeb-real", "Celeb-synthesis")])
def test_groups_given_in_a_list_win_over_public_names(tmp_path, real, fake):
    names = [f"{real}/id1_0000", f"{real}/id1_0001", f"{fake}/id1_id2_0000", f"{fake}/id1_id2_0001"]
    touch(tmp_path, *(f"{name}.mp4" for name in names))
    lines = [f"{name}.mp4,{i // 2},{'abba'[i]}" for i, name in enumerate(names)]
    videos = find_videos(write_list(tmp_path / "list.csv", "path,label,group", *lines))
    expected = [["id1_0000", "id1_id2_0001"], ["id1_0001", "id1_id2_0000"]]
    assert stems_by("group", videos) == expected
    assert {name for video in videos for name in video.people} == {f"@{name}" for name in "ab"}


# --- Folders, takes and words that name people ---


# A line a case: groups with commas between them, a + in a name is a space; after -> the methods.
PEOPLE = """
# a swap joins both its people, and those whom another swap joins with them
real/000 real/003 real/005 fake/000_003 fake/003_000 fake/005_999 fake/x/003_005, fake/1000 -> x
real/my_clip fake/my_clip_7, real/alone
# names that only look public: own clips of person and take, each with a fake of the same name
real/ida_0001 fake/ida_0001, real/ida_0002 fake/ida_0002
real/001_002 fake/001_002, real/002_003 fake/002_003
real/id1_id2_0, real/id3_0, fake/id1_0, fake/id4_id5_0
real/001 fake/001_100, real/002 fake/002_100
real/a__x fake/a__x_1, real/a__y fake/a__y_2
# a folder for each person, with the same numbers in each
real/anna/1 real/anna/2 fake/anna/1, real/ben/1 fake/FaceSwap/ben/1 fake/ben/gan/2 -> FaceSwap gan
# a folder of a source says less than the names in it
real/ff/000 real/ff/003 fake/ff/000_003, real/ff/001 fake/ff/swap/001_9 -> swap
# a real in the fake's own folder comes first
real/x/000 real/x/003 fake/x/000_003, real/000/a fake/000/b
real/x/1 fake/x/1_swap, real/y/1 fake/y/m/1_other -> m
# the longest name first
real/video fake/video_b, real/video_01 fake/fake_video_01
real/Anna+Smith fake/anna_smith_2
# actors, of whom no real is here
real/001 real/002 fake/001_M101 fake/002_M101, real/003 fake/003_W010
# but not takes, methods and the like
real/001 fake/001_take12, real/002 fake/002_take12, fake/x_c23, fake/y_c23
# takes of people, and swaps of them
real/anna_1 real/anna_2 real/ben_1 real/ben_2 fake/anna_ben, real/eve_1 fake/eve_9
# pieces, with a word before the number
real/anna_clip1 real/anna_clip2 real/ben_part_1 real/ben_part_2 fake/anna_ben_1
real/000_0 real/000_1 real/003_0 real/003_1 fake/000_003_0, real/5_0
# what a compression or all names add
real/000_c23 real/003_c23 fake/m/000_003_c23, real/5_c23 -> m
real/ff_000 real/ff_003 fake/ff_000_003, real/ff_5
real/orig_000_x real/orig_003_x fake/swap_000_003, fake/swap_7_8, real/orig_5_x
# the fakes of one person share a word that tells
real/anna fake/anna_1 fake/anna_2, real/ben, real/eve
# a name that all share is replaced by its folder
real/x1/video, real/x2/video fake/x2_z/video, fake/y1/video -> y1 x2_z
# copies: by their marks, if the name without it is there
real/253 real/253(1) real/Copy+of+253 real/c40+253, real/254(1), fake/x
# a number in brackets is a word where the name without it is not there
real/260(1), fake/260_x, real/7
# most folders at their place are people, so all are
real/anna/1 real/ben/1 real/ben/2 fake/anna/anna_ben, real/eve/1 fake/eve/1
real/anna/1 fake/anna/1, real/ben/1 fake/ben/1, fake/carl/1
# the outermost folder that divides
real/anna/s1/x real/anna/s2/y fake/anna/s1/x, real/ben/s1/x fake/ben/s2/x
# unless the names in it tell more
real/ff/000 real/ff/003 fake/ff/000_003, real/ff/001, real/lab/x fake/lab/y
# people and takes are both numbered
real/01/01 real/01/02 fake/01/01 fake/01/02, real/02/01 fake/02/01
# all at the place of most people, not at an inner one
real/an/c1/x fake/an/c1/x, real/be/c1/y fake/be/c1/w, real/ce/c1/z real/ce/c2/v
# a name that several reals in different folders have tells nobody
real/an/1, real/be/1, real/ce/2 fake/swap/2, fake/swap/1, fake/roop/1_x -> swap roop
# small numbers in the names of methods
real/1 real/2 fake/sd_1_5_2 fake/1_2, real/13 fake/sora_2_13
# a folder named after the real
real/000 fake/000/deepfake1, real/anna fake/anna/simswap, fake/x/y -> x
# folders that are called after a word and a number
real/video_1/a fake/video_1/a, real/video_2/a
# vowel signs are part of a word
real/सीता fake/सीता_x, fake/सोता, real/y
# few reals are numbered, or all alike: no pieces
real/anna_1, real/anna_2, real/ben_1, real/ben_2, real/x, real/y, real/z, fake/w
real/anna_1, real/anna_2, fake/ben, fake/anna_x
# one that holds all is nobody
real/mp4/x fake/mp4/x, real/mp4/y, fake/mp4/z
fake/deepfakes/x, real/y, fake/swap/z -> deepfakes swap
# where the first number is the person's
real/subject_01_01 real/subject_01_02, real/subject_02_01, fake/x
real/subject1_clip1 real/subject1_clip2, real/subject2_clip1, fake/x
# one word in all names, or a word for any video: no people
real/talk_1, real/talk_2, fake/x
real/clip_1, real/clip_2, real/img_1, real/img_2, fake/x
# of people of whom no real is here nothing is known, but for the same swap
real/eve, fake/anna_ben fake/m/ben_anna, fake/anna_carl -> m
"""


@pytest.mark.parametrize("case", re.findall("^[^#].*", PEOPLE.strip(), re.MULTILINE))
def test_names_that_tell_of_people(tmp_path, case):
    groups, _, methods = case.partition(" -> ")
    named = [[f"{name}.mp4".replace("+", " ") for name in g.split()] for g in groups.split(",")]
    touch(tmp_path, *(name for group in named for name in group))
    videos = find_videos(tmp_path)
    assert groups_of(videos) == sorted(map(sorted, named))
    assert {video.group for video in videos} == {min(group) for group in named}
    assert {video.method for video in videos} - {""} == set(methods.split())


def test_a_list_reads_folders_and_names_as_the_tree_does(tmp_path):
    names = [f"{c}/{p}/{n}.mp4" for c in ("real", "fake") for p in ("anna", "ben") for n in (1, 2)]
    touch(tmp_path, *names, "fake/swap/anna/3.mp4", "train/x.mp4")
    in_tree = {v.video: (v.group, v.people, v.method) for v in find_videos(tmp_path)}
    lines = [f"{name},{int(name[0] == 'f')}" for name in in_tree]
    file = write_list(tmp_path / "list.csv", "path,label", *lines)
    assert {v.video: (v.group, v.people, v.method) for v in find_videos(file)} == in_tree
    assert len({group for group, *_ in in_tree.values()}) == 2
    people = {people for _, people, _ in in_tree.values()}
    assert people == {("~train anna",), ("~train ben",)}


def test_who_is_in_a_video_is_told_by_its_reals(tmp_path):
    touch(tmp_path, *(f"real/{name}.mp4" for name in ("000", "003", "005")))
    touch(tmp_path, "fake/a/000_003.mp4", "fake/b/003_000.mp4", "fake/a/7.mp4")
    found = {
        video.video: ("+".join(person.split()[-1] for person in video.people), video.clip)
        for video in find_videos(tmp_path)
    }
    assert found == {
        "real/000.mp4": ("000", "real/000.mp4"),
        "real/003.mp4": ("003", "real/003.mp4"),
        "real/005.mp4": ("", "real/005.mp4"),
        "fake/a/000_003.mp4": ("000+003", "real/000.mp4"),
        "fake/b/003_000.mp4": ("003+000", "real/003.mp4"),
        "fake/a/7.mp4": ("", ""),
    }


def test_a_fake_is_of_the_person_whose_folder_it_is_named_after(tmp_path):
    """Also where the first fake in that folder is of somebody else, too."""
    touch(tmp_path, *(f"{place}/{p}/1.mp4" for place in ("real", "fake") for p in ("ann", "ben")))
    touch(tmp_path, "fake/ann/0_ben.mp4", "fake/cy/ann.mp4", "real/cy/1.mp4")
    people = {video.video: video.people for video in find_videos(tmp_path)}
    assert people["fake/ann/0_ben.mp4"] == ("~train ann", "~train ben")
    assert people["fake/cy/ann.mp4"] == ("~train cy", "~train ann")


def test_people_are_not_joined_across_splits_but_named(tmp_path):
    for split in ("train", "test"):
        touch(tmp_path, *(f"{split}/{place}.mp4" for place in ("real/anna/1", "fake/anna/1")))
    touch(tmp_path, "train/real/ben/1.mp4", "train/fake/ben/x.mp4")
    data_set = find_data_set(tmp_path)
    assert [len(group) for group in groups_of(data_set.videos)] == [2, 2, 2]
    assert data_set.notes == [
        "folders that are people: 2, anna/ for one",
        "such folders in several splits (1, anna/ for one): are people on both sides?",
    ]


# --- Copies ---


@pytest.mark.parametrize("ending", ["mp4", "jpg"])
def test_one_file_in_both_classes_is_an_error(tmp_path, ending):
    touch(tmp_path, f"real/empty.{ending}", f"fake/empty.{ending}")
    middle = [bytes(70_000) + sign + bytes(70_000) for sign in (b"1", b"2")]  # alike at both ends
    files = {"real/a": b"1234", "fake/b": b"1235", "real/long": middle[0], "fake/other": middle[1]}
    for name, content in files.items():
        (tmp_path / f"{name}.{ending}").write_bytes(content)
    assert len(groups_of(find_videos(tmp_path))) == 5  # of one size, but not the same
    (tmp_path / f"fake/copy.{ending}").write_bytes(b"1234")
    message = rf"fake/copy\.{ending} and real/a\.{ending} are one file, once real and once fake"
    with pytest.raises(InputError, match=message):
        find_videos(tmp_path)


def test_a_file_twice_in_one_class_is_kept_together_and_said(tmp_path):
    for name in ("real/a", "real/b", "real/x/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.mp4").write_bytes(b"1234" if name != "real/b" else b"12345")
    data_set = find_data_set(tmp_path)
    assert groups_of(data_set.videos) == [["real/a.mp4", "real/x/c.mp4"], ["real/b.mp4"]]
    twice = "files that are there twice: 1, kept together, real/a.mp4 and real/x/c.mp4 for one"
    assert data_set.notes[0] == twice


# --- What is said of the groups ---


def test_fakes_without_a_real_are_counted(tmp_path, capsys):
    touch(tmp_path, "real/a.mp4", "real/b.mp4", "fake/x_1.mp4", "fake/y_2.mp4", "fake/1_x.mp4")
    print_data_set(find_data_set(tmp_path))
    out = capsys.readouterr().out
    assert "4 groups in all; 1 holds more than one video" in out
    (line,) = [line for line in out.splitlines() if "on both sides" in line]
    named = "fake/1_x.mp4, fake/x_1.mp4, fake/y_2.mp4; in videos.csv those without people and clip"
    assert line.startswith(f"Note       of 3 fakes 3 belong to no real video by name ({named})")
    assert "--videos-csv" in line
    touch(tmp_path, "fake/a_2.mp4")  # one fake that is named after a real video
    (note,) = describe_lone_fakes(find_videos(tmp_path))
    assert note.startswith("of 4 fakes 3 belong to no real")


@pytest.mark.parametrize(
    ("lines", "n"),
    [(["a.mp4,0,a", "b.mp4,1,b"], 0), (["a.mp4,0,a", "b.mp4,1,"], 1), (["b.mp4,1,"], 0)],
)
def test_fakes_whose_groups_are_given_or_that_are_alone_are_not_warned_of(tmp_path, lines, n):
    touch(tmp_path, "a.mp4", "b.mp4")
    file = write_list(tmp_path / "list.csv", "path,label,group", *lines)
    assert len(describe_lone_fakes(find_videos(file))) == n
