"""Train an MLP that tells fake videos from real ones by ResNet-18 features; choose T; score videos.

Reads what feature_extraction.py wrote: <split>_features.npy (N, 1000) float32, <split>_labels.npy
(N,) int64 with 1 = fake and 0 = real, and beside them <split>_frames.npy, <split>_videos.csv and
extraction.json. Writes to results/<name of the features folder>/: model.pt, metrics.json,
predictions.csv (a line a video) and pictures; and a line to runs.csv beside that folder.

    python deepfake_detection_model.py
    python deepfake_detection_model.py --train-features-file features/mine/train_features.npy
    python deepfake_detection_model.py --predict video.mp4 more_videos --plot
    python deepfake_detection_model.py --evaluate features/other/train_features.npy

A score is the probability of *fake*; the score of a video is the mean of its frames' scores,
or what --video-score says. The test split is looked at after training only. The threshold T comes
from the validation split.
"""

import argparse
import copy
import inspect
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from textwrap import dedent

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

from data.decode import quiet_decoder
from data.files import InputError, hold_folder, make_folder
from data.words import SPLITS
from features import screen
from features.audit import audit_leaks, audit_shortcuts, describe_training, share_known
from features.checkpoint import load_checkpoint
from features.compare import compare_results
from features.dataset import VIDEO_SCORES, Split, find_features
from features.divide import LEFT_OUT, PARTS, Division, divide_for_seeds
from features.evaluate import evaluate_files
from features.extraction import N_FEATURES, hash_code
from features.figures import choose_threshold, evaluate, score_frames
from features.metrics import compare_scores, compute_eer, compute_intervals, compute_metrics  # noqa: F401
from features.originals import Originals, count_originals, keep_originals
from features.pictures import draw_run, pick_samples
from features.predict import load_backbone_of, predict_and_print, score_videos
from features.results import (
    Run,
    append_run,
    find_checkpoint,
    make_report,
    pick_output,
    write_run,
)
from features.run import (
    choose_threads,
    device_name,
    free_gpu_memory,
    if_interrupted,
    parse_flags,
    pick_device,
    run_script,
)
from features.sets import load_splits
from features.text import BY_HAND
from features.unseen import leave_out, pick_methods

# --- The model ---


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


def load_model(checkpoint: str | Path) -> tuple[DeepfakeMLP, dict]:
    """The model in model.pt, and what else the file holds: see load_checkpoint."""
    model = DeepfakeMLP()
    return model, load_checkpoint(checkpoint, model)


def predict_videos(
    paths: Iterable[str | Path],
    checkpoint: str | Path = "results/sample/model.pt",
    device: str = "auto",
    num_workers: int = 1,
    pictures: bool = False,
    weights: str | None = None,
    face_model: Path | None = None,
) -> Iterator[dict]:
    """Score video files with a checkpoint, with the weights and the sampling it was trained on.

    Gives a dict for each path, in order, which json.dumps takes: "video" (its path), "score" (the
    probability of fake), "at_0.5" and "at_T" (real or fake), "frames" (how many), "spread" (the
    deviation of their scores), "face_share" (of the frames, with face crops), "numbers" and
    "scores" of the frames, "note", "reason". Where a file cannot be scored, the score is None, both
    verdicts are "no decision" and the reason says why. With `pictures` also "pictures": up to eight
    pairs of an index into the frames and a (3, 224, 224) uint8 frame. `weights` and `face_model`
    are files, where they are not in torch's cache. Raises InputError where the checkpoint or what
    it needs cannot be used, and TypeError for a single path instead of a list.
    """
    if isinstance(paths, str | Path):
        raise TypeError(f"paths is one path, expected a list of paths: [{str(paths)!r}]")
    quiet_decoder()
    model, saved = load_model(checkpoint)
    backbone = load_backbone_of(saved["extraction"], device, weights, face_model)
    return score_videos(paths, model, saved, backbone, num_workers, pictures)


# --- Training ---


@dataclass
class Training:
    """The parameters of a training."""

    batch_size: int
    num_epochs: int
    lr: float
    seed: int
    select: str = "last"  # or "best": a copy of the weights with the lowest validation EER
    max_fpr: float | None = None  # T is the lowest threshold with this FPR on validation
    quiet: bool = False  # no line for each epoch


def fit_standardisation(model: DeepfakeMLP, split: Split) -> None:
    """Set the model's mean and deviation to those of a split; constant columns stay as they are."""
    scaler = StandardScaler()
    for _, features in split.chunks():
        scaler.partial_fit(features.numpy().astype(np.float64))
    model.mean.copy_(torch.from_numpy(scaler.mean_))
    model.deviation.copy_(torch.from_numpy(scaler.scale_))


