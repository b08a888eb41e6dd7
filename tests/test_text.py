"""The tables that a run prints: who stands in which line and column, in percent."""

import re

import pytest

from features import text

INTERVALS = {"accuracy": [0.5, 0.9], "eer": [0.1, 0.4], "auc": [0.7, 1.0]}


def metrics(**changes) -> dict:
    """What evaluate gives for the videos of a split."""
    found = {"of": "videos", "n": 40, "n_fake": 20, "majority": 0.5}
    found |= {"accuracy": 0.75, "eer": 0.2, "auc": 0.9}
    found["tpr_at_fpr"] = {"0.01": None, "0.05": None}
    at_threshold = {"threshold": 0.4, "accuracy": 0.8, "fpr": 0.1, "fnr": 0.3}
    return found | {"at_threshold": at_threshold} | changes


def of_splits(**columns) -> dict:
    """Results of splits, whose videos have these metrics."""
    return {name: {"videos": found} for name, found in columns.items()}


def cells_of(table: str) -> list[list[str]]:
    """The cells of each line of a table, which are two spaces apart."""
    return [re.split(r"  +", line.strip()) for line in table.strip().splitlines()]


FIRST_TABLE = """
Videos          Training Set  Validation Set         Test Set, frames
n, real + fake  20 + 20       20 + 20                20 + 20 of 40 people
accuracy        75.0 %        75.0 % [50.0, 90.0]    75.0 %
EER             20.0 %        20.0 % [10.0, 40.0]    20.0 %
AUC             90.0 %        90.0 % [70.0, 100.0]   90.0 %

Frames          Training Set  Validation Set
n, real + fake  140 + 20      140 + 20
accuracy        75.0 %        75.0 %
EER             20.0 %        20.0 %
AUC             90.0 %        90.0 %
In brackets: 95 % intervals, for other people if these are others, which is not known here.
"""


def test_the_first_table_is_the_one_people_came_for():
    results = of_splits(train=metrics(), val=metrics(intervals=INTERVALS))
    frames = metrics(n=160)
    del frames["of"]
    for result in results.values():
        result["frames"] = frames
    results |= of_splits(test=metrics(of="frames", unit="person", n_units=40))
    table = text.results_table(results, "unknown")
    assert cells_of(table) == cells_of(FIRST_TABLE)
    assert max(map(len, table.splitlines())) <= 100


UNEVEN = """
Videos                   Training Set  Validation Set
n, real + fake           20 + 20       10 + 30 of 1 group
accuracy                 75.0 %        75.0 % [50.0, 90.0]
majority                 50.0 %        75.0 %
EER                      20.0 %        20.0 % [10.0, 40.0]
AUC                      90.0 %        90.0 % [45.0, 100.0]
fakes found at 5 % FPR   40.0 %        too few reals
In brackets: 95 % intervals for other people of the same kind (see README).
Validation Set: nothing better than chance is shown, the AUC may be 50 %.
"""


def test_the_larger_class_chance_and_low_fprs_are_said_where_they_matter():
    val = metrics(n_fake=30, majority=0.75, unit="group", n_units=1)
    val["intervals"] = INTERVALS | {"auc": [0.45, 1.0]}
    train = metrics(tpr_at_fpr={"0.01": None, "0.05": 0.4})
    table = text.results_table(of_splits(train=train, val=val))
    assert cells_of(table) == cells_of(UNEVEN)


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"n": 25}, "auc", "90.0 % [70.0, 100.0]"),  # five reals
        ({"n": 24}, "auc", "90.0 % (too few videos)"),
        ({"n_fake": 4}, "eer", "20.0 % (too few videos)"),
        ({"n": 22}, "accuracy", "75.0 % [50.0, 90.0]"),
        ({"intervals": {}}, "accuracy", "75.0 % (one group)"),
        ({"eer": None}, "eer", "n/a"),
    ],
)
def test_a_figure_that_means_nothing_says_so(changes, key, words):
    found = metrics(intervals=INTERVALS) | changes
    assert text.format_figure(found, key) == words


AT_T = """
T = 40.0 %, from here
At T, videos           Validation Set      Test Set, frames
accuracy               80.0 %              80.0 %
FPR that was wanted    at most 5.0 %       at most 5.0 %
FPR, real called fake  10.0 % [1.0, 20.0]  10.0 %
FNR, fake called real  30.0 %              30.0 %
"""


def test_what_happens_at_the_threshold_is_below():
    results = of_splits(train=metrics(), val=metrics(), test=metrics(of="frames"))
    results["val"]["videos"]["at_threshold"]["intervals"] = {"fpr": [0.01, 0.2]}
    thresholds = {"used": 0.4, "from": "from here"}
    assert "wanted" not in text.threshold_table(results, thresholds)
    table = text.threshold_table(results, thresholds | {"max_fpr": 0.05})
    assert cells_of(table) == cells_of(AT_T)


OF_SEEDS = """
Mean (sd) of 2 seeds, videos  Training Set  Validation Set
accuracy                      75.0 % (0.0)  75.0 % (0.0)
EER                           20.0 % (0.0)  20.0 % (0.0)
AUC                           85.0 % (7.1)  85.0 % (7.1)
AUC, not named                n/a           65.0 % (7.1)
AUC, Deepfakes                n/a           85.0 % (7.1)
"""


