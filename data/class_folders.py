"""What folders tell in their many words: real or fake; train, val or test; perhaps a method."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from data.files import InputError
from data.words import CLASS_WORDS, CLASSES, COMPRESSIONS, LEVEL, SPLIT_WORDS

FOLDER_WORDS = {
    **{word: (label, "") for label, words in enumerate(CLASS_WORDS) for word in words.split()},
    **{word: (None, split) for word, split in SPLIT_WORDS.items()},
    LEVEL: (None, ""),
}
ANY_WORD = "|".join(sorted(FOLDER_WORDS, key=len, reverse=True))  # training before train


@lru_cache(maxsize=100_000)
def read_folder(name: str) -> tuple[int | None, str] | None:
    """(label, split) that a folder's words tell, such as fake_train; None if one is no such word.

    Compressions tell neither, nor does a digit in front: 0_real.
    """
    name = re.sub(r"^\d[ _.-]+|(?<=deep)[ _-](?=fake)", "", name.lower())
    if name in COMPRESSIONS or re.fullmatch(LEVEL, name):
        return None, ""
    told = set()
    for word in re.split(r"[ _.-]+", name):
        if not re.fullmatch(rf"(?:{ANY_WORD})+", word):
            return None
        for part in re.findall(ANY_WORD, word):
            told |= {tells for regex, tells in FOLDER_WORDS.items() if re.fullmatch(regex, part)}
    labels = {label for label, _ in told} - {None}
    splits = {split for _, split in told} - {""}
    if len(labels) > 1 or len(splits) > 1:
        return None
    return next(iter(labels), None), next(iter(splits), "")


def names_nothing(folder: str) -> bool:
    """Whether a folder is no video, method or person, by its words: fake_train, c23."""
    return read_folder(folder) is not None


def find_classes(folders: list[str]) -> dict[int, int]:
    """{place: label} of the class folders among the folders of a path."""
    told = map(read_folder, folders)
    return {i: tells[0] for i, tells in enumerate(told) if tells and tells[0] is not None}


@dataclass
class ClassFolders:
    """Folders real/ and fake/, in one of many words: the innermost one is the class of a video."""

    inside: dict[str, set[int]]  # {class folder: the classes of class folders in it}
    name = "class folders"
    lists = ()
    has_public_ids = False

    @classmethod
    def of(cls, paths: Iterable[str]) -> "ClassFolders":
        """Those among the folders of these paths."""
        inside = defaultdict(set)
        for path in paths:
            folders = path.split("/")
            for (outer, _), (_, label) in combinations(find_classes(folders).items(), 2):
                inside["/".join(folders[: outer + 1])].add(label)
        return cls(inside)

    def is_set(self, folders: list[str]) -> bool:
        """Whether both classes lie in a class folder: deepfakes/ with real/ and fake/ in it."""
        return len(self.inside.get("/".join(folders), ())) == 2

    @property
    def notes(self) -> list[str]:
        sets = sorted(path for path, classes in self.inside.items() if len(classes) == 2)
        return [f"{path}/ holds both classes: the innermost folder is the class" for path in sets]

    def fits(self, place: str) -> bool:
        """Whether a class folder that is no set lies at the top, perhaps in that of a split."""
        folders = place.split("/")[:-1]
        first = next(iter(find_classes(folders)), None)
        if first is None or self.is_set(folders[: first + 1]):
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
        inner = max(classes)
        top = next((i for i in classes if not self.is_set(folders[: i + 1])), inner)
        if classes[top] != classes[inner]:
            one, other = ("/".join(folders[: i + 1]) for i in (top, inner))
            says = [CLASSES[classes[i]] for i in (top, inner)]
            both = f"{one}/ says {says[0]}, but {other}/ in it {says[1]}"
            raise InputError(f"{both}: rename one of the two, or list the videos with --videos-csv")
        told = [read_folder(folder) for folder in folders]
        split = next((tells[1] for tells in told if tells and tells[1]), "")
        below = []
        for i in range(top + 1, len(folders)):
            is_method = i in classes and not told[i][1] and folders[i] != folders[top]
            if told[i] is None or is_method:
                below.append(folders[i])
        sets = [folder for i, folder in enumerate(folders[:top]) if i in classes]
        parts = [split, *sets, CLASSES[classes[inner]], *below, name]
        return {
            "label": classes[inner],
            "split": split,
            "method": "",
            "folders": tuple(below),
            "key": "/".join(filter(None, parts)).lower(),
        }


class AnyFolders:
    """Any videos, whose labels a list tells or nobody."""

    name = "list"
    has_public_ids = False

    def read(self, place: str) -> dict:
        *folders, _ = place.split("/")
        told = [read_folder(folder) for folder in folders]
        classes = find_classes(folders)
        return {
            **({"label": classes[max(classes)]} if classes else {}),
            "split": next((tells[1] for tells in told if tells and tells[1]), ""),
            "folders": tuple(f for f in folders if f != ".." and not names_nothing(f)),
            "key": place.lower(),
        }
