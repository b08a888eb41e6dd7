"""Figures and names in words: percent, a figure with its interval, verdicts, titles."""

from collections.abc import Iterable

from data.words import CLASSES
from features.metrics import FEW_VIDEOS

TITLES = {
    "train": "Training Set",
    "val": "Validation Set",
    "test": "Test Set",
}


def percent(fraction: float | None) -> str:
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"


def count_units(n: int, unit: str) -> str:
    """A number of units with the right word: 1 person, 28 people, 20 groups."""
    many = {"person": "people"}.get(unit, f"{unit}s")
    return f"{n} {unit if n == 1 else many}"


def verdict(score: float, threshold: float = 0.5) -> str:
    """real or fake: a score of exactly the threshold is called fake."""
    return CLASSES[int(score >= threshold)]


def format_figure(metrics: dict, key: str) -> str:
    """A figure with its interval; where there is none and should be one, the reason."""
    value = percent(metrics[key])
    if "intervals" not in metrics or metrics[key] is None:
        return value
    n_rarer = min(metrics["n_fake"], metrics["n"] - metrics["n_fake"])
    interval = metrics["intervals"].get(key)
    if key in ("eer", "auc") and n_rarer < FEW_VIDEOS:
        return f"{value} (too few videos)"
    if interval is None:
        return f"{value} (one {metrics.get('unit', 'group')})"
    return f"{value} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def name_kinds(results: dict[str, dict]) -> str:
    """What the figures of splits are of: videos, or frames, or some of these, some of those."""
    return " and ".join(dict.fromkeys(result["videos"]["of"] for result in results.values()))


def shorten(name: str, most: int) -> str:
    """A name of at most so many letters, of which the end says more than the beginning."""
    if len(name) <= most:
        return name
    end = name[1 - most :]
    return "…" + end[max(0, end.find("/")) :]  # whole names of folders, where they fit


def mark_notes(notes: Iterable[str]) -> list[str]:
    """Notes as lines for the screen; some are warnings."""
    return [note if note.startswith("WARNING: ") else f"Note       {note}" for note in notes]
