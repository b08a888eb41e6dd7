"""The tables that a run prints: who stands in which line and column, in percent."""

import re

import pytest

from features import text

INTERVALS = {"accuracy": [0.5, 0.9], "eer": [0.1, 0.4], "auc": [0.7, 1.0]}
EVERY_SPLIT = ("train", "val", "test")


def metrics(**changes) -> dict:
    """What evaluate gives for the videos of a split."""
    found = {"of": "videos", "n": 40, "n_fake": 20, "majority": 0.5}
    found |= {"accuracy": 0.75, "eer": 0.2, "auc": 0.9}
    found["tpr_at_fpr"] = {"0.01": None, "0.05": None}
    at_threshold = {"threshold": 0.4, "accuracy": 0.8, "fpr": 0.1, "fnr": 0.3}
    return found | {"at_threshold": at_threshold} | changes


def cells_of(table: str) -> list[list[str]]:
    """The cells of each line of a table."""
    return [re.split(r"  +", line.strip()) for line in table.splitlines()]


def test_the_first_table_is_the_one_people_came_for():
    frames = {key: value for key, value in metrics(n=160).items() if key != "of"}
    results = {"train": {"videos": metrics(), "frames": frames}}
    results["val"] = {"videos": metrics(intervals=INTERVALS), "frames": frames}
    lines = cells_of(text.results_table(results))
    assert lines[:5] == [
        ["Videos", "Training Set", "Validation Set"],
        ["n, real + fake", "20 + 20", "20 + 20"],
        ["accuracy", "75.0 %", "75.0 % [50.0, 90.0]"],
        ["EER", "20.0 %", "20.0 % [10.0, 40.0]"],
        ["AUC", "90.0 %", "90.0 % [70.0, 100.0]"],
    ]
    assert lines[6] == ["Frames", "Training Set", "Validation Set"]
    assert lines[7:9] == [["n, real + fake", *["140 + 20"] * 2], ["accuracy", *["75.0 %"] * 2]]
    assert len(lines) == 12 and lines[-1][0].startswith("In brackets: 95 % intervals")


@pytest.mark.parametrize(
    ("whose", "words"),
    [
        ("unseen", "for other people of the same kind (see README)."),
        ("unknown", "if these are others, which is not known here."),
        ("seen", ", not for other people: training has or may have seen some of these."),
    ],
)
def test_whom_intervals_are_for_stands_below_what_fits_the_screen(whose, words):
    found = metrics(intervals=INTERVALS, unit="person", n_units=40)
    table = text.results_table({name: {"videos": found} for name in EVERY_SPLIT}, whose)
    lines = table.splitlines()
    assert lines[-1].startswith("In brackets: 95 % intervals") and lines[-1].endswith(words)
    assert cells_of(table)[1][1:] == ["20 + 20 of 40 people"] * 3
    assert max(map(len, lines)) <= 100


def test_a_split_whose_videos_are_not_known_says_that_its_figures_are_of_frames():
    results = {"train": {"videos": metrics()}, "val": {"videos": metrics(of="frames")}}
    results["test"] = {"videos": metrics()}
    first = cells_of(text.results_table(results))[0]
    assert first == ["Videos", "Training Set", "Validation Set, frames", "Test Set"]
    first = cells_of(text.threshold_table(results, {"used": 0.4, "from": "here"}))[1]
    assert first == ["At T, frames", "Validation Set", "Test Set, videos"]


