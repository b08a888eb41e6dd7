"""Leaks: what splits, or a training and another set, share. Shortcuts: what gives labels away."""

from collections import defaultdict
from functools import partial
from itertools import combinations
from pathlib import PurePosixPath

import numpy as np
from sklearn.metrics import roc_auc_score

from data.files import InputError
from data.groups import BY_LIST, BY_NAME
from data.public_sets import PUBLIC, SHARES_PEOPLE
from features.dataset import Split
from features.metrics import compute_intervals

# --- Leaks: videos, people and clips on both sides ---

KINDS = ("videos", "people", "clips")
NAMES = "names"  # of clips, wherever they lie: only a hint


def find_keys(split: Split) -> dict[str, dict[str, set[str]]]:
    """{kind: {name: keys}} of a split: what has a key in common is the same, in two splits too.

    A video is known by its fingerprint, wherever it lies, or else by its path. A person is known by
    the name in `people`, and by the videos; a group in place of a person, and a clip, by the videos
    that carry them and by their names below one videos folder. In the public sets clips are known
    by their names alone.
    """
    keys = {kind: defaultdict(set) for kind in KINDS}
    for index in np.unique(split.video_index):
        row = split.videos[index]
        root, is_public, own = row["root"], row["layout"] in PUBLIC, partial(own_name, row)
        video, people = row["video"], row["people"]
        clip = row["clip"] or video
        file = f"file {row['fingerprint']}" if row["fingerprint"] else f"{root}/{own(video)}"
        keys["videos"][video].add(file)
        keys["clips"][clip] |= {file, own(clip) if is_public else f"{root}/{own(clip)}"}
        for person in split.people(index).split(";"):
            is_of_all = people and not person.startswith((BY_NAME, BY_LIST))
            keys["people"][person] |= {file, person if is_of_all else f"{root}/{own(person)}"}
            if "named_group" in row:  # what originals.py has joined has the name that it had, too
                keys["people"][person].add(f"{root}/{own(row['named_group'])}")
            if is_public and not people:
                keys["people"][person].add(own(clip))
    return keys


def own_name(row: dict, name: str) -> str:
    """What a video, group, clip or person is called in its set alone: see sets.join_sets."""
    mark = name[:1] if name.startswith((BY_NAME, BY_LIST)) else ""
    for prefix in (f"{mark}{row['set']}/", mark + row["home"]) if row["set"] else ():
        if name.startswith(prefix):
            return mark + name.removeprefix(prefix)
    return name


def describe_training(splits: list[Split]) -> dict[str, list[str]]:
    """{kind: all keys} of the splits of a training, for count_shared; {} without videos."""
    if not all(split.has_videos for split in splits):
        return {}
    trained_on = {kind: set() for kind in (*KINDS, NAMES)}
    for split in splits:
        trained_on[NAMES] |= name_clips(split)
        for kind, keys_of in find_keys(split).items():
            trained_on[kind].update(*keys_of.values())
    return {kind: sorted(keys) for kind, keys in trained_on.items()}


def name_clips(split: Split) -> set[str]:
    """The names of a split's clips without ending: a copy that is compressed again keeps them."""
    rows = [split.videos[i] for i in np.unique(split.video_index)]
    clips = [own_name(row, row["clip"] or row["video"]) for row in rows]
    return {str(PurePosixPath(clip).with_suffix("")) for clip in clips}


def find_shared(split: Split, trained_on: dict[str, list[str]]) -> dict[str, list[str]]:
    """{kind: sorted names} of the videos, people and clips of a split that the training had."""
    shared = {}
    for kind, keys_of in find_keys(split).items():
        known = set(trained_on[kind])
        shared[kind] = sorted(name for name, keys in keys_of.items() if keys & known)
    return shared


def count_shared(split: Split, trained_on: dict[str, list[str]]) -> dict[str, int]:
    """{kind: number} of the videos, people and clips of a split that the training had."""
    return {kind: len(names) for kind, names in find_shared(split, trained_on).items()}


