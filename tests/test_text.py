"""The tables that a run prints: who stands in which line and column, in percent."""

import re

import pytest

from features import text
from features.text import format_figure


def metrics(**changes) -> dict:
    found = {
        "of": "videos",
        "n": 40,
        "n_fake": 20,
        "majority": 0.5,
        "accuracy": 0.75,
        "eer": 0.2,
        "auc": 0.9,
    }
    found["tpr_at_fpr"] = {"0.01": None, "0.05": None}
    at_threshold = {"threshold": 0.4, "accuracy": 0.8, "fpr": 0.1, "fnr": 0.3}
    return found | {"at_threshold": at_threshold} | changes


INTERVALS = {"accuracy": [0.5, 0.9], "eer": [0.1, 0.4], "auc": [0.7, 1.0]}


def test_the_first_table_is_the_one_people_came_for():
    results = {
        "train": {"videos": metrics(), "frames": metrics(n=160)},
        "val": {"videos": metrics(intervals=INTERVALS), "frames": metrics(n=160)},
    }
    lines = text.results_table(results).splitlines()
    assert lines[0].split("  ")[0] == "Videos"
    assert re.split(r"  +", lines[0])[1:] == ["Training Set", "Validation Set"]
    assert [line.split()[0] for line in lines[1:5]] == ["n,", "accuracy", "EER", "AUC"]
    assert re.split(r"  +", lines[2]) == ["accuracy", "75.0 %", "75.0 % [50.0, 90.0]"]
    assert lines[6].startswith("Frames") and "[" not in "".join(lines[6:11])
    assert lines[-1].startswith("In brackets: 95 % intervals")
    assert re.split(r"  +", lines[1]) == ["n, real + fake", "20 + 20", "20 + 20"]
    found = metrics(intervals=INTERVALS, unit="person", n_units=40)
    results = {name: {"videos": found} for name in ("train", "val", "test")}
    lines = text.results_table(results, "seen").splitlines()
    assert lines[-1].startswith("In brackets: 95 % intervals, not for other people")
    assert re.split(r"  +", lines[1])[1:] == ["20 + 20 of 40 people"] * 3
    lines = text.results_table(results, "unknown").splitlines()
    assert lines[-1].endswith("if these are others, which is not known here.")
    assert max(map(len, text.results_table(results).splitlines())) <= 100  # fits the screen


def test_what_always_naming_the_larger_class_gives_and_what_chance_is_are_said():
    found = metrics(n_fake=30, majority=0.75, unit="group", n_units=1)
    found["intervals"] = INTERVALS | {"auc": [0.45, 1.0]}
    table = text.results_table({"train": {"videos": metrics()}, "val": {"videos": found}})
    rows = {line.split("  ")[0]: re.split(r"  +", line)[1:] for line in table.splitlines()}
    assert rows["n, real + fake"] == ["20 + 20", "10 + 30 of 1 group"]
    assert rows["majority"] == ["50.0 %", "75.0 %"]
    chance = "Validation Set: nothing better than chance is shown, the AUC may be 50 %."
    assert table.splitlines()[-1] == chance
    table = text.results_table({"val": {"videos": metrics(intervals=INTERVALS)}})
    assert "majority" not in table and "chance" not in table


@pytest.mark.parametrize(
    ("changes", "key", "text"),
    [
        ({}, "auc", "90.0 %"),  # training: none is wanted
        ({"intervals": INTERVALS}, "auc", "90.0 % [70.0, 100.0]"),
        ({"intervals": INTERVALS, "n": 22}, "auc", "90.0 % (too few videos)"),  # two reals
        ({"intervals": INTERVALS, "n": 22}, "accuracy", "75.0 % [50.0, 90.0]"),
        ({"intervals": INTERVALS | {"accuracy": None}}, "accuracy", "75.0 % (one group)"),
        ({"intervals": INTERVALS | {"eer": None}, "eer": None}, "eer", "n/a"),
    ],
)
def test_a_figure_that_means_nothing_says_so(changes, key, text):
    assert format_figure(metrics(**changes), key) == text


def test_what_happens_at_the_threshold_is_below():
    results = {name: {"videos": metrics()} for name in ("train", "val", "test")}
    thresholds = {"used": 0.4, "from": "from here"}
    lines = text.threshold_table(results, thresholds).splitlines()
    assert lines[0] == "T = 40.0 %, from here"
    assert re.split(r"  +", lines[1]) == ["At T, videos", "Validation Set", "Test Set"]
    assert re.split(r"  +", lines[3]) == ["FPR, real called fake", "10.0 %", "10.0 %"]
    assert re.split(r"  +", lines[4]) == ["FNR, fake called real", "30.0 %", "30.0 %"]


def test_seeds_give_means_also_by_method():
    runs = []
    for auc in (0.8, 0.9):
        methods = {"Deepfakes": metrics(auc=auc), "": metrics(auc=auc - 0.2)}
        runs.append({"train": {"videos": metrics(auc=auc), "methods": {}}})
        runs[-1]["val"] = {"videos": metrics(auc=auc), "methods": methods}
    table = text.seeds_table(runs)
    assert "Mean (sd) of 2 seeds, videos" in table
    rows = {line.split("  ")[0]: re.split(r"  +", line) for line in table.splitlines()}
    assert rows["AUC"][1:] == ["85.0 % (7.1)", "85.0 % (7.1)"]
    assert rows["AUC, Deepfakes"][1:] == ["n/a", "85.0 % (7.1)"]
    assert rows["AUC, not named"][2] == "65.0 % (7.1)"


