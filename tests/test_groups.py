"""Groups of videos as far as their names tell."""

import re
from pathlib import Path

import pytest
from conftest import groups_of, touch

from data.files import InputError
from data.groups import describe_lone_fakes
from data.layouts import find_data_set, find_videos
from features.extraction_screen import print_data_set


def find_listed(root: Path, lines: list[str], header: str = "path,label"):
    """The videos of a list."""
    (root / "list.csv").write_text("\n".join([header, *lines]))
    return find_videos(root / "list.csv")


def write_videos(root: Path, names: str) -> Path:
    """A tree of empty videos."""
    touch(root, *(f"{name}.mp4" for name in names.split()))
    return root


def told_groups(videos) -> str:
    """The groups of videos with commas between them, without endings."""
    return ", ".join(" ".join(group) for group in groups_of(videos)).replace(".mp4", "")


# --- Any names ---


def test_between_splits_equal_names_join_nobody_but_ids_and_a_fake_with_its_real(tmp_path):
    for split in ("train", "test"):
        write_videos(tmp_path / split, "real/1 real/2 fake/1_2")
    write_videos(tmp_path / "train", "real/id1_0000 fake/9_4")
    write_videos(tmp_path / "test", "fake/id1_id2_0001 real/9")
    assert told_groups(find_videos(tmp_path)).split(", ") == [
        "test/fake/1_2 test/real/1 test/real/2",
        "test/fake/id1_id2_0001 train/real/id1_0000",
        "test/real/9 train/fake/9_4",
        "train/fake/1_2 train/real/1 train/real/2",
    ]


@pytest.mark.parametrize(("given", "x"), [("", ", x"), (",g", " x")])  # of 003 and x
def test_lines_of_a_list_without_groups_go_by_names(tmp_path, given, x):
    write_videos(tmp_path, "000 000_003 003 x")
    lines = ["000.mp4,0", f"003.mp4,0{given}", "000_003.mp4,1", f"x.mp4,1{given}"]
    videos = find_listed(tmp_path, lines, "path,label,group")
    assert told_groups(videos) == f"000 000_003 003{x}"
    assert [video.clip for video in videos] == ["000.mp4", "000.mp4", "003.mp4", ""]


# --- Names of the public sets in class folders and lists ---

