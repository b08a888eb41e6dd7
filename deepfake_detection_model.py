"""Train an MLP that tells fake videos from real ones by ResNet-18 features; choose T; score videos.

Reads what feature_extraction.py wrote: <split>_features.npy (N, 1000) float32, <split>_labels.npy
(N,) int64 with 1 = fake and 0 = real, and beside them <split>_frames.npy, <split>_videos.csv and
extraction.json. Writes to results/<name of the features folder>/: model.pt, metrics.json,
predictions.csv (a line a video) and pictures; and a line to runs.csv beside that folder.

    python deepfake_detection_model.py
    python deepfake_detection_model.py --train-features-file features/mine/train_features.npy
    python deepfake_detection_model.py --predict clip.mp4 folder_of_clips --plot
    python deepfake_detection_model.py --evaluate features/other/train_features.npy

A score is the probability of *fake*; the score of a video is the mean of its frames' scores. The
test split is looked at after training only. The threshold T comes from the validation split.
"""

from data import interrupts

if __name__ == "__main__":
    interrupts.set_handler(interrupts.end_at_once)  # the imports take seconds

import argparse
import copy
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import sklearn
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

from data.decode import quiet_decoder, sample_frame_numbers
from data.faces import FACE_MODEL_SHA256, load_face_detector
from data.files import (
    InputError,
    csv_writer,
    load_torch_file,
    make_folder,
    printable,
    replacing,
    write_json,
)
from data.frames import Extraction
from data.layouts import SPLITS
from data.walk import list_videos
from features import screen
from features.audit import audit_leaks, audit_shortcuts, describe_training
from features.compare import check_same_extraction
from features.machine import (
    available_memory,
    choose_threads,
    count_cores,
    map_threads,
    package_versions,
    pick_device,
    run_script,
)
from features.metrics import compute_eer, compute_intervals, compute_metrics  # noqa: F401
from features.pictures import Sample, pick_samples, plot_prediction, plot_samples
from features.plots import plot_curves, plot_features, plot_roc, plot_scores
from features.resnet18 import N_FEATURES, extract_video, load_backbone
from features.results import (
    announce_new_model,
    append_run,
    default_folder,
    find_checkpoint,
    folder_of_set,
    prediction_words,
    remove_predictions,
    remove_results_of_the_earlier_model,
    write_predictions,
)
from features.splits import Split, divide, load_split

CHECKPOINT_FORMAT = 1
CHUNK = 8192  # rows at a time where no gradient is needed

# --- The model ------------------------------------------------------------------------------------


class DeepfakeMLP(nn.Module):
    """1000 -> 512 -> 256 -> 1 with LeakyReLU and dropout. 644,097 parameters.

    The features are standardised inside; the mean and the deviation of the training part travel
    in the state dict as buffers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.register_buffer("deviation", torch.ones(N_FEATURES))
        self.layers = nn.Sequential(
            nn.Linear(N_FEATURES, 512),
            nn.LeakyReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 256),
            nn.LeakyReLU(),
            nn.Dropout(0.2),
            nn.Linear(256, 1),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n,) logits of (n, 1000) features: their sigmoid is the score."""
        return self.layers((features - self.mean) / self.deviation).squeeze(-1)

    @torch.inference_mode()
    def score(self, features: torch.Tensor) -> np.ndarray:
        """(n,) float64 probabilities of fake, of (n, 1000) float32 features. Dropout is off."""
        logits = self.eval()(features.to(self.mean.device))
        return logits.double().sigmoid().cpu().numpy()


def score_frames(model: DeepfakeMLP, split: Split) -> np.ndarray:
    """(n,) float64 scores of the frames of a split."""
    scores = np.empty(len(split.rows))
    for start in range(0, len(scores), CHUNK):
        part = slice(start, start + CHUNK)
        scores[part] = model.score(split.gather(split.rows[part]))
    return scores


# --- Training -------------------------------------------------------------------------------------


