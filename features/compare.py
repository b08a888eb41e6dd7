"""Is B better than A: two results folders, on the videos that both have scored."""

from dataclasses import dataclass
from pathlib import Path

from data.files import InputError, read_csv, read_json
from data.words import CLASSES
from features.metrics import compare_scores

TRAIN_AGAIN = "train or evaluate again with this version"
UNKNOWN = "which frames are of one video is not known, as videos.csv was missing"
FEW = 0.5  # of the videos of a model: where fewer are in common, the reason is said


@dataclass
class Scored:
    """The videos of one split, as one model scored them."""

    rows: dict[tuple[str, str], dict]  # of predictions.csv, by identifier and fingerprint
    threshold: float  # T of the model
    held_out: str  # how the split came about


def read_scored(folder: Path) -> tuple[dict[str, Scored], list[str]]:
    """{split: what the model of a results folder made of it}, evaluated sets among them; notes.

    Of several seeds the first one counts. Raises InputError where the folder holds no results, or
    of unknown videos alone.
    """
    if not (folder / "predictions.csv").is_file():
        raise InputError(f"--compare {folder}: no predictions.csv there; name a folder of results")
    scored, report = read_predictions(folder)
    if not scored:
        raise InputError(f"--compare {folder}: {UNKNOWN}: extract, and train again")
    notes = [f"WARNING: {pair} of {folder} share people" for pair in list_shared_pairs(report)]
    bare = " and ".join(name for name in report["splits"] if name not in scored)
    if bare:
        notes.append(f"left out {bare} of {folder}: {UNKNOWN}")
    if len(report.get("seeds", ())) > 1:
        notes.append(f"{folder}: the first of {len(report['seeds'])} seeds counts")
    model = next(iter(scored.values())).threshold, report.get("sha256")
    scored.pop("train", None)
    for file in sorted(folder.glob("evaluated/*/predictions.csv")):
        predicted, report = read_predictions(file.parent)
        reason = "" if predicted else UNKNOWN
        for of_set in predicted.values():
            if (of_set.threshold, report.get("sha256")) != model:
                reason = "of another model, evaluate again"
            elif report.get("shared"):
                reason = "the training has seen some of it"
            else:
                scored[file.parent.name] = of_set
        if reason:
            notes.append(f"left out {file.parent}: {reason}")
    return scored, notes


def list_shared_pairs(report: dict) -> list[str]:
    """The pairs of splits in metrics.json that share videos, people or clips, as `train-val`."""
    shared = report.get("split", {}).get("shared", {})
    return [pair for pair, counts in shared.items() if any(counts.values())]


def read_predictions(folder: Path) -> tuple[dict[str, Scored], dict]:
    """{split: what its predictions.csv holds}, if its videos are known; and its metrics.json."""
    table = read_csv(folder / "predictions.csv")
    report = read_json(folder / "metrics.json")
    try:
        threshold = float(report["thresholds"]["used"])
        known = [name for name, result in report["splits"].items() if "frames" in result]
        held_out = describe_division(report)
        seeds = [row["seed"] for row in table]
        by_split = {}
        for row in table:
            if row["seed"] == seeds[0] and row["split"] in known:
                values = {"label": CLASSES.index(row["label"]), "people": row["people"]}
                values["unit"] = "group" if row["people"] == row["group"] else "person"
                of_split = by_split.setdefault(row["split"], {})
                key = row["video"], row["fingerprint"]
                of_split[key] = values | {"score": float(row["score"])}
    except (LookupError, TypeError, ValueError) as error:
        problem = f"{folder}: its tables are of another version ({error!r})"
        raise InputError(f"{problem}: {TRAIN_AGAIN}") from error
    scored = {name: Scored(rows, threshold, held_out) for name, rows in by_split.items()}
    return scored, report


def describe_division(report: dict) -> str:
    """How validation was held out, by a metrics.json; "" where it was not."""
    unit, settings = report.get("split", {}).get("unit"), report.get("settings", {})
    flags = [
        f"--{name} {settings.get(name.replace('-', '_'))}" for name in ("val-fraction", "seed")
    ]
    return f"by {unit}, {', '.join(flags)}" if unit else ""


def compare_results(folder_a: Path, folder_b: Path) -> tuple[dict[str, dict], list[str]]:
    """{split: what compare_split gives} of the splits that both models have scored, and notes.

    Raises InputError where there are none, or where a video has two labels.
    """
    scored_a, notes = read_scored(folder_a)
    scored_b, notes_b = read_scored(folder_b)
    compared = {}
    for name in scored_a.keys() & scored_b.keys():
        a, b = scored_a[name], scored_b[name]
        shared = sorted(a.rows.keys() & b.rows.keys())
        for video in shared:
            if a.rows[video]["label"] != b.rows[video]["label"]:
                both = f"one in {folder_a}, another in {folder_b}"
                raise InputError(f"--compare: {video[0]} has two labels, {both}")
        few = explain_few(a, b, len(shared)) if name == "val" else ""
        if few:
            notes.append(few)
        if shared:
            compared[name] = compare_split(a, b, shared)
    if not compared:
        found = f"{', '.join(scored_a)} in A, {', '.join(scored_b)} in B"
        reasons = "".join(f"; {note}" for note in notes if "in common" in note)
        wrong = "no video that both scored in a split of one name, with the same file"
        raise InputError(f"--compare: {wrong}: {found}{reasons}")
    in_order = {}
    for name in scored_a:
        if name in compared:
            in_order[name] = compared[name]
    notes += [note for note in notes_b if note not in notes]
    return in_order, notes


def explain_few(a: Scored, b: Scored, n_shared: int) -> str:
    """Why few validation videos are in common, and what to do; "" where they are not few."""
    n = min(len(a.rows), len(b.rows))
    if n_shared >= FEW * n:
        return ""
    if a.held_out == b.held_out:
        why = "the features are of other videos or files: extract the same ones for both"
    else:
        ways = f"{a.held_out or 'as extracted'} in A, {b.held_out or 'as extracted'} in B"
        why = f"held out {ways}: train both alike"
    return f"{n_shared} of {n} validation videos are in common; {why}"


def compare_split(a: Scored, b: Scored, videos: list[tuple[str, str]]) -> dict:
    """What compare_scores gives for these videos, and n, n_fake, n_units, unit, only_a and only_b.

    The last two are the videos that one of the models alone has scored: they do not count.
    """
    labels = [a.rows[video]["label"] for video in videos]
    people = [a.rows[video]["people"] for video in videos]
    scores_a = [a.rows[video]["score"] for video in videos]
    scores_b = [b.rows[video]["score"] for video in videos]
    compared = compare_scores(labels, scores_a, scores_b, people, a.threshold, b.threshold)
    names = {name for names in people for name in names.split(";")}
    counts = {"n": len(videos), "n_fake": sum(labels), "n_units": len(names)}
    counts["unit"] = max(a.rows[video]["unit"] for video in videos)  # person, where any is known
    counts |= {"only_a": len(a.rows) - len(videos), "only_b": len(b.rows) - len(videos)}
    return compared | counts