def make_targets(labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) float32 labels, and weights of the frames: both classes count the same in the loss."""
    labels = torch.from_numpy(labels)
    of_class = len(labels) / 2 / labels.bincount(minlength=2)
    return labels.float(), of_class[labels]


def load_to_gpu(split: Split, device: torch.device) -> torch.Tensor | None:
    """(n, 1000) features of a split on a GPU; None where they do not fit, and on a CPU.

    There the map of the file alone is as fast, since its check has just filled the page cache.
    """
    shape = len(split.rows), N_FEATURES
    if device.type == "cpu" or 4 * shape[0] * shape[1] > free_gpu_memory(device) / 2:
        return None
    features = torch.empty(shape, device=device)
    for chunk, part in split.chunks():
        features[chunk] = part.to(device)
    return features


def train_epoch(
    model: DeepfakeMLP,
    optimizer: torch.optim.Optimizer,
    split: Split,
    features: torch.Tensor | None,
    targets: tuple[torch.Tensor, torch.Tensor],
    batch_size: int,
) -> float:
    """Mean loss of one pass over a split in random order.

    `features` (n, 1000) are the split's on the device; None: they are read from the file. The
    targets, labels and weights (n,), are on the device.
    """
    model.train()
    labels, weights = targets
    total = torch.zeros((), device=labels.device)
    # Drawn on the CPU and sorted within a batch, wherever the features lie: so the order depends on
    # the seed alone, and a file is read forwards.
    batches = torch.randperm(len(labels)).split(batch_size)
    order = torch.cat([batch.sort().values for batch in batches])
    on_device = order.to(labels.device)
    for rows, batch in zip(order.split(batch_size), on_device.split(batch_size), strict=True):
        if features is None:
            inputs = split.gather(split.rows[rows.numpy()]).to(labels.device)
        else:
            inputs = features[batch]
        logits = model(inputs)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[batch], weights[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(batch)  # .item() here would make the device wait at each step
    return total.item() / len(labels)


def measure_epoch(model: DeepfakeMLP, splits: dict[str, Split], epoch: int, loss: float) -> dict:
    """The figures of an epoch: its loss, and accuracy, EER and log loss of both splits."""
    record = {"epoch": epoch, "loss": loss}
    for name in ("train", "val"):
        scores = score_frames(model, splits[name])
        if not np.isfinite(loss) or not np.isfinite(scores).all():
            raise InputError(f"after epoch {epoch} the loss or a score is not a number: lower --lr")
        _, labels, scores = splits[name].video_scores(scores)
        metrics = compute_metrics(labels, scores)
        record |= {f"{name}_{key}": metrics[key] for key in ("accuracy", "eer", "log_loss")}
    return record


def train(
    splits: dict[str, Split], training: Training, device: torch.device
) -> tuple[DeepfakeMLP, int, list[dict]]:
    """The model, the epoch that its weights are of, and the figures of each epoch."""
    split, batch_size = splits["train"], training.batch_size
    if batch_size > len(split.rows):
        n = f"the {len(split.rows)} training frames"
        raise InputError(f"--batch-size {batch_size} is more than {n}: lower it")
    torch.manual_seed(training.seed)
    model = DeepfakeMLP()
    fit_standardisation(model, split)
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=training.lr, fused=True)
    labels, weights = make_targets(split.labels)
    targets = labels.to(device), weights.to(device)
    features = load_to_gpu(split, device)

    history, best, best_weights, threads = [], None, None, torch.get_num_threads()
    epochs = range(1, training.num_epochs + 1)
    with tqdm(epochs, desc="training", unit="epoch", disable=training.quiet or None) as bar:
        for epoch in bar:
            torch.set_num_threads(choose_threads(batch_size))  # few: others may use the cores too
            try:
                loss = train_epoch(model, optimizer, split, features, targets, batch_size)
            finally:
                torch.set_num_threads(threads)
            record = measure_epoch(model, splits, epoch, loss)
            history.append(record)
            if not training.quiet:
                bar.write(screen.format_epoch(record, training.num_epochs), file=sys.stdout)
            if training.select == "best":
                if record["val_eer"] is None:
                    raise InputError("--select best needs both classes in the validation split")
                if best is None or record["val_eer"] < best["val_eer"]:
                    best, best_weights = record, copy.deepcopy(model.state_dict())
    if best:
        model.load_state_dict(best_weights)
    return model, (best or record)["epoch"], history


# --- A run, from the features to its files ---


def train_and_evaluate(division: Division, training: Training, device: torch.device) -> Run:
    """A training, and all that is computed once after its last epoch: scores, T, figures."""
    model, epoch, history = train(division.splits, training, device)
    everything = division.splits | division.left_out
    scores = {name: score_frames(model, split) for name, split in everything.items()}
    threshold, origin = choose_threshold(everything["val"], scores["val"], training.max_fpr)
    results = {}
    for name, split in everything.items():
        results[name] = evaluate(split, scores[name], threshold, intervals=name != "train")
    half_seen = results.pop(LEFT_OUT, None)
    figures = scores, threshold, origin, results, half_seen
    return Run(training.seed, division, model, epoch, history, *figures)


def audit(found: Originals, divisions: list[Division], unit: str) -> dict:
    """What metrics.json says of the first division. Raises InputError where splits share people."""
    shared = [audit_leaks(each.splits, each.report["unit"] or unit) for each in divisions]
    extracted = [found.splits[name] for name in ("train", "val") if name in found.splits]
    first = divisions[0]
    first.report["known"] = share_known(*extracted)
    audited = {"shared": shared[0], "shortcuts": audit_shortcuts(first.splits["val"])}
    return first.report | audited | {"originals": count_originals(found)}


def train_seeds(
    divisions: list[Division], training: Training, device: torch.device, output: Path
) -> Iterator[Run]:
    """Train on each division, with a seed more each time. `output` has the runs given so far."""
    n_seeds = len(divisions)
    for i, division in enumerate(divisions):
        seed, saved = training.seed + i, f"{i} of {n_seeds} seeds are saved in {output}"
        print(f"\nSeed {seed}" + f", {division.report['by']}" * (n_seeds > 1), flush=True)
        with if_interrupted(saved if i else "nothing was saved"):
            run = train_and_evaluate(division, replace(training, seed=seed), device)
        if n_seeds > 1:
            print(screen.format_run(run.results))
        yield run


# --- Flags ---

MODES = ("predict", "evaluate", "compare")  # instead of a training
USED_BY = {mode: [mode] for mode in MODES} | {  # all other flags are of a training alone
    "plot": ["predict"],
    "weights": ["predict"],
    "face_model": ["predict"],
    "checkpoint": ["predict", "evaluate"],
    "threshold": ["predict", "evaluate"],
    "output_dir": ["train", "predict", "evaluate"],
    "device": ["train", "predict", "evaluate"],
    "no_pictures": ["train", "evaluate"],
}


def used_by(name: str) -> list[str]:
    return USED_BY.get(name, ["train"])


def flag_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def check_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[str]:
    """The names of the flags that are not at their default.

    Ends with an error for a value out of its limits, or a flag that would not be used.
    """
    left, test = 1 - args.val_fraction, args.test_fraction
    checks = [
        (0 < args.val_fraction < 1, f"--val-fraction is {args.val_fraction}, expected 0 to 1"),
        (0 <= test < left, f"--test-fraction is {test}, expected 0 to less than {left:g}"),
        (0 <= args.seed < 2**32 - args.seeds, f"--seed is {args.seed}, expected 0 to 2^32 - 2"),
        (0 <= (args.threshold or 0) <= 1, f"--threshold is {args.threshold}, not 0 to 1"),
        (args.max_fpr is None or 0 <= args.max_fpr < 1, f"--max-fpr is {args.max_fpr}, not 0 to 1"),
    ]
    for name in ("batch_size", "num_epochs", "lr", "seeds"):
        value = getattr(args, name)
        checks.append((value > 0, f"{flag_of(name)} is {value}, expected more than 0"))
    given = [name for name, value in vars(args).items() if value != parser.get_default(name)]
    modes = [mode for mode in MODES if mode in given] or ["train"]
    checks.append((len(modes) < 2, "--predict, --evaluate and --compare: one at a time"))
    for name in given:
        wrong = f"is not used with --{modes[0]}: leave it out"
        if modes == ["train"]:
            wrong = f"goes with {' or '.join(map(flag_of, used_by(name)))}"
        checks.append((modes[0] in used_by(name), f"{flag_of(name)} {wrong}"))
    for fine, message in checks:
        if not fine:
            parser.error(message)
    return given


def describe_settings(flags: dict) -> dict:
    """The parameters of a training as JSON can hold them; paths from the current folder."""
    settings = {}
    for name, value in flags.items():
        if "train" in used_by(name):
            settings[name] = os.path.relpath(value) if isinstance(value, Path) else value
    return settings


# --- The programs ---


def load_and_divide(
    files: dict[str, list[Path]], flags: dict, given: list[str]
) -> tuple[Originals, list[Division]]:
    """The splits of these files, with what looks alike matched, and a division for each seed.

    Raises InputError for flags of what is held out, where it has a file of its own.
    """
    splits = load_splits(files, flags["train_labels_file"], flags["video_score"])
    part_of = {"val_fraction": "val", "test_fraction": "test"}
    part_of["split_unit"] = "" if flags["test_fraction"] else "val"
    for name in filter(part_of.get, given):
        if part_of[name] in splits and flags[name] not in ("video", "frame"):  # an excuse to share
            held_out = f"there is a file of {PARTS[part_of[name]]} features, used as it is"
            raise InputError(f"{flag_of(name)} {flags[name]}: {held_out}")
    found = Originals(splits) if flags["no_match"] else keep_originals(splits)
    seeds = range(flags["seed"], flags["seed"] + flags["seeds"])
    how = flags["val_fraction"], seeds, flags["split_unit"], flags["test_fraction"]
    return found, divide_for_seeds(found.splits, *how)


def train_all(flags: dict, given: list[str]) -> None:
    """Train on features: what is done without --predict, --evaluate and --compare.

    `flags` are the values of all flags, `given` the names of those that are not at their default.
    """
    device = pick_device(flags["device"])
    files, named = {}, {}
    for name in SPLITS:
        flag = f"{name}_features_file"
        files[name] = [find_features(path, name) for path in flags[flag]]
        named[flag] = " + ".join(map(os.path.relpath, files[name])) or None
    settings = describe_settings(flags | named)
    found, divisions = load_and_divide(files, flags, given)
    output = pick_output(flags["output_dir"], files["train"])
    methods = pick_methods(found.splits["train"], flags["leave_out"])
    of_split = audit(found, divisions, flags["split_unit"])
    splits = divisions[0].splits
    screen.print_training(splits, of_split, of_split["shared"], settings, str(device))
    screen.print_originals(found)
    parameters = "batch_size", "num_epochs", "lr", "seed", "select", "max_fpr"
    training = Training(**{name: flags[name] for name in parameters})
    trained_on = describe_training([splits["train"], splits["val"]])
    code = hash_code(dedent(inspect.getsource(DeepfakeMLP)))  # now: it may be edited meanwhile
    make_folder(output, "--output-dir")
    with hold_folder(output, output / ".lock"):
        screen.print_replaced(output)
        runs = []
        for run in train_seeds(divisions, training, device, output):
            runs.append(run)
            report = make_report(runs[0], settings, device, code) | {"split": of_split}
            # at once: the next may be interrupted
            written = write_run(output, runs, report, trained_on, found.matches)
            append_run(output.parent / "runs.csv", report, run)
        screen.print_results(runs, report, training.select)
        pictures = not flags["no_pictures"]
        with if_interrupted(f"{', '.join(written)} are saved, not all pictures"):
            samples = pick_samples(splits["val"], runs[0].scores["val"], training.seed)
            written += draw_run(output, runs, samples, found, pictures)
        if methods:
            quiet = {"training": replace(training, quiet=True), "device": device}
            again = partial(train_and_evaluate, **quiet)
            with if_interrupted("all is saved, but not what leaving out methods does"):
                written += leave_out(methods, runs, again, output, pictures)
    screen.print_results_written(output, written, splits["train"].extraction)


def open_model(
    checkpoint: Path | None, output_dir: Path | None, threshold: float | None
) -> tuple[DeepfakeMLP, dict, Path]:
    """The model that --predict and --evaluate use, its checkpoint, and the folder to write to.

    A `threshold` takes the place of T.
    """
    file = find_checkpoint(checkpoint, output_dir)
    model, saved = load_model(file)
    if threshold is not None:
        given = {"used": threshold, "from": BY_HAND}
        saved["thresholds"] |= given | {"max_fpr": None}
    return model, saved, output_dir or file.parent


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Train an MLP on ResNet-18 features to tell fake videos from real ones; or use "
        "the trained model with --predict, --evaluate or --compare.",
        usage="%(prog)s [--help] [FLAG ...]",
        epilog="Exit status: 0 done, 1 an input is wrong, 2 a flag is wrong, 130 interrupted.",
        allow_abbrev=False,
    )
    default = "(default: %(default)s)"
    # fmt: off
    add = parser.add_argument_group("what to read").add_argument
    add("--train-features-file", nargs="+", type=Path, metavar="FILE",
        default=[Path("features/sample/train_features.npy")],
        help="features to train on; of several sets too (default: the sample set's)")
    add("--train-labels-file", type=Path, metavar="FILE",
        help="their labels (default: train_labels.npy beside them)")
    add("--val-features-file", nargs="+", type=Path, metavar="FILE", default=[],
        help="features to validate on (default: val_features.npy beside the training features; if "
        "there is none, a part of the training features is held out)")
    add("--test-features-file", nargs="+", type=Path, metavar="FILE", default=[],
        help="features to test on (default: test_features.npy beside the training features)")
    add("--val-fraction", type=float, default=0.2, metavar="X",
        help=f"share of the training features to hold out for validation {default}")
    add("--test-fraction", type=float, default=0.0, metavar="X",
        help=f"share of them to hold out for the test, the same for all seeds {default}")
    add("--split-unit", choices=("group", "person", "video", "frame"), default="group",
        help="what is held out in one piece: group, and people where groups are too large; person; "
        f"video or frame, which puts the same people on both sides {default}")
    add("--no-match", action="store_true",
        help="do not look by the features which real video a fake was made from (default: look, "
        "and keep the two on one side)")
    add = parser.add_argument_group("training").add_argument
    add("--batch-size", type=int, default=16, metavar="N", help=f"frames a step {default}")
    add("--num-epochs", type=int, default=25, metavar="N",
        help=f"passes over the training frames {default}")
    add("--lr", type=float, default=1e-5, metavar="X", help=f"learning rate of Adam {default}")
    add("--select", choices=("last", "best"), default="last",
        help="which epoch's model to keep: the last, or the one with the lowest validation EER "
        f"{default}")
    add("--seed", type=int, default=0, metavar="N",
        help=f"random seed: of the held-out part, first weights, order and dropout {default}")
    add("--seeds", type=int, default=1, metavar="N",
        help="train N times, with N seeds; model.pt, roc.csv and pictures are of the first, "
        f"predictions.csv, metrics.json, runs.csv and training_curves.png of all {default}")
    add("--device", type=device_name, default="auto", metavar="NAME",
        help=f"where to train: cpu, cuda or cuda:1; auto: a GPU, if there is one {default}")
    add = parser.add_argument_group("evaluation").add_argument
    add("--video-score", choices=VIDEO_SCORES, default="mean",
        help=f"what the score of a video is of its frames' scores; the model keeps it {default}")
    add("--max-fpr", type=float, metavar="X",
        help="T is the lowest threshold that calls at most this share of the validation reals "
        "fake, for instance 0.01 (default: where FPR and FNR are nearest)")
    add("--leave-out", default="", metavar="METHOD",
        help="train once more without the fakes of this method, and say how well they are found; "
        "each: so for every method in turn")
    add = parser.add_argument_group("where to write").add_argument
    add("--output-dir", type=Path, metavar="DIR",
        help="folder of the results (default: results/<name of the folder of the features>; with "
        "--predict and --evaluate the folder of the checkpoint)")
    add("--no-pictures", action="store_true", help="draw no pictures, which take seconds")
    add = parser.add_argument_group("with a trained model, instead of training").add_argument
    add("--predict", nargs="+", metavar="PATH", help="score these videos and folders of videos")
    add("--plot", action="store_true", help="with --predict: draw a picture for each video")
    add("--weights", metavar="FILE",
        help="with --predict: your copy of the ResNet-18 weights that the model was trained with")
    add("--face-model", type=Path, metavar="FILE",
        help="with --predict: your copy of the face detector YuNet")
    add("--evaluate", nargs="+", type=Path, metavar="PATH",
        help="figures for other features files, ..._features.npy, or folders of them")
    add("--threshold", type=float, metavar="X",
        help="with --predict and --evaluate: call fake from this score on, in place of T")
    add("--compare", nargs=2, type=Path, metavar=("A", "B"),
        help="is the model of results folder B better than that of A on the same videos?")
    add("--checkpoint", type=Path, metavar="FILE",
        help="the model to use (default: model.pt in --output-dir, else the only one in results/)")
    # fmt: on
    args = parse_flags(parser, argv)
    given = check_flags(parser, args)

    quiet_decoder()
    where = args.checkpoint, args.output_dir, args.threshold
    made_by = args.device, args.weights, args.face_model
    if args.compare:
        screen.print_comparison(args.compare, *compare_results(*args.compare))
    elif args.predict:
        predict_and_print(args.predict, *open_model(*where), *made_by, args.plot)
    elif args.evaluate:
        evaluate_files(args.evaluate, *open_model(*where), args.device, not args.no_pictures)
    else:
        train_all(vars(args), given)


if __name__ == "__main__":
    run_script(main)