def test_what_always_naming_the_larger_class_gives_and_what_chance_is_are_said():
    found = metrics(n_fake=30, majority=0.75, unit="group", n_units=1)
    found["intervals"] = INTERVALS | {"auc": [0.45, 1.0]}
    lines = cells_of(text.results_table({"train": {"videos": metrics()}, "val": {"videos": found}}))
    assert ["n, real + fake", "20 + 20", "10 + 30 of 1 group"] in lines
    assert ["majority", "50.0 %", "75.0 %"] in lines
    chance = "Validation Set: nothing better than chance is shown, the AUC may be 50 %."
    assert lines[-1] == [chance]
    table = text.results_table({"val": {"videos": metrics(intervals=INTERVALS)}})
    assert "majority" not in table and "chance" not in table


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({}, "auc", "90.0 %"),  # training: none is wanted
        ({"intervals": INTERVALS}, "auc", "90.0 % [70.0, 100.0]"),
        ({"intervals": INTERVALS, "n": 25}, "auc", "90.0 % [70.0, 100.0]"),  # five reals
        ({"intervals": INTERVALS, "n": 24}, "auc", "90.0 % (too few videos)"),
        ({"intervals": INTERVALS, "n_fake": 4}, "eer", "20.0 % (too few videos)"),
        ({"intervals": INTERVALS, "n": 22}, "accuracy", "75.0 % [50.0, 90.0]"),
        ({"intervals": INTERVALS | {"accuracy": None}}, "accuracy", "75.0 % (one group)"),
        ({"intervals": INTERVALS | {"eer": None}, "eer": None}, "eer", "n/a"),
    ],
)
def test_a_figure_that_means_nothing_says_so(changes, key, words):
    assert text.format_figure(metrics(**changes), key) == words


def test_what_happens_at_the_threshold_is_below():
    results = {name: {"videos": metrics()} for name in EVERY_SPLIT}
    results["val"]["videos"]["at_threshold"]["intervals"] = {"fpr": [0.01, 0.2]}
    lines = cells_of(text.threshold_table(results, {"used": 0.4, "from": "from here"}))
    assert lines == [
        ["T = 40.0 %, from here"],
        ["At T, videos", "Validation Set", "Test Set"],
        ["accuracy", "80.0 %", "80.0 %"],
        ["FPR, real called fake", "10.0 %", "10.0 %"],
        ["FNR, fake called real", "30.0 %", "30.0 %"],
    ]
    wanted = {"used": 0.4, "from": "from here", "max_fpr": 0.05}
    assert cells_of(text.threshold_table(results, wanted))[3:5] == [
        ["FPR that was wanted", "at most 5.0 %", "at most 5.0 %"],
        ["FPR, real called fake", "10.0 % [1.0, 20.0]", "10.0 %"],
    ]


def test_seeds_give_means_also_by_method():
    runs = []
    for auc in (0.8, 0.9):
        methods = {"Deepfakes": metrics(auc=auc), "": metrics(auc=auc - 0.2)}
        val = {"videos": metrics(auc=auc), "methods": methods}
        runs.append({"train": {"videos": metrics(auc=auc), "methods": {}}, "val": val})
    lines = cells_of(text.seeds_table(runs))
    assert lines[0][0] == "Mean (sd) of 2 seeds, videos"
    assert lines[3:] == [
        ["AUC", "85.0 % (7.1)", "85.0 % (7.1)"],
        ["AUC, not named", "n/a", "65.0 % (7.1)"],
        ["AUC, Deepfakes", "n/a", "85.0 % (7.1)"],
    ]


def test_fakes_found_at_a_low_fpr_are_shown_where_there_are_reals_enough():
    rates = {"val": {"0.01": None, "0.05": 0.4}, "test": {"0.01": None, "0.05": None}}
    results = {name: {"videos": metrics(tpr_at_fpr=found)} for name, found in rates.items()}
    lines = cells_of(text.results_table(results))
    assert lines[-1] == ["fakes found at 5 % FPR", "40.0 %", "too few reals"]
    assert len(lines) == 6  # and none for 1 %


