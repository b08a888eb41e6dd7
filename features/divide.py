"""What is held out to validate and to test: whole groups, people, videos or frames."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from data.files import InputError
from data.groups import Joined
from data.words import CLASSES, SPLITS
from features.dataset import Split
from features.extraction import AGAIN
from features.text import count_units, percent

PARTS = {"val": "validation", "test": "test"}  # what can be held out of training, in words
LEFT_OUT = "left out"  # videos that show people of both sides: in predictions.csv like a split
KINDS = ({0, 1}, {1}, {0})  # of units, by the classes that they show; held out in this order
FAR_OFF = 2  # times as large or as small as the wanted share: what is held out should be nearer


# --- Which units ---


def find_units(split: Split, unit: str) -> tuple[np.ndarray, list[Sequence[str]]]:
    """(n,) labels of the videos of a split, for unit frame of its frames; the units each shows.

    One name, or those of all of its people. A group goes by the first name of its people. Copies of
    one file are of the same units.
    """
    if unit == "frame":
        frames = zip(split.video_index, split.numbers, strict=True)
        return split.labels, [(f"{split.name(video)} {number}",) for video, number in frames]
    index, labels, _ = split.video_scores(split.labels)
    files = [split.fingerprint(i) or split.name(i) for i in index]
    people = [split.people(i).split(";") for i in index]
    if unit == "person":
        in_file = collect(files, people)
        return labels, [sorted(in_file[file]) for file in files]
    units = [split.name(i) for i in index]
    if unit == "group":
        groups = [split.group(i) for i in index]
        in_group = collect(groups, people)
        units = [min(in_group[group]) for group in groups]
    joined, beside = Joined(), collect(files, [(name,) for name in units])
    for names, name in zip(people, units, strict=True) if unit == "group" else ():
        for person in names:  # of public sets, where there are several sets
            beside["person", person].add(name)
    for names in beside.values():
        first, *others = sorted(map(joined.find, names))
        for name in others:
            joined.join(first, name)
    return labels, [(joined.find(name),) for name in units]


def collect(keys: Iterable[str], names: Iterable[Iterable[str]]) -> dict[str, set[str]]:
    """{key: all names that stand beside it}."""
    beside = defaultdict(set)
    for key, some in zip(keys, names, strict=True):
        beside[key].update(some)
    return beside


# --- How many of them ---


@dataclass
class Choice:
    """Which of n videos, or frames, are held out."""

    side: np.ndarray  # (n,) 0: training, 1: held out, -1: left out, as it shows people of both
    n_units: int
    n_held_out: int
    miss: float  # what find_miss gives: infinite where a side lacks a class


def choose_units(
    labels: np.ndarray, units: Sequence[Sequence[str]], fraction: float, seed: int | str
) -> Choice:
    """Hold out about this fraction of reals and fakes, by whole units.

    labels (n,), units: of each video the names of the units that it shows. Of each kind of units in
    turn the first ones in order are held out, so many that the share of the videos that only now
    can be held out comes nearest to the fraction, and that both sides have videos of each class.
    """
    kinds = sort_units(labels, units, fraction, seed)
    number = {name: i for i, name in enumerate(chain(*kinds))}
    unit = np.array([number[name] for names in units for name in names])
    starts = np.cumsum([0, *map(len, units[:-1])])  # of each video in `unit`

    def ends(values: np.ndarray) -> list[np.ndarray]:
        """(n,) the least value that a unit of each video has, and the greatest."""
        return [find.reduceat(values[unit], starts) for find in (np.minimum, np.maximum)]

    is_held_out, begin = np.zeros(len(number), bool), 0
    last_unit = ends(np.arange(len(number)))[1]
    for classes, members in zip(KINDS, kinds, strict=True):
        n, end = len(members), begin + len(members)
        place = np.where(is_held_out, -1, len(number))  # units of later kinds are in training yet
        place[begin:end] = np.arange(n)
        first, last = ends(place)
        shares, is_possible = [], np.full(n + 1, True)
        for label in classes:
            mine = labels == label
            of_kind = mine & (begin <= last_unit) & (last_unit < end)
            if of_kind.any():
                shares.append(shares_held_out(first[of_kind], last[of_kind], n))
            if (last_unit[mine] < end).all():  # no later kind can bring this class to both sides
                whole = shares_held_out(first[mine], last[mine], n)
                is_possible &= (whole > 0) & (whole < 1)
        is_held_out[begin : begin + choose_number(shares, is_possible, fraction)] = True
        begin = end
    all_are, any_is = ends(is_held_out)
    side = np.select([all_are, any_is], [1, -1], 0)
    return Choice(side, len(number), int(is_held_out.sum()), find_miss(labels, side, fraction))


def sort_units(
    labels: np.ndarray, units: Sequence[Sequence[str]], fraction: float, seed: int | str
) -> list[list[str]]:
    """The names of the units of each of the KINDS, in the order in which they are held out.

    That of a hash of the seed and their own names, so that a video more or less changes little; but
    those that are too large for the fraction come last.
    """
    shown, n_alone = defaultdict(set), Counter()
    for label, names in zip(labels.tolist(), units, strict=True):
        for name in names:
            shown[name].add(label)
        if len(names) == 1:
            n_alone[names[0], label] += 1
    n_of_class = np.bincount(labels)

    def rank(name: str) -> tuple[bool, bytes]:
        share = max(n_alone[name, label] / n_of_class[label] for label in shown[name])
        return share > FAR_OFF * fraction, hashlib.sha256(f"{seed} {name}".encode()).digest()

    in_order = sorted(shown, key=rank)
    return [[name for name in in_order if shown[name] == classes] for classes in KINDS]


def choose_number(shares: list[np.ndarray], is_possible: np.ndarray, fraction: float) -> int:
    """With how many units the geometric mean of the shares comes nearest to the fraction.

    shares: of classes, for each number of units from 0 on; is_possible: which of these may be.
    """
    mean = np.maximum(np.prod(shares, axis=0) ** (1 / max(1, len(shares))), 1e-9)
    times_off = np.maximum(mean / fraction, fraction / mean)
    return int(np.where(is_possible, times_off, np.inf).argmin())


def shares_held_out(first: np.ndarray, last: np.ndarray, n_units: int) -> np.ndarray:
    """(n_units + 1,) of videos not left out the share held out with so many units in order.

    first, last (n,): the places of a video's units in the order.
    """
    numbers = np.arange(n_units + 1)
    held_out = np.searchsorted(np.sort(last), numbers)  # all its units are
    left = len(first) - np.searchsorted(np.sort(first), numbers)  # none is
    return held_out / np.maximum(held_out + left, 1)


def find_miss(labels: np.ndarray, side: np.ndarray, fraction: float) -> float:
    """How many times the share held out is too large or small, in the worse class."""
    misses = []
    for label in (0, 1):
        n_train, n_val = np.bincount(side[(labels == label) & (side >= 0)], minlength=2)
        share = n_val / max(1, n_train + n_val)
        misses.append(max(share / fraction, fraction / share) if 0 < share < 1 else np.inf)
    return max(misses)


# --- Dividing ---


@dataclass
class Division:
    """The splits that a training works on."""

    splits: dict[str, Split]  # train, val, perhaps test
    left_out: dict[str, Split]  # {LEFT_OUT: what shows people of both sides}, or nothing
    report: dict  # how it came about, for metrics.json


def divide(
    splits: dict[str, Split], val_fraction: float, seed: int, unit: str, test_fraction: float = 0
) -> Division:
    """The splits with a test part, if one is wanted, and a validation part if there was none.

    Both fractions are of the training features. The test part is the same for all seeds. Where
    groups cannot be held out, or not in about the wanted share, people are.
    """
    warnings = describe_bare(splits)
    report = {"by": "as extracted", "unit": None, "warnings": warnings}
    wanted = {"test": test_fraction} if test_fraction else {}
    if "val" not in splits:
        wanted["val"] = val_fraction / (1 - test_fraction)
    if not wanted:
        return Division(splits, {}, report)
    whole = splits["train"]
    if not whole.videos:  # each row is then a unit of its own
        unit = "frame"
    if unit == "person" and whole.unit == "group":
        unit = "group"
        warnings.append("nobody is known in these videos: held out by group, not by person")
    if "val" in wanted and whole.extraction and "val" in whole.extraction.counts.get("frames", {}):
        warnings.append("val_features.npy of the extraction is gone")
    choices, miss = choose_parts(whole, wanted, seed, unit)
    reason = ""
    if unit == "group" and miss > FAR_OFF:
        by_person, other_miss = choose_parts(whole, wanted, seed, "person")
        if other_miss < miss and (other_miss <= FAR_OFF or miss == np.inf):
            unit, choices = "person", by_person
            reason = f"by group {describe_largest(whole)} are one group; "
    train, parts, half_seen = whole, {}, []
    for name, choice in choices.items():
        train, parts[name], left = part_by(train, choice, unit)
        half_seen.append(left.rows)
    left_out = whole.part(np.isin(whole.rows, np.concatenate(half_seen)))
    told = describe_parts(choices, parts, whole, unit, bool(test_fraction))
    report["by"] = f"by {unit}: {reason}{told}{describe_left_out(left_out)}"
    report |= {"unit": unit, "n_units": choice.n_units, "n_held_out": choice.n_held_out}
    report |= {"n_left_out": len(np.unique(left_out.video_index)), "parts": list(parts)}
    parts |= splits | {"train": train}
    parts = {name: parts[name] for name in SPLITS if name in parts}
    return Division(parts, {LEFT_OUT: left_out} if len(left_out.rows) else {}, report)


def divide_for_seeds(
    splits: dict[str, Split], val_fraction: float, seeds: range, unit: str, test_fraction: float = 0
) -> list[Division]:
    """A division for each seed: if groups cannot be held out with one of them, people with all."""
    divisions = [divide(splits, val_fraction, seed, unit, test_fraction) for seed in seeds]
    if len({each.report["unit"] for each in divisions}) == 1:
        return divisions
    return [divide(splits, val_fraction, seed, "person", test_fraction) for seed in seeds]


def describe_parts(
    choices: dict[str, Choice], parts: dict[str, Split], whole: Split, unit: str, for_what: bool
) -> str:
    """How much is held out, such as `10 of 50 groups held out, 20.0 % of the frames`."""
    told = []
    for name, choice in choices.items():
        units = f"{choice.n_held_out} of {count_units(choice.n_units, unit)} held out"
        share = percent(len(parts[name].rows) / len(whole.rows))
        purpose = f" for {PARTS[name]}" if for_what else ""
        told.append(f"{units}{purpose}, {share} of the frames")
    return "; ".join(told)


def describe_left_out(split: Split) -> str:
    """How many videos are left out, such as `; 132 fakes with people on both sides left out`."""
    if not len(split.rows):
        return ""
    counts = np.bincount(split.video_scores(split.labels)[1], minlength=2)
    told = [f"{n} {name}s" for n, name in zip(counts, CLASSES, strict=True) if n]
    return f"; {' and '.join(told)} with people on both sides left out"


def choose_parts(whole: Split, fractions: dict, seed: int, unit: str) -> tuple[dict, float]:
    """{part: Choice} of {part: fraction}, each of what those before have left; the worst miss."""
    choices = {}
    for name, fraction in fractions.items():
        choices[name] = choose(whole, fraction, "test" if name == "test" else seed, unit)
        if choices[name].miss == np.inf:
            break
        whole = part_by(whole, choices[name], unit)[0]
    return choices, max(choice.miss for choice in choices.values())


def hold_out(
    split: Split, val_fraction: float, seed: int, unit: str = "group"
) -> tuple[Split, Split, Split]:
    """Training and validation part of a split, and what is left out of both.

    No unit (group, person, video or frame) is in both. Copies of one file stay together, but for
    unit frame. Raises InputError where there are too few.
    """
    return part_by(split, choose(split, val_fraction, seed, unit), unit)


def choose(split: Split, fraction: float, seed: int | str, unit: str) -> Choice:
    """What is held out of the videos of a split, or for unit frame of its frames."""
    return choose_units(*find_units(split, unit), fraction, seed)


def part_by(split: Split, choice: Choice, unit: str) -> tuple[Split, Split, Split]:
    """The parts of a split by a choice: training, what is held out, left out of both.

    Raises InputError where training or what is held out lacks a class.
    """
    if choice.miss == np.inf:
        raise InputError(explain_impossible(split, unit))
    side = choice.side
    if unit != "frame":
        side = side[np.unique(split.video_index, return_inverse=True)[1]]
    return tuple(split.part(side == number) for number in (0, 1, -1))


def explain_impossible(split: Split, unit: str) -> str:
    """Why nothing can be held out, and what to do."""
    shown = collect(*find_units(split, unit))  # {label: units}
    reals, fakes = (count_units(len(shown[label]), unit) for label in (0, 1))
    needs = "what is held out and training need both classes each, of people of their own"
    found = f"reals are of {reals}, fakes of {fakes}"
    hint = ", or try --split-unit video, which leaks" if unit in ("group", "person") else ""
    return f"{needs}; {found}: add videos, give --val-features-file{hint}"


def describe_largest(split: Split) -> str:
    """The largest share that one group has of a class, such as `81.0 % of the fakes`."""
    labels, groups = find_units(split, "group")
    n_of_class = np.bincount(labels)
    counts = Counter(zip(labels.tolist(), groups, strict=True))
    share, label = max((n / n_of_class[label], label) for (label, _), n in counts.items())
    return f"{percent(share)} of the {CLASSES[label]}s"


def describe_bare(splits: dict[str, Split]) -> list[str]:
    """What it means that splits have no videos: nobody knows which frames belong together."""
    bare = {name: split.missing for name, split in splits.items() if not split.videos}
    if not bare:
        return []
    files = ", ".join(name for missing in bare.values() for name in missing)
    problem = "test may hold videos that training has"
    if {"train", "val"} & set(bare):
        problem = "INFLATED: frames of a video may be on both sides"
    return [f"{problem}; {files} not found: put it beside the features, or {AGAIN}"]
