"""features/compare.py: two results folders on the videos that both have scored."""

import numpy as np
import pytest
from conftest import read_table

import deepfake_detection_model
from data.files import InputError, write_csv, write_json
from features.compare import compare_results
from features.metrics import compare_scores

COLUMNS = ("seed", "split", "video", "label", "method", "group", "people", "fingerprint", "score")


def write_results(folder, scores: dict, split="val", threshold=0.5, labels=None, seed=0, more=None):
    """A results folder in which the videos of a split have these scores; half of them fake."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, score in scores.items():
        label = (labels or {}).get(name, "fake" if name.endswith("f") else "real")
        row = {"seed": seed, "split": split, "video": name, "label": label, "method": ""}
        row |= {"group": name[:-1], "people": name[:-1], "fingerprint": f"file {name}"}
        rows.append(row | {"score": score})
    write_csv(folder / "predictions.csv", COLUMNS, rows)
    report = {"thresholds": {"used": threshold}, "splits": {split: {"videos": {}, "frames": {}}}}
    report |= {"sha256": "of the weights", "shared": False, "split": {"unit": None, "shared": {}}}
    report["settings"] = {"val_fraction": 0.2, "seed": 0}
    write_json(folder / "metrics.json", report | (more or {}))


def draw_scores(seed: int, shift: float, n: int = 30) -> dict:
    rng = np.random.default_rng(seed)
    scores = {}
    for i in range(n):
        scores[f"{i}r"] = float(np.clip(rng.normal(0.4), 0, 1))
        scores[f"{i}f"] = float(np.clip(rng.normal(0.4 + shift), 0, 1))
    return scores


def test_the_difference_is_that_of_the_videos_that_both_scored(tmp_path):
    a, b = draw_scores(0, 0.2), draw_scores(1, 0.9)
    only_a = {f"{i}f": 0.1 for i in range(30, 37)}
    write_results(tmp_path / "a", a | only_a, threshold=0.3)
    write_results(tmp_path / "b", b, threshold=0.6)
    found = compare_results(tmp_path / "a", tmp_path / "b")[0]["val"]
    names = sorted(a)
    labels = [int(name.endswith("f")) for name in names]
    wanted = compare_scores(
        labels,
        [a[name] for name in names],
        [b[name] for name in names],
        [name[:-1] for name in names],
        0.3,
        0.6,
    )
    for figure in ("accuracy", "eer", "auc"):
        assert found[figure] == wanted[figure]
    counts = {"n": 60, "n_fake": 30, "n_units": 30, "unit": "group", "only_a": 7, "only_b": 0}
    assert {name: found[name] for name in counts} == counts


def test_a_video_with_two_labels_and_splits_without_a_common_video_are_refused(tmp_path):
    write_results(tmp_path / "a", draw_scores(0, 0.5))
    write_results(tmp_path / "b", draw_scores(1, 0.5), labels={"3r": "fake"})
    with pytest.raises(InputError, match="3r has two labels"):
        compare_results(tmp_path / "a", tmp_path / "b")
    write_results(tmp_path / "c", {"x1r": 0.1, "x1f": 0.9})
    with pytest.raises(InputError, match="no video that both scored"):
        compare_results(tmp_path / "a", tmp_path / "c")


def test_a_video_of_the_same_name_counts_only_if_it_is_the_same_file(tmp_path):
    for name in ("a", "b"):
        write_results(tmp_path / name, draw_scores(0, 0.5))
    rows = read_table(tmp_path / "b/predictions.csv")
    for row in rows[:50]:
        row["fingerprint"] = "another file"
    write_csv(tmp_path / "b/predictions.csv", COLUMNS, rows)
    compared, notes = compare_results(tmp_path / "a", tmp_path / "b")
    assert (compared["val"]["n"], compared["val"]["only_a"]) == (10, 50)
    files = "the features are of other videos or files: extract the same ones for both"
    assert notes == [f"10 of 60 validation videos are in common; {files}"]


def test_where_few_videos_are_in_common_the_reason_and_the_remedy_are_said(tmp_path):
    scores = draw_scores(0, 0.5)
    for name, part, seed in (("a", slice(0, 40), 0), ("b", slice(30, 60), 1)):
        settings = {"val_fraction": 0.2, "seed": seed}
        more = {"settings": settings, "split": {"unit": "group", "shared": {}}}
        write_results(tmp_path / name, dict(list(scores.items())[part]), more=more)
    notes = compare_results(tmp_path / "a", tmp_path / "b")[1]
    ways = [
        f"by group, --val-fraction 0.2, --seed {seed} in {name}"
        for seed, name in ((0, "A"), (1, "B"))
    ]
    held_out = f"held out {', '.join(ways)}: train both alike"
    assert notes == [f"10 of 30 validation videos are in common; {held_out}"]


def test_people_that_are_in_several_videos_are_the_unit(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        write_results(tmp_path / name, draw_scores(seed, 0.5))
        rows = read_table(tmp_path / name / "predictions.csv")
        for row in rows:
            row["people"] = f"p{int(row['group']) % 6};p{int(row['group']) % 5}"
        write_csv(tmp_path / name / "predictions.csv", COLUMNS, rows)
    found = compare_results(tmp_path / "a", tmp_path / "b")[0]["val"]
    assert (found["n_units"], found["unit"]) == (6, "person")


def test_training_videos_never_count_and_evaluated_sets_do(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        write_results(tmp_path / name, draw_scores(seed, 0.5), split="train")
        of_set = tmp_path / name / "evaluated" / "other_test"
        write_results(of_set, draw_scores(seed, 0.3), split="test")
    compared, notes = compare_results(tmp_path / "a", tmp_path / "b")
    assert set(compared) == {"other_test"} and notes == []


def test_what_makes_a_comparison_weaker_is_said(tmp_path, capsys):
    leak = {
        "split": {"unit": None, "shared": {"train-val": {"videos": 0, "people": 3, "clips": 0}}}
    }
    write_results(tmp_path / "a", draw_scores(0, 0.5), more=leak)
    write_results(tmp_path / "b", draw_scores(1, 0.5), more={"seeds": [{}, {}]})
    write_results(
        tmp_path / "b/evaluated/x", draw_scores(1, 0.5), split="test", more={"shared": True}
    )
    write_results(tmp_path / "b/evaluated/y", draw_scores(1, 0.5), split="test", threshold=0.7)
    deepfake_detection_model.main(["--compare", str(tmp_path / "a"), str(tmp_path / "b")])
    lines = capsys.readouterr().out.splitlines()
    assert f"WARNING: train-val of {tmp_path / 'a'} share people" in lines
    assert [line[11:] for line in lines if line[:5] == "Note "] == [
        f"{tmp_path / 'b'}: the first of 2 seeds counts",
        f"left out {tmp_path / 'b/evaluated/x'}: the training has seen some of it",
        f"left out {tmp_path / 'b/evaluated/y'}: of another model, evaluate again",
    ]


def test_frames_of_unknown_videos_are_not_compared(tmp_path):
    write_results(tmp_path / "a", draw_scores(0, 0.5), more={"splits": {"val": {"videos": {}}}})
    with pytest.raises(InputError, match="which frames are of one video is not known"):
        compare_results(tmp_path / "a", tmp_path / "a")


def test_what_compare_prints(tmp_path, capsys):
    write_results(tmp_path / "a", draw_scores(0, 0.1, n=60))
    write_results(tmp_path / "b", draw_scores(0, 2.0, n=60))
    deepfake_detection_model.main(["--compare", str(tmp_path / "a"), str(tmp_path / "b")])
    printed = capsys.readouterr().out
    assert "Validation Set: B is better (AUC +" in printed
    assert "not for other trainings" in printed
    deepfake_detection_model.main(["--compare", str(tmp_path / "b"), str(tmp_path / "b")])
    assert "no difference shown (AUC +0.0 [0.0, 0.0] points)" in capsys.readouterr().out


def test_results_of_another_version_are_one_line(tmp_path):
    write_results(tmp_path / "a", draw_scores(0, 0.5))
    rows = read_table(tmp_path / "a" / "predictions.csv")
    write_csv(tmp_path / "a" / "predictions.csv", ("split", "video", "label", "score"), rows)
    with pytest.raises(InputError, match=r"another version.*train or evaluate again"):
        compare_results(tmp_path / "a", tmp_path / "a")
    with pytest.raises(InputError, match="name a folder of results"):
        compare_results(tmp_path / "nowhere", tmp_path / "a")
