"""What both scripts print: headers, warnings, tables, what to do next."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from data.files import command
from data.layouts import CLASSES, Video
from features.audit import count_shared, name_shortcuts
from features.cache import Outcome
from features.dataset import Split
from features.extraction import Extraction
from features.metrics import format_figure, percent
from features.pictures import SampleFrame, shorten
from features.plots import TITLES

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


def headings(title: str, names: Iterable[str]) -> tuple:
    """The first row of a table with a column for each split."""
    return title, *(TITLES[name].rjust(21) for name in names)


def level_table(results: dict[str, dict], level: str) -> str:
    """n, accuracy, EER and AUC of the videos of each split, or of its frames; "" without any."""
    columns = {name: result[level] for name, result in results.items() if level in result}
    if not columns:
        return ""
    rows = [headings(level.capitalize(), columns)]
    rows.append(("n", *(metrics["n"] for metrics in columns.values())))
    for title, key in FIGURES.items():
        cells = [format_figure(metrics, key) for metrics in columns.values()]
        rows.append((title, *cells))
    return format_table(rows)


def threshold_table(results: dict[str, dict], threshold: float, origin: str) -> str:
    """Accuracy, FPR and FNR at the threshold T, of the validation and the test split."""
    columns = {}
    for name, result in results.items():
        if name != "train":
            metrics = result.get("videos") or result["frames"]
            columns[name] = metrics["at_threshold"]
    level = "videos" if "videos" in result else "frames"
    rows = [headings(f"At T, {level}", columns)]
    for title, key in AT_THRESHOLD.items():
        cells = [percent(rates[key]) for rates in columns.values()]
        rows.append((title, *cells))
    return f"T = {threshold:.4f}, {origin}\n{format_table(rows)}"


def results_table(results: dict[str, dict]) -> str:
    """The figures of videos and, below, of frames, {split: what evaluate gives}."""
    tables = [level_table(results, level) for level in ("videos", "frames")]
    text = "\n\n".join(table for table in tables if table)
    if "[" in text:
        text += "\nIn brackets: 95 % intervals for other people of the same kind (see README)."
    if "n/a" in text:
        text += "\nn/a: one class alone has no such figure."
    return text


def seeds_table(runs: list[dict[str, dict]]) -> str:
    """Mean and standard deviation (n - 1) over the results of several seeds, also by method."""
    level = next(iter(runs[0]["train"]))
    title = f"{level.capitalize()}, mean (sd) of {len(runs)} seeds"
    rows = [headings(title, runs[0])]
    for figure, key in FIGURES.items():
        cells = []
        for name in runs[0]:
            cells.append(mean_and_deviation([run[name][level][key] for run in runs]))
        rows.append((figure, *cells))
    methods = {method for run in runs for method in run["val"].get("methods", {})}
    for method in sorted(methods) if len(methods) > 1 else ():
        cells = []
        for name in runs[0]:
            of_method = [run[name]["methods"].get(method, {}) for run in runs]
            cells.append(mean_and_deviation([metrics.get("auc") for metrics in of_method]))
        rows.append((f"AUC, {method or 'not named'}", *cells))
    return format_table(rows)


def mean_and_deviation(values: list[float | None]) -> str:
    if None in values:
        return "n/a"
    return f"{percent(np.mean(values))} ({100 * np.std(values, ddof=1):.1f})"


def samples_table(samples: list[SampleFrame]) -> str:
    rows = [("Sample frame of", "frame", "truth", "at 0.5", "score", "score of the video")]
    for sample in samples:
        row = (
            shorten(sample.video, 39),
            sample.number,
            CLASSES[sample.label],
            CLASSES[int(sample.score >= 0.5)],
            percent(sample.score),
            percent(sample.video_score),
        )
        rows.append(row)
    return format_table(rows)


def print_samples(samples: list[SampleFrame]) -> None:
    if samples:
        print(f"\n{samples_table(samples)}")
    print()


def print_prediction_header() -> None:
    print("\nScore: the probability of fake. It proves nothing about a single video.")
    print("  Score  At 0.5       At T         Frames   Spread  Video")


def format_prediction(row: dict) -> str:
    score, spread = percent(row["score"]), percent(row["spread"])
    figures = f"{score:>7}  {row['at_0.5']:<11}  {row['at_T']:<11}  {row['frames']:>6}  {spread:>7}"
    remark = row["reason"] or row["note"]
    return f"{figures}  {row['video']}{remark and f': {remark}'}"


def format_epoch(record: dict, num_epochs: int) -> str:
    """One epoch as a line."""
    accuracy, eer = percent(record["val_accuracy"]), percent(record["val_eer"])
    figures = f"validation accuracy {accuracy:>7}   EER {eer:>7}"
    return f"epoch {record['epoch']:>3}/{num_epochs}   loss {record['loss']:.4f}   {figures}"


# --- Extraction -----------------------------------------------------------------------------------


def print_extraction(
    extraction: Extraction, device: str, num_workers: int, world_size: int
) -> None:
    """The header of an extraction: how its features are made."""
    weights, sampling = extraction.weights, extraction.sampling
    print(f"Backbone   ResNet-18, weights: {weights['name']} (sha256 {weights['sha256'][:8]})")
    print(f"Frames     {sampling.frames_per_video} a video ({sampling.frame_choice})")
    if sampling.face_margin:
        no_face = f"a video without a face: {sampling.if_no_face}"
        print(f"Faces      cropped, margin {sampling.face_margin:g}; {no_face}")
    processes = f"{world_size} processes, each " if world_size > 1 else ""
    at_once = "1 video" if num_workers == 1 else f"{num_workers} videos"
    print(f"Device     {device}, {processes}{at_once} at a time", flush=True)


def print_outcomes(videos: list[Video], outcomes: list[Outcome], overwrite: bool) -> None:
    """What became of the videos: used, failed by class, taken from the cache."""
    failed = [
        video.label for video, outcome in zip(videos, outcomes, strict=True) if outcome.reason
    ]
    used = len(videos) - len(failed)
    n_fake = sum(failed)
    # if one class fails more often than the other, what is left is biased
    by_class = f" ({len(failed) - n_fake} real, {n_fake} fake)" if failed else ""
    print(f"Result     {len(videos)} found = {used} used + {len(failed)} failed{by_class}")
    states = Counter(outcome.state for outcome in outcomes if not outcome.reason)
    if states["cached"] + states["redone"] and not overwrite:
        redone = f"{states['redone']} done again, as the file or a setting had changed"
        print(f"Cache      {states['cached']} taken from an earlier run, {redone}")


def print_features_written(folder: Path, n_frames: dict[str, int]) -> None:
    for split, n in n_frames.items():
        print(f"Written    {folder / split}_features.npy: {n} frames")
    arguments = []
    if folder != Path("features/sample"):
        arguments = ["--train-features-file", folder / "train_features.npy"]
    print(f"Next       {command('deepfake_detection_model.py', *arguments)}")


# --- Training, evaluation, prediction -------------------------------------------------------------


def caution_of(extraction: Extraction | None) -> str:
    """What a score of such a model does not mean; "" where there is nothing to say."""
    if extraction and extraction.sample:
        return "trained on drawn people: its scores mean nothing for your video"
    if extraction and extraction.weights["name"] == "random":
        return "trained on features of an untrained network: its scores mean nothing for your video"
    return ""


def describe_extraction(extraction: Extraction | None) -> str:
    """Data set and weights in a few words, for headers and the footers of pictures."""
    if extraction is None:
        return "unknown videos, unknown weights"
    videos = "the drawn sample set" if extraction.sample else extraction.videos_dir
    margin = extraction.sampling.face_margin
    faces = f", faces with margin {margin:g}" if margin else ""
    return f"{videos}{faces}, ResNet-18 weights: {extraction.weights['name']}"


def describe_sharing(shared: dict[str, int]) -> str:
    return ", ".join(f"{n} {what}" for what, n in shared.items())


def print_checkpoint(checkpoint: dict) -> None:
    caution = caution_of(checkpoint["extraction"])
    if caution:
        print(f"WARNING: model {caution}")
    thresholds = checkpoint["thresholds"]
    print(f"Checkpoint {checkpoint['file']}")
    print(f"Trained on {describe_extraction(checkpoint['extraction'])}")
    print(f"Threshold  T = {thresholds['used']:.4f}, {thresholds['from']}")


def warn_of_what_is_known(name: str, split: Split, trained_on: dict) -> None:
    """Say whether the model has seen videos, people or footage of this set in its training."""
    if split.extraction is None:
        print(f"WARNING: other weights or another crop are possible: {name} has no extraction.json")
    if not split.has_videos or not trained_on:
        print(f"WARNING: the model may have seen {name}: nobody knows which videos these are")
        return
    shared = count_shared(split, trained_on)
    print(f"Leak audit {name} shares with the training: {describe_sharing(shared)}")
    if any(shared.values()):
        print("WARNING: NOT THE FIGURES OF UNSEEN PEOPLE: the training has seen some of these")


def describe_leaks(leaks: dict[str, dict[str, int]], names: list[str]) -> list[str]:
    """What each pair of splits shares; one line where none shares anything."""
    if any(n for shared in leaks.values() for n in shared.values()):
        return [f"{pair} share {describe_sharing(shared)}" for pair, shared in leaks.items()]
    shared = describe_sharing(dict.fromkeys(("videos", "groups", "clips"), 0))
    return [f"{', '.join(names[:-1])} and {names[-1]} share {shared}"]


def print_training(
    splits: dict[str, Split], divided: dict, leaks: dict, settings: dict, device: str
) -> None:
    """The header of a training: features, splits, how they came about and what they share."""
    train = splits["train"]
    print(f"Features   {describe_extraction(train.extraction)}")
    if train.extraction and train.extraction.weights["name"] == "random":
        print(
            "WARNING: UNTRAINED network: extract with --weights imagenet for figures that mean more"
        )
    for name, split in splits.items():
        level, labels, _ = split.at_level(split.labels)
        counts = f"{len(labels) - labels.sum()} real and {labels.sum()} fake {level}"
        frames = f", {len(split.labels)} frames" if split.has_videos else ""
        print(f"{TITLES[name]:<14} {counts}{frames}")
    print(f"Split      {divided['by']}")
    for warning in divided["warnings"]:
        print(f"WARNING: {warning}")
    for line in describe_leaks(leaks, list(splits)) if leaks else ():
        print(f"Leak audit {line}")
    if any(n for shared in leaks.values() for n in shared.values()):
        print("WARNING: NOT THE FIGURES OF UNSEEN PEOPLE: the splits share what they should not")
    training = [
        f"batch size {settings['batch_size']}",
        f"{settings['num_epochs']} epochs",
        f"lr {settings['lr']:g}",
        f"on {device}",
    ]
    print("Settings  ", ", ".join(training))


def format_run(results: dict[str, dict]) -> str:
    """The result of one seed, a line for validation and one for test."""
    cells = []
    for name in ("val", "test"):
        if name in results:
            level = next(iter(results[name]))
            figures = []
            for title, key in FIGURES.items():
                figures.append(f"{title} {percent(results[name][level][key])}")
            cells.append(f"{TITLES[name]}, {level}: {', '.join(figures)}")
    return "\n".join(cells)


def print_results(
    results: list[dict[str, dict]], threshold: float, origin: str, select: str
) -> None:
    """The tables of the first seed and, of several, the mean of all."""
    print(f"\n{results_table(results[0])}")
    if select == "best":
        print("The validation figures are too good: the epoch was chosen by them (--select best).")
    print(f"\n{threshold_table(results[0], threshold, origin)}")
    if len(results) > 1:
        print(f"\n{seeds_table(results)}")


def warn_of_shortcuts(shortcuts: dict[str, dict], result: dict) -> None:
    """Say which columns of videos.csv alone tell real from fake about as well as the model."""
    named = name_shortcuts(shortcuts, result.get("videos", {}).get("auc"))
    if named:
        aucs = [f"{name} {percent(shortcuts[name]['auc'])}" for name in named]
        figures = ", ".join(aucs)
        print(f"WARNING: the result means little: the data give the label away by {figures}")
        print("         (AUC of one column of videos.csv alone on validation: see README)")


def print_results_written(output: Path, written: list[str], extraction: Extraction | None) -> None:
    files = [name for name in written if not name.endswith(".png")]
    pictures = len(written) - len(files)
    print(f"Written    {output}: {', '.join(files)}" + f", {pictures} pictures" * bool(pictures))
    if extraction:  # else nobody knows how to make the features of a video
        look = f"open {output / 'scores.png'}; " if pictures else ""
        print(f"Next       {look}score your videos with")
        arguments = "--checkpoint", output / "model.pt", "--predict", "VIDEO_OR_FOLDER"
        print(f"           {command('deepfake_detection_model.py', *arguments)}")
