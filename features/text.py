"""Figures in words: percent, a figure with its interval, verdicts, titles; tables of figures."""

from collections.abc import Iterable

import numpy as np

from data.words import CLASSES
from features.metrics import FEW_VIDEOS, LOW_FPRS

TITLES = {
    "train": "Training Set",
    "val": "Validation Set",
    "test": "Test Set",
}
FIGURES = {  # title: key
    "accuracy": "accuracy",
    "EER": "eer",
    "AUC": "auc",
}
AT_THRESHOLD = {
    "accuracy": "accuracy",
    "FPR, real called fake": "fpr",
    "FNR, fake called real": "fnr",
}
BY_HAND = "given by --threshold"  # where a T comes from that validation did not choose
WHOSE = {  # whom the intervals are for
    "unseen": " for other people of the same kind (see README)",
    "unknown": ", for other people if these are others, which is not known here",
    "seen": ", not for other people: training has or may have seen some of these",
}

# --- Words ---


def percent(fraction: float | None) -> str:
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"


def count_units(n: int, unit: str) -> str:
    """A number of units with the right word: 1 person, 28 people, 20 groups."""
    many = "people" if unit == "person" else f"{unit}s"
    return f"{n} {unit if n == 1 else many}"


def verdict(score: float, threshold: float = 0.5) -> str:
    """real or fake: a score of exactly the threshold is called fake."""
    return CLASSES[int(score >= threshold)]


def has_few_videos(metrics: dict) -> bool:
    """Whether there are so few of a class that an EER or an AUC means nothing."""
    return min(metrics["n_fake"], metrics["n"] - metrics["n_fake"]) < FEW_VIDEOS


def format_interval(interval: list[float]) -> str:
    low, high = interval
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def format_figure(metrics: dict, key: str) -> str:
    """A figure with its interval; where there is none and should be one, the reason."""
    value = percent(metrics[key])
    if "intervals" not in metrics or metrics[key] is None:
        return value
    interval = metrics["intervals"].get(key)
    if key in ("eer", "auc") and has_few_videos(metrics):
        return f"{value} (too few videos)"
    if interval is None:
        return f"{value} (one {metrics.get('unit', 'group')})"
    return f"{value} {format_interval(interval)}"


def auc_and_eer(metrics: dict) -> tuple[str, str]:
    return format_figure(metrics, "auc"), format_figure(metrics, "eer")


def format_n(metrics: dict) -> str:
    """How many videos of each class, and of how many people: `20 + 20 of 40 people`."""
    n_fake = metrics["n_fake"]
    counts = f"{metrics['n'] - n_fake} + {n_fake}"
    if "unit" not in metrics:
        return counts
    return f"{counts} of {count_units(metrics['n_units'], metrics['unit'])}"


def mean_and_deviation(values: list[float | None]) -> str:
    """Of several seeds; the deviation is that of a sample (n - 1)."""
    if None in values:
        return "n/a"
    return f"{percent(np.mean(values))} ({100 * np.std(values, ddof=1):.1f})"


def shorten(name: str, most: int) -> str:
    """A name of at most so many letters, of which the end says more than the beginning."""
    if len(name) <= most:
        return name
    end = name[1 - most :]
    return "…" + end[max(0, end.find("/")) :]  # whole names of folders, where they fit


def mark_notes(notes: Iterable[str]) -> list[str]:
    """Notes as lines for the screen; some are warnings."""
    return [note if note.startswith("WARNING: ") else f"Note       {note}" for note in notes]


# --- Tables ---


def format_table(rows: list[tuple]) -> str:
    """Lines of cells in columns as wide as needed; only the first column is flush left."""
    columns = []
    for column in zip(*rows, strict=True):
        cells = [str(cell) for cell in column]
        align = str.rjust if columns else str.ljust
        width = max(map(len, cells))
        columns.append([align(cell, width) for cell in cells])
    return "\n".join(map("  ".join, zip(*columns, strict=True)))


def headings(start: str, columns: dict[str, dict], titles: dict[str, str]) -> tuple:
    """The first row of a table of these metrics: what they are of, and the title of each split.

    A split whose figures are of something else says so: the videos of another may be known.
    """
    kinds = [metrics.get("of", "frames") for metrics in columns.values()]
    first = kinds[0]
    cells = [start + first if start else first.capitalize()]
    for name, kind in zip(columns, kinds, strict=True):
        other = "" if kind == first else f", {kind}"
        cells.append(f"{titles[name]}{other}".rjust(21))
    return tuple(cells)


