"""Is B better than A: two results folders, on the videos that both have scored."""

from dataclasses import dataclass
from pathlib import Path

from data.files import InputError, read_csv, read_json
from data.words import CLASSES
from features.metrics import compare_scores

AGAIN = "train or evaluate again with this version"
UNKNOWN = "which frames are of one video is not known, as videos.csv was missing"


@dataclass
class Scored:
    """The videos of one split, as one model scored them."""

    rows: dict[str, dict]  # of predictions.csv, by identifier
    threshold: float  # T of the model
    videos_dir: str  # the name of the set's folder


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
    notes = [f"WARNING: {pair} of {folder} share people" for pair in find_shared(report)]
    bare = " and ".join(name for name in report["splits"] if name not in scored)
    if bare:
        notes.append(f"left out {bare} of {folder}: {UNKNOWN}")
    if len(report.get("seeds", ())) > 1:
        notes.append(f"{folder}: the first of {len(report['seeds'])} seeds counts")
    threshold = next(iter(scored.values())).threshold
    scored.pop("train", None)
    for file in sorted(folder.glob("evaluated/*/predictions.csv")):
        predicted, report = read_predictions(file.parent)
        reason = "" if predicted else UNKNOWN
        for of_set in predicted.values():
            if of_set.threshold != threshold:
                reason = "of an earlier model, evaluate again"
            elif report.get("shared"):
                reason = "the training has seen some of it"
            else:
                scored[file.parent.name] = of_set
        if reason:
            notes.append(f"left out {file.parent}: {reason}")
    return scored, notes


def find_shared(report: dict) -> list[str]:
    """The pairs of splits in metrics.json that share videos, groups or clips, as `train-val`."""
    shared = report.get("split", {}).get("shared", {})
    return [pair for pair, counts in shared.items() if any(counts.values())]


def read_predictions(folder: Path) -> tuple[dict[str, Scored], dict]:
    """{split: what its predictions.csv holds}, if its videos are known; and its metrics.json."""
    table = read_csv(folder / "predictions.csv")
    report = read_json(folder / "metrics.json")
    try:
        threshold = float(report["thresholds"]["used"])
        known = [name for name, result in report["splits"].items() if "videos" in result]
        videos_dir = (report.get("extraction") or {}).get("videos_dir", "")
        seeds = [row["seed"] for row in table]
        by_split = {}
        for row in table:
            if row["seed"] == seeds[0] and row["split"] in known:
                values = {"label": CLASSES.index(row["label"]), "group": row["group"]}
                of_split = by_split.setdefault(row["split"], {})
                of_split[row["video"]] = values | {"score": float(row["score"])}
    except (LookupError, TypeError, ValueError) as error:
        problem = f"{folder}: its tables are of another version ({error!r})"
        raise InputError(f"{problem}: {AGAIN}") from error
    scored = {name: Scored(rows, threshold, videos_dir) for name, rows in by_split.items()}
    return scored, report


def compare_results(folder_a: Path, folder_b: Path) -> tuple[dict[str, dict], list[str]]:
    """{split: what compare_split gives} of the splits that both models have scored, and notes.

    Raises InputError where there are none, or where a video has two labels.
    """
    scored_a, notes = read_scored(folder_a)
    scored_b, notes_b = read_scored(folder_b)
    compared = {}
    for name in scored_a.keys() & scored_b.keys():
        a, b = scored_a[name], scored_b[name]
        if a.videos_dir != b.videos_dir:
            sets = f"{name} is of {a.videos_dir} in {folder_a}, of {b.videos_dir} in {folder_b}"
            raise InputError(f"--compare: {sets}: compare models on the same videos")
        shared = sorted(a.rows.keys() & b.rows.keys())
        for video in shared:
            if a.rows[video]["label"] != b.rows[video]["label"]:
                both = f"one in {folder_a}, another in {folder_b}"
                raise InputError(f"--compare: {video} has two labels, {both}")
        if shared:
            compared[name] = compare_split(a, b, shared)
    if not compared:
        found = f"{', '.join(scored_a)} in A, {', '.join(scored_b)} in B"
        raise InputError(f"--compare: no video that both scored in a split of one name: {found}")
    in_order = {}
    for name in scored_a:
        if name in compared:
            in_order[name] = compared[name]
    notes += [note for note in notes_b if note not in notes]
    return in_order, notes


def compare_split(a: Scored, b: Scored, videos: list[str]) -> dict:
    """What compare_scores gives for these videos, and n, n_fake, n_groups, only_a and only_b.

    The last two are the videos that one of the models alone has scored: they do not count.
    """
    labels = [a.rows[video]["label"] for video in videos]
    groups = [a.rows[video]["group"] for video in videos]
    scores_a = [a.rows[video]["score"] for video in videos]
    scores_b = [b.rows[video]["score"] for video in videos]
    compared = compare_scores(labels, scores_a, scores_b, groups, a.threshold, b.threshold)
    counts = {"n": len(videos), "n_fake": sum(labels), "n_groups": len(set(groups))}
    counts |= {"only_a": len(a.rows) - len(videos), "only_b": len(b.rows) - len(videos)}
    return compared | counts
