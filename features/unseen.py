"""Unseen manipulations: how well the fakes of a method are told that training has not had."""

from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data.files import InputError, write_csv
from features import screen
from features.dataset import Split
from features.divide import Division
from features.extraction import describe_extraction
from features.figures import evaluate, list_cells, score_frames
from features.metrics import compare_scores
from features.pictures import draw_pictures
from features.plots import plot_unseen
from features.results import Run, name_seed

METHOD_COLUMNS = ("method", "split", "n_real", "n_fake", "n_fewer")
UNSEEN_FIGURES = ("auc", "eer")

Train = Callable[[Division], Run]


def pick_methods(train: Split, wanted: str) -> list[str]:
    """The methods to leave out: the one that is named, of `each` all that training has; of "" none.

    Raises InputError for one that training has not, and where nothing would be left to train on.
    """
    if not wanted:
        return []
    methods = sorted(set(methods_of(train).tolist()) - {""})
    if len(methods) < 2:
        found = f"the training fakes are of {len(methods)} named methods"
        raise InputError(f"--leave-out {wanted}: {found}, at least two are needed")
    if wanted not in ("each", *methods):
        known = ", ".join(methods)
        raise InputError(f"--leave-out {wanted}: training has no such method, but {known}")
    return methods if wanted == "each" else [wanted]


def methods_of(split: Split) -> np.ndarray:
    """(n,) the method of each frame's video; "" of reals, and where it is not known."""
    methods = np.array([split.method(i) for i in split.video_index])
    return np.where(split.labels == 1, methods, "")


def measure_unseen(methods: list[str], run: Run, train: Train) -> tuple[list[dict], dict[str, str]]:
    """A row for each method and split: its figures when it was seen in training, and when not.

    And {method: why} of those that cannot be measured. `run` is the training on all methods. T is
    chosen without the method too.
    """
    splits, rows, not_measured = run.splits, [], {}
    with tqdm(methods, desc="leaving out", unit="method", disable=None) as bar:
        for method in bar:
            is_of = {name: methods_of(split) == method for name, split in splits.items()}
            # groups stay on the side where they were
            left = {name: splits[name].part(~is_of[name]) for name in ("train", "val")}
            one_class = [name for name, split in left.items() if len(np.unique(split.labels)) < 2]
            tested = [name for name in splits if name != "train" and is_of[name].any()]
            if one_class:
                not_measured[method] = f"one class alone would be left in {one_class[0]}"
                continue
            if not tested:
                not_measured[method] = "no video of it is in validation or test"
                continue
            other = train(Division(left, {}, {}))
            n_fewer = len(np.unique(splits["train"].video_index[is_of["train"]]))
            for name in tested:
                unseen = score_frames(other.model, splits[name])
                row = {"method": method, "split": name, "fewer": n_fewer}
                row["unseen"] = evaluate(splits[name], unseen, other.threshold)["methods"][method]
                row["seen"] = run.results[name]["methods"][method]
                row["lost"] = compare_on_method(splits[name], method, unseen, run.scores[name])
                rows.append(row)
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


def write_methods(path: Path, rows: list[dict]) -> None:
    """Write methods.csv: the rows of measure_unseen, with the ends of the intervals."""
    table = []
    for row in rows:
        n, n_fake = row["seen"]["n"], row["seen"]["n_fake"]
        line = {"method": row["method"], "split": row["split"]}
        line |= {"n_real": n - n_fake, "n_fake": n_fake, "n_fewer": row["fewer"]}
        for when, key in product(("unseen", "seen"), UNSEEN_FIGURES):
            figures = row[when]
            line |= list_cells(f"{key}_{when}", figures[key], figures["intervals"][key])
        for key in UNSEEN_FIGURES:
            lost = row["lost"][key]
            line |= list_cells(f"{key}_seen_less_unseen", lost["difference"], lost["interval"])
        table.append(line)
    write_csv(path, table[0] if table else METHOD_COLUMNS, table)


def leave_out(
    methods: list[str], runs: list[Run], train: Train, output: Path, pictures: bool
) -> list[str]:
    """Train without each method; print, write and draw how well it is found. The names of files.

    `runs` are the trainings on all methods, of which the first counts; `train` trains once more.
    """
    seed = name_seed(runs)
    rows, not_measured = measure_unseen(methods, runs[0], train)
    screen.print_unseen(rows, not_measured, seed)
    write_methods(output / "methods.csv", rows)
    footer = f"{describe_extraction(runs[0].splits['train'].extraction)}; {seed}"
    shown = {"methods.png": partial(plot_unseen, rows)} if rows else {}
    return ["methods.csv", *draw_pictures(output, shown, footer, pictures)]