def figures_table(columns: dict[str, dict], titles: dict[str, str], fprs: Iterable[float]) -> str:
    """n, accuracy, EER and AUC of each split, and at low FPRs how many fakes are found."""
    all_metrics = columns.values()
    rows = [headings("", columns, titles)]
    rows.append(("n, real + fake", *map(format_n, all_metrics)))
    for title, key in FIGURES.items():
        cells = [format_figure(metrics, key) for metrics in all_metrics]
        rows.append((title, *cells))
    shares = [metrics["majority"] for metrics in all_metrics]
    if max(shares) > 0.5:
        rows.insert(3, ("majority", *map(percent, shares)))
    for fpr in fprs:
        rates = [metrics["tpr_at_fpr"][str(fpr)] for metrics in all_metrics]
        if any(rate is not None for rate in rates):
            cells = ["too few reals" if rate is None else percent(rate) for rate in rates]
            rows.append((f"fakes found at {100 * fpr:g} % FPR", *cells))
    return format_table(rows)


def results_table(
    results: dict[str, dict], whose: str = "unseen", titles: dict[str, str] = TITLES
) -> str:
    """The figures of videos and, below, of frames, {split: what evaluate gives}.

    `whose` is a key of WHOSE.
    """
    videos = {name: result["videos"] for name, result in results.items()}
    frames = {name: result["frames"] for name, result in results.items() if "frames" in result}
    text = figures_table(videos, titles, LOW_FPRS)
    if frames:
        text += f"\n\n{figures_table(frames, titles, ())}"
    if "[" in text:
        text += f"\nIn brackets: 95 % intervals{WHOSE[whose]}."
    for name, metrics in videos.items():
        low, high = metrics.get("intervals", {}).get("auc") or (1, 1)
        if low <= 0.5 <= high:
            text += f"\n{titles[name]}: nothing better than chance is shown, the AUC may be 50 %."
    if "n/a" in text:
        text += "\nn/a: one class alone has no such figure."
    return text


def threshold_table(
    results: dict[str, dict], thresholds: dict, titles: dict[str, str] = TITLES
) -> str:
    """Accuracy, FPR and FNR at the threshold T, of the validation and the test split.

    `thresholds` are those of a checkpoint: "used", "from", and "max_fpr" if that was wanted.
    """
    columns = {name: result["videos"] for name, result in results.items()}
    columns.pop("train", None)
    at_threshold = [metrics["at_threshold"] for metrics in columns.values()]
    rows = [headings("At T, ", columns, titles)]
    for title, key in AT_THRESHOLD.items():
        cells = [percent(rates[key]) for rates in at_threshold]
        rows.append((title, *cells))
    if thresholds.get("max_fpr") is not None:
        wanted = [f"at most {percent(thresholds['max_fpr'])}"] * len(columns)
        reached = [format_figure(rates, "fpr") for rates in at_threshold]
        rows[2] = ("FPR, real called fake", *reached)
        rows.insert(2, ("FPR that was wanted", *wanted))
    return f"T = {percent(thresholds['used'])}, {thresholds['from']}\n{format_table(rows)}"


def seeds_table(runs: list[dict[str, dict]]) -> str:
    """Mean and standard deviation over the results of several seeds, also by method."""
    columns = {name: result["videos"] for name, result in runs[0].items()}
    rows = [headings(f"Mean (sd) of {len(runs)} seeds, ", columns, TITLES)]
    for title, key in FIGURES.items():
        cells = []
        for name in columns:
            cells.append(mean_and_deviation([run[name]["videos"][key] for run in runs]))
        rows.append((title, *cells))
    methods = {method for run in runs for method in run["val"]["methods"]}
    for method in sorted(methods) if len(methods) > 1 else ():
        cells = []
        for name in columns:
            of_method = [run[name]["methods"].get(method, {}) for run in runs]
            cells.append(mean_and_deviation([metrics.get("auc") for metrics in of_method]))
        rows.append((f"AUC, {method or 'not named'}", *cells))
    return format_table(rows)


def worst_first(methods: dict[str, dict]) -> list[tuple[str, dict]]:
    """Methods and their metrics by rising AUC, those without one last; none where there is one."""
    if len(methods) < 2:
        return []
    return sorted(methods.items(), key=lambda item: (item[1]["auc"] is None, item[1]["auc"]))


