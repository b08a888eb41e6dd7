"""Leaks and shortcuts: what is shared, and what gives labels away, is found and named."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from conftest import extract, make_split, read_table, train, write_video

from data.files import InputError, fingerprint, write_csv
from features.audit import (
    audit_leaks,
    audit_shortcuts,
    count_shared,
    describe_training,
    name_shortcuts,
    share_known,
)
from features.dataset import load_split
from features.divide import divide
from features.screen import whose_intervals

NOTHING = {"videos": 0, "people": 0, "clips": 0}


def edit_videos(folder, split, change):
    path = folder / f"{split}_videos.csv"
    rows = [change(row) or row for row in read_table(path)]
    write_csv(path, rows[0], rows)


def told(split, **facts):
    """The split with other facts of its videos."""
    return replace(split, videos=[row | facts for row in split.videos])


# --- Leaks ---


@pytest.fixture
def three_splits(tmp_path):
    """A folder with train, val and test of five groups each, and a function that loads them."""
    folder = tmp_path / "features"
    for seed, split in enumerate(("train", "val", "test")):
        make_split(folder, split, n_groups=5, seed=seed)

    def load(layout=""):
        splits = {}
        for name in ("train", "val", "test"):
            split = load_split(folder / f"{name}_features.npy")
            splits[name] = told(split, layout=layout)
        return splits

    return folder, load


def test_a_leak_between_extracted_splits_is_an_error_unless_it_is_the_official_split(three_splits):
    folder, load = three_splits
    pairs = ("train-val", "train-test", "val-test")
    assert audit_leaks(load()) == dict.fromkeys(pairs, NOTHING)
    edit_videos(folder, "test", lambda row: row.update(clip=row["clip"].replace("test/", "train/")))
    with pytest.raises(InputError, match=r"train and test share 10 clips, train/fake/000\.mp4 for"):
        audit_leaks(load())
    edit_videos(folder, "test", lambda row: row.update(group="train001.mp4"))
    with pytest.raises(InputError, match=r"train and test share 1 people, train001\.mp4 for one"):
        audit_leaks(load())
    audit = audit_leaks(load("Celeb-DF"))  # its official list is so
    assert audit["train-test"] == {"videos": 0, "people": 1, "clips": 10}
    assert audit["train-val"] == NOTHING

    def copy(row):
        row.update(fingerprint=row["fingerprint"].replace("2 test/", "0 train/"))

    edit_videos(folder, "test", copy)
    for layout in ("Celeb-DF", ""):  # not even there
        with pytest.raises(InputError, match=r"train and test share 10 videos, test/fake/000\.mp4"):
            audit_leaks(load(layout))
    edit_videos(folder, "test", lambda row: row.update(fingerprint=row["video"]))
    edit_videos(folder, "val", lambda row: row.update(group="train001.mp4"))
    with pytest.raises(InputError, match=r"train and val share 1 people"):
        audit_leaks(load("Celeb-DF"))  # the list knows train and test alone
    edit_videos(folder, "val", lambda row: row.update(group="val"))
    assert audit_leaks(load("Celeb-DF"))["train-val"] == NOTHING


def test_what_the_official_split_shares_is_said(three_splits, tmp_path, capsys):
    folder, _ = three_splits
    edit_videos(folder, "test", lambda row: row.update(group="train001.mp4"))
    text = (folder / "extraction.json").read_text()
    (folder / "extraction.json").write_text(text.replace('"layout": ""', '"layout": "Celeb-DF"'))
    train(tmp_path)
    out = capsys.readouterr().out
    assert "Leak audit train-test share 0 videos, 1 known people, 0 clips" in out
    assert "WARNING: NOT THE FIGURES OF UNSEEN PEOPLE" in out


@pytest.mark.parametrize(("unit", "leaks"), [("group", False), ("video", True), ("frame", True)])
def test_split_unit_shows_what_a_leak_is_worth(tmp_path, unit, leaks, capsys):
    """Features that tell the videos of a group from all others, and nothing of the label beyond."""
    path = make_split(tmp_path / "features", n_groups=120, frames=3, shift=0)
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(240) % 2, 3)  # both videos of a group have its label

    def set_label(row):
        row.update(label=int(row["group"][5:8]) % 2, people=row["group"])

    edit_videos(tmp_path / "features", "train", set_label)
    people = np.repeat(np.tile(rng.normal(size=(120, 1000)), (2, 1)), 3, 0)
    np.save(path, (people + 0.3 * rng.normal(size=people.shape)).astype(np.float32))
    np.save(tmp_path / "features/train_labels.npy", labels)
    report = train(tmp_path, "--split-unit", unit, "--num-epochs", "6")
    shared = report["split"]["shared"]["train-val"]
    assert (shared["people"] > 0) == leaks and (shared["videos"] > 0) == (unit == "frame")
    out = capsys.readouterr().out
    assert ("NOT THE FIGURES OF UNSEEN PEOPLE" in out) == leaks
    assert ("In brackets: 95 % intervals for other people" in out) == (not leaks)
    accuracy = report["splits"]["val"]["frames"]["accuracy"]
    assert accuracy > 0.75 if leaks else accuracy < 0.75


def test_split_unit_excuses_nothing_but_what_it_divided(tmp_path):
    folder = tmp_path / "features"
    split = load_split(make_split(folder))
    for unit in ("group", "video"):
        with pytest.raises(InputError, match="train and val share 20 videos"):
            audit_leaks({"train": split, "val": split}, unit)
    assert audit_leaks({"train": split, "val": split}, "frame")["train-val"]["videos"] == 20
    again = load_split(folder / "train_features.npy")
    for unit in ("video", "frame"):
        splits = divide({"train": split, "test": again}, 0.2, 0, unit).splits
        with pytest.raises(InputError, match=r"(train|val) and test share \d+ videos"):
            audit_leaks(splits, unit)


def test_a_split_of_ones_own_that_shares_people_goes_on_where_that_is_wanted(tmp_path):
    splits = {}
    for seed, name in enumerate(("train", "val")):
        path = make_split(tmp_path, name, seed=seed)
        edit_videos(tmp_path, name, lambda row: row.update(people=row["group"][-7:]))
        splits[name] = load_split(path)
    with pytest.raises(InputError, match=r"train and val share 10 people, .* --split-unit video"):
        audit_leaks(splits)
    assert audit_leaks(splits, "video")["train-val"] == NOTHING | {"people": 10}


def test_what_is_left_out_is_not_known_to_the_model_but_its_people_are(tmp_path):
    split = load_split(make_split(tmp_path))
    pairs = [";".join(pair) for pair in combinations("abcde", 2)]  # ten fakes, then ten reals
    for row, people in zip(split.videos, [*pairs, *"abcdeabcde"], strict=True):
        row["people"] = people
    division = divide({"train": split}, 0.2, 0, "person")
    assert division.splits["train"].videos is split.videos
    trained_on = describe_training([division.splits["train"], division.splits["val"]])
    left_out = division.left_out["left out"]
    assert 4 <= len(left_out.rows) / 4 == division.report["n_left_out"] <= 6
    assert count_shared(left_out, trained_on) == NOTHING | {"people": 5}


@pytest.mark.parametrize(("told", "whose"), [(9, "unseen"), (8, "unknown")])
def test_people_are_others_only_where_nearly_all_are_known(tmp_path, told, whose):
    split = load_split(make_split(tmp_path))
    for row in split.videos[told:10]:  # of ten fakes these belong to no real video
        row["group"] = row["video"]
    assert share_known(split) == told / 10
    assert whose_intervals(True, share_known(split), 1.0) == whose
    assert whose_intervals(False, 1.0) == "seen"
    for row in split.videos[told:10]:
        row["people"] = "somebody"
    assert share_known(split) == 1


def test_frames_of_unknown_videos_are_not_audited(tmp_path):
    split = load_split(make_split(tmp_path))
    assert describe_training([split])["videos"]
    unknown = replace(split, videos=[])
    assert describe_training([split, unknown]) == {}
    assert audit_leaks({"train": split, "val": unknown}) == {}
    with pytest.raises(InputError, match="train and val share 20 videos"):
        audit_leaks({"train": split, "val": split, "test": unknown})


def test_a_checkpoint_keeps_plain_lists_of_what_it_was_trained_on(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=5))
    splits = {"train": split.part(split.video_index < 4), "val": split.part(split.video_index > 6)}
    known, seen = describe_training(list(splits.values())), (0, 1, 2, 3, 7, 8, 9)
    assert known["videos"] == sorted(f"file {split.videos[i]['fingerprint']}" for i in seen)
    assert json.loads(json.dumps(known)) == known
    assert count_shared(split, known) == {"videos": 7, "people": 5, "clips": 7}
    of_fake = count_shared(split.part(split.video_index == 5), known)
    assert of_fake == NOTHING | {"people": 1}  # its fake is among the first four


def test_sets_without_fingerprints_are_known_by_their_paths(tmp_path):
    path = make_split(tmp_path)
    edit_videos(tmp_path, "train", lambda row: row.update(fingerprint="", people="", clip=""))
    split = load_split(path)
    known = describe_training([split])
    folder = hashlib.sha256(b"gone").hexdigest()[:8]  # a checkpoint need not tell where videos lie
    assert known["videos"][0] == f"{folder}/train/fake/000.mp4"
    assert count_shared(split, known) == {"videos": 20, "people": 10, "clips": 20}
    assert count_shared(told(split, root="other"), known) == NOTHING
    rows = read_table(tmp_path / "train_videos.csv")
    columns = [name for name in rows[0] if name not in ("fingerprint", "people", "clip")]
    write_csv(tmp_path / "train_videos.csv", columns, rows)  # as somebody else may leave it
    assert count_shared(load_split(path), known) == {"videos": 20, "people": 10, "clips": 20}


def write_set(root, lengths):
    """A set of class folders whose videos {name: frames} are all of other lengths."""
    for name, n in lengths.items():
        write_video(root / name, n=n, colour=(10 * n % 250, n, 200))
    return root


def extracted(videos, features):
    extract(videos, features, "--frames-per-video", "2")
    return load_split(features / "train_features.npy")


@pytest.mark.usefixtures("quick_backbone")
def test_a_set_that_was_moved_is_recognised(tmp_path, monkeypatch):
    lengths = {"real/000.mp4": 4, "real/001.mp4": 5, "fake/000_001.mp4": 6, "fake/x.mp4": 7}
    first = write_set(tmp_path / "first", lengths)
    trained = extracted(first, tmp_path / "f1")
    known = describe_training([trained])
    assert known["videos"] == sorted(f"file {fingerprint(first / name)}" for name in lengths)
    monkeypatch.chdir(tmp_path)
    again = extracted(os.path.relpath(first), tmp_path / "f2")
    # 000, 001, and the group of x in place of a person
    assert count_shared(again, known) == {"videos": 4, "people": 3, "clips": 3}
    with pytest.raises(InputError, match=r"train and test share 4 videos, fake/000_001\.mp4 for"):
        audit_leaks({"train": trained, "test": again})

    # one by another name and one by its own, in another folder, and two others
    moved = write_set(tmp_path / "moved", {"real/a.mp4": 8, "fake/b.mp4": 9})
    shutil.copy(first / "real/000.mp4", moved / "real/anna.mp4")
    shutil.copy(first / "fake/x.mp4", moved / "fake/x.mp4")
    copies = extracted(moved, tmp_path / "f3")
    assert count_shared(copies, known) == {"videos": 2, "people": 2, "clips": 2}
    with pytest.raises(InputError, match=r"share 2 videos, fake/x\.mp4 for one, perhaps under an"):
        audit_leaks({"train": trained, "test": copies})

    # other people in files of the same names
    lengths = {name: n + 10 for name, n in lengths.items()}
    others = extracted(write_set(tmp_path / "others", lengths), tmp_path / "f4")
    assert count_shared(others, known) == NOTHING
    assert audit_leaks({"train": trained, "test": others}) == {"train-test": NOTHING}


@pytest.mark.usefixtures("quick_backbone")
def test_a_public_set_is_recognised_at_another_compression(tmp_path):
    def write_tree(root, compression, people, longer):
        for i, (a, b) in enumerate(people):
            reals = root / "original_sequences/youtube" / compression / "videos"
            fakes = root / "manipulated_sequences/Deepfakes" / compression / "videos"
            paths = reals / f"{a}.mp4", reals / f"{b}.mp4", fakes / f"{a}_{b}.mp4"
            for k, path in enumerate(paths):
                write_video(path, n=3 + 3 * i + k + longer)

    write_tree(tmp_path / "c23", "c23", [("000", "003"), ("001", "002")], 0)
    write_tree(tmp_path / "c40", "c40", [("003", "000"), ("004", "005")], 20)
    trained = extracted(tmp_path / "c23", tmp_path / "f1")
    other = extracted(tmp_path / "c40", tmp_path / "f2")
    # the reals 000 and 003, and the fake 003_000, whose clip is that of 003
    expected = {"videos": 0, "people": 2, "clips": 2}
    assert count_shared(other, describe_training([trained])) == expected
    with pytest.raises(InputError, match="train and test share 2 people"):
        audit_leaks({"train": trained, "test": other})
    # the same ids in class folders are anybody's
    folders = write_set(tmp_path / "own", {"real/000.mp4": 31, "fake/000_003.mp4": 32})
    own = extracted(folders, tmp_path / "f3")
    assert count_shared(own, describe_training([trained])) == NOTHING


def test_a_joined_group_is_known_by_the_name_that_it_had_too(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=5))
    known = describe_training([split.part(split.video_index == 0)])
    split.videos[1]["named_group"] = split.group(0)
    assert count_shared(split.part(split.video_index == 1), known) == NOTHING | {"people": 1}


def test_footage_of_a_public_set_of_which_no_people_are_known(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=3))
    for i, row in enumerate(split.videos):
        row["clip"] = f"Celeb-DF {i:05d}"  # as of YouTube-real
    public = told(split, layout="Celeb-DF")
    known = describe_training([public])
    for row in public.videos:
        row["fingerprint"] += " encoded again"
    moved = told(public, root="moved")
    assert count_shared(moved, known) == {"videos": 0, "people": 3, "clips": 6}
    assert count_shared(told(moved, layout="list"), known) == NOTHING


# --- Shortcuts ---


def columns(row):
    """Trivial columns, of which the size alone tells fakes, which are smaller."""
    known = {"width": 640, "height": 480, "fps": "", "frames": 100, "duration": ""}
    return row | known | {"size": 1000 + 500 * (row["label"] == "0") + int(row["video"][-6:-4])}


def test_shortcuts_are_named(tmp_path, capsys):
    path = make_split(tmp_path / "features", n_groups=20)
    edit_videos(tmp_path / "features", "train", columns)
    shortcuts = audit_shortcuts(load_split(path))
    telling = ["size", "bits per pixel"]
    assert list(shortcuts) == ["width", "height", "fps", "frames", "duration", *telling]
    for name, found in shortcuts.items():
        assert found["auc"] == (1 if name in telling else 0.5)
    assert 0.7 < shortcuts["size"]["interval"][0] < shortcuts["size"]["interval"][1] == 1
    assert name_shortcuts(shortcuts, 1) == name_shortcuts(shortcuts, None) == telling
    assert train(tmp_path)["split"]["shortcuts"]["size"]["auc"] == 1
    out = capsys.readouterr().out
    assert "give the label away by size 100.0 %, bits per pixel 100.0 %" in out


def test_a_column_is_named_above_the_model_or_75_percent_and_beyond_chance():
    def named(auc, interval, model):
        return name_shortcuts({"size": {"auc": auc, "interval": interval}}, model) == ["size"]

    assert named(0.8, [0.6, 0.9], 0.99) and named(0.8, [0.6, 0.9], None)
    assert not named(0.75, [0.6, 0.9], 0.99) and not named(0.75, [0.6, 0.9], None)
    assert named(0.7, [0.6, 0.9], 0.65) and not named(0.7, [0.6, 0.9], 0.7)
    assert not named(0.7, [0.5, 0.9], 0.6) and not named(0.9, [0.45, 1.0], 0.6)
    assert not named(1.0, None, 0.6)  # too few groups to tell


def test_columns_that_cannot_be_audited(tmp_path):
    path = make_split(tmp_path)
    split = load_split(path)
    assert audit_shortcuts(split) == {}  # no such columns
    edit_videos(tmp_path, "train", columns)
    split = load_split(path)
    assert audit_shortcuts(split.part(split.labels == 1)) == {}
    assert audit_shortcuts(replace(split, videos=[])) == {}
    for row in split.videos:
        row["width"] = "0"
    assert audit_shortcuts(split)["bits per pixel"]["auc"] == 0.5


def test_bits_per_pixel_are_those_of_all_frames(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=20))
    for row in split.videos:
        times = 1 + int(row["label"])  # fakes have twice the frames and eight times the bytes
        row |= {"width": 64 * times, "height": 48 * times, "frames": 10 * times}
        row |= {"fps": 25, "duration": 1, "size": 1000 * times**3}
    shortcuts = audit_shortcuts(split)
    assert shortcuts["size"]["auc"] == shortcuts["frames"]["auc"] == 1
    assert shortcuts["bits per pixel"]["auc"] == 0.5
