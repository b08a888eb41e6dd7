"""Unseen manipulations: how well the fakes of a method are told that training has not had."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data.files import InputError, write_csv
from features.dataset import Split
from features.figures import evaluate, list_cells, score_frames
from features.metrics import compare_scores

METHOD_COLUMNS = ("method", "split", "n_real", "n_fake", "n_fewer")
UNSEEN_FIGURES = ("auc", "eer")


def pick_methods(train: Split, wanted: str) -> list[str]:
    """The methods to leave out: the one that is named, or of `each` all that training has.

    Raises InputError for one that training has not, and where nothing would be left to train on.
    """
    methods = sorted(set(methods_of(train).tolist()) - {""})
    if len(methods) < 2:
        found = f"the training fakes are of {len(methods)} named methods"
        raise InputError(f"--leave-out {wanted}: {found}, at least two are needed")
    if wanted == "each":
        return methods
    if wanted not in methods:
        known = ", ".join(methods)
        raise InputError(f"--leave-out {wanted}: training has no such method, but {known}")
    return [wanted]


def methods_of(split: Split) -> np.ndarray:
    """(n,) the method of each frame's video; "" of reals, and where it is not known."""
    methods = np.array([split.method(i) for i in split.video_index])
    return np.where(split.labels == 1, methods, "")


def without(splits: dict[str, Split], method: str) -> dict[str, Split]:
    """The splits without the fakes of a method; groups stay on the side where they were."""
    left = {name: split.part(methods_of(split) != method) for name, split in splits.items()}
    for name, split in left.items():
        assert set(split.video_index) <= set(splits[name].video_index)
    assert method not in methods_of(left["train"])
    return left


def measure_unseen(
    splits: dict[str, Split],
    seen: dict[str, dict],
    scores: dict[str, np.ndarray],
    methods: list[str],
    train: Callable,
) -> tuple[list[dict], dict[str, str]]:
    """A row for each method and split: its figures when it was seen in training, and when not.

    And {method: why} of those that cannot be measured. `seen` is what evaluate gives for each
    split, `scores` those of its frames, by the model that was trained on all methods.
    `train(splits)` gives the model and the threshold T of a training; T is chosen without the
    method too.
    """
    rows, not_measured = [], {}
    with tqdm(methods, desc="leaving out", unit="method", disable=None) as bar:
        for method in bar:
            left = without({name: splits[name] for name in ("train", "val")}, method)
            one_class = [name for name, split in left.items() if len(np.unique(split.labels)) < 2]
            names = [name for name in ("val", "test") if has_method(seen.get(name, {}), method)]
            if one_class:
                not_measured[method] = f"one class alone would be left in {one_class[0]}"
            elif not names:
                not_measured[method] = "no video of it is in validation or test"
            else:
                model, threshold = train(left)
            for name in names if method not in not_measured else ():
                split = splits[name]
                scores_unseen = score_frames(model, split)
                results = evaluate(split, scores_unseen, threshold)
                unseen, known = (each["methods"][method] for each in (results, seen[name]))
                row = {"method": method, "split": name, "unseen": unseen, "seen": known}
                row["lost"] = compare_on_method(split, method, scores_unseen, scores[name])
                rows.append(row | {"fewer": count_fakes(splits["train"], method)})
    return rows, not_measured


def compare_on_method(
    split: Split, method: str, unseen: np.ndarray, seen: np.ndarray
) -> dict[str, dict]:
    """What compare_scores gives for a method's fakes and all reals, with two scores a frame."""
    index, labels, values = split.video_scores(unseen)
    part = (labels == 0) | np.array([split.method(i) == method for i in index])
    people = np.array([split.people(i) for i in index])
    values_seen = split.video_scores(seen)[2]
    return compare_scores(labels[part], values[part], values_seen[part], people[part])


def count_fakes(split: Split, method: str) -> int:
    """How many videos of a split are fakes of a method."""
    return len(np.unique(split.video_index[methods_of(split) == method]))


def has_method(result: dict, method: str) -> bool:
    """Whether what evaluate gives of a split has figures of a method."""
    return method in result.get("methods", {})


def write_methods(path: Path, rows: list[dict]) -> None:
    """Write methods.csv: the rows of measure_unseen, with the ends of the intervals."""
    table = []
    for row in rows:
        metrics = row["seen"]
        n_fake = metrics["n_fake"]
        line = {"method": row["method"], "split": row["split"]}
        line |= {"n_real": metrics["n"] - n_fake, "n_fake": n_fake, "n_fewer": row["fewer"]}
        for when in ("unseen", "seen"):
            for key in UNSEEN_FIGURES:
                figures = row[when]
                line |= list_cells(f"{key}_{when}", figures[key], figures["intervals"][key])
        for key in UNSEEN_FIGURES:
            lost = row["lost"][key]
            line |= list_cells(f"{key}_seen_less_unseen", lost["difference"], lost["interval"])
        table.append(line)
    write_csv(path, table[0] if table else METHOD_COLUMNS, table)
