"""Is B better than A: two results folders, on the videos that both have scored."""

from dataclasses import dataclass
from pathlib import Path

from data.files import InputError, read_csv, read_json
from data.words import CLASSES
from features.metrics import compare_scores

UNKNOWN = "which frames are of one video is not known, as videos.csv was missing"
FEW = 0.5  # of the videos of a model: where fewer are in common, the reason is said

Rows = dict[tuple[str, str], dict]  # of predictions.csv, by identifier and fingerprint


@dataclass
class Scored:
    """What the model of a results folder has scored; of several seeds the first one counts."""

    train: Rows
    splits: dict[str, Rows]  # validation, test, and evaluated sets by their names
    threshold: float  # T of the model
    held_out: str  # how validation came about
    notes: list[str]


def read_predictions(folder: Path) -> tuple[dict[str, Rows], dict]:
    """{split: rows} of the predictions.csv there, if its videos are known; and its metrics.json."""
    table, report = read_csv(folder / "predictions.csv"), read_json(folder / "metrics.json")
    splits = {}
    try:
        float(report["thresholds"]["used"])
        known = [name for name, result in report["splits"].items() if "frames" in result]
        for row in table:
            if row["seed"] == table[0]["seed"] and row["split"] in known:
                video = row["video"], row["fingerprint"]
                values = {"label": CLASSES.index(row["label"]), "score": float(row["score"])}
                values |= {"people": row["people"], "group": row["group"]}
                splits.setdefault(row["split"], {})[video] = values
    except (LookupError, TypeError, ValueError) as error:
        problem = f"{folder}: its tables are of another version ({error!r})"
        raise InputError(f"{problem}: train or evaluate again with this version") from error
    return splits, report


def read_scored(folder: Path) -> Scored:
    """What a results folder holds, evaluated sets among it.

    Raises InputError where it holds no results, or of unknown videos alone.
    """
    if not (folder / "predictions.csv").is_file():
        raise InputError(f"--compare {folder}: no predictions.csv there; name a folder of results")
    splits, report = read_predictions(folder)
    if not splits:
        raise InputError(f"--compare {folder}: {UNKNOWN}: extract, and train again")
    threshold = report["thresholds"]["used"]
    sha256 = report.get("sha256")
    divided = report.get("split", {})  # of an evaluated set there is none
    notes = []
    for pair, counts in divided.get("shared", {}).items():
        if any(counts.values()):
            notes.append(f"WARNING: {pair} of {folder} share people")
    bare = " and ".join(name for name in report["splits"] if name not in splits)
    if bare:
        notes.append(f"left out {bare} of {folder}: {UNKNOWN}")
    if "seeds" in report:
        notes.append(f"{folder}: the first of {len(report['seeds'])} seeds counts")
    for file in sorted(folder.glob("evaluated/*/predictions.csv")):
        rows, of_set = read_predictions(file.parent)
        if not rows:
            notes.append(f"left out {file.parent}: {UNKNOWN}")
        elif (of_set["thresholds"]["used"], of_set.get("sha256")) != (threshold, sha256):
            notes.append(f"left out {file.parent}: of another model or T, evaluate again")
        elif of_set.get("shared"):
            notes.append(f"left out {file.parent}: the training has seen some of it")
        else:
            splits[file.parent.name] = rows["test"]
    held_out, unit, flags = "as extracted", divided.get("unit"), report.get("settings", {})
    if unit:
        fraction = f"--val-fraction {flags['val_fraction']}"
        if flags.get("test_fraction"):
            fraction += f", --test-fraction {flags['test_fraction']}"
        held_out = f"by {unit}, {fraction}, --seed {flags['seed']}"
    return Scored(splits.pop("train", {}), splits, threshold, held_out, notes)


def compare_results(folder_a: Path, folder_b: Path) -> tuple[dict[str, dict], list[str]]:
    """{split: what compare_split gives} of the splits that both models have scored, and notes.

    Raises InputError where there are none, or where a video has two labels.
    """
    a, b = read_scored(folder_a), read_scored(folder_b)
    few, compared = explain_few(a, b), {}
    for name, rows_a in a.splits.items():
        rows_b = b.splits.get(name, {})
        shared = sorted(rows_a.keys() & rows_b.keys())
        for video in shared:
            if rows_a[video]["label"] != rows_b[video]["label"]:
                both = f"one in {folder_a}, another in {folder_b}"
                raise InputError(f"--compare: {video[0]} has two labels, {both}")
        if shared:
            compared[name] = compare_split(rows_a, rows_b, shared, a.threshold, b.threshold)
    if not compared:
        wrong = "no video that both scored in a split of one name, with the same file"
        found = f"{', '.join(a.splits)} in A, {', '.join(b.splits)} in B"
        because = f"; {few}" if few else ""
        raise InputError(f"--compare: {wrong}: {found}{because}")
    notes = [*a.notes, few, *b.notes]
    return compared, [note for note in dict.fromkeys(notes) if note]


def explain_few(a: Scored, b: Scored) -> str:
    """Why few validation videos are in common, and what to do; "" where they are not few."""
    val_a, val_b = (scored.splits.get("val", {}) for scored in (a, b))
    n = min(len(val_a), len(val_b))
    n_shared = len(val_a.keys() & val_b.keys())
    if n_shared >= FEW * n:
        return ""
    all_a, all_b = a.train | val_a, b.train | val_b
    same_files = all_a.keys() & all_b.keys()
    n_renamed = sum(all_a[video]["people"] != all_b[video]["people"] for video in same_files)
    why = "the features are of other videos or files: extract the same ones for both"
    if a.held_out != b.held_out:
        why = f"held out {a.held_out} in A, {b.held_out} in B: train both alike"
    elif n_renamed >= FEW * n:
        why = "people, by whose names they are held out, have other names: extract both alike"
    return f"{n_shared} of {n} validation videos are in common; {why}"


def compare_split(
    rows_a: Rows, rows_b: Rows, videos: list[tuple[str, str]], t_a: float, t_b: float
) -> dict:
    """What compare_scores gives for these videos, and n, n_fake, n_units, unit, only_a and only_b.

    The last two are the videos that one of the models alone has scored: they do not count.
    """
    both = [rows_a[video] for video in videos]
    labels, people = ([row[key] for row in both] for key in ("label", "people"))
    scores_a, scores_b = ([rows[video]["score"] for video in videos] for rows in (rows_a, rows_b))
    compared = compare_scores(labels, scores_a, scores_b, people, t_a, t_b)
    is_anybody_known = any(row["people"] != row["group"] for row in both)
    return compared | {
        "n": len(videos),
        "n_fake": sum(labels),
        "n_units": len(set(";".join(people).split(";"))),
        "unit": "person" if is_anybody_known else "group",
        "only_a": len(rows_a) - len(videos),
        "only_b": len(rows_b) - len(videos),
    }