def cells_of(table: str) -> list[list[str]]:
    """The cells of each line of a table."""
    return [re.split(r"  +", line.strip()) for line in table.splitlines()]


def test_fakes_found_at_a_low_fpr_are_shown_where_there_are_reals_enough():
    rates = {"val": {"0.01": None, "0.05": 0.4}, "test": {"0.01": None, "0.05": None}}
    results = {name: {"videos": metrics(tpr_at_fpr=found)} for name, found in rates.items()}
    lines = cells_of(text.results_table(results))
    assert lines[-1] == ["fakes found at 5 % FPR", "40.0 %", "too few reals"]
    assert len(lines) == 6  # and none for 1 %


def test_methods_of_the_last_split_stand_worst_first():
    methods = {"A": metrics(auc=0.9), "": metrics(auc=None), "C": metrics(auc=0.6)}
    results = {"val": {"methods": {"A": metrics(), "B": metrics()}}, "test": {"methods": methods}}
    lines = cells_of(text.methods_table(results))
    assert lines[0] == ["Methods, Test Set", "fakes", "AUC", "EER"]
    assert [line[:3] for line in lines[1:]] == [
        ["C", "20", "60.0 %"],
        ["A", "20", "90.0 %"],
        ["not named", "20", "n/a"],
    ]
    assert text.methods_table({"val": {"methods": {"A": metrics()}}}) == ""


def test_a_set_has_its_methods_below_it_and_a_mark_if_the_training_has_seen_it():
    one_class = metrics(n=20, eer=None, auc=None)
    methods = {"A": metrics(auc=0.8), "B": metrics(auc=0.7)}
    evaluated = {
        "near, test": {"videos": metrics(intervals=INTERVALS), "methods": {"": metrics()}},
        "far, test": {"videos": metrics(), "methods": methods},
        "bare, all": {"videos": one_class},
    }
    lines = cells_of(text.sets_table(evaluated, {"far, test"}))
    assert lines[:6] == [
        ["Evaluated", "real + fake", "accuracy at T", "EER", "AUC"],
        ["near, test", "20 + 20", "80.0 %", "20.0 % [10.0, 40.0]", "90.0 % [70.0, 100.0]"],
        ["far, test *", "20 + 20", "80.0 %", "20.0 %", "90.0 %"],
        ["B", "20 + 20", "80.0 %", "20.0 %", "70.0 %"],
        ["A", "20 + 20", "80.0 %", "20.0 %", "80.0 %"],
        ["bare, all", "0 + 20", "80.0 %", "FNR at T 30.0 %", "one class alone"],
    ]
    assert lines[6][0].startswith("* not the figures of unseen people")
    assert "*" not in text.sets_table(evaluated, set())


def test_what_a_method_loses_when_it_is_left_out():
    row = {"method": "A", "split": "test", "unseen": metrics(auc=0.62), "seen": metrics(auc=0.9)}
    row |= {"lost": {"auc": {"difference": 0.28, "interval": [0.1, 0.46]}}, "fewer": 160}
    one_class = row | {"method": "B", "unseen": metrics(auc=None), "fewer": 20}
    one_class["lost"] = {"auc": {"difference": None, "interval": None}}
    _, first, second, last = cells_of(text.unseen_table([row, one_class]))
    assert first == ["A", "test", "20", "62.0 %", "20.0 %", "90.0 %", "+28.0 [10.0, 46.0]"]
    assert second[-1] == "n/a"
    assert last[0].startswith("Trained on fewer fakes: 160 without A, 20 without B. AUC lost is in")


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ([-1.0, 1.0], "no difference can be shown: too few people"),
        ([0.004, 0.058], "B is better (AUC +3.1 [0.4, 5.8] points)"),
        ([-0.02, -0.001], "A is better (AUC +3.1 [-2.0, -0.1] points)"),
        ([0.0, 0.058], "no difference shown (AUC +3.1 [0.0, 5.8] points)"),
        ([-0.01, 0.058], "no difference shown (AUC +3.1 [-1.0, 5.8] points)"),
        (None, "no difference can be shown: too few people"),
    ],
)
def test_better_is_who_is_so_in_the_whole_interval(interval, words):
    figure = {"difference": 0.031, "interval": interval}
    result = {"n": 40, "n_fake": 20, "unit": "person", "n_units": 28, "only_a": 0, "only_b": 3}
    result |= dict.fromkeys(("accuracy", "eer", "auc"), figure)
    lines = text.comparison_table({"val": result}).splitlines()
    assert re.split(r"  +", lines[1])[:3] == ["Validation Set", "40", "28 people"]
    assert lines[2] == f"Validation Set: {words}"
    assert lines[3].endswith("0 videos of A alone and 3 of B alone do not count")
    lines = text.comparison_table({"val": result | {"n_fake": 4}}).splitlines()
    assert lines[1].count("+3.1 (too few videos)") == 3
    assert lines[2] == "Validation Set: no difference can be shown: too few videos"