def share_known(*splits: Split) -> float:
    """Of which share of the fakes the people are known, or else the real video they show."""
    rows = []
    for split in splits:
        rows += [split.row(i) for i in np.unique(split.video_index)] if split.has_videos else []
    with_real = {row["group"] for row in rows if row["label"] == "0"}
    fakes = [row for row in rows if row["label"] == "1"]
    told = [row for row in fakes if row["people"] or row["group"] in with_real]
    return len(told) / len(fakes) if fakes else 1.0


def allowed_sharing(splits: dict[str, Split], unit: str) -> dict[str, tuple[str, ...]]:
    """What pairs of splits may share, {"train-val": kinds}.

    `unit` is that by which the validation part was held out, or would have been. Celeb-DF's
    official test list shares people and footage with the rest.
    """
    some = ("people", "clips")
    is_divided = unit in ("video", "frame")
    by_list = any(row["layout"] in SHARES_PEOPLE for row in splits["train"].videos)
    train_val = some if is_divided else ()
    with_test = some if is_divided or by_list else ()
    if unit == "frame":
        train_val = KINDS
        if "test" in splits and splits["test"].features is splits["train"].features:
            with_test = KINDS  # it was held out too
    return {"train-val": train_val, "train-test": with_test, "val-test": with_test}


def audit_leaks(splits: dict[str, Split], unit: str = "group") -> dict[str, dict[str, int]]:
    """{"train-val": {kind: number}}: how much of the second split the first has too.

    Only of pairs whose videos are known. Raises InputError for what `unit` and the data set do not
    allow.
    """
    audit = {}
    allowed = allowed_sharing(splits, unit)
    known = [name for name, split in splits.items() if split.has_videos]
    for first, second in combinations(known, 2):
        pair = f"{first}-{second}"
        shared = find_shared(splits[second], describe_training([splits[first]]))
        audit[pair] = {kind: len(names) for kind, names in shared.items()}
        for kind, names in shared.items():
            if names and kind not in allowed[pair]:
                found = f"{first} and {second} share {len(names)} {kind}, {names[0]} for one"
                remedy = "put what belongs together into one split"
                if kind == "videos":
                    raise InputError(f"{found}, perhaps under another name: {remedy}")
                way_on = "or, knowing that the figures are too good, give --split-unit video"
                raise InputError(f"{found}: {remedy}, {way_on}")
    return audit


# --- Shortcuts: columns that tell real from fake without a look at the face ---

TRIVIAL_COLUMNS = ("width", "height", "fps", "frames", "duration", "size")
HIGH_AUC = 0.75


def audit_shortcuts(split: Split) -> dict[str, dict]:
    """{column: {"auc", "interval"}} of each trivial column of <split>_videos.csv alone.

    Taken in the better direction; a cell that is empty counts as -1. {} where there are no such
    columns or one class alone.
    """
    index, labels, _ = split.video_scores(split.labels)
    rows = [split.row(i) for i in index]
    told = set.intersection(*map(set, rows))  # by all sets
    is_known = set(TRIVIAL_COLUMNS) <= told
    if not is_known or labels.min() == labels.max():
        return {}
    columns = {}
    for name in (*TRIVIAL_COLUMNS, "face_share"):  # the last one is of face crops
        if name in told:
            columns[name] = np.array([row[name] or -1 for row in rows], np.float64)
    pixels = columns["width"] * columns["height"] * columns["frames"]
    bits = 8 * columns["size"]
    columns["bits per pixel"] = np.divide(bits, pixels, out=-np.ones_like(bits), where=pixels != 0)
    people = [split.people(i) for i in index]
    shortcuts = {}
    for name, values in columns.items():
        auc = roc_auc_score(labels, values)
        if auc < 0.5:
            auc, values = 1 - auc, -values
        interval = compute_intervals(labels, values, people)["auc"]
        shortcuts[name] = {"auc": float(auc), "interval": interval}
    return shortcuts


def name_shortcuts(shortcuts: dict[str, dict], auc: float | None) -> list[str]:
    """The columns that tell real from fake well, or better than a model of this AUC.

    Only those whose interval excludes chance: the best of several columns is never at 50 %.
    """
    least = HIGH_AUC if auc is None else min(auc, HIGH_AUC)
    named = []
    for name, found in shortcuts.items():
        if found["auc"] > least and found["interval"] and found["interval"][0] > 0.5:
            named.append(name)
    return named
