"""The features that script 1 left, loaded and checked."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import edit_json, make_split, read_table, train

from data.files import InputError, write_csv
from features import dataset as room
from features.audit import audit_leaks, count_shared, describe_training, find_shared
from features.dataset import find_features, load_split
from features.divide import divide, hold_out
from features.sets import load_splits


def test_a_video_scores_the_mean_of_its_frames(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=3, frames=4))
    scores = np.random.default_rng(0).random(24)
    index, labels, video_scores = split.video_scores(scores)
    assert index.tolist() == list(range(6)) and labels.tolist() == [1, 1, 1, 0, 0, 0]
    np.testing.assert_allclose(video_scores, scores.reshape(6, 4).mean(1))
    uneven = split.part(np.arange(24) > 1)  # of the first video two frames are left
    assert uneven.video_scores(scores[2:])[2][0] == pytest.approx(scores[2:4].mean())
    for how in ("median", "max"):
        other = replace(split, video_score=how)
        mixed = np.random.default_rng(1).permutation(24)[:20]  # videos in any order, not all whole
        values = other.part(mixed).video_scores(scores[mixed])[2]
        for i, value in enumerate(values):
            assert value == getattr(np, how)(scores[mixed][mixed // 4 == i])
    assert split.name(3) == "train/real/000.mp4" and split.group(3) == "train000.mp4"
    bare = replace(split, videos=[])
    assert bare.name(3) == "row 3" and bare.group(3) == "3" and bare.of == "frames"


def change(name, how):
    """A case in which the array `train_<name>.npy` is changed."""

    def apply(folder):
        path = folder / f"train_{name}.npy"
        np.save(path, how(np.load(path)))

    return apply


def cut(name, size):
    """A case in which a file ends after so many bytes."""

    def apply(folder):
        (folder / name).write_bytes((folder / name).read_bytes()[:size])

    return apply


def remove(name):
    return lambda folder: (folder / name).unlink()


def zero_in_row_4(labels):
    labels[4] = 0
    return labels


HELD = r"holds int64 of shape \(78,\), expected the 80 rows of .*features\.npy: run"
TOLD = r"has 0 in row 4, .*videos\.csv has 1 for its video, train/fake/001\.mp4 "
WRONG = {
    r"train_features\.npy: no such file; run feature": remove("train_features.npy"),
    r"train_labels\.npy: no such file": remove("train_labels.npy"),
    HELD: change("labels", lambda a: a[:-2]),
    r"\(80, 512\), expected float32 of shape \(n, 1000\)": change("features", lambda a: a[:, :512]),
    r"holds float32 of shape \(0, 1000\)": change("features", lambda a: a[:0]),
    r"has the labels \[0\.0, 0\.5\], expected only 0": change("labels", lambda a: a / 2),
    r"labels\.npy is not a \.npy file of": change("labels", lambda a: a.astype(object)),
    TOLD: change("labels", zero_in_row_4),
    r"frames\.npy holds int32 of shape \(79, 2\)": change("frames", lambda a: a[:-1]),
    r"videos\.csv does not have the videos of _frames": change("frames", lambda a: a - 1),
    r"features\.npy is not a \.npy file": cut("train_features.npy", -1),
    r"videos\.csv lacks the columns video,label": cut("train_videos.csv", -60),
    r"^[^:]*extraction\.json is not valid JSON": cut("extraction.json", 9),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_inputs_are_one_clear_line_before_anything_is_written(tmp_path, message):
    make_split(tmp_path / "features")
    WRONG[message](tmp_path / "features")
    with pytest.raises(InputError, match=message) as caught:
        train(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "results").exists()


def test_own_arrays_may_have_other_number_types(tmp_path):
    split = load_split(make_split(tmp_path))
    expected = split.gather(split.rows)
    change("features", np.float64)(tmp_path)
    change("labels", np.float32)(tmp_path)
    own = load_split(tmp_path / "train_features.npy")
    gathered = own.gather(own.rows)
    assert own.features.dtype == np.float64 and gathered.dtype == torch.float32
    assert gathered.equal(expected)
    assert own.labels.dtype == np.int64 and np.array_equal(own.labels, split.labels)


def test_of_a_folder_the_file_of_the_split_is_taken_or_the_only_one(tmp_path):
    folders = {"a": ["train"], "b": ["train", "val"], "c": ["test"]}
    for folder, splits in folders.items():
        for split in splits:
            make_split(tmp_path / folder, split, n_groups=2)
    for folder, split, file in (
        ("b", "val", "b/val_features.npy"),
        ("b/val_features.npy", "train", "b/val_features.npy"),
        ("a", "test", "a/train_features.npy"),
        ("b", "test", "b/test_features.npy"),
        ("c", "train", "c/train_features.npy"),  # that of test is not to train on
    ):
        assert find_features(tmp_path / folder, split) == tmp_path / file


def test_one_class_alone_cannot_be_trained_on(tmp_path):
    path = make_split(tmp_path)
    remove("train_videos.csv")(tmp_path)
    change("labels", lambda a: a * 0)(tmp_path)
    with pytest.raises(InputError, match=r"80 real and 0 fake frames: training .* --evaluate"):
        load_splits({"train": [path], "val": [], "test": []})


def test_a_labels_file_is_for_the_training_features_alone(tmp_path):
    path = make_split(tmp_path)
    make_split(tmp_path, "val", n_groups=6)
    other = path.rename(tmp_path / "mine.npy")
    own = tmp_path / "train_labels.npy"
    with pytest.raises(InputError, match=r"mine\.npy is not named \.\.\._features\.npy"):
        load_split(other)
    splits = load_splits({"train": [other], "val": [], "test": []}, own)
    n_frames = {name: len(split.labels) for name, split in splits.items()}
    assert n_frames == {"train": 80, "val": 48} and not splits["train"].has_videos


@pytest.mark.parametrize(("row", "order"), [(0, "C"), (7, "F"), (79, "C")])
def test_infinity_is_found_in_each_row(tmp_path, monkeypatch, row, order):
    monkeypatch.setattr(room, "CHUNK", 7)
    path = make_split(tmp_path)
    features = np.load(path)
    features[row, 999] = np.inf
    np.save(path, np.asarray(features, order=order))
    with pytest.raises(InputError, match=f"NaN or infinity in row {row}:"):
        load_split(path)


def test_features_are_checked_in_pieces_and_stay_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "CHUNK", 500)
    path, n = tmp_path / "train_features.npy", 10_000
    np.save(path, np.ones((n, 1000), np.float32))  # 40 MB
    np.save(tmp_path / "train_labels.npy", np.arange(n) % 2)
    tracemalloc.start()
    split = load_split(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(split.rows) == n and peak < 1e7
    assert not split.features.flags.writeable


def test_splits_extracted_differently_are_refused(tmp_path):
    files = {"train": [make_split(tmp_path / "features")], "test": []}
    files["val"] = [make_split(tmp_path / "other", "val", frames=2)]
    message = "train has --frames-per-video 4, val has --frames-per-video 2: extract them alike"
    with pytest.raises(InputError, match=message):
        load_splits(files)


def test_where_nobody_is_known_the_group_stands_in_place_of_a_person(tmp_path):
    path = make_split(tmp_path, n_groups=3)
    rows = read_table(tmp_path / "train_videos.csv")
    for row, people in zip(rows, ("anna;ben", "", "", "", "carl", ""), strict=True):
        row["people"] = people  # of the fakes of groups 0 to 2, then of the reals
    rows[2]["group"] = rows[5]["group"] = rows[0]["group"]
    write_csv(tmp_path / "train_videos.csv", rows[0], rows)
    split = load_split(path)
    # a video of which nothing is known may show anybody of its group
    found = [split.people(i) for i in range(6)]
    assert found == ["anna;ben", "carl", "anna;ben", "anna;ben", "carl", "anna;ben"]
    assert split.unit == "person"
    bare = load_split(make_split(tmp_path / "bare", n_groups=2))
    assert bare.people(1) == bare.group(1) == "train001.mp4" and bare.unit == "group"


# --- Several sets ---


def load_sets(*paths, **more):
    return load_splits({"train": list(paths), "val": [], "test": []} | more)


def test_several_sets_are_one_split_whose_names_tell_the_set(tmp_path):
    paths = [make_split(tmp_path / name, n_groups=n, seed=n) for name, n in (("a", 3), ("b", 2))]
    for path in paths:
        rows = read_table(path.with_name("train_videos.csv"))
        rows[0]["people"], rows[1]["people"] = "~x;@y;FF 1", "FF 2;~z"
        rows[1]["clip"] = ""
        write_csv(path.with_name("train_videos.csv"), rows[0], rows)
        edit_json(path.with_name("extraction.json"), videos_dir=f"videos of {path.parent.name}")
    split, both = load_sets(*paths)["train"], np.concatenate([np.load(path) for path in paths])
    for rows in (np.arange(40), np.array([3, 23, 24, 39]), np.array([30]), np.array([], int)):
        np.testing.assert_array_equal(split.gather(rows), both[rows])
    assert all(isinstance(array, np.memmap) for array in split.features.arrays)
    first, second = split.videos[6], split.videos[7]  # of b
    assert split.video_index[24:32].tolist() == [6] * 4 + [7] * 4
    assert (first["video"], first["group"]) == ("b/train/fake/000.mp4", "b/train000.mp4")
    assert (first["clip"], second["clip"]) == ("b/train/fake/000.mp4", "")
    assert first["people"] == "~b/x;@b/y;FF 1" and second["people"] == "FF 2;~b/z"
    assert str(first["file"]) == "videos of b/train/fake/000.mp4"
    assert split.labels.tolist() == [*[1] * 12, *[0] * 12, *[1] * 8, *[0] * 8]
    assert split.extraction.name == "a + b"


def test_what_is_known_of_a_set_is_known_where_it_is_one_of_several(tmp_path):
    paths = [make_split(tmp_path / name, n_groups=3) for name in "ab"]
    for path in paths:
        folder, rows = path.parent, read_table(path.with_name("train_videos.csv"))
        for row in rows:
            row |= {"fingerprint": "", "people": f"~{row['group']}"}
        write_csv(folder / "train_videos.csv", rows[0], rows)
        edit_json(folder / "extraction.json", videos_dir=f"videos of {folder.name}")
    known = describe_training([load_sets(*paths)["train"]])
    assert len(known["videos"]) == 12 and len(known["people"]) == 6 + 12
    for path in paths:
        assert count_shared(load_split(path), known) == {"videos": 6, "people": 3, "clips": 6}
    alone = describe_training([load_split(paths[0])])
    shared = find_shared(load_sets(*paths)["train"], alone)
    assert shared["people"] == [f"~a/train{i:03d}.mp4" for i in range(3)]


def test_people_of_public_sets_are_the_same_in_all(tmp_path):
    paths = [make_split(tmp_path / name, n_groups=10, seed=i) for i, name in enumerate("ab")]
    for path in paths:
        rows = read_table(path.with_name("train_videos.csv"))
        for row in rows:  # in a two are in each group, whose names tell nothing
            number = int(row["video"][-7:-4])
            row["people"] = f"p{number}"
            if path == paths[0]:
                row |= {"people": f"p{number};p{(number + 5) % 10}", "group": f"{number % 5}"}
        write_csv(path.with_name("train_videos.csv"), rows[0], rows)
    for seed in range(5):
        train_part, val, _ = hold_out(load_sets(*paths)["train"], 0.2, seed)
        shown = [{split.people(i) for i in split.video_index} for split in (train_part, val)]
        known = [set(";".join(names).split(";")) for names in shown]
        assert not known[0] & known[1] and len(known[1]) == 2


def test_sets_that_cannot_be_one_are_refused(tmp_path):
    a, b, other = (make_split(tmp_path / name) for name in ("a", "b", "other/a"))
    for paths, labels_file, problem in (
        ((a, other), None, r"\+ .*: several sets need folders of different names"),
        ((a, a), None, r"\+ .*: several sets need folders of different names"),
        ((a, b), a, "--train-labels-file .* is for one set"),
    ):
        with pytest.raises(InputError, match=problem):
            load_splits({"train": list(paths), "val": [], "test": []}, labels_file)
    make_split(tmp_path / "b", frames=2)
    with pytest.raises(InputError, match=r"a/train_fe.* has --frames-per-video 4, .*b/train_feat"):
        load_sets(a, b)
    make_split(tmp_path / "b", "val")
    assert load_sets(a, make_split(tmp_path / "b"), val=[])["val"].sets == {"b"}
    (tmp_path / "b/train_videos.csv").unlink()
    with pytest.raises(InputError, match=r"b/train_features.npy: several sets need extraction"):
        load_sets(a, b)


def test_sets_of_one_folder_or_of_one_public_set_share_what_it_names(tmp_path):
    paths = [make_split(tmp_path / name, n_groups=20, seed=i) for i, name in enumerate("ab")]
    for layout, folders in (("class folders", ("v", "v")), ("DFDC", ("v", "w"))):
        for path, folder in zip(paths, folders, strict=True):
            edit_json(path.with_name("extraction.json"), videos_dir=folder, layout=layout)
        splits = divide(load_sets(*paths), 0.2, 0, "group").splits
        assert not any(audit_leaks(splits)["train-val"].values())
        both = [row["group"] for row in splits["train"].videos]
        assert set(both) == {f"a/train{i:03d}.mp4" for i in range(20)}


def test_what_failed_in_one_set_and_what_is_gone_is_known_of_all(tmp_path):
    paths = [make_split(tmp_path / name, n_groups=3, seed=i) for i, name in enumerate("ab")]
    counts = {"found": 7, "used": 6, "failed": 1, "failed_real": 1, "failed_fake": 0}
    for path in paths:
        extra = {"frames": {"train": 24, "val": 9}}
        edit_json(path.with_name("extraction.json"), counts=counts | extra, videos_dir=str(path))
    found = load_sets(*paths)["train"].extraction.counts
    assert (found["failed_real"], found["failed_fake"]) == (2, 0)
    assert found["frames"] == {"train": 48, "val": 18}
