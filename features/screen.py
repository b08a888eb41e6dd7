"""What deepfake_detection_model.py prints: headers, warnings, tables, what to do next."""

from contextlib import suppress
from itertools import combinations
from pathlib import Path

from data.files import InputError, command, read_json
from features.audit import NAMES, count_shared, name_clips, name_shortcuts
from features.dataset import Split
from features.extraction import Extraction, caution_of, describe_extraction
from features.originals import Originals, describe_originals
from features.text import (
    BY_HAND,
    FIGURES,
    TITLES,
    comparison_table,
    format_figure,
    format_n,
    mark_notes,
    methods_table,
    percent,
    results_table,
    seeds_table,
    threshold_table,
    unseen_table,
)

NEARLY_ALL = 0.9  # of the fakes: where people are known of so many, others are other people


def print_prediction_header() -> None:
    print("\nScore: the probability of fake. It proves nothing about a single video.")
    print("  Score  At 0.5       At T         Frames   Spread  Video")


def format_prediction(row: dict) -> str:
    score, spread = percent(row["score"]), percent(row["spread"])
    figures = f"{score:>7}  {row['at_0.5']:<11}  {row['at_T']:<11}  {row['frames']:>6}  {spread:>7}"
    remark = row["reason"] or row["note"]
    return f"{figures}  {row['video']}" + f": {remark}" * bool(remark)


def format_epoch(record: dict, num_epochs: int) -> str:
    accuracy, eer = percent(record["val_accuracy"]), percent(record["val_eer"])
    figures = f"validation accuracy {accuracy:>7}   EER {eer:>7}"
    return f"epoch {record['epoch']:>3}/{num_epochs}   loss {record['loss']:.4f}   {figures}"


def print_predictions_written(rows: list[dict], table: Path, plot: bool, origin: str) -> None:
    """What became of the videos, and the files; `origin` says where T comes from."""
    n_failed = sum(row["score"] is None for row in rows)
    n_apart = sum(row["at_0.5"] != row["at_T"] for row in rows)
    print(f"\n{len(rows) - n_failed} scored, {n_failed} failed")
    if n_apart and origin != BY_HAND:
        print(f"The two verdicts differ for {n_apart}: T is right where a video is like those that")
        print("the model was validated on; where it is not, trust neither.")
    pictures = f", {table.stem}_*.png" if plot else ""
    print(f"Written    {table}, {table.stem}.json{pictures}")


# --- Training, evaluation, prediction ---


def print_history(extraction: Extraction | None) -> None:
    """What the extraction said of its data set: a training must not forget it."""
    if extraction is None:
        return
    counts = extraction.counts
    if counts.get("failed"):
        of_class = f"{counts['failed_real']} real, {counts['failed_fake']} fake; see failed.csv"
        print(f"Failed     {counts['failed']} of {counts['found']} videos: {of_class}")
    if counts.get("left_out"):
        print(f"Left out   {counts['left_out']} of {counts['found']} videos; see failed.csv")
    for line in mark_notes(extraction.notes):
        print(line)


def describe_sharing(shared: dict[str, int]) -> str:
    """What two sets share: of people only those who are known to be the same."""
    return ", ".join(f"{n} {'known ' * (kind == 'people')}{kind}" for kind, n in shared.items())


def print_checkpoint(checkpoint: dict) -> None:
    if caution := caution_of(checkpoint["extraction"]):
        print(f"WARNING: model {caution}")
    thresholds = checkpoint["thresholds"]
    print(f"Checkpoint {checkpoint['file']}")
    print(f"Trained on {describe_extraction(checkpoint['extraction'])}")
    print_video_score(checkpoint["video_score"])
    print(f"Threshold  T = {percent(thresholds['used'])}, {thresholds['from']}")


def print_video_score(video_score: str) -> None:
    if video_score != "mean":
        print(f"Score      of a video: the {video_score} of its frames' scores")


def print_own_figures(checkpoint: dict) -> None:
    """How well the model told its own validation videos, or frames, apart."""
    metrics = checkpoint["validation"]["videos"]
    figures = f"AUC {format_figure(metrics, 'auc')}, n = {format_n(metrics)}"
    print(f"Validation {figures}, {metrics['of']} like those it was trained on")