def test_methods_of_the_last_split_stand_worst_first():
    methods = {"A": metrics(auc=0.9), "": metrics(auc=None), "C": metrics(auc=0.6)}
    results = {"val": {"methods": {"A": metrics(), "B": metrics()}}, "test": {"methods": methods}}
    assert cells_of(text.methods_table(results)) == [
        ["Methods, Test Set", "fakes", "AUC", "EER"],
        ["C", "20", "60.0 %", "20.0 %"],
        ["A", "20", "90.0 %", "20.0 %"],
        ["not named", "20", "n/a", "20.0 %"],
    ]
    assert text.methods_table({"val": {"methods": {"A": metrics()}}}) == ""
    by_set = {"val": {"methods": {}, "sets": {"a": metrics(auc=0.9), "b": metrics(auc=0.7)}}}
    rows = cells_of(text.methods_table(by_set, "sets"))
    assert [row[0] for row in rows] == ["Sets, Validation Set", "b", "a"]
    assert text.methods_table(results, "sets") == ""


def test_a_set_has_its_methods_below_it_and_a_mark_if_the_training_has_seen_it():
    one_class = {"n": 20, "eer": None, "auc": None}
    methods = {"A": metrics(auc=0.8), "B": metrics(auc=0.7)}
    evaluated = {
        "near, test": {"videos": metrics(intervals=INTERVALS), "methods": {"": metrics()}},
        "far, test": {"videos": metrics(), "methods": methods},
        "fakes": {"videos": metrics(**one_class), "methods": {}},
        "reals": {"videos": metrics(**one_class, n_fake=0), "methods": {}},
    }
    *lines, last = cells_of(text.sets_table(evaluated, {"far, test"}))
    assert lines == [
        ["Evaluated", "real + fake", "accuracy at T", "EER", "AUC"],
        ["near, test", "20 + 20", "80.0 %", "20.0 % [10.0, 40.0]", "90.0 % [70.0, 100.0]"],
        ["far, test *", "20 + 20", "80.0 %", "20.0 %", "90.0 %"],
        ["B", "20 + 20", "80.0 %", "20.0 %", "70.0 %"],
        ["A", "20 + 20", "80.0 %", "20.0 %", "80.0 %"],
        ["fakes", "0 + 20", "80.0 %", "FNR at T 30.0 %", "one class alone"],
        ["reals", "20 + 0", "80.0 %", "FPR at T 10.0 %", "one class alone"],
    ]
    assert last[0].startswith("* not the figures of unseen people")
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
    ("interval", "n_fake", "words"),
    [
        ([0.004, 0.058], 20, "B is better (AUC +3.1 [0.4, 5.8] points)"),
        ([-0.02, -0.001], 20, "A is better (AUC +3.1 [-2.0, -0.1] points)"),
        ([0.0, 0.058], 20, "no difference shown (AUC +3.1 [0.0, 5.8] points)"),
        ([-0.01, 0.0], 20, "no difference shown (AUC +3.1 [-1.0, 0.0] points)"),
        ([-1.0, 1.0], 20, "no difference can be shown: too few people"),
        (None, 20, "no difference can be shown: too few people"),
        ([0.004, 0.058], 4, "no difference can be shown: too few videos"),
    ],
)
def test_better_is_who_is_so_in_the_whole_interval(interval, n_fake, words):
    result = {"n": 40, "n_fake": n_fake, "unit": "person", "n_units": 28, "only_a": 0, "only_b": 3}
    figure = {"difference": 0.031, "interval": interval}
    result |= dict.fromkeys(("accuracy", "eer", "auc"), figure)
    _, figures, verdict, apart = cells_of(text.comparison_table({"val": result}))
    assert figures[:3] == ["Validation Set", "40", "28 people"]
    reason = words.partition("shown: ")[2]
    assert not reason or figures[3:] == [f"+3.1 ({reason})"] * 3
    assert verdict == [f"Validation Set: {words}"]
    assert apart[0].endswith("0 videos of A alone and 3 of B alone do not count")


@pytest.mark.parametrize(
    ("name", "most", "short"),
    [
        ("real/a.mp4", 10, "real/a.mp4"),
        ("fake/FaceSwap/000_001.mp4", 20, "…/000_001.mp4"),  # no name is cut
        ("fake/a_name_of_its_own.mp4", 12, "…its_own.mp4"),  # but one that is too long
    ],
)
def test_a_path_is_cut_between_names(name, most, short):
    assert text.shorten(name, most) == short and len(short) <= most
