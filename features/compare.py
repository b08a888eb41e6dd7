"""Is B better than A: two results folders, on the videos that both have scored."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.files import InputError, read_csv, read_json
from data.layouts import CLASSES
from features.metrics import compare_scores

AGAIN = "train or evaluate again with this version"


@dataclass
class Scored:
    """The videos of one split, as one model scored them."""

    rows: dict[str, dict]  # of predictions.csv, by identifier
    threshold: float  # T of the model


def read_scored(folder: Path) -> dict[str, Scored]:
    """{split: what the model of a results folder made of it}, evaluated sets among them.

    Of several seeds the first one counts. Raises InputError where the folder holds no results.
    """
    if not (folder / "predictions.csv").is_file():
        raise InputError(f"--compare {folder}: no predictions.csv there; name a folder of results")
    scored = read_predictions(folder)
    scored.pop("train", None)
    for file in sorted(folder.glob("evaluated/*/predictions.csv")):
        for of_set in read_predictions(file.parent).values():
            scored[file.parent.name] = of_set
    return scored


def read_predictions(folder: Path) -> dict[str, Scored]:
    """{split: what its predictions.csv holds}."""
    table = read_csv(folder / "predictions.csv")
    report = read_json(folder / "metrics.json")
    try:
        threshold = float(report["thresholds"]["used"])
        seeds = [row["seed"] for row in table]
        by_split = {}
        for row in table:
            if row["seed"] == seeds[0]:
                values = {"label": CLASSES.index(row["label"]), "group": row["group"]}
                of_split = by_split.setdefault(row["split"], {})
                of_split[row["video"]] = values | {"score": float(row["score"])}
    except (LookupError, TypeError, ValueError) as error:
        problem = f"{folder}: its tables are of another version ({error!r})"
        raise InputError(f"{problem}: {AGAIN}") from error
    return {name: Scored(rows, threshold) for name, rows in by_split.items()}


def compare_results(folder_a: Path, folder_b: Path) -> dict[str, dict]:
    """{split: what compare_scores gives, and "n", "n_fake", "n_groups", "only_a", "only_b"}.

    Only videos count that both have scored in a split of one name. Raises InputError where there
    are none, or where a video has two labels.
    """
    scored_a, scored_b = read_scored(folder_a), read_scored(folder_b)
    compared = {}
    for name, a in scored_a.items():
        b = scored_b.get(name)
        videos = sorted(a.rows.keys() & b.rows.keys()) if b else []
        if not videos:
            continue
        for video in videos:
            if a.rows[video]["label"] != b.rows[video]["label"]:
                raise InputError(
                    f"--compare: {video} has two labels, one in {folder_a}, one in {folder_b}"
                )
        labels = np.array([a.rows[video]["label"] for video in videos])
        groups = [a.rows[video]["group"] for video in videos]
        scores_a, scores_b = (
            [each.rows[video]["score"] for video in videos] for each in (a, b)
        )  # fmt: skip
        compared[name] = compare_scores(
            labels, scores_a, scores_b, groups, a.threshold, b.threshold
        ) | {
            "n": len(videos),
            "n_fake": int(labels.sum()),
            "n_groups": len(set(groups)),
            "only_a": len(a.rows) - len(videos),
            "only_b": len(b.rows) - len(videos),
        }
    if not compared:
        found = f"{', '.join(scored_a)} in A, {', '.join(scored_b)} in B"
        raise InputError(f"--compare: no video that both scored in a split of one name: {found}")
    return compared
