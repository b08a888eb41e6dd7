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
WHOSE = {  # whom the intervals are for
    "unseen": " for other people of the same kind (see README)",
    "unknown": ", for other people if these are others, which is not known here",
    "seen": ", not for other people: training has or may have seen some of these",
}
AT_THRESHOLD = {
    "accuracy": "accuracy",
    "FPR, real called fake": "fpr",
    "FNR, fake called real": "fnr",
}


# --- Words ---


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


# --- Tables ---


def format_table(rows: list[tuple]) -> str:
    """Lines of cells in columns as wide as needed; only the first column is flush left."""
    columns = zip(*rows, strict=True)
    first, *others = ([str(cell) for cell in column] for column in columns)
    first_width = max(map(len, first))
    widths = [max(map(len, column)) for column in others]
    lines = []
    for i, title in enumerate(first):
        cells = [title.ljust(first_width)]
        for column, width in zip(others, widths, strict=True):
            cells.append(column[i].rjust(width))
        lines.append("  ".join(cells))
    return "\n".join(lines)


def headings(title: str, results: dict[str, dict], titles: dict[str, str] = TITLES) -> tuple:
    """The first row of a table with a column for each split: what the figures are of, the splits.

    `results` are what evaluate gives for each, `titles` their names.
    """
    kinds = name_kinds(results)
    if kinds in ("videos", "frames"):
        return f"{title}{kinds}", *(titles[name].rjust(21) for name in results)
    return f"{title}{kinds}", *(
        f"{titles[name]}, {results[name]['videos']['of']}" for name in results
    )


def figures_table(results: dict[str, dict], of: str, titles: dict[str, str]) -> str:
    """n, accuracy, EER and AUC of the videos of each split, or of frames; "" if there are none."""
    columns = {name: result[of] for name, result in results.items() if of in result}
    if not columns:
        return ""
    rows = [("Frames", *(titles[name].rjust(21) for name in columns))]
    if of == "videos":
        title, *others = headings("", results, titles)
        rows = [(title.capitalize(), *others)]
    rows.append(("n, real + fake", *map(format_n, columns.values())))
    for title, key in FIGURES.items():
        cells = [format_figure(metrics, key) for metrics in columns.values()]
        rows.append((title, *cells))
        if key == "accuracy" and any(each["majority"] > 0.5 for each in columns.values()):
            rows.append(("majority", *(percent(each["majority"]) for each in columns.values())))
    for fpr in LOW_FPRS if of == "videos" else ():
        rates = [metrics["tpr_at_fpr"][str(fpr)] for metrics in columns.values()]
        if rates != [None] * len(rates):
            cells = ["too few reals" if rate is None else percent(rate) for rate in rates]
            rows.append((f"fakes found at {100 * fpr:g} % FPR", *cells))
    return format_table(rows)


def format_n(metrics: dict) -> str:
    """How many videos of each class, and of how many people: `20 + 20 of 40 people`."""
    n_fake = metrics["n_fake"]
    units = f" of {count_units(metrics['n_units'], metrics['unit'])}" if "unit" in metrics else ""
    return f"{metrics['n'] - n_fake} + {n_fake}{units}"


def threshold_table(
    results: dict[str, dict], thresholds: dict, titles: dict[str, str] = TITLES
) -> str:
    """Accuracy, FPR and FNR at the threshold T, of the validation and the test split.

    `thresholds` are those of a checkpoint: "used", "from", and "max_fpr" if that was wanted.
    """
    threshold, origin, max_fpr = (thresholds.get(key) for key in ("used", "from", "max_fpr"))
    columns = {}
    shown = {name: result for name, result in results.items() if name != "train"}
    for name, result in shown.items():
        metrics = result["videos"]
        counts = {key: metrics[key] for key in ("n", "n_fake")}
        columns[name] = metrics["at_threshold"] | counts
    rows = [headings("At T, ", shown, titles)]
    for title, key in AT_THRESHOLD.items():
        cells = [percent(rates[key]) for rates in columns.values()]
        rows.append((title, *cells))
    if max_fpr is not None:
        wanted = f"at most {percent(max_fpr)}"
        rows.insert(2, ("FPR that was wanted", *[wanted] * len(columns)))
        rows[3] = (rows[3][0], *(format_figure(rates, "fpr") for rates in columns.values()))
    return f"T = {percent(threshold)}, {origin}\n{format_table(rows)}"