def may_have_seen(name: str, split: Split, trained_on: dict) -> bool:
    """Say whether the model has seen videos, people or footage of this set in its training."""
    if split.extraction is None:
        print(f"WARNING: other weights or another crop are possible: {name} has no extraction.json")
    if not split.has_videos or not trained_on:
        print(f"WARNING: the model may have seen {name}: nobody knows which videos these are")
        return True
    shared = count_shared(split, trained_on)
    print(f"Leak audit {name} shares with the training: {describe_sharing(shared)}")
    if any(shared.values()):
        print("WARNING: NOT THE FIGURES OF UNSEEN PEOPLE: the training has seen some of these")
    alike = sorted(name_clips(split) & set(trained_on[NAMES]))
    if alike and not shared["clips"]:
        print(f"WARNING: {len(alike)} clips have a name that the training had, {alike[0]} for one:")
        print("         if they are copies, compressed again, these are not unseen people")
    return any(shared.values())


def describe_leaks(leaks: dict[str, dict[str, int]], splits: dict[str, Split]) -> list[str]:
    """What each pair of splits shares, one line where none shares anything; which are not known."""
    lines = [f"{pair} share {describe_sharing(shared)}" for pair, shared in leaks.items()]
    known = [name for name, split in splits.items() if split.has_videos]
    if leaks and not any_shared(leaks):  # all lines say the same
        nothing = lines[0].partition(" ")[2]
        lines = [f"{', '.join(known[:-1])} and {known[-1]} {nothing}"]
    pairs = map("-".join, combinations(splits, 2))
    unknown = [pair for pair in pairs if pair not in leaks]
    if unknown:
        bare = " and ".join(name for name in splits if name not in known)
        lines.append(f"{', '.join(unknown)}: not audited, the videos of {bare} are not known")
    return lines


def any_shared(leaks: dict[str, dict[str, int]]) -> bool:
    return any(n for shared in leaks.values() for n in shared.values())


def print_training(
    splits: dict[str, Split], divided: dict, leaks: dict, settings: dict, device: str
) -> None:
    """The header of a training: features, splits, how they came about and what they share."""
    train = splits["train"]
    print(f"Features   {describe_extraction(train.extraction)}")
    print_history(train.extraction)
    if train.extraction is None:
        print("WARNING: no extraction.json beside the features: --predict will not work, as nobody")
        print("         knows how to make the features of a video; run feature_extraction.py again")
    elif train.extraction.weights["name"] == "random":
        better = "extract with --weights imagenet for figures that mean more"
        print(f"WARNING: UNTRAINED network: {better}")
    for name, split in splits.items():
        _, labels, _ = split.video_scores(split.labels)
        counts = f"{len(labels) - labels.sum()} real and {labels.sum()} fake {split.of}"
        frames = f", {len(split.labels)} frames" if split.has_videos else ""
        print(f"{TITLES[name]:<14} {counts}{frames}")
    for name, split in splits.items():
        if split.sets < train.sets:
            print(f"WARNING: {name} is of {' and '.join(sorted(split.sets))} alone")
    print(f"Split      {divided['by']}")
    for warning in divided["warnings"]:
        print(f"WARNING: {warning}")
    for line in describe_leaks(leaks, splits):
        print(f"Leak audit {line}")
    if any_shared(leaks):
        print("WARNING: NOT THE FIGURES OF UNSEEN PEOPLE: the splits share what they should not")
    steps = f"batch size {settings['batch_size']}, {settings['num_epochs']} epochs"
    print(f"Settings   {steps}, lr {settings['lr']:g}, on {device}")
    print_video_score(train.video_score)


def print_originals(found: Originals) -> None:
    for line in describe_originals(found):
        print(line)


def format_run(results: dict[str, dict]) -> str:
    """The result of one seed, a line for validation and one for test."""
    lines = []
    for name, result in results.items():
        metrics = result["videos"]
        figures = [f"{title} {percent(metrics[key])}" for title, key in FIGURES.items()]
        if name != "train":
            lines.append(f"{TITLES[name]}, {metrics['of']}: {', '.join(figures)}")
    return "\n".join(lines)


