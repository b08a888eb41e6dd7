"""Leaks and shortcuts: what is shared, and what gives labels away, is found and named."""

import hashlib
import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from conftest import make_split, read_table, train

from data.files import InputError, write_csv
from data.groups import BY_NAME
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


def test_a_leak_between_extracted_splits_is_an_error_unless_it_is_the_official_split(tmp_path):
    for seed, split in enumerate(("train", "val", "test")):
        make_split(tmp_path, split, n_groups=5, seed=seed)

    def load(layout=""):
        splits = {}
        for name in ("train", "val", "test"):
            splits[name] = told(load_split(tmp_path / f"{name}_features.npy"), layout=layout)
        return splits

    pairs = ("train-val", "train-test", "val-test")
    assert audit_leaks(load()) == dict.fromkeys(pairs, NOTHING)
    edit_videos(
        tmp_path, "test", lambda row: row.update(clip=row["clip"].replace("test/", "train/"))
    )
    with pytest.raises(InputError, match=r"train and test share 10 clips, train/fake/000\.mp4 for"):
        audit_leaks(load())
    edit_videos(tmp_path, "test", lambda row: row.update(group="train001.mp4"))
    with pytest.raises(InputError, match=r"train and test share 1 people, train001\.mp4 for one"):
        audit_leaks(load())
    audit = audit_leaks(load("Celeb-DF"))  # its official list is so
    assert audit["train-test"] == {"videos": 0, "people": 1, "clips": 10}
    assert audit["train-val"] == NOTHING
    edit_videos(tmp_path, "val", lambda row: row.update(group="train001.mp4"))
    with pytest.raises(InputError, match=r"train and val share 1 people"):
        audit_leaks(load("Celeb-DF"))  # the list knows train and test alone
    edit_videos(tmp_path, "val", lambda row: row.update(group="val"))

    def copy(row):
        row.update(fingerprint=row["fingerprint"].replace("2 test/", "0 train/"))

    edit_videos(tmp_path, "test", copy)
    with pytest.raises(InputError, match=r"train and test share 10 videos, test/fake/000\.mp4"):
        audit_leaks(load("Celeb-DF"))  # not even there


@pytest.mark.parametrize(("unit", "leaks"), [("group", False), ("video", True), ("frame", True)])
def test_split_unit_shows_what_a_leak_is_worth(tmp_path, unit, leaks, capsys):
    """Features that tell the videos of a group from all others, and nothing of the label beyond."""
    path, rng = make_split(tmp_path / "features", n_groups=80, frames=2), np.random.default_rng(1)

    def set_label(row):  # both videos of a group have its label
        row.update(label=int(row["group"][5:8]) % 2, people=row["group"])

    edit_videos(tmp_path / "features", "train", set_label)
    np.save(tmp_path / "features/train_labels.npy", np.repeat(np.arange(160) % 2, 2))
    people = np.repeat(np.tile(rng.normal(size=(80, 1000)), (2, 1)), 2, 0)
    np.save(path, (people + 0.3 * rng.normal(size=people.shape)).astype(np.float32))
    report = train(tmp_path, "--split-unit", unit, "--num-epochs", "9")
    shared = report["split"]["shared"]["train-val"]
    assert (shared["people"] > 0) == leaks and (shared["videos"] > 0) == (unit == "frame")
    out = capsys.readouterr().out
    assert ("NOT THE FIGURES OF UNSEEN PEOPLE" in out) == leaks
    assert ("In brackets: 95 % intervals for other people" in out) == (not leaks)
    accuracy = report["splits"]["val"]["frames"]["accuracy"]
    assert accuracy > 0.75 if leaks else accuracy < 0.75


def test_split_unit_excuses_nothing_but_what_it_divided(tmp_path):
    split = load_split(make_split(tmp_path))
    for unit in ("group", "video"):
        with pytest.raises(InputError, match="train and val share 20 videos"):
            audit_leaks({"train": split, "val": split}, unit)
    assert audit_leaks({"train": split, "val": split}, "frame")["train-val"]["videos"] == 20
    again = load_split(tmp_path / "train_features.npy")
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
    trained_on = describe_training([division.splits["train"], division.splits["val"]])
    left_out = division.left_out["left out"]
    assert 4 <= len(left_out.rows) / 4 == division.report["n_left_out"] <= 6
    assert count_shared(left_out, trained_on) == NOTHING | {"people": 5}


