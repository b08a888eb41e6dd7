"""The splits of a training: of one extracted set, or of several that become one."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.files import InputError
from data.groups import BY_LIST, BY_NAME
from data.public_sets import PUBLIC
from data.words import SPLITS
from features.dataset import Split, load_split, name_set
from features.extraction import AGAIN, Extraction, check_alike


def load_splits(
    files: dict[str, list[Path]], labels_file: Path | None = None, video_score: str = "mean"
) -> dict[str, Split]:
    """The splits of the files named, {split: those of its sets}, and of those beside train's.

    Raises InputError where one cannot be used, and where features were made otherwise.
    """
    sets, splits, made = files["train"], {}, {}
    for name in SPLITS:
        beside = [file.with_name(f"{name}_features.npy") for file in sets]
        found = files[name] or [file for file in beside if file.is_file()]
        labels = labels_file if name == "train" else None
        if len(set(map(name_set, found))) < len(found):
            raise InputError(f"{join_words(found)}: several sets need folders of different names")
        if labels and len(sets) > 1:
            raise InputError(f"--train-labels-file {labels} is for one set, not for several")
        loaded = {file: load_split(file, labels) for file in found}
        is_alone = len(sets) == len(found) == 1
        for file, split in loaded.items():
            made[name if is_alone else str(file)] = split.extraction
        if found:
            split = loaded[found[0]] if is_alone else join_sets(loaded)
            splits[name] = replace(split, video_score=video_score)
    n_real, n_fake = np.bincount(splits["train"].labels, minlength=2)
    if not n_real or not n_fake:
        found = f"{join_words(sets)} has {n_real} real and {n_fake} fake frames"
        other = "for one class there is --evaluate, with a model trained on both"
        raise InputError(f"{found}: training needs both; {other}")
    check_alike(made)
    return splits


def join_words(words: list) -> str:
    return " + ".join(map(str, words))


@dataclass
class Stack:
    """The features of several files, one after the other: a row is read when it is used."""

    arrays: list[np.ndarray]  # (N, 1000) each

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(k, 1000) float copy of rows, which ascend."""
        begins = np.cumsum([0, *map(len, self.arrays[:-1])])
        places = np.split(rows, np.searchsorted(rows, begins[1:]))
        inside = zip(self.arrays, places, begins, strict=True)
        return np.concatenate([array[place - begin] for array, place, begin in inside])


def join_sets(loaded: dict[Path, Split]) -> Split:
    """One split of those of several sets, {features file: split}.

    Names of videos get that of their set in front. So do groups, clips, and people whom one set
    alone knows; of sets of one folder of videos, or of one public set, these are the same, and get
    the name of the first.
    """
    videos, index, homes = [], [], {}
    for file, split in loaded.items():
        if not split.videos or not split.extraction:
            raise InputError(f"{file}: several sets need extraction.json and _videos.csv: {AGAIN}")
        index.append(split.video_index + len(videos))
        name = name_set(file)
        for row in split.videos:
            origin = row["layout"] if row["layout"] in PUBLIC else row["root"]
            home = homes.setdefault(origin, f"{name}/")
            people = [name_person(home, person) for person in row["people"].split(";")]
            row |= {key: row[key] and home + row[key] for key in ("group", "clip")}
            row |= {"video": f"{name}/{row['video']}", "people": ";".join(people)}
            row |= {"set": name, "home": home}
        videos += split.videos
    parts = list(loaded.values())
    names = join_words(map(name_set, loaded))
    features = Stack([part.features for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    numbers = np.concatenate([part.numbers for part in parts])
    rows = np.arange(len(labels))
    extraction = join_extractions(names, [part.extraction for part in parts])
    return Split(features, rows, labels, np.concatenate(index), numbers, videos, extraction)


def name_person(home: str, person: str) -> str:
    """A person among several sets: who is known in one set alone gets the name of its home."""
    is_of_one = person.startswith((BY_NAME, BY_LIST))
    return person[0] + home + person[1:] if is_of_one else person


def join_extractions(names: str, made: list[Extraction]) -> Extraction:
    """The first extraction with the notes and the counts of all."""
    counts, n_frames = Counter(), Counter()
    for each in made:
        counts.update({key: n for key, n in each.counts.items() if key != "frames"})
        n_frames.update(each.counts.get("frames", {}))
    return replace(
        made[0],
        name=names,
        notes=[note for each in made for note in each.notes],
        counts=dict(counts) | {"frames": dict(n_frames)},
        sample=made[0].sample if all(each.sample for each in made) else None,
    )