def print_results(runs: list, report: dict, select: str) -> None:
    """The tables of the first run and, of several, the mean of all; shortcuts."""
    run = runs[0]
    of_seed = f"Seed {run.seed}, the first of {len(runs)}:\n" if len(runs) > 1 else ""
    all_known = all(split.has_videos for split in run.splits.values())
    is_audited = all_known and not any_shared(report["split"]["shared"])
    whose = whose_intervals(is_audited, report["split"]["known"])
    print(f"\n{of_seed}{results_table(run.results, whose)}")
    if select == "best":
        print("The validation figures are too good: the epoch was chosen by them (--select best).")
    print(f"\n{threshold_table(run.results, report['thresholds'])}")
    if run.half_seen:
        metrics = run.half_seen["videos"]
        rates = metrics["at_threshold"]
        figures = f"FPR {percent(rates['fpr'])}, FNR {percent(rates['fnr'])}"
        print(f"{metrics['n']} videos with people on both sides, at T: {figures}")
    for key in ("methods", "sets"):
        if table := methods_table(run.results, key):
            print(f"\n{table}")
    if len(runs) > 1:
        print(f"\n{seeds_table([each.results for each in runs])}")
    print()
    warn_of_shortcuts(report["split"]["shortcuts"], run.results["val"])


def whose_intervals(is_audited: bool, *known: float) -> str:
    """Whom intervals are for, a key of text.WHOSE.

    `is_audited`: training is known to share nothing; `known`: what audit.share_known gives.
    """
    if not is_audited:
        return "seen"
    return "unseen" if min(known) >= NEARLY_ALL else "unknown"


def warn_of_shortcuts(shortcuts: dict[str, dict], result: dict) -> None:
    """Say which columns of videos.csv alone tell real from fake about as well as the model."""
    named = name_shortcuts(shortcuts, result["videos"]["auc"])
    if named:
        aucs = ", ".join(f"{name} {percent(shortcuts[name]['auc'])}" for name in named)
        print(f"WARNING: the result means little: the data give the label away by {aucs}")
        print("         (AUC of one column of videos.csv alone on validation: see README)")


def print_replaced(output: Path) -> None:
    """Say which model a training replaces, and what stays of it."""
    if (output / "model.pt").is_file():
        lost = ""
        with suppress(OSError, InputError, LookupError, TypeError):  # of another version
            metrics = read_json(output / "metrics.json")["splits"]["val"]["videos"]
            lost = f": validation accuracy {percent(metrics['accuracy'])}, n = {metrics['n']}"
        print(f"Replaces   {output}{lost}")
    stays = ["evaluated/"] if (output / "evaluated").is_dir() else []
    stays += sorted(path.name for path in output.glob("predict_*.csv"))
    named = ", ".join(stays[:3])
    if len(stays) > 3:
        named += f" and {len(stays) - 3} more"
    if stays:
        print(f"Stays      {named}: of an earlier model, not of this one")


def print_results_written(output: Path, written: list[str], extraction: Extraction | None) -> None:
    files = [name for name in written if not name.endswith(".png")]
    n_pictures = len(written) - len(files)
    pictures = look = ""
    if n_pictures:
        pictures, look = f", {n_pictures} pictures", f"open {output / 'scores.png'}; "
    print(f"Written    {output}: {', '.join(files)}{pictures}")
    if extraction:  # else nobody knows how to make the features of a video
        print(f"Next       {look}score your videos with")
        arguments = "--checkpoint", output / "model.pt", "--predict", "VIDEO_OR_FOLDER"
        print(f"           {command('deepfake_detection_model.py', *arguments)}")


def print_unseen(rows: list[dict], not_measured: dict[str, str], seed: str) -> None:
    """What unseen.measure_unseen gave."""
    if rows:
        print(unseen_table(rows))
    for method, reason in not_measured.items():
        print(f"{method}: not measured, {reason}")
    if rows:
        model = f"a model that was trained with {seed}, without the method"
        print(f"Each line is of {model}; model.pt knows all methods.")
    print()


def print_comparison(folders: list[Path], compared: dict[str, dict], notes: list[str]) -> None:
    """What compare.compare_results gave, for the folders A and B."""
    for name, folder in zip("AB", folders, strict=True):
        print(f"{name}          {folder}")
    for line in mark_notes(notes):
        print(line)
    print(f"\n{comparison_table(compared)}")
    print("In brackets: 95 % intervals for other people, not for other trainings (see --seeds).")