@pytest.mark.parametrize(("told", "whose"), [(9, "unseen"), (8, "unknown")])
def test_people_are_others_only_where_nearly_all_are_known(tmp_path, told, whose):
    split = load_split(make_split(tmp_path))
    strangers = split.videos[told:10]  # of ten fakes these belong to no real video
    for row in strangers:
        row["group"] = row["video"]
    assert share_known(split) == told / 10
    assert whose_intervals(True, share_known(split), 1.0) == whose
    assert whose_intervals(False, 1.0) == "seen"
    for row in strangers:
        row["people"] = "somebody"
    assert share_known(split) == 1


def test_a_checkpoint_keeps_plain_lists_of_what_it_was_trained_on(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=5))
    parts = [split.part(split.video_index < 4), split.part(split.video_index > 6)]
    known = describe_training(parts)
    seen = (0, 1, 2, 3, 7, 8, 9)
    assert known["videos"] == [f"file {split.videos[i]['fingerprint']}" for i in seen]
    assert json.loads(json.dumps(known)) == known
    assert count_shared(split, known) == {"videos": 7, "people": 5, "clips": 7}
    of_fake = count_shared(split.part(split.video_index == 5), known)
    assert of_fake == NOTHING | {"people": 1}  # its fake is among the first four
    last, first_four = split.part(split.video_index == 9), describe_training(parts[:1])
    assert count_shared(last, first_four) == NOTHING
    split.videos[9]["named_group"] = split.group(0)  # the name before originals.py joined it
    assert count_shared(last, first_four) == NOTHING | {"people": 1}


def test_sets_without_fingerprints_are_known_by_their_paths(tmp_path):
    path = make_split(tmp_path)
    rows = read_table(tmp_path / "train_videos.csv")
    columns = ("video", "label", "group")  # as somebody else may leave it
    write_csv(tmp_path / "train_videos.csv", columns, rows)
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


def test_a_copy_is_known_by_its_content_and_another_file_not_by_its_name(tmp_path):
    trained = load_split(make_split(tmp_path / "a"))
    known = describe_training([trained])
    other = load_split(make_split(tmp_path / "b", seed=1))
    other = told(other, root="other")
    assert count_shared(other, known) == NOTHING
    other.videos[0] |= {"video": "x.mp4", "fingerprint": trained.videos[3]["fingerprint"]}
    assert count_shared(other, known) == {"videos": 1, "people": 1, "clips": 1}
    with pytest.raises(InputError, match=r"share 1 videos, x\.mp4 for one, perhaps under another"):
        audit_leaks({"train": trained, "test": other})


@pytest.mark.parametrize(
    ("layout", "people", "shared"),
    [
        ("Celeb-DF", "", {"people": 3, "clips": 6}),  # as of YouTube-real
        ("FaceForensics++", "FaceForensics++ {}", {"people": 3, "clips": 6}),
        ("list", "DFD {}", {"people": 3}),
        ("list", "", {}),
        ("class folders", f"{BY_NAME}{{}}", {}),  # such names are anybody's
    ],
)
def test_a_public_set_is_recognised_at_another_compression(tmp_path, layout, people, shared):
    split = load_split(make_split(tmp_path, n_groups=3))
    for i, row in enumerate(split.videos):
        row |= {"clip": f"{layout} {i:05d}", "people": people.format(i % 3), "layout": layout}
    known = describe_training([split])
    for row in split.videos:
        row["fingerprint"] += " encoded again"
    assert count_shared(told(split, root="moved"), known) == NOTHING | shared


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
    low, high = shortcuts["size"]["interval"]
    assert 0.7 < low < high == 1
    assert name_shortcuts(shortcuts, 1) == telling
    assert train(tmp_path)["split"]["shortcuts"]["size"]["auc"] == 1
    assert "away by size 100.0 %, bits per pixel 100.0 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("auc", "low", "model", "is_named"),
    [
        (0.8, 0.6, 0.99, True),
        (0.8, 0.6, None, True),
        (0.75, 0.6, None, False),
        (0.7, 0.6, 0.65, True),
        (0.7, 0.6, 0.7, False),
        (0.9, 0.5, 0.6, False),
        (1.0, None, 0.6, False),  # too few groups to tell
    ],
)
def test_a_column_is_named_above_the_model_or_75_percent_and_beyond_chance(
    auc, low, model, is_named
):
    found = {"auc": auc, "interval": low and [low, 0.9]}
    assert name_shortcuts({"size": found}, model) == ["size"] * is_named


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