def methods_table(results: dict[str, dict], key: str = "methods") -> str:
    """AUC and EER of each method, or set, of the last split, worst first; "" where there is one."""
    name = list(results)[-1]
    rows = [(f"{key.title()}, {TITLES[name]}", "fakes", "AUC".rjust(20), "EER".rjust(20))]
    for method, metrics in worst_first(results[name].get(key, {})):
        rows.append((method or "not named", metrics["n_fake"], *auc_and_eer(metrics)))
    return format_table(rows) if len(rows) > 1 else ""


def sets_table(evaluated: dict[str, dict], shared: set[str]) -> str:
    """A line for each evaluated set, below it one for each method; `shared` ones have a mark."""
    rows = [("Evaluated", "real + fake", "accuracy at T", "EER", "AUC")]
    for name, results in evaluated.items():
        rows.append(set_row(name + " *" * (name in shared), results["videos"]))
        for method, metrics in worst_first(results["methods"]):
            rows.append(set_row(f"  {method or 'not named'}", metrics))
    text = format_table(rows)
    if shared:
        text += "\n* not the figures of unseen people: training has or may have seen some of these"
    return text


def set_row(name: str, metrics: dict) -> tuple:
    """A line of sets_table; of one class alone FPR or FNR stands in place of the EER."""
    n_fake, at_threshold = metrics["n_fake"], metrics["at_threshold"]
    accuracy = format_figure(at_threshold, "accuracy")
    auc, eer = auc_and_eer(metrics)
    if n_fake in (0, metrics["n"]):
        rate = "fnr" if n_fake else "fpr"
        eer, auc = f"{rate.upper()} at T {format_figure(at_threshold, rate)}", "one class alone"
    return name, f"{metrics['n'] - n_fake} + {n_fake}", accuracy, eer, auc


def unseen_table(rows: list[dict]) -> str:
    """What measure_unseen gives: each method unseen, seen, and what is lost."""
    table = [("Left out", "split", "fakes", "AUC unseen", "EER unseen", "AUC seen", "AUC lost")]
    for row in rows:
        unseen = row["unseen"]
        what = row["method"], row["split"], unseen["n_fake"]
        seen = percent(row["seen"]["auc"])
        lost = format_difference(unseen | row["lost"], "auc")
        table.append((*what, *auc_and_eer(unseen), seen, lost))
    fewer = dict.fromkeys(f"{row['fewer']} without {row['method']}" for row in rows)
    less = f"Trained on fewer fakes: {', '.join(fewer)}."
    return f"{format_table(table)}\n{less} AUC lost is in points; in brackets: 95 % intervals."


# --- The difference of two models, as compare_split gives it ---


def comparison_table(compared: dict[str, dict]) -> str:
    """A line for each split or set, with its differences, and the verdict by the AUC."""
    rows = [("B less A, in points", "videos", "of", "accuracy at T", "EER", "AUC")]
    verdicts = []
    for name, result in compared.items():
        title = TITLES.get(name, name)
        units = count_units(result["n_units"], result["unit"])
        differences = [format_difference(result, key) for key in FIGURES.values()]
        rows.append((title, result["n"], units, *differences))
        verdicts.append(f"{title}: {judge(result)}")
        if result["only_a"] or result["only_b"]:
            apart = f"{result['only_a']} videos of A alone and {result['only_b']} of B alone"
            verdicts.append(f"{title}: {apart} do not count")
    return "\n".join([format_table(rows), *verdicts])


def too_few(result: dict, key: str) -> str:
    """Of what there are too few for an interval of a difference that tells anything; "" if not."""
    if has_few_videos(result):
        return "too few videos"
    return "too few people" if result[key]["interval"] in (None, [-1, 1]) else ""


def format_difference(result: dict, key: str) -> str:
    """The difference of a figure in points, with its interval."""
    difference = result[key]["difference"]
    if difference is None:
        return "n/a"
    reason = too_few(result, key)
    interval = f"({reason})" if reason else format_interval(result[key]["interval"])
    return f"{100 * difference:+.1f} {interval}"


def judge(result: dict) -> str:
    """Which model is better, as far as the interval of the AUC's difference tells."""
    if result["auc"]["difference"] is None:
        return "no difference can be shown: one class alone"
    if reason := too_few(result, "auc"):
        return f"no difference can be shown: {reason}"
    better = "no difference shown"
    low, high = result["auc"]["interval"]
    if low > 0:
        better = "B is better"
    elif high < 0:
        better = "A is better"
    return f"{better} (AUC {format_difference(result, 'auc')} points)"