CELEB_DF = {  # folder: names
    "Celeb-real": "id9_0000 id9_0001 id26_0000 id3_0000 id40_0000",
    "YouTube-real": "00170 00171",
    "Celeb-synthesis": "id9_id26_0000 id3_id4_0000 id5_id4_0000",
}
DFD = {
    "original_sequences/actors/c23/videos": "03__exit 03__hug_happy 07__exit 09__exit",
    "manipulated_sequences/DeepFakeDetection/c23/videos": "03_07__exit__ABCD1234 "
    "11_12__exit__ABCD1235 12_14__hug_happy__0BCD1237",
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
        write_videos(tmp_path / "set" / folder, stems)
    own = find_videos(tmp_path / "set")
    for video in own:
        folder = "fake" if video.label else "real"
        touch(tmp_path / "sorted", f"{folder}/{video.method}/{video.path.name}")
    lines = [f"{video.path},{video.label}" for video in own]
    in_folders = find_videos(tmp_path / "sorted")
    in_list = find_listed(tmp_path, lines)
    assert len(stems_by("group", own)) == n_groups
    for key in ("group",) if names is FACEFORENSICS else ("group", "clip"):
        assert stems_by(key, in_folders) == stems_by(key, in_list) == stems_by(key, own)
    ids = {person for video in own for person in video.people}
    people = {person for video in in_folders for person in video.people}
    assert all(person[0] == "~" for person in people)
    assert names is FACEFORENSICS or people == {f"~{person}" for person in ids}


@pytest.mark.parametrize(("real", "fake"), [("real", "fake"), ("Celeb-real", "Celeb-synthesis")])
def test_groups_given_in_a_list_win_over_public_names(tmp_path, real, fake):
    names = f"{real}/id1_0 {real}/id1_1 {fake}/id1_id2_0 {fake}/id1_id2_1"
    write_videos(tmp_path, names)
    ends = ["0,a", "0,b", "1,b", "1,a"]
    lines = [f"{name}.mp4,{end}" for name, end in zip(names.split(), ends, strict=True)]
    videos = find_listed(tmp_path, lines, "path,label,group")
    assert stems_by("group", videos) == [["id1_0", "id1_id2_1"], ["id1_1", "id1_id2_0"]]
    assert {video.people for video in videos} == {("@a",), ("@b",)}


# --- Folders, takes and words that name people ---


# A line a case: groups with commas between them, after -> the methods of fakes. Names are those of
# reals, behind a * of fakes; + is a space.
PEOPLE = """
# a swap joins both its people, and those whom another swap joins with them
000 003 005 *000_003 *003_000 *005_999 *x/003_005, *1000 -> x
my_clip *my_clip_7, alone
# names that only look public: own clips of person and take, each with a fake of the same name
ida_0001 *ida_0001, ida_0002 *ida_0002
001_002 *001_002, 002_003 *002_003
id1_id2_0, id3_0, *id1_0, *id4_id5_0
# a folder for each person, with the same numbers in each
anna/1 anna/2 *anna/1, ben/1 *FaceSwap/ben/1 *ben/gan/2 -> FaceSwap gan
# a folder of a source says less than the names in it
ff/000 ff/003 *ff/000_003, ff/001 *ff/swap/001_9 -> swap
# a real in the fake's own folder comes first
x/000 x/003 *x/000_003, 000/a *000/b
# the longest name first
video *video_b, video_01 *fake_video_01
# actors, of whom no real is here
001 002 *001_M101 *002_M101, 003 *003_W010
# but not takes, methods and the like
001 *001_take12, 002 *002_take12, *x_c23, *y_c23
# takes of people, and swaps of them
anna_1 anna_2 ben_1 ben_2 *anna_ben, eve_1 *eve_9
# pieces, with a word before the number
anna_clip1 anna_clip2 ben_part_1 ben_part_2 *anna_ben_1
# what a compression or all names add
000_c23 003_c23 *m/000_003_c23, 5_c23 -> m
orig_000_x orig_003_x *swap_000_003, *swap_7_8, orig_5_x
# the fakes of one person share a word that tells
anna *anna_1 *anna_2, ben, eve
# a name that all share is replaced by its folder
x1/video, x2/video *x2_z/video, *y1/video -> y1 x2_z
# copies: by their marks, if the name without it is there
253 253(1) Copy+of+253 c40+253, 254(1), *x
# a number in brackets is a word where the name without it is not there
260(1), *260_x, 7
# most folders at their place are people, so all are
anna/1 ben/1 ben/2 *anna/anna_ben, eve/1 *eve/1
# the outermost folder that divides
anna/s1/x anna/s2/y *anna/s1/x, ben/s1/x *ben/s2/x
# a name that several reals in different folders have tells nobody
an/1, be/1, ce/2 *swap/2, *swap/1 -> swap
# small numbers in the names of methods
1 2 *sd_1_5_2 *1_2, 13 *sora_2_13
# a folder named after the real
000 *000/deepfake1, anna *anna/simswap, *x/y -> x
# vowel signs are part of a word
सीता *सीता_x, *सोता, y
# few reals are numbered, or all alike: no pieces
anna_1, anna_2, ben_1, ben_2, x, y, z, *w
# one that holds all is nobody
mp4/x *mp4/x, mp4/y, *mp4/z
# one word in all names, or a word for any video: no people
clip_1, clip_2, img_1, *x
# of people of whom no real is here nothing is known, but for the same swap
eve, *anna_ben *m/ben_anna, *anna_carl -> m
"""


def path_of(name: str) -> str:
    folder = "fake" if name[0] == "*" else "real"
    return f"{folder}/{name.lstrip('*')}.mp4".replace("+", " ")


@pytest.mark.parametrize("case", re.findall("^[^#].*", PEOPLE.strip(), re.MULTILINE))
def test_names_that_tell_of_people(tmp_path, case):
    groups, _, methods = case.partition(" -> ")
    named = [[path_of(name) for name in group.split()] for group in groups.split(",")]
    touch(tmp_path, *(path for group in named for path in group))
    videos = find_videos(tmp_path)
    assert groups_of(videos) == sorted(map(sorted, named))
    assert {video.group for video in videos} == set(map(min, named))
    assert {video.method for video in videos} - {""} == set(methods.split())


def test_a_list_reads_folders_and_names_as_the_tree_does(tmp_path):
    people = "real/anna/1 real/anna/2 fake/anna/1 real/ben/1 fake/ben/1 fake/swap/anna/3"
    in_tree = find_videos(write_videos(tmp_path, people))
    lines = [f"{video.video},{video.label}" for video in in_tree]
    in_list = find_listed(tmp_path, lines)
    for key in ("video", "group", "people", "method"):
        told = [getattr(video, key) for video in in_list]
        assert told == [getattr(video, key) for video in in_tree]
    assert {video.people for video in in_tree} == {("~train anna",), ("~train ben",)}


WHO = """
real/000 train_000 real/000
real/003 train_003 real/003
real/005 . real/005
fake/a/000_003 train_000+train_003 real/000
fake/b/003_000 train_003+train_000 real/003
fake/a/7 . .
"""


def test_who_is_in_a_video_is_told_by_its_reals(tmp_path):
    lines = WHO.strip().split("\n")
    write_videos(tmp_path, " ".join(line.split()[0] for line in lines))
    found = []
    for video in find_videos(tmp_path):
        people = "+".join(video.people).replace(" ", "_")
        told = f"{video.video} {people or '.'} {video.clip or '.'}"
        found.append(told.replace(".mp4", "").replace("~", ""))
    assert sorted(found) == sorted(lines)


def test_a_fake_is_of_the_person_whose_folder_it_is_named_after(tmp_path):
    write_videos(tmp_path, "real/ann/1 real/ben/1 real/cy/1 fake/ann/1 fake/ben/1")
    write_videos(tmp_path, "fake/ann/0_ben fake/cy/ann")  # the first in ann/ is also of ben
    people = {video.video: video.people for video in find_videos(tmp_path)}
    assert people["fake/ann/0_ben.mp4"] == ("~train ann", "~train ben")
    assert people["fake/cy/ann.mp4"] == ("~train cy", "~train ann")


def test_people_are_not_joined_across_splits_but_named(tmp_path):
    write_videos(tmp_path / "train", "real/anna/1 fake/anna/1 real/ben/1 fake/ben/x")
    write_videos(tmp_path / "test", "real/anna/1 fake/anna/1")
    data_set = find_data_set(tmp_path)
    assert [len(group) for group in groups_of(data_set.videos)] == [2, 2, 2]
    assert data_set.notes == [
        "folders that are people: 2, anna/ for one",
        "such folders in several splits (1, anna/ for one): are people on both sides?",
    ]


# --- Copies ---


def test_one_photo_in_both_classes_is_an_error(tmp_path):
    middle = [bytes(70_000) + sign + bytes(70_000) for sign in (b"1", b"2")]  # alike at both ends
    files = {"real/ann": b"1234", "fake/bea": b"1235", "real/eve": b"", "fake/flo": b""}
    files |= {"real/cy": middle[0], "fake/dan": middle[1]}
    touch(tmp_path, *(f"{name}.jpg" for name in files))
    for name, content in files.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
    assert len(groups_of(find_videos(tmp_path))) == 6  # of one size, but not the same
    (tmp_path / "fake/copy.jpg").write_bytes(b"1234")
    both = r"fake/copy\.jpg and real/ann\.jpg are one file, once real and once fake"
    with pytest.raises(InputError, match=both):
        find_videos(tmp_path)


def test_a_file_twice_in_one_class_is_kept_together_and_said(tmp_path):
    write_videos(tmp_path, "real/a real/b real/x/c")
    for path, content in (("a", b"1234"), ("b", b"12345"), ("x/c", b"1234")):
        (tmp_path / f"real/{path}.mp4").write_bytes(content)
    data_set = find_data_set(tmp_path)
    assert told_groups(data_set.videos) == "real/a real/x/c, real/b"
    twice = "files that are there twice: 1, kept together, real/a.mp4 and real/x/c.mp4 for one"
    assert data_set.notes[0] == twice


# --- What is said of the groups ---


def test_fakes_without_a_real_are_counted(tmp_path, capsys):
    write_videos(tmp_path, "real/a real/b fake/x_1 fake/1_x fake/a_2")
    print_data_set(find_data_set(tmp_path))
    out = capsys.readouterr().out
    assert "3 groups in all; 2 hold more than one video" in out
    told = "Note       of 3 fakes 2 belong to no real video by name (fake/1_x.mp4, fake/x_1.mp4;"
    assert told in out and "--videos-csv" in out.partition(told)[2]


@pytest.mark.parametrize(("lines", "n"), [("a,0,a b,1,b", 0), ("a,0,a b,1,", 1), ("b,1,", 0)])
def test_fakes_whose_groups_are_given_or_that_are_alone_are_not_warned_of(tmp_path, lines, n):
    write_videos(tmp_path, "a b")
    lines = [line.replace(",", ".mp4,", 1) for line in lines.split()]
    videos = find_listed(tmp_path, lines, "path,label,group")
    assert len(describe_lone_fakes(videos)) == n
