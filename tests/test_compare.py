"""features/compare.py: two results folders on the videos that both have scored."""

import numpy as np
import pytest
from conftest import read_table

import deepfake_detection_model
from data.files import InputError, write_csv, write_json
from features.compare import UNKNOWN, compare_results
from features.metrics import compare_scores

COLUMNS = ["seed", "split", "video", "label", "method", "group", "people", "fingerprint", "score"]


def write_results(folder, scores: dict, name="val", threshold=0.5, train=(), **more):
    """A results folder with the scores of a split's videos, half of them fake.

    Those of `train` are in the training part; `more` is what metrics.json says otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for video, score in scores.items():
        label, group = "fake" if video.endswith("f") else "real", video[:-1]
        row = {"seed": 0, "split": "train" if video in train else name, "video": video}
        row |= {"label": label, "method": "", "group": group, "people": group}
        rows.append(row | {"fingerprint": f"file {video}", "score": score})
    write_csv(folder / "predictions.csv", COLUMNS, rows)
    splits = {row["split"]: {"videos": {}, "frames": {}} for row in rows}
    report = {"thresholds": {"used": threshold}, "splits": splits}
    report |= {"sha256": "of the weights", "shared": False, "split": {"unit": None, "shared": {}}}
    report["settings"] = {"val_fraction": 0.2, "seed": 0}
    write_json(folder / "metrics.json", report | more)


def change_rows(folder, change, columns=COLUMNS) -> None:
    """Change the rows of predictions.csv: `change` gives new values of row i."""
    table = folder / "predictions.csv"
    rows = [row | change(i, row) for i, row in enumerate(read_table(table))]
    write_csv(table, columns, rows)


def draw_scores(seed: int, shift: float) -> dict:
    rng = np.random.default_rng(seed)
    scores = {}
    for i in range(30):
        scores[f"{i}r"] = float(rng.normal(0.4))
        scores[f"{i}f"] = float(rng.normal(0.4 + shift))
    return scores


@pytest.fixture
def folders(tmp_path):
    """Two results folders, of the same scores."""
    for name in "ab":
        write_results(tmp_path / name, draw_scores(0, 0.5))
    return tmp_path / "a", tmp_path / "b"


def test_the_difference_is_that_of_the_videos_that_both_scored(folders):
    a, b = draw_scores(0, 0.2), draw_scores(1, 0.9)
    only_a = {f"{i}f": 0.1 for i in range(30, 37)}
    write_results(folders[0], a | only_a, threshold=0.3)
    write_results(folders[1], b, threshold=0.6)
    table = folders[1] / "predictions.csv"
    rows = read_table(table)
    later = [row | {"seed": 1, "score": 0.5} for row in rows]  # the first seed counts
    write_csv(table, COLUMNS, rows + later)
    found = compare_results(*folders)[0]["val"]
    names = sorted(a)
    labels = [int(name[-1] == "f") for name in names]
    groups = [name[:-1] for name in names]
    scores = ([each[name] for name in names] for each in (a, b))
    wanted = compare_scores(labels, *scores, groups, 0.3, 0.6)
    wanted |= {"n": 60, "n_fake": 30, "n_units": 30, "unit": "group", "only_a": 7, "only_b": 0}
    assert found == wanted


def test_a_video_of_the_same_name_counts_only_if_it_is_the_same_file(folders):
    change_rows(folders[1], lambda i, row: {"fingerprint": "another file"} if i < 25 else {})
    compared, notes = compare_results(*folders)
    found = compared["val"]
    assert (found["n"], found["only_a"], notes) == (35, 25, [])


def test_people_that_are_in_several_videos_are_the_unit(folders):
    for folder in folders:
        change_rows(folder, lambda i, row: {"people": f"p{i // 2 % 6};p{i // 2 % 5}"})
    found = compare_results(*folders)[0]["val"]
    assert (found["n_units"], found["unit"]) == (6, "person")


@pytest.mark.parametrize(
    ("seed", "changes", "n", "why"),
    [
        (1, {}, 10, "held out by group, --val-fraction 0.2, --seed 0 in A, by group, --val-fract"),
        (0, {"people": "other"}, 10, "people, by whose names they are held out, have other names"),
        (0, {"fingerprint": "another file"}, 5, "the features are of other videos or files: ext"),
    ],
)
def test_where_few_videos_are_in_common_the_reason_is_said(folders, seed, changes, n, why):
    """Of the same files others are held out in A and B; or these are other files."""
    scores = draw_scores(0, 0.5)
    names, more = list(scores), {"split": {"unit": "group", "shared": {}}}
    write_results(folders[0], scores, train=names[35:], **more)
    more["settings"] = {"val_fraction": 0.2, "seed": seed}
    write_results(folders[1], scores, train=names[:25], **more)
    change_rows(folders[1], lambda i, row: changes if i >= 30 else {})
    _, notes = compare_results(*folders)
    assert len(notes) == 1
    assert notes[0].startswith(f"{n} of 35 validation videos are in common; {why}")


def test_what_cannot_be_compared_is_one_line(folders, tmp_path):
    a, b = folders
    change_rows(b, lambda i, row: {"label": "fake"} if row["video"] == "3r" else {})
    with pytest.raises(InputError, match="3r has two labels"):
        compare_results(a, b)
    write_results(b, {"x1r": 0.1, "x1f": 0.9})
    with pytest.raises(InputError, match=r"no video that both scored.*; 0 of 2 validation videos"):
        compare_results(a, b)
    write_results(b, draw_scores(0, 0.5), splits={"val": {"videos": {}}})
    with pytest.raises(InputError, match=UNKNOWN):
        compare_results(a, b)
    change_rows(b, lambda i, row: {}, columns=("split", "video", "label", "score"))
    with pytest.raises(InputError, match=r"another version.*train or evaluate again"):
        compare_results(a, b)
    with pytest.raises(InputError, match="name a folder of results"):
        compare_results(a, tmp_path / "nowhere")


def test_training_videos_never_count_and_evaluated_sets_do(folders):
    for seed, folder in enumerate(folders):
        write_results(folder, draw_scores(seed, 0.5), "train")
        write_results(folder / "evaluated/other_test", draw_scores(seed, 0.3), "test")
    compared, notes = compare_results(*folders)
    assert set(compared) == {"other_test"} and notes == []


def test_what_makes_a_comparison_weaker_is_said(folders, capsys):
    a, b = folders
    leak = {"unit": None, "shared": {"train-val": {"videos": 0, "people": 3, "clips": 0}}}
    write_results(a, draw_scores(0, 0.5), split=leak)
    write_results(b, draw_scores(1, 0.5), seeds=[{}, {}])
    for name, more in (("x", {"shared": True}), ("y", {"threshold": 0.7}), ("z", {"sha256": ""})):
        write_results(b / f"evaluated/{name}", draw_scores(1, 0.5), "test", **more)
    write_results(b / "evaluated/bare", draw_scores(1, 0.5), "test", splits={"test": {}})
    deepfake_detection_model.main(["--compare", str(a), str(b)])
    lines = capsys.readouterr().out.splitlines()
    assert f"WARNING: train-val of {a} share people" in lines
    assert [line[11:] for line in lines if line[:5] == "Note "] == [
        f"{b}: the first of 2 seeds counts",
        f"left out {b}/evaluated/bare: {UNKNOWN}",
        f"left out {b}/evaluated/x: the training has seen some of it",
        f"left out {b}/evaluated/y: of another model or T, evaluate again",
        f"left out {b}/evaluated/z: of another model or T, evaluate again",
    ]


def test_what_compare_prints(folders, capsys):
    a, b = folders
    write_results(b, draw_scores(0, 2.5))
    deepfake_detection_model.main(["--compare", str(a), str(b)])
    printed = capsys.readouterr().out
    assert "Validation Set: B is better (AUC +" in printed
    assert "not for other trainings" in printed