def results_table(
    results: dict[str, dict], whose: str = "unseen", titles: dict[str, str] = TITLES
) -> str:
    """The figures of videos and, below, of frames, {split: what evaluate gives}.

    `whose` is a key of WHOSE.
    """
    tables = [figures_table(results, of, titles) for of in ("videos", "frames")]
    text = "\n\n".join(table for table in tables if table)
    if "[" in text:
        text += f"\nIn brackets: 95 % intervals{WHOSE[whose]}."
    for name, result in results.items():
        low, high = result.get("videos", {}).get("intervals", {}).get("auc") or (1, 1)
        if low <= 0.5 <= high:
            text += f"\n{titles[name]}: nothing better than chance is shown, the AUC may be 50 %."
    if "n/a" in text:
        text += "\nn/a: one class alone has no such figure."
    return text


def seeds_table(runs: list[dict[str, dict]]) -> str:
    """Mean and standard deviation (n - 1) over the results of several seeds, also by method."""
    rows = [headings(f"Mean (sd) of {len(runs)} seeds, ", runs[0])]
    for figure, key in FIGURES.items():
        cells = []
        for name in runs[0]:
            cells.append(mean_and_deviation([run[name]["videos"][key] for run in runs]))
        rows.append((figure, *cells))
    methods = {method for run in runs for method in run["val"].get("methods", {})}
    for method in sorted(methods) if len(methods) > 1 else ():
        cells = []
        for name in runs[0]:
            of_method = [run[name].get("methods", {}).get(method, {}) for run in runs]
            cells.append(mean_and_deviation([metrics.get("auc") for metrics in of_method]))
        rows.append((f"AUC, {method or 'not named'}", *cells))
    return format_table(rows)


def methods_table(results: dict[str, dict]) -> str:
    """AUC and EER of each method, worst AUC first, of the last split whose videos are known.

    "" where there is but one.
    """
    known = [name for name, result in results.items() if "methods" in result]
    name = known[-1] if known else ""
    methods = results[name]["methods"] if known else {}
    if len(methods) < 2:
        return ""
    rows = [(f"Methods, {TITLES[name]}", "fakes", "AUC".rjust(20), "EER".rjust(20))]
    for method, metrics in worst_first(methods):
        figures = format_figure(metrics, "auc"), format_figure(metrics, "eer")
        rows.append((method or "not named", metrics["n_fake"], *figures))
    return format_table(rows)


def worst_first(methods: dict[str, dict]) -> list[tuple[str, dict]]:
    """Methods and their metrics by rising AUC; those without one last."""
    return sorted(methods.items(), key=lambda item: (item[1]["auc"] is None, item[1]["auc"]))


def sets_table(evaluated: dict[str, dict], shared: set[str]) -> str:
    """A line for each evaluated set, below it one for each method; `shared` ones have a mark."""
    rows = [("Evaluated", "real + fake", "accuracy at T", "EER", "AUC")]
    for name, results in evaluated.items():
        metrics = results["videos"]
        rows.append(set_row(name + " *" * (name in shared), metrics))
        methods = results.get("methods", {})
        for method, of_method in worst_first(methods) if len(methods) > 1 else ():
            rows.append(set_row(f"  {method or 'not named'}", of_method))
    text = format_table(rows)
    if shared:
        text += "\n* not the figures of unseen people: training has or may have seen some of these"
    return text


