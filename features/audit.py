"""What the splits share (leaks), and what gives the label away without a face (shortcuts)."""

from itertools import combinations

import numpy as np
from sklearn.metrics import roc_auc_score

from data.files import InputError
from features.metrics import compute_intervals
from features.splits import Split

# In these sets the ids of people and clips mean the same wherever the set lies.
PUBLIC_LAYOUTS = ("FaceForensics++", "Celeb-DF", "DFDC")
KINDS = ("videos", "groups", "clips")
SHORTCUT_AUC = 0.75
COLUMNS = ("width", "height", "fps", "frames", "duration", "size", "face_share")


# --- Leaks ----------------------------------------------------------------------------------------


def find_keys(split: Split) -> dict[str, dict[str, set[str]]]:
    """{"videos" | "groups" | "clips": {name: keys}}: two are the same if they have a key in common.

    A video is known by its fingerprint, wherever it lies. A group or a clip is known by the videos
    that carry it and, in the public sets, by the ids of its people or its footage. Names below one
    videos folder are keys too.
    """
    extraction = split.extraction
    root = extraction.videos_dir if extraction else ""
    is_public = extraction is not None and extraction.layout in PUBLIC_LAYOUTS
    found = {kind: {} for kind in KINDS}
    for index in np.unique(split.video_index) if split.videos else ():
        row = split.videos[index]
        fingerprint = row.get("fingerprint")
        same_file = {f"file {fingerprint}"} if fingerprint else set()
        found["videos"][row["video"]] = same_file | {f"{root}/{row['video']}"}
        group = found["groups"].setdefault(row["group"], {f"{root}/{row['group']}"})
        group |= same_file
        if is_public:
            group |= set(filter(None, row.get("people", "").split(";")))
        if row.get("clip"):
            clip = found["clips"].setdefault(row["clip"], {f"{root}/{row['clip']}"})
            clip |= same_file | ({row["clip"]} if is_public else set())
    return found


def describe_training(splits: list[Split]) -> dict[str, list[str]]:
    """All keys of the videos, groups and clips of these splits, for the checkpoint."""
    trained_on = {kind: set() for kind in KINDS}
    for split in splits:
        for kind, keys_of in find_keys(split).items():
            for keys in keys_of.values():
                trained_on[kind] |= keys
    return {kind: sorted(keys) for kind, keys in trained_on.items()}


def find_shared(split: Split, trained_on: dict[str, list[str]]) -> dict[str, list[str]]:
    """The names of this split's videos, groups and clips that are among others' keys."""
    shared = {}
    for kind, keys_of in find_keys(split).items():
        known = set(trained_on[kind])
        shared[kind] = sorted(name for name, keys in keys_of.items() if keys & known)
    return shared


def count_shared(split: Split, trained_on: dict[str, list[str]]) -> dict[str, int]:
    """How many videos, groups and clips of this split the training had."""
    return {kind: len(names) for kind, names in find_shared(split, trained_on).items()}


def may_share(first: str, second: str, splits: dict[str, Split], split_unit: str) -> tuple:
    """What two splits may share: a split unit was asked for, or the official list is so."""
    if splits[first].features is splits[second].features:  # held out of one file
        return {"group": (), "video": ("groups", "clips"), "frame": KINDS}[split_unit]
    extraction = splits[first].extraction
    if second == "test" and extraction and extraction.layout == "Celeb-DF":
        return ("groups", "clips")  # its test list is disjoint by video alone
    return ()


def audit_leaks(splits: dict[str, Split], split_unit: str = "group") -> dict[str, dict[str, int]]:
    """Number of videos, groups and clips that each pair of splits shares.

    Raises InputError for what they may not share. Empty where videos are not known.
    """
    audit = {}
    if not all(split.has_videos for split in splits.values()):
        return audit
    keys = {name: describe_training([split]) for name, split in splits.items()}
    for first, second in combinations(splits, 2):
        shared = find_shared(splits[second], keys[first])
        allowed = may_share(first, second, splits, split_unit)
        for kind, names in shared.items():
            if names and kind not in allowed:
                example = f"share {len(names)} {kind}, {names[0]} for one"
                remedy = "put what belongs together into one split"
                raise InputError(f"{first} and {second} {example}: {remedy}")
        audit[f"{first}-{second}"] = {kind: len(names) for kind, names in shared.items()}
    return audit


# --- Shortcuts ------------------------------------------------------------------------------------


def read_columns(split: Split, index: np.ndarray) -> dict[str, np.ndarray]:
    """The trivial columns of <split>_videos.csv, (n,) each; empty where some are missing."""
    names = [name for name in COLUMNS if name in split.videos[0]]
    if not set(COLUMNS) - {"face_share"} <= set(names):
        return {}
    columns = {}
    for name in names:
        try:
            columns[name] = np.array([float(split.videos[i][name] or -1) for i in index])
        except ValueError as error:
            problem = f"column {name} of <split>_videos.csv: {error}"
            raise InputError(f"{problem}: run feature_extraction.py again") from error
    pixels = columns["width"] * columns["height"] * columns["frames"]
    columns["bits per pixel"] = 8 * columns["size"] / pixels
    return columns


def audit_shortcuts(split: Split) -> dict[str, dict]:
    """The AUC, with its interval, that each trivial column reaches alone, in either direction."""
    if not split.has_videos:
        return {}
    index, labels, _ = split.video_scores(split.labels)
    if labels.min() == labels.max():
        return {}
    groups = [split.group(i) for i in index]
    shortcuts = {}
    for name, values in read_columns(split, index).items():
        if roc_auc_score(labels, values) < 0.5:
            values = -values
        interval = compute_intervals(labels, values, groups)["auc"]
        shortcuts[name] = {"auc": float(roc_auc_score(labels, values)), "interval": interval}
    return shortcuts


def name_shortcuts(shortcuts: dict[str, dict], auc: float | None) -> list[str]:
    """The columns that tell real from fake about as well as the model, beyond chance."""
    limit = SHORTCUT_AUC if auc is None else min(SHORTCUT_AUC, auc)
    named = []
    for name, found in shortcuts.items():
        interval = found["interval"]
        if found["auc"] > limit and interval and interval[0] > 0.5:
            named.append(name)
    return named
