"""What is held out for validation: groups, people, videos or frames, the same for equal names."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.files import InputError
from data.groups import Joined
from data.words import CLASSES, SPLITS
from features.dataset import Split
from features.extraction import AGAIN
from features.text import count_units, percent

LEFT_OUT = "left out"  # videos that show people of both sides: in predictions.csv like a split
FAR_OFF = 2  # times as large or as small as the wanted share: what is held out should be nearer


# --- Which units ---


def list_units(split: Split, index: np.ndarray, unit: str) -> list[Sequence[str]]:
    """The names of the units that each of these videos shows: one, or all of its people.

    A group goes by the first name of its people. Copies of one file are of the same units.
    """
    files = [split.videos[i].get("fingerprint") or split.name(i) for i in index]
    people = [set(split.people(i).split(";")) for i in index]
    if unit == "person":
        in_file = defaultdict(set)
        for file, names in zip(files, people, strict=True):
            in_file[file] |= names
        return [sorted(in_file[file]) for file in files]
    units = [split.name(i) for i in index]
    if unit == "group":
        first_name = {}
        for i, names in zip(index, people, strict=True):
            known = first_name.get(split.group(i))
            first_name[split.group(i)] = min(filter(None, (*names, known)))
        units = [first_name[split.group(i)] for i in index]
    joined, first = Joined(), {}
    for file, name in zip(files, units, strict=True):
        joined.join(*sorted((joined.find(first.setdefault(file, name)), joined.find(name))))
    return [(joined.find(name),) for name in units]


def name_frames(split: Split) -> list[tuple[str]]:
    """A name for each frame, as list_units gives them."""
    pairs = zip(split.video_index, split.numbers, strict=True)
    return [(f"{split.name(video)} {number}",) for video, number in pairs]


@dataclass
class Choice:
    """Which of n videos, or frames, are held out."""

    side: np.ndarray  # (n,) 0: training, 1: validation, -1: left out, as it shows people of both
    n_units: int
    n_held_out: int
    n_of_class: tuple[int, int]  # units that show reals, and fakes
    miss: float  # how many times the share is too large or too small, in the worse class
    largest: tuple[float, str]  # the largest share that one unit alone has of a class, and which

    @property
    def is_possible(self) -> bool:
        """Whether training and validation have both classes."""
        return self.miss < np.inf


def choose_units(
    labels: np.ndarray, units: Sequence[Sequence[str]], fraction: float, seed: int
) -> Choice:
    """Hold out about this fraction of reals and fakes, by whole units.

    labels (n,), units: of each video the names of the units that it shows. Of the units with both
    classes, of those with fakes alone and of those with reals alone the first ones are held out, in
    the order of a hash of the seed and their own names, so many that the share of their videos, of
    what is not left out, comes nearest to the fraction (of both classes: the geometric mean of the
    two shares). Units that are too large for the fraction come last. So a video more or less
    changes little.
    """
    owner = np.repeat(np.arange(len(units)), [len(names) for names in units])  # of each name
    names, unit = np.unique([name for each in units for name in each], return_inverse=True)
    n_units, in_class = len(names), np.maximum(np.bincount(labels, minlength=2), 1)
    shown, alone = np.zeros((2, n_units, 2))  # videos by unit and class: with it, with it alone
    np.add.at(shown, (unit, labels[owner]), 1)
    is_alone = np.bincount(owner)[owner] == 1
    np.add.at(alone, (unit[is_alone], labels[owner][is_alone]), 1)
    kind = np.select([shown.all(axis=1), shown[:, 1] > 0], [0, 1], 2)  # both, fakes, reals alone
    share_alone = alone / in_class
    order = np.lexsort((hash_names(names, seed), share_alone.max(axis=1) > FAR_OFF * fraction))
    kind_of_video = np.zeros(len(units), int)
    np.maximum.at(kind_of_video, owner, kind[unit])

    place = np.full(n_units, n_units)  # in the order; -1: held out
    for number, classes in enumerate(((0, 1), (1,), (0,))):
        members = order[kind[order] == number]
        place[members] = np.arange(len(members))
        first, last = np.full(len(units), n_units), np.full(len(units), -1)
        np.minimum.at(first, owner, place[unit])
        np.maximum.at(last, owner, place[unit])
        parts = []
        for label in classes:
            mine = labels == label
            own, so_far = mine & (kind_of_video == number), mine & (kind_of_video <= number)
            shares = shares_held_out(first[own], last[own], len(members)) if own.any() else None
            is_last = so_far.sum() == mine.sum()  # of what can bring this class to both sides
            whole = shares_held_out(first[so_far], last[so_far], len(members)) if is_last else None
            parts.append((shares, whole))
        n_held_out = choose_number(parts, len(members), fraction)
        place[members] = np.where(place[members] < n_held_out, -1, n_units)

    held_out = place == -1
    n_held = np.bincount(owner, held_out[unit])
    side = np.where(n_held == 0, 0, np.where(n_held == np.bincount(owner), 1, -1))
    miss = 1.0
    for label in (0, 1):
        n_val, n_train = (int(np.sum(side[labels == label] == part)) for part in (1, 0))
        share = n_val / (n_val + n_train) if n_val and n_train else 0
        miss = max(miss, share / fraction, fraction / share if share else np.inf)
    largest, label = max((share_alone[:, label].max(), label) for label in (0, 1))
    n_of_class = tuple(int(n) for n in (shown > 0).sum(axis=0))
    what = ("reals", "fakes")[label]
    return Choice(side, n_units, int(held_out.sum()), n_of_class, miss, (float(largest), what))


def choose_number(parts: list[tuple], n_units: int, fraction: float) -> int:
    """With how many units the shares of the classes come nearest to the fraction.

    parts: of each class the share of its videos for each number of units, and the share of all its
    videos where it must be neither 0 nor 1; or None for each.
    """
    of_class = [shares for shares, _ in parts if shares is not None]
    mean = np.prod(of_class, axis=0) ** (1 / max(1, len(of_class)))  # the geometric mean
    mean = np.maximum(mean, 1e-9) + np.zeros(n_units + 1)
    off = np.maximum(mean / fraction, fraction / mean)  # times too many or too few
    for _, whole in parts:
        if whole is not None:
            off[(whole == 0) | (whole == 1)] = np.inf
    return int(off.argmin())


def shares_held_out(first: np.ndarray, last: np.ndarray, n_units: int) -> np.ndarray:
    """(n_units + 1,) the share of videos that are held out with so many of the units in order.

    Of those that are not left out. first, last (n,): the places of a video's units in the order.
    """
    numbers = np.arange(n_units + 1)
    held_out = np.searchsorted(np.sort(last), numbers)  # all its units are
    left = len(first) - np.searchsorted(np.sort(first), numbers)  # none is
    return held_out / np.maximum(held_out + left, 1)


def hash_names(names: Sequence[str], seed: int) -> np.ndarray:
    """(n,) a number for each name that depends on it and the seed alone."""
    digests = (hashlib.sha256(f"{seed} {name}".encode()).digest() for name in names)
    return np.array([int.from_bytes(digest[:8]) for digest in digests], np.uint64)


# --- Dividing ---


@dataclass
class Division:
    """The splits that a training works on."""

    splits: dict[str, Split]  # train, val, perhaps test
    left_out: dict[str, Split]  # {LEFT_OUT: what shows people of both sides}, or nothing
    report: dict  # how it came about, for metrics.json


def divide(splits: dict[str, Split], val_fraction: float, seed: int, unit: str) -> Division:
    """The splits with a validation part, held out by a unit if there was none.

    Where groups cannot be held out, or not in about the wanted share, people are.
    """
    warnings = describe_bare(splits)
    report = {"by": "as extracted", "unit": None, "warnings": warnings}
    if "val" in splits:
        return Division(splits, {}, report)
    whole = splits["train"]
    if not whole.videos:  # each row is then a unit of its own
        unit = "frame"
    if unit == "person" and whole.unit == "group":
        unit = "group"
        warnings.append("nobody is known in these videos: held out by group, not by person")
    if whole.extraction and "val" in whole.extraction.counts.get("frames", {}):
        warnings.append("val_features.npy of the extraction is gone")
    choice, reason = choose(whole, val_fraction, seed, unit), ""
    if unit == "group" and choice.miss > FAR_OFF:
        by_person = choose(whole, val_fraction, seed, "person")
        if by_person.miss < choice.miss and (by_person.miss <= FAR_OFF or not choice.is_possible):
            share, what = choice.largest
            unit, choice = "person", by_person
            reason = f"by group {percent(share)} of the {what} are one group; "
    if not choice.is_possible:
        raise InputError(describe_impossible(choice, unit))
    train, val, left_out = part_by(whole, choice, unit)
    held_out = f"{choice.n_held_out} of {count_units(choice.n_units, unit)} held out"
    report["by"] = f"by {unit}: {reason}{held_out}, {percent(len(val.rows) / len(whole.rows))}"
    report["by"] += " of the frames"
    if len(left_out.rows):
        report["by"] += f"; {describe_left_out(left_out)} with people on both sides left out"
    report |= {"unit": unit, "n_units": choice.n_units, "n_held_out": choice.n_held_out}
    report["n_left_out"] = len(np.unique(left_out.video_index))
    parts = splits | {"train": train, "val": val}
    parts = {name: parts[name] for name in SPLITS if name in parts}
    return Division(parts, {LEFT_OUT: left_out} if len(left_out.rows) else {}, report)


def hold_out(
    split: Split, val_fraction: float, seed: int, unit: str = "group"
) -> tuple[Split, Split, Split]:
    """Training and validation part of a split, and what is left out of both.

    No unit (group, person, video or frame) is in both. Copies of one file stay together, but for
    unit frame. Raises InputError where there are too few.
    """
    choice = choose(split, val_fraction, seed, unit)
    if not choice.is_possible:
        raise InputError(describe_impossible(choice, unit))
    return part_by(split, choice, unit)


def choose(split: Split, fraction: float, seed: int, unit: str) -> Choice:
    """What is held out of a split; for unit frame of its frames, else of its videos in order."""
    if unit == "frame":
        return choose_units(split.labels, name_frames(split), fraction, seed)
    index, labels, _ = split.video_scores(split.labels)
    return choose_units(labels, list_units(split, index, unit), fraction, seed)


def part_by(split: Split, choice: Choice, unit: str) -> tuple[Split, Split, Split]:
    """The parts that a choice makes of a split: training, validation, left out of both."""
    side = choice.side
    if unit != "frame":
        side = side[np.unique(split.video_index, return_inverse=True)[1]]
    parts = tuple(split.part(side == number) for number in (0, 1, -1))
    if unit == "person":
        train, val = (people_of(part) for part in parts[:2])
        assert not train & val
    return parts


def people_of(split: Split) -> set[str]:
    """All people in the videos of a split, and groups where nobody is known."""
    videos = np.unique(split.video_index)
    return {name for i in videos for name in split.people(i).split(";")}


def describe_impossible(choice: Choice, unit: str) -> str:
    """Why nothing can be held out, and what to do."""
    reals, fakes = (count_units(n, unit) for n in choice.n_of_class)
    needs = "validation and training need both classes each, of people of their own"
    found = f"there are {reals} with reals, {fakes} with fakes"
    hint = ", or try --split-unit video, which leaks" if unit in ("group", "person") else ""
    return f"{needs}; {found}: add videos, give --val-features-file{hint}"


def describe_left_out(split: Split) -> str:
    """How many videos are left out, such as `132 fakes` or `3 reals and 132 fakes`."""
    labels = split.video_scores(split.labels)[1]
    counts = np.bincount(labels, minlength=2)
    words = [f"{n} {name}s" for n, name in zip(counts, CLASSES, strict=True) if n]
    return " and ".join(words)


def describe_bare(splits: dict[str, Split]) -> list[str]:
    """What it means that splits have no videos: nobody knows which frames belong together."""
    bare = {name: split.missing for name, split in splits.items() if not split.videos}
    files = ", ".join(name for missing in bare.values() for name in missing)
    remedy = f"{files} not found: put it beside the features, or {AGAIN}"
    if {"train", "val"} & set(bare):
        return [f"INFLATED: frames of a video may be on both sides; {remedy}"]
    if bare:
        return [f"test may hold videos that training has; {remedy}"]
    return []
