"""What the words of folders tell: real or fake; train, val or test."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations

from data.files import InputError
from data.words import CLASS_WORDS, CLASSES, COMPRESSIONS, LEVEL, SPLIT_WORDS

TELLS = {  # {word: (label, split)}
    **{word: (label, "") for label, words in enumerate(CLASS_WORDS) for word in words.split()},
    **{word: (None, split) for word, split in SPLIT_WORDS.items()},
}
ANY_WORD = "|".join([*sorted(TELLS, key=len, reverse=True), LEVEL])  # training before train


@lru_cache(maxsize=100_000)
def read_folder(name: str) -> tuple[int | None, str | None]:
    """(label, split) that a folder's words tell: fake_train, 0_real; (None, None) of other names.

    Words that tell nothing, and compressions, are (None, "").
    """
    name = re.sub(r"^\d[ _.-]+|(?<=deep)[ _-](?=fake)", "", name.lower())
    if name in COMPRESSIONS or re.fullmatch(LEVEL, name):
        return None, ""
    words = re.split(r"[ _.-]+", name)
    if not all(re.fullmatch(rf"(?:{ANY_WORD})+", word) for word in words):
        return None, None
    parts = [part for word in words for part in re.findall(ANY_WORD, word)]
    told = [TELLS[part] for part in parts if part in TELLS]
    labels = {label for label, _ in told if label is not None}
    splits = {split for _, split in told if split}
    if len(labels) > 1 or len(splits) > 1:
        return None, None
    return next(iter(labels), None), next(iter(splits), "")


def names_nothing(folder: str) -> bool:
    """Whether a folder is no video, method or person, by its words: fake_train, c23."""
    return read_folder(folder) != (None, None)


def find_classes(folders: list[str]) -> dict[int, int]:
    """{place: label} of the class folders among the folders of a path."""
    told = enumerate(map(read_folder, folders))
    return {place: label for place, (label, _) in told if label is not None}


def find_split_word(folders: list[str]) -> str:
    """The split that the outermost such folder of a path names; "" if none does."""
    return next((split for _, split in map(read_folder, folders) if split), "")


class ClassFolders:
    """Folders real/ and fake/, in one of many words: the innermost one is the class of a video.

    A class folder with both classes in it is a set: deepfakes/ with real/ and fake/ in it.
    """

    name = "class folders"
    lists = ()

    def __init__(self, paths: Iterable[str]) -> None:
        inside = defaultdict(set)  # {class folder: the classes of class folders in it}
        for path in paths:
            folders = path.split("/")
            for (outer, _), (_, label) in combinations(find_classes(folders).items(), 2):
                inside["/".join(folders[: outer + 1])].add(label)
        self.sets = {path for path, labels in inside.items() if len(labels) == 2}
        note = "/ holds both classes: the innermost folder is the class"
        self.notes = [path + note for path in sorted(self.sets)]

    def fits(self, place: str) -> bool:
        """Whether a class folder that is no set lies at the top, perhaps in that of a split."""
        folders = place.split("/")[:-1]
        first = next(iter(find_classes(folders)), None)
        if first is None or "/".join(folders[: first + 1]) in self.sets:
            return False
        return all(map(names_nothing, folders[:first]))

    def read(self, place: str) -> dict | None:
        """What a path below the root tells of a video (fields of Video); None: no video of it.

        Raises InputError for a class folder in one of the other class alone.
        """
        *folders, name = place.split("/")
        classes = find_classes(folders)
        if not classes or not all(map(names_nothing, folders[: min(classes)])):
            return None
        paths = {i: "/".join(folders[: i + 1]) for i in classes}
        inner = max(classes)
        top = next((i for i in classes if paths[i] not in self.sets), inner)
        if classes[top] != classes[inner]:
            one, other = (f"{paths[i]}/" for i in (top, inner))
            says = [CLASSES[classes[i]] for i in (top, inner)]
            both = f"{one} says {says[0]}, but {other} in it {says[1]}"
            raise InputError(f"{both}: rename one of the two, or list the videos with --videos-csv")
        below = []  # methods, people and what else
        for folder in folders[top + 1 :]:
            label, split = read_folder(folder)
            is_method = label is not None and not split and folder != folders[top]
            if is_method or not names_nothing(folder):
                below.append(folder)
        split = find_split_word(folders)
        sets = [folders[i] for i in classes if i < top]
        parts = [split, *sets, CLASSES[classes[inner]], *below, name]
        return {
            "label": classes[inner],
            "split": split,
            "folders": tuple(below),
            "key": "/".join(filter(None, parts)).lower(),
        }


def read_any(place: str) -> dict:
    """What a path tells of a video whose label a list tells, or nobody (fields of Video)."""
    *folders, _ = place.split("/")
    classes = find_classes(folders)
    return {
        **({"label": classes[max(classes)]} if classes else {}),
        "split": find_split_word(folders),
        "folders": tuple(f for f in folders if f != ".." and not names_nothing(f)),
        "key": place.lower(),
    }