def test_seeds_give_means_also_by_method():
    runs = []
    for auc in (0.8, 0.9):
        run = of_splits(train=metrics(auc=auc), val=metrics(auc=auc))
        run["train"]["methods"] = {}
        run["val"]["methods"] = {"Deepfakes": metrics(auc=auc), "": metrics(auc=auc - 0.2)}
        runs.append(run)
    assert cells_of(text.seeds_table(runs)) == cells_of(OF_SEEDS)


OF_METHODS = """
Methods, Test Set  fakes  AUC     EER
C                  20     60.0 %  20.0 %
A                  20     90.0 %  20.0 %
not named          20     n/a     20.0 %
"""


def test_methods_of_the_last_split_stand_worst_first():
    methods = {"A": metrics(auc=0.9), "": metrics(auc=None), "C": metrics(auc=0.6)}
    results = {"val": {"methods": {"A": metrics()}}, "test": {"methods": methods}}
    assert cells_of(text.methods_table(results)) == cells_of(OF_METHODS)
    by_set = {"val": {"methods": {}, "sets": {"a": metrics(auc=0.9), "b": metrics(auc=0.7)}}}
    rows = cells_of(text.methods_table(by_set, "sets"))
    assert [row[0] for row in rows] == ["Sets, Validation Set", "b", "a"]
    assert text.methods_table(results, "sets") == ""
    del results["test"]
    assert text.methods_table(results) == ""


OF_SETS = """
Evaluated    real + fake  accuracy at T  EER                  AUC
near, test   20 + 20      80.0 %         20.0 % [10.0, 40.0]  90.0 % [70.0, 100.0]
far, test *  20 + 20      80.0 %         20.0 %               90.0 %
  B          20 + 20      80.0 %         20.0 %               70.0 %
  A          20 + 20      80.0 %         20.0 %               80.0 %
fakes        0 + 20       80.0 %         FNR at T 30.0 %      one class alone
reals        20 + 0       80.0 %         FPR at T 10.0 %      one class alone
* not the figures of unseen people: training has or may have seen some of these
"""


def test_a_set_has_its_methods_below_it_and_a_mark_if_the_training_has_seen_it():
    one_class = metrics(n=20, eer=None, auc=None)
    near = metrics(intervals=INTERVALS)
    sets = {"near, test": near, "far, test": metrics(), "fakes": one_class}
    evaluated = of_splits(**sets, reals=one_class | {"n_fake": 0})
    for results in evaluated.values():
        results["methods"] = {"": metrics()}
    evaluated["far, test"]["methods"] = {"A": metrics(auc=0.8), "B": metrics(auc=0.7)}
    table = text.sets_table(evaluated, {"far, test"})
    assert cells_of(table) == cells_of(OF_SETS)
    assert "*" not in text.sets_table(evaluated, set())


UNSEEN = """
Left out  split  fakes  AUC unseen  EER unseen  AUC seen  AUC lost
A         test   20     62.0 %      20.0 %      90.0 %    +28.0 [10.0, 46.0]
B         test   20     n/a         20.0 %      90.0 %    n/a
"""


def test_what_a_method_loses_when_it_is_left_out():
    row = {"method": "A", "split": "test", "unseen": metrics(auc=0.62), "seen": metrics()}
    row |= {"lost": {"auc": {"difference": 0.28, "interval": [0.1, 0.46]}}, "fewer": 160}
    one_class = row | {"method": "B", "unseen": metrics(auc=None), "fewer": 20}
    one_class["lost"] = {"auc": {"difference": None}}
    *table, (last,) = cells_of(text.unseen_table([row, one_class]))
    assert table == cells_of(UNSEEN)
    assert last.startswith("Trained on fewer fakes: 160 without A, 20 without B. AUC lost")


@pytest.mark.parametrize(
    ("interval", "n_fake", "words"),
    [
        ([0.004, 0.058], 20, "B is better (AUC +3.1 [0.4, 5.8] points)"),
        ([-0.02, -0.001], 20, "A is better (AUC +3.1 [-2.0, -0.1] points)"),
        ([0.0, 0.058], 20, "no difference shown (AUC +3.1 [0.0, 5.8] points)"),
        ([-0.01, 0.0], 20, "no difference shown (AUC +3.1 [-1.0, 0.0] points)"),
        ([-1.0, 1.0], 20, "no difference can be shown: too few people"),
        ([0.004, 0.058], 4, "no difference can be shown: too few videos"),
    ],
)
def test_better_is_who_is_so_in_the_whole_interval(interval, n_fake, words):
    result = {"n": 40, "n_fake": n_fake, "unit": "person", "n_units": 28}
    figure = {"difference": 0.031, "interval": interval}
    result |= dict.fromkeys(INTERVALS, figure) | {"only_a": 0, "only_b": 3}
    _, figures, verdict, (apart,) = cells_of(text.comparison_table({"val": result}))
    assert figures[:3] == ["Validation Set", "40", "28 people"]
    assert figures[5].startswith("+3.1 ")
    assert verdict == [f"Validation Set: {words}"]
    assert apart.endswith("0 videos of A alone and 3 of B alone do not count")