@dataclass
class Run:
    """One training, from its seed to its results."""

    seed: int
    splits: dict[str, Split]
    model: DeepfakeMLP
    epoch: int  # which the weights are of
    history: list[dict]  # figures of each epoch
    scores: dict[str, np.ndarray]  # of the frames of each split
    threshold: float  # T
    threshold_from: str
    results: dict[str, dict]  # what evaluate gives for each split


def fit_standardisation(model: DeepfakeMLP, split: Split) -> None:
    """Set the model's mean and deviation to those of a split; constant columns stay as they are."""
    scaler = StandardScaler()
    for rows in np.array_split(split.rows, max(1, len(split.rows) // CHUNK)):
        scaler.partial_fit(split.gather(rows).numpy().astype(np.float64))
    model.mean.copy_(torch.from_numpy(scaler.mean_))
    model.deviation.copy_(torch.from_numpy(scaler.scale_))


def load_rows(split: Split, device: torch.device) -> torch.Tensor | None:
    """(n, 1000) features of a split on the device, or None where they do not fit."""
    n = len(split.rows)
    if 4 * N_FEATURES * n > available_memory(device) / 2:
        return None
    features = torch.empty((n, N_FEATURES), device=device)
    for start in range(0, n, CHUNK):  # in chunks: a GPU needs no full copy in the host's memory
        part = slice(start, start + CHUNK)
        features[part] = split.gather(split.rows[part]).to(device)
    return features


@contextmanager
def training_threads(batch_size: int) -> Iterator[None]:
    """As many threads as are fast for batches of this size, also beside other programs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(choose_threads(batch_size))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train_epoch(model: DeepfakeMLP, optimizer, gather, labels, weights, batch_size: int) -> float:
    """Mean loss of one pass in random order.

    `gather(index)` gives the (k, 1000) features of training frames; labels and weights are (n,)
    float32 tensors on the device.
    """
    model.train()
    device = model.mean.device
    total = torch.zeros((), device=device)
    # Drawn on the CPU and sorted within a batch, wherever the features lie: so the order depends on
    # the seed alone, and a file is read forwards.
    for batch in torch.randperm(len(labels)).split(batch_size):
        batch = batch.sort().values
        on_device = batch.to(device)
        logits = model(gather(batch).to(device))
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits, labels[on_device], weights[on_device]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(batch)  # .item() here would make the device wait at each step
    return total.item() / len(labels)


def make_targets(labels: np.ndarray, class_balance: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) float32 labels, and the weight of each frame in the loss."""
    labels = torch.from_numpy(labels)
    of_class = torch.ones(2)
    if class_balance == "weight":
        of_class = len(labels) / 2 / labels.bincount(minlength=2)
    return labels.float(), of_class[labels]


def measure_epoch(model: DeepfakeMLP, splits: dict[str, Split], epoch: int, loss: float) -> dict:
    """The figures of an epoch: its loss, and accuracy, EER and log loss of both splits."""
    record = {"epoch": epoch, "loss": loss}
    for name in ("train", "val"):
        scores = score_frames(model, splits[name])
        if not np.isfinite(loss) or not np.isfinite(scores).all():
            raise InputError(f"after epoch {epoch} the loss or a score is not a number: lower --lr")
        _, labels, scores = splits[name].by_unit(scores)
        metrics = compute_metrics(labels, scores)
        record |= {f"{name}_{key}": metrics[key] for key in ("accuracy", "eer", "log_loss")}
    return record


def train(
    splits: dict[str, Split],
    batch_size: int,
    num_epochs: int,
    lr: float,
    device: torch.device,
    seed: int,
    class_balance: str = "weight",
    select: str = "last",
) -> tuple[DeepfakeMLP, int, list[dict]]:
    """The model, the epoch that its weights are of, and the figures of each epoch.

    With `class_balance` weight, both classes count the same in the loss; with none, all frames do.
    With `select` best, the weights are a copy of those with the lowest validation EER.
    """
    n = len(splits["train"].rows)
    if batch_size > n:
        raise InputError(
            f"--batch-size {batch_size} is more than the {n} training frames: lower it"
        )
    torch.manual_seed(seed)
    model = DeepfakeMLP()
    fit_standardisation(model, splits["train"])
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    split = splits["train"]
    labels, weights = (each.to(device) for each in make_targets(split.labels, class_balance))
    features = load_rows(split, device)

    def gather(index: torch.Tensor) -> torch.Tensor:
        if features is None:  # too large: read from the file as they are used
            return split.gather(split.rows[index.numpy()])
        return features[index.to(device)]

    history, best, best_weights = [], None, None
    with tqdm(range(1, num_epochs + 1), desc="training", unit="epoch", disable=None) as epochs:
        for epoch in epochs:
            with training_threads(batch_size):
                loss = train_epoch(model, optimizer, gather, labels, weights, batch_size)
            record = measure_epoch(model, splits, epoch, loss)
            history.append(record)
            epochs.write(screen.format_epoch(record, num_epochs), file=sys.stdout)
            if select == "best" and record["val_eer"] is None:
                raise InputError("--select best needs both classes in the validation split")
            if select == "best" and (best is None or record["val_eer"] < best["val_eer"]):
                best, best_weights = record, copy.deepcopy(model.state_dict())
    if best:
        model.load_state_dict(best_weights)
    return model, (best or record)["epoch"], history


# --- Evaluation -----------------------------------------------------------------------------------


def choose_threshold(split: Split, scores: np.ndarray) -> tuple[float, str]:
    """The threshold T by the (n,) scores of the validation frames, and where it comes from."""
    unit, labels, values = split.by_unit(scores)
    chosen = compute_metrics(labels, values)["eer_threshold"]
    if chosen is None:
        return 0.5, "as the validation split has one class alone"
    # Halfway to the next score: rounding on another machine must not change what T calls fake.
    below = max(values[values < chosen], default=chosen)
    return float(chosen + below) / 2, f"where FPR and FNR of the validation {unit} are nearest"


def evaluate(split: Split, scores: np.ndarray, threshold: float, intervals: bool = True) -> dict:
    """{"videos": metrics, "frames": metrics, "methods": {name: metrics}} of a split.

    `scores` (n,) are those of its frames. The fakes of each method are held against all reals of
    the split. Only the figures of videos have intervals. Without videos there are frames alone.
    """
    frames = compute_metrics(split.labels, scores, threshold)
    if not split.has_videos:
        return {"frames": frames}
    index, labels, values = split.video_scores(scores)
    groups = np.array([split.group(i) for i in index])
    methods = np.array([split.videos[i].get("method", "") for i in index])

    def measure(part: np.ndarray) -> dict:
        metrics = compute_metrics(labels[part], values[part], threshold)
        if intervals:
            metrics["intervals"] = compute_intervals(labels[part], values[part], groups[part])
        return metrics

    names = np.unique(methods[labels == 1]).tolist()
    by_method = {}
    if any(names):
        by_method = {name: measure((labels == 0) | (methods == name)) for name in names}
    everything = np.ones(len(labels), bool)
    return {"videos": measure(everything), "frames": frames, "methods": by_method}


# --- The files of a run ---------------------------------------------------------------------------


def save_checkpoint(path: Path, run: Run, report: dict, trained_on: dict) -> None:
    content = {"format": CHECKPOINT_FORMAT, "model": run.model.cpu().state_dict()}
    content |= {"trained_on": trained_on} | report
    buffer = io.BytesIO()  # on a full disk torch.save itself would raise what is no OSError
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_checkpoint(path: str | Path) -> tuple[DeepfakeMLP, dict]:
    """The model, and what else the checkpoint holds: "extraction" as an Extraction, or None.

    Raises InputError for a file that is not a checkpoint of this format.
    """
    wanted = "a checkpoint of deepfake_detection_model.py"
    checkpoint = load_torch_file(path, wanted)
    if checkpoint.get("format") != CHECKPOINT_FORMAT:
        found = f"has the format {checkpoint.get('format')}, expected {CHECKPOINT_FORMAT}"
        raise InputError(f"{path} is not {wanted} of this version ({found}): train again")
    model = DeepfakeMLP()
    try:
        model.load_state_dict(checkpoint["model"])
        if checkpoint["extraction"] is not None:
            checkpoint["extraction"] = Extraction.from_dict(checkpoint["extraction"])
    except (LookupError, RuntimeError, TypeError, AttributeError, ValueError) as error:
        problem = f"{path} is damaged ({error!r:.99}), expected {wanted}"
        raise InputError(f"{problem}: train again") from error
    return model.eval(), checkpoint


# --- With a checkpoint: other data, new videos ----------------------------------------------------


def evaluate_files(
    files: list[Path], checkpoint_file: Path, device: str, output: Path, pictures: bool
) -> None:
    """--evaluate: figures, a table and pictures of other extracted data, without training."""
    model, checkpoint = load_checkpoint(checkpoint_file)
    model.to(pick_device(device))
    screen.print_checkpoint(checkpoint_file, checkpoint)
    splits = {str(file): load_split(file) for file in files}
    extractions = {name: split.extraction for name, split in splits.items()}
    check_same_extraction({"the checkpoint": checkpoint["extraction"]} | extractions)
    threshold = checkpoint["thresholds"]["used"]
    for name, split in splits.items():
        screen.warn_of_what_is_known(name, split, checkpoint["trained_on"])
        scores = {"test": score_frames(model, split)}
        results = {"test": evaluate(split, scores["test"], threshold)}
        print(f"\n{name}\n{screen.results_table(results)}\n")
        print(screen.threshold_table(results, threshold, checkpoint["thresholds"]["from"]))
        folder = folder_of_set(Path(name), output / "evaluated")
        make_folder(folder)
        report = {"checkpoint": str(checkpoint_file), "features": os.path.abspath(name)}
        report |= {"thresholds": checkpoint["thresholds"], "splits": results}
        report["extraction"] = split.extraction and split.extraction.to_dict()
        write_predictions(folder / "predictions.csv", {"test": split}, scores, threshold)
        write_json(folder / "metrics.json", report)
        interrupts.message = "interrupted: the sets above are written"
        written = ["metrics.json", "predictions.csv"]
        shown = result_pictures({"test": split}, scores, results)
        samples = pick_samples(split, scores["test"], seed=0)
        shown["sample_frames.png"] = partial(plot_samples, samples, split.extraction)
        for picture in shown:  # of an earlier call
            (folder / picture).unlink(missing_ok=True)
        if pictures:
            footer = f"{screen.describe_extraction(split.extraction)}; model: {checkpoint_file}"
            written += draw(folder, shown, footer)
        print(f"\nWritten    {folder}: {', '.join(written)}")


def predict_videos(
    paths: Iterable[str | Path],
    checkpoint: str | Path = "results/sample/model.pt",
    device: str = "auto",
    num_workers: int = 1,
    pictures: bool = False,
) -> Iterator[dict]:
    """Score video files with a checkpoint, with the weights and the sampling it was trained on.

    The iterator gives a dict for each path, in order: "path", "video" (its name), "score" (the
    probability of fake), "at_0.5" and "at_T" (real or fake), "frames" (how many), "spread" (the
    standard deviation of their scores), "numbers" (n,) and "scores" (n,) of the frames, "note",
    "reason"; with `pictures` also "pictures", up to eight pairs of an index into these and a
    (3, 224, 224) uint8 frame. Where a file cannot be scored, the score is None, both predictions
    are "no decision" and the reason says why. Raises InputError where the checkpoint, its backbone
    or its face detector cannot be used, and TypeError for a single path instead of a list.
    """
    if isinstance(paths, str | Path):
        raise TypeError(f"paths is one path, expected a list of paths: [{str(paths)!r}]")
    model, saved = load_checkpoint(checkpoint)
    extraction, threshold = saved["extraction"], saved["thresholds"]["used"]
    backbone = load_backbone_of(checkpoint, extraction, device)
    trained_on = set(saved["trained_on"].get("videos", ()))
    threads = max(1, count_cores() // num_workers)  # of a decoder: a single video gets all cores

    def predict(path: str | Path) -> dict:
        row = {"path": path, "video": printable(path), "score": None, "frames": 0, "spread": None}
        row |= dict.fromkeys(("at_0.5", "at_T"), "no decision")
        row |= {"note": "", "reason": "", "numbers": [], "scores": [], "pictures": []}
        try:
            features, sampled = extract_video(Path(path), backbone, extraction, threads)
        except InputError as error:
            return row | {"reason": str(error)}
        scores = model.score(torch.from_numpy(features))
        score, n = float(scores.mean()), len(scores)
        row |= {"score": score, "frames": n, "spread": float(scores.std())}
        row |= prediction_words(score, threshold)
        row |= {"numbers": sampled.numbers, "scores": scores}
        if f"file {sampled.facts['fingerprint']}" in trained_on:
            row["note"] = "the model was trained or tuned on this video"
        if pictures:
            shown = sample_frame_numbers(n, 8)
            row["pictures"] = [(i, sampled.frames[i].clone()) for i in shown]  # not all frames
        return row

    return map_threads(predict, paths, num_workers, ahead=2 if pictures else 64)


def load_backbone_of(checkpoint: str | Path, extraction: Extraction | None, device: str):
    """The backbone that the features of a checkpoint were made with, its face detector checked."""
    if extraction is None:
        raise InputError(
            f"{checkpoint} was trained on features without extraction.json: how to make them from "
            "videos is unknown; extract again with feature_extraction.py, and train again"
        )
    expected, crop = extraction.weights, extraction.crop
    try:
        backbone, weights = load_backbone(expected["name"], pick_device(device))
    except InputError as error:
        raise InputError(f"{checkpoint} needs the weights it was trained with: {error}") from error
    if weights["sha256"] != expected["sha256"]:
        changed = f"was trained with other weights than {expected['name']} holds now"
        raise InputError(f"{checkpoint} {changed}: put the old file back, or train again")
    if crop:
        load_face_detector()  # if it cannot be had, one error says so, and not each video
        if crop.detector_sha256 != FACE_MODEL_SHA256:
            raise InputError(f"{checkpoint} was trained on faces that another detector found")
    return backbone


def list_videos(paths: list[str]) -> list[Path]:
    """The files that --predict names, and those in its folders."""
    files = []
    for path in paths:
        if not path:
            raise InputError('--predict "": an empty name; expected a video or a folder of videos')
        found = list_videos(Path(path)) if Path(path).is_dir() else [Path(path)]
        if not Path(path).exists():
            raise InputError(f"--predict {path}: no such file")
        if not found:
            raise InputError(f"--predict {path}: no videos in this folder")
        files += found
    return files


def predict_and_print(
    paths: list[str], checkpoint_file: Path, device: str, output: Path, plot: bool
) -> None:
    """--predict: a line a video as it comes, on the screen and in predict.csv."""
    files = list_videos(paths)
    checkpoint = load_checkpoint(checkpoint_file)[1]
    num_workers = min(len(files), count_cores())
    results = predict_videos(files, checkpoint_file, device, num_workers, plot)
    interrupts.message = f"interrupted: {output / 'predict.csv'} holds what was scored"
    make_folder(output)
    screen.print_checkpoint(checkpoint_file, checkpoint)
    caution = screen.caution_of(checkpoint["extraction"])
    footer = f"{screen.describe_extraction(checkpoint['extraction'])}; model: {checkpoint_file}"
    threshold = checkpoint["thresholds"]["used"]
    if (output / "predict.csv").is_file():
        print(f"Replaces   {output / 'predict.csv'} and the pictures of that prediction")
        remove_predictions(output)
    print("\nScore: the probability of fake. It proves nothing about a single video.")
    print("  Score  At 0.5       At T         Frames   Spread  Video")
    columns = ("video", "score", "at_0.5", "at_T", "frames", "spread", "note", "reason")
    n_scored = 0
    with (
        closing(results),
        csv_writer(output / "predict.csv", columns) as write_row,
        tqdm(total=len(files), unit="video", desc="predicting", disable=None) as bar,
    ):
        for row in results:
            bar.write(screen.format_prediction(row), file=sys.stdout)
            write_row(row)  # at once: an interrupted run keeps what it has
            n_scored += row["score"] is not None
            if plot and row["score"] is not None:
                name = f"predict_{n_scored:04d}_{Path(row['video']).stem[:40]}.png"
                plot_prediction(row, threshold, output / name, footer, caution)
            bar.update()
    print(f"\n{n_scored} scored, {len(files) - n_scored} failed")
    print(f"Written    {output / 'predict.csv'}" + ", predict_*.png" * plot)
    if not n_scored:
        raise InputError(f"none of the {len(files)} videos could be scored: the table says why")


# --- The steps of a run ---------------------------------------------------------------------------


def load_splits(
    files: dict[str, Path | None], train_labels_file: Path | None, split_unit: str
) -> dict[str, Split]:
    """The splits of the files that are named and of those that lie beside the training features."""
    splits = {}
    for name in SPLITS:
        beside = files["train"].with_name(f"{name}_features.npy")
        if files[name] or beside.is_file():
            labels_file = train_labels_file if name == "train" else None
            splits[name] = load_split(files[name] or beside, labels_file)
    n_real, n_fake = np.bincount(splits["train"].labels, minlength=2)
    if 0 in (n_real, n_fake):
        raise InputError(
            f"{files['train']} has {n_real} real and {n_fake} fake frames: both are needed"
        )
    if "val" in splits and split_unit != "group":
        raise InputError(
            f"--split-unit {split_unit}: there is a file of validation features, used as it is"
        )
    check_same_extraction({name: split.extraction for name, split in splits.items()})
    has_videos = all(split.has_videos for split in splits.values())
    return {name: replace(split, has_videos=has_videos) for name, split in splits.items()}


def finish_run(
    seed: int, splits: dict[str, Split], model: DeepfakeMLP, epoch: int, history: list
) -> Run:
    """Everything that is computed once after the last epoch: scores, T, figures."""
    scores = {name: score_frames(model, split) for name, split in splits.items()}
    threshold, origin = choose_threshold(splits["val"], scores["val"])
    results = {}
    for name, split in splits.items():
        results[name] = evaluate(split, scores[name], threshold, intervals=name != "train")
    return Run(seed, splits, model, epoch, history, scores, threshold, origin, results)


def make_report(run: Run, settings: dict, device: torch.device) -> dict:
    """What metrics.json and the checkpoint both hold."""
    extraction = run.splits["train"].extraction
    versions = {"scikit-learn": sklearn.__version__, "matplotlib": matplotlib.__version__}
    return {
        "settings": settings,
        "versions": package_versions() | versions,
        "device": str(device),
        "epoch": run.epoch,
        "extraction": extraction and extraction.to_dict(),
        "thresholds": {"default": 0.5, "used": run.threshold, "from": run.threshold_from},
    }


def write_run(output: Path, runs: list[Run], report: dict, split_report: dict) -> list[str]:
    """model.pt, metrics.json and predictions.csv of the first run; their names."""
    run = runs[0]
    train_and_val = [run.splits["train"], run.splits["val"]]
    save_checkpoint(output / "model.pt", run, report, describe_training(train_and_val))
    remove_results_of_the_earlier_model(output)
    figures = [{"splits": each.results, "history": each.history} for each in runs]
    report = report | {"split": split_report} | figures[0]
    if len(runs) > 1:
        report["seeds"] = figures
    write_json(output / "metrics.json", report)
    write_predictions(output / "predictions.csv", run.splits, run.scores, run.threshold)
    return ["model.pt", "metrics.json", "predictions.csv"]


def result_pictures(splits: dict[str, Split], scores: dict, results: dict) -> dict[str, Callable]:
    """The pictures that training and --evaluate have in common."""
    return {
        "roc.png": partial(plot_roc, splits, scores, results),
        "scores.png": partial(plot_scores, splits, scores, results),
    }


def draw(output: Path, pictures: dict[str, Callable], footer: str) -> list[str]:
    """Draw pictures, {file name: function of a path and a footer}; the names of those drawn."""
    drawn = []
    for name, plot in pictures.items():
        try:
            plot(path=output / name, footer=footer)
            drawn.append(name)
        except InputError as error:
            print(f"{name} is not drawn: {error}")
    return drawn


def draw_run(output: Path, runs: list[Run], samples: list[Sample]) -> list[str]:
    """Draw all pictures, the curves of all seeds, the rest of the first; those that were drawn."""
    first = runs[0]
    extraction = first.splits["val"].extraction
    seeds = f"seed {first.seed}" + (f", the first of {len(runs)}" if len(runs) > 1 else "")
    histories = [each.history for each in runs]
    pictures = {
        "training_curves.png": partial(plot_curves, histories, first.results),
        **result_pictures(first.splits, first.scores, first.results),
        "features.png": partial(plot_features, first.splits, first.seed),
        "sample_frames.png": partial(plot_samples, samples, extraction),
    }
    return draw(output, pictures, f"{screen.describe_extraction(extraction)}; {seeds}")


def to_plain(settings: dict) -> dict:
    """The parameters of a training as JSON can hold them."""
    of_a_model = ("predict", "plot", "evaluate", "checkpoint")
    plain = {name: value for name, value in settings.items() if name not in of_a_model}
    return {name: str(value) if isinstance(value, Path) else value for name, value in plain.items()}


def check_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    checks = [
        (0 < args.val_fraction < 1, f"--val-fraction is {args.val_fraction}, expected 0 to 1"),
        (0 <= args.seed < 2**32 - args.seeds, f"--seed is {args.seed}, expected 0 to 2^32 - 2"),
        (not args.plot or args.predict, "--plot goes with --predict"),
        (not (args.predict and args.evaluate), "--predict and --evaluate: one at a time"),
    ]
    uses_checkpoint = args.predict or args.evaluate
    checks.append(
        (not args.checkpoint or uses_checkpoint, "--checkpoint goes with --predict or --evaluate")
    )
    for name in ("batch_size", "num_epochs", "lr", "seeds"):
        value = getattr(args, name)
        checks.append((value > 0, f"--{name.replace('_', '-')} is {value}, expected more than 0"))
    for fine, message in checks:
        if not fine:
            parser.error(message)


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Train an MLP on ResNet-18 features to tell fake videos from real ones; or use "
        "the trained model with --predict or --evaluate.",
        usage="%(prog)s [--help] [FLAG ...]",
        epilog="Exit status: 0 done, 1 an input is wrong, 2 a flag is wrong.",
        allow_abbrev=False,
    )
    default = "(default: %(default)s)"
    # fmt: off
    add = parser.add_argument_group("what to read").add_argument
    add("--train-features-file", type=Path, metavar="FILE",
        default=Path("features/sample/train_features.npy"), help=f"features to train on {default}")
    add("--train-labels-file", type=Path, metavar="FILE",
        help="their labels (default: train_labels.npy beside them)")
    add("--val-features-file", type=Path, metavar="FILE",
        help="features to validate on (default: val_features.npy beside the training features; if "
        "there is none, a part of the training features is held out)")
    add("--test-features-file", type=Path, metavar="FILE",
        help="features to test on (default: test_features.npy beside the training features)")
    add("--val-fraction", type=float, default=0.2, metavar="X",
        help=f"share of the training features to hold out for validation {default}")
    add("--split-unit", choices=("group", "video", "frame"), default="group",
        help="what is kept together when a part is held out; anything but group puts the same "
        f"people on both sides {default}")
    add = parser.add_argument_group("training").add_argument
    add("--batch-size", type=int, default=16, metavar="N", help=f"frames a step {default}")
    add("--num-epochs", type=int, default=25, metavar="N",
        help=f"passes over the training frames {default}")
    add("--lr", type=float, default=1e-5, metavar="X", help=f"learning rate of Adam {default}")
    add("--class-balance", choices=("weight", "none"), default="weight",
        help=f"weight: real and fake count the same in the loss; none: each frame does {default}")
    add("--select", choices=("last", "best"), default="last",
        help=f"weights to keep: of the last epoch, or of the lowest validation EER {default}")
    add("--seed", type=int, default=0, metavar="N",
        help=f"random seed: of the held-out part, first weights, order and dropout {default}")
    add("--seeds", type=int, default=1, metavar="N",
        help=f"train N times, with N seeds; model and pictures are those of the first {default}")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto",
        help=f"where to train; auto: on the GPU, if there is one {default}")
    add = parser.add_argument_group("where to write").add_argument
    add("--output-dir", type=Path, metavar="DIR",
        help="folder of the results (default: results/<name of the folder of the features>)")
    add("--no-pictures", action="store_true", help="draw no pictures, which take seconds")
    add = parser.add_argument_group("with a trained model, instead of training").add_argument
    add("--predict", nargs="+", metavar="PATH", help="score these videos and folders of videos")
    add("--plot", action="store_true", help="with --predict: draw a picture for each video")
    add("--evaluate", nargs="+", type=Path, metavar="FILE",
        help="figures for these features files, ..._features.npy, of other data")
    add("--checkpoint", type=Path, metavar="FILE",
        help="the model to use (default: model.pt in --output-dir, else the only one in results/)")
    # fmt: on
    args = parser.parse_args(argv)
    check_flags(parser, args)

    quiet_decoder()
    if args.predict or args.evaluate:
        checkpoint = find_checkpoint(args.checkpoint, args.output_dir)
        output = args.output_dir or checkpoint.parent
        if args.predict:
            predict_and_print(args.predict, checkpoint, args.device, output, args.plot)
        else:
            evaluate_files(args.evaluate, checkpoint, args.device, output, not args.no_pictures)
        return

    device = pick_device(args.device)
    files = {name: getattr(args, f"{name}_features_file") for name in SPLITS}
    files = load_splits(files, args.train_labels_file, args.split_unit)
    output = args.output_dir or default_folder(args.train_features_file)
    make_folder(output)  # before the training: it may not be possible
    settings, defaults = to_plain(vars(args)), to_plain(vars(parser.parse_args([])))
    runs = []
    for seed in range(args.seed, args.seed + args.seeds):
        splits, split_by = divide(files, args.val_fraction, seed, args.split_unit)
        leaks = audit_leaks(splits, args.split_unit)
        if not runs:
            screen.print_header(splits, leaks, split_by, settings, str(device))
            announce_new_model(output, settings, splits["train"].extraction)
            split_report = {"by": split_by, "shared": leaks}
        print(f"\nSeed {seed}", flush=True)
        trained = train(splits, args.batch_size, args.num_epochs, args.lr, device, seed,
                        args.class_balance, args.select)  # fmt: skip
        runs.append(finish_run(seed, splits, *trained))
        print(screen.format_run(runs[-1].results))

    run = runs[0]
    samples = pick_samples(run.splits["val"], run.scores["val"], args.seed)
    split_report["shortcuts"] = audit_shortcuts(run.splits["val"])
    results = [each.results for each in runs]
    screen.print_results(results, run.threshold, run.threshold_from, args.select)
    screen.print_samples(samples)
    screen.warn_of_shortcuts(split_report["shortcuts"], run.results["val"])
    written = write_run(output, runs, make_report(run, settings, device), split_report)
    interrupts.message = f"interrupted: {', '.join(written)} are saved, not all pictures"
    changed = dict(sorted(settings.items() - defaults.items()))
    append_run(output.parent / "runs.csv", args.train_features_file, changed, run.seed, run.results)
    if not args.no_pictures:
        written += draw_run(output, runs, samples)
    screen.print_next(output, written, run.splits["val"].extraction)


if __name__ == "__main__":
    run_script(main)
