"""features/unseen.py: methods that are left out of the training."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make_methods, make_split, read_table, train

from data.files import InputError
from features.dataset import load_split
from features.screen import print_unseen
from features.unseen import measure_unseen, methods_of, pick_methods


def test_which_methods_are_left_out(tmp_path):
    split = load_split(make_methods(tmp_path))
    assert pick_methods(split, "each") == ["A", "B"]
    assert pick_methods(split, "B") == ["B"]
    with pytest.raises(InputError, match="no such method, but A, B"):
        pick_methods(split, "C")
    with pytest.raises(InputError, match="at least two are needed"):
        pick_methods(load_split(make_split(tmp_path)), "each")


def test_each_row_is_of_a_model_that_had_the_other_methods_only(tmp_path):
    splits = {name: load_split(make_methods(tmp_path)) for name in ("train", "val")}
    trained_on = []

    def score(features):
        return features.mean(dim=1).sigmoid().double().numpy()

    def train_on(division):
        trained_on.append({name: set(methods_of(part)) for name, part in division.splits.items()})
        for name, part in division.splits.items():  # all others stay where they were
            kept = np.isin(methods_of(splits[name]), list(trained_on[-1][name]))
            assert np.array_equal(part.rows, splits[name].rows[kept])
        return SimpleNamespace(model=SimpleNamespace(score=score), threshold=0.4)

    metrics = {"auc": 0.9, "n": 6, "n_fake": 3}
    results = {"train": {}, "val": {"methods": {"A": metrics, "B": metrics}}}
    scores = {"val": splits["val"].labels.astype(float)}  # of a model that knows all methods
    run = SimpleNamespace(splits=splits, results=results, scores=scores)
    rows, not_measured = measure_unseen(["A", "B", "C"], run, train_on)
    assert not_measured == {"C": "no video of it is in validation or test"}
    assert trained_on == [
        {"train": {"", "B"}, "val": {"", "B"}},
        {"train": {"", "A"}, "val": {"", "A"}},
    ]
    lost = [row["lost"]["auc"] for row in rows]
    for row, name, auc, of_row in zip(rows, "AB", (1.0, 0.0), lost, strict=True):
        assert (row["method"], row["split"], row["fewer"]) == (name, "val", 6)
        assert row["unseen"]["auc"] == auc and of_row["difference"] == 1 - auc
        assert row["unseen"]["at_threshold"]["threshold"] == 0.4
    low, high = lost[0]["interval"]
    assert low < 0 < high and lost[1]["interval"][0] > 0


@pytest.mark.parametrize("name", ["train", "val"])
def test_without_the_only_fakes_of_a_split_nothing_is_trained(tmp_path, capsys, name):
    split = load_split(make_methods(tmp_path))
    splits = {"train": split, "val": split}
    splits[name] = split.part(methods_of(split) != "B")
    run = SimpleNamespace(splits=splits)
    rows, not_measured = measure_unseen(["A"], run, pytest.fail)
    print_unseen(rows, not_measured, seed=0)
    line = f"A: not measured, one class alone would be left in {name}\n"
    assert capsys.readouterr().out == f"{line}\n"


def test_a_method_that_was_left_out_is_found_less_often(tmp_path, capsys):
    make_methods(tmp_path / "features", n_groups=60)
    report = train(tmp_path, "--leave-out", "each", "--num-epochs", "4")
    table = {row["method"]: row for row in read_table(tmp_path / "results" / "methods.csv")}
    for method, row in table.items():
        seen = report["splits"]["val"]["methods"][method]
        found = [float(row[f"auc_seen{end}"]) for end in ("", "_low", "_high")]
        assert found == pytest.approx([seen["auc"], *seen["intervals"]["auc"]], abs=1e-6)
        assert float(row["auc_unseen"]) < 0.6 < 0.9 < float(row["auc_seen"])
    assert table.keys() == {"A", "B"} == report["splits"]["train"]["methods"].keys()
    printed = capsys.readouterr().out
    assert "Left out" in printed and "model.pt knows all methods" in printed