def set_row(name: str, metrics: dict) -> tuple:
    """A line of sets_table; of one class alone FPR or FNR stand where EER and AUC have no value."""
    n_fake = metrics["n_fake"]
    n_real = metrics["n"] - n_fake
    at_threshold = metrics["at_threshold"] | {"n": metrics["n"], "n_fake": n_fake}
    accuracy = format_figure(at_threshold, "accuracy")
    figures = format_figure(metrics, "eer"), format_figure(metrics, "auc")
    if not n_real or not n_fake:
        rate = "fnr" if n_fake else "fpr"
        figures = f"{rate.upper()} at T {format_figure(at_threshold, rate)}", "one class alone"
    return name, f"{n_real} + {n_fake}", accuracy, *figures


def unseen_table(rows: list[dict]) -> str:
    """What measure_unseen gives: each method unseen, seen, and what is lost."""
    table = [("Left out", "split", "fakes", "AUC unseen", "EER unseen", "AUC seen", "AUC lost")]
    for row in rows:
        unseen = row["unseen"]
        figures = [format_figure(unseen, key) for key in ("auc", "eer")]
        lost = row["lost"] | {key: unseen[key] for key in ("n", "n_fake")}
        figures += [percent(row["seen"]["auc"]), format_difference(lost, "auc")]
        table.append((row["method"], row["split"], unseen["n_fake"], *figures))
    fewer = [f"{row['fewer']} without {row['method']}" for row in rows]
    less = f"Trained on fewer fakes: {', '.join(dict.fromkeys(fewer))}."
    return f"{format_table(table)}\n{less} AUC lost is in points; in brackets: 95 % intervals."


def comparison_table(compared: dict[str, dict]) -> str:
    """What compare_results gives: a line for each split and figure, and the verdict by the AUC."""
    rows = [("B less A, in points", "videos", "of", "accuracy at T", "EER", "AUC")]
    verdicts = []
    for name, result in compared.items():
        title = TITLES.get(name, name)
        cells = [format_difference(result, key) for key in FIGURES.values()]
        rows.append((title, result["n"], count_units(result["n_units"], result["unit"]), *cells))
        verdicts.append(f"{title}: {judge(result)}")
        if result["only_a"] or result["only_b"]:
            apart = f"{result['only_a']} videos of A alone and {result['only_b']} of B alone"
            verdicts.append(f"{title}: {apart} do not count")
    return "\n".join([format_table(rows), *verdicts])


def too_few(result: dict, key: str) -> str:
    """Of what there are too few for an interval of a difference that tells anything; "" if not."""
    interval = result[key]["interval"]
    if min(result["n_fake"], result["n"] - result["n_fake"]) < FEW_VIDEOS:
        return "too few videos"
    return "too few people" if interval is None or interval == [-1, 1] else ""


def format_difference(result: dict, key: str) -> str:
    """The difference of a figure in points, with its interval, of what compare_split gives."""
    difference, interval = result[key]["difference"], result[key]["interval"]
    if difference is None:
        return "n/a"
    if reason := too_few(result, key):
        return f"{100 * difference:+.1f} ({reason})"
    return f"{100 * difference:+.1f} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def judge(result: dict) -> str:
    """Which model is better, as far as the interval of the AUC's difference tells."""
    interval = result["auc"]["interval"]
    if result["auc"]["difference"] is None:
        return "no difference can be shown: one class alone"
    if reason := too_few(result, "auc"):
        return f"no difference can be shown: {reason}"
    figures = f"(AUC {format_difference(result, 'auc')} points)"
    if interval[0] > 0:
        return f"B is better {figures}"
    if interval[1] < 0:
        return f"A is better {figures}"
    return f"no difference shown {figures}"


def mean_and_deviation(values: list[float | None]) -> str:
    if None in values:
        return "n/a"
    return f"{percent(np.mean(values))} ({100 * np.std(values, ddof=1):.1f})"
