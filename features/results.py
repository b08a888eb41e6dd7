"""The files in results/: predictions, the list of runs, which checkpoint is meant."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from data.files import InputError, read_csv, read_json, replacing, write_csv
from data.layouts import CLASSES
from features.splits import Split


def prediction_words(score: float, threshold: float) -> dict[str, str]:
    """What a score is called at 0.5 and at T; a score of exactly the threshold is called fake."""
    return {"at_0.5": CLASSES[int(score >= 0.5)], "at_T": CLASSES[int(score >= threshold)]}


def write_predictions(path: Path, splits: dict[str, Split], scores: dict, threshold: float) -> None:
    """predictions.csv: a line a video."""
    rows = []
    for name, split in splits.items():
        for i, label, score in zip(*split.video_scores(scores[name]), strict=True):
            row = {"split": name, "video": split.name(i), "label": CLASSES[label], "score": score}
            rows.append(row | prediction_words(score, threshold))
    with replacing(path) as temporary:
        write_csv(temporary, rows[0], rows)


def append_run(
    path: Path, features_file: Path, changed: dict, seed: int, results: dict[str, dict]
) -> None:
    """Add a line to runs.csv, so that runs can be compared; `changed` are settings not default."""
    row = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "features": str(features_file),
        "settings": " ".join(f"{name}={value}" for name, value in changed.items()),
        "seed": seed,
    }
    for split in ("val", "test"):
        result = results.get(split, {})
        metrics = result.get("videos") or result.get("frames") or {}
        for key in ("n", "accuracy", "eer", "auc"):
            row[f"{split}_{key}"] = metrics.get(key)
    rows = read_csv(path) if path.is_file() else []
    with replacing(path) as temporary:
        write_csv(temporary, row, [*rows, row])


def announce_replacement(output: Path, settings: dict) -> None:
    """Say in one line that results of other settings are about to be replaced."""
    file = output / "metrics.json"
    if not file.is_file():
        return
    try:
        earlier = read_json(file)["settings"]
    except (InputError, KeyError):
        earlier = {}
    differences = [
        f"{name} {earlier.get(name)} -> {value}"
        for name, value in settings.items()
        if earlier.get(name) != value
    ]
    if differences:
        print(f"Replaces   {output}, trained otherwise: {', '.join(differences)}")


def remove_results_of_the_earlier_model(output: Path) -> None:
    """Pictures and tables that would be taken for those of the new model."""
    for path in [*output.glob("*.png"), output / "predict.csv"]:
        path.unlink(missing_ok=True)
    shutil.rmtree(output / "evaluated", ignore_errors=True)


def find_checkpoint(checkpoint: Path | None, output_dir: Path | None) -> Path:
    """The checkpoint to use: the one that is named, else the only one in results/."""
    if checkpoint or output_dir:
        return checkpoint or output_dir / "model.pt"
    models = sorted(Path("results").glob("*/model.pt"))
    if not models:
        raise InputError(
            "there is no results/*/model.pt: train a model first, or give --checkpoint"
        )
    if len(models) > 1:
        names = ", ".join(map(str, models))
        raise InputError(f"there are several models, say which with --checkpoint: {names}")
    return models[0]


def name_of_set(features_file: Path, taken: Iterable[str]) -> str:
    """A name for the results of a features file: its folder and split, `other_test`."""
    file = features_file.absolute()
    name = f"{file.parent.name}_{file.name.removesuffix('features.npy').strip('_') or 'all'}"
    numbered = [name, *(f"{name}_{i}" for i in range(2, 1000))]
    return next(candidate for candidate in numbered if candidate not in taken)
