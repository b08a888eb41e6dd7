"""Who and what a video shows, and what must therefore stay on one side of a split.

What a data set or a list tells comes first. Of the others folders and names are asked, by the
rules of data/README.md alone; what they do not settle is said, and told by features/originals.py
or by a list.
"""

import filecmp
import os
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from contextlib import suppress
from itertools import groupby
from statistics import mode

from data.files import InputError, fingerprint
from data.videos import Video
from data.words import CLASS_WORDS, COPY_BEFORE, COPY_BEHIND, PIECES, QUALITIES, UNNAMED

Words = tuple[str, ...]  # of a name: Anna_02-b is ("anna", "02", "b")
# How people begin who mean somebody in this data set alone
BY_NAME = "~"  # told by names or folders: they may have another name, too
BY_LIST = "@"  # told by a list
FOLDER = "folder"  # in place of a split: a name is that of a folder that is a person

PIECE = "|".join(PIECES.split())
NOBODY = rf"(?:{'|'.join(' '.join([UNNAMED, *CLASS_WORDS]).split())})\d*"


def set_groups(videos: list[Video]) -> list[str]:
    """Give each video its group, clip, people and method, and return what is to be said of them.

    People that names tell are those of this data set alone: they begin with BY_NAME. Raises
    InputError where one file is in both classes.
    """
    read_words(videos)
    notes = relate_by_folders([video for video in videos if not video.is_known])
    notes += relate_by_names(videos)
    notes += relate_copies([video for video in videos if video.kind in ("videos", "photos")])
    join_related(videos)
    return notes


# --- Names ---


def read_words(videos: list[Video]) -> None:
    """Give each video the words of its name that tell it from others.

    A name that all videos share is replaced by its folder.
    """
    keys = {video.key for video in videos}
    for video in videos:
        video.words = split_name(video.key, keys)
    if len(videos) > 1 and len({v.words for v in videos}) == 1 and all(v.folders for v in videos):
        for video in videos:
            video.words = split_name(video.folders[-1])
    reals, fakes = ([video for video in videos if video.label == label] for label in (0, 1))
    for some, others in ((videos, []), (reals, fakes), (fakes, reals)):
        drop_shared(some, {word for video in others for word in video.words})


def split_name(key: str, keys=frozenset()) -> Words:
    """The words of the last part of a key, without those of a quality and marks of a copier.

    A number in brackets is a copier's if the key without it is one of `keys`; else it is a word.
    """
    plain = re.sub(rf"{COPY_BEHIND}$", "", key.lower())
    number = () if plain in keys else tuple(re.findall(r"\(\d+\)$", key))
    name = re.sub(f"^{COPY_BEFORE}", "", plain.rpartition("/")[2])
    words = tuple("".join(word) for is_word, word in groupby(name, is_sign) if is_word)
    telling = tuple(word for word in words if not re.fullmatch(QUALITIES, word))
    return (telling or words or (name,)) + number


def is_sign(sign: str) -> bool:
    """Whether a sign is part of a word: also vowel signs, as of Hindi, and emoji."""
    return sign.isalnum() or unicodedata.category(sign) in ("Mn", "Mc", "So")


def drop_shared(videos: list[Video], others: set[str]) -> None:
    """Take from both ends of names the words that all these videos share and no others have."""
    for end, rest in ((0, slice(1, None)), (-1, slice(None, -1))):
        while len({v.words for v in videos}) > 1 and all(len(v.words) > 1 for v in videos):
            ends = {video.words[end] for video in videos}
            if len(ends) > 1 or ends & others:
                break
            for video in videos:
                video.words = video.words[rest]


def find_names(words: Words, known) -> list[Words]:
    """What is `known` among these words, in their order: the longest first, no word twice."""
    for size in range(len(words), 0, -1):
        for start in range(len(words) - size + 1):
            name = words[start : start + size]
            if name in known:
                before, behind = words[:start], words[start + size :]
                return [*find_names(before, known), name, *find_names(behind, known)]
    return []


def find_pieces(reals: list[Video]) -> dict[str, Words]:
    """{identifier: words before the number}, if reals are numbered for each person: anna_1, anna_2.

    So they are if nine of ten end in a number, and most of these share what stands before it with
    others, but not nine of ten with each other.
    """
    stems = {}
    for video in reals:
        *stem, last = video.words
        if stem and re.fullmatch(PIECE, stem[-1]):
            stem.pop()
        is_numbered = re.fullmatch(rf"(?:{PIECE})?\d+", last)
        if is_numbered and not all(re.fullmatch(NOBODY, word) for word in stem):
            stems[video.video] = tuple(stem)
    sizes = Counter(stems.values()).values()
    recurring = sum(size for size in sizes if size > 1)
    are_most = len(stems) >= 0.9 * len(reals) and recurring >= len(stems) / 2
    return stems if are_most and max(sizes, default=0) < 0.9 * len(stems) else {}


# --- Folders ---


def relate_by_folders(videos: list[Video]) -> list[str]:
    """Give videos the person and the method that a folder is; return what is to be said.

    A folder below fake/ that is no person is a method, if no real is called so.
    """
    inside = defaultdict(list)
    for video in videos:
        for folder in {folder.lower() for folder in video.folders}:
            inside[folder].append(video)
    of_both = {folder for folder, held in inside.items() if len({v.label for v in held}) == 2}
    divide = {folder for folder in of_both if len(inside[folder]) < len(videos)}
    find_people(videos, {folder for folder in divide if not hold_pairs(inside[folder])})
    of_reals = {video.words for video in videos if not video.label}
    splits = defaultdict(set)
    for video in videos:
        if video.person:
            splits[video.person].add(video.split)
            video.people += (name_person(video, video.person),)
        others = [folder for folder in video.folders if folder.lower() != video.person]
        others = [folder for folder in others if folder.lower() not in of_both]
        methods = [folder for folder in others if split_name(folder) not in of_reals]
        if video.label and methods and not video.method:
            video.method = methods[0]
    notes = []
    if splits:
        notes.append(f"folders that are people: {len(splits)}, {min(splits)}/ for one")
    across = [folder for folder, found in splits.items() if len(found) > 1]
    if across:
        which = f"{len(across)}, {min(across)}/ for one"
        notes.append(f"such folders in several splits ({which}): are people on both sides?")
    return notes


def hold_pairs(videos: list[Video]) -> bool:
    """Whether a fake among these is named after two of the reals: then names tell more."""
    known = {video.words for video in videos if not video.label}
    return any(len(find_names(video.words, known)) > 1 for video in videos if video.label)


def find_people(videos: list[Video], shared: set[str]) -> None:
    """Give videos the folder that is a person.

    `shared` are the folders of both classes that divide the videos. The outermost of them counts,
    and for all videos of a class the place at which most lie, if most folders there are shared.
    """
    outermost, usual = {}, {}
    for label in (0, 1):
        of_class = [video for video in videos if video.label == label]
        for video in of_class:
            places = [i for i, folder in enumerate(video.folders) if folder.lower() in shared]
            if places:
                outermost[video.video] = places[0]
        found = [outermost[video.video] for video in of_class if video.video in outermost]
        place = mode(found) if found else sys.maxsize
        usual |= {video.video: place for video in of_class if place < len(video.folders)}
    there = {(v.label, v.folders[usual[v.video]].lower()) for v in videos if v.video in usual}
    are_most = 2 * sum(folder in shared for _, folder in there) > len(there)
    for video in videos:
        place = outermost.get(video.video)
        if are_most and (place is None or not video.label):  # fakes may lie below a method
            place = usual.get(video.video, place)
        if place is not None:
            video.person = video.folders[place].lower()


def name_person(video: Video, name: str) -> str:
    """A person of this data set, as told by names: not the same one in another split."""
    return f"{BY_NAME}{video.split} {name}".replace(";", ",")


# --- Fakes and their reals ---


def relate_by_names(videos: list[Video]) -> list[str]:
    """Relate fakes to the reals and people whose names theirs hold, and copies of one clip.

    Nothing is added to videos of which more is known. Returns what is to be said.
    """
    asked = [video for video in videos if not video.is_known]
    pieces = find_pieces([video for video in asked if not video.label])
    known = defaultdict(list)  # {(*place, words): videos that are called so, or lie in a folder}
    for video in videos:
        if not video.label:
            for place in (*near(video), (video.split,), ()):
                known[*place, pieces.get(video.video, video.words)].append(video)
    for video in asked:
        if video.person:
            known[FOLDER, video.split, split_name(video.person)].append(video)
        elif video.video in pieces:
            video.people += (name_person(video, " ".join(pieces[video.video])),)
    names = {name for *_, name in known}
    for video in asked:
        if video.label:
            relate_fake(video, known, names)
    relate_copies_of_clips(asked)
    for video in videos:
        video.people = tuple(dict.fromkeys(video.people))
        video.clip = video.clip or ("" if video.label else video.video)
    people = set(map(" ".join, pieces.values()))
    what = f"people that names with a number tell: {len(people)}"
    return [f"{what}, {min(people)} for one"] if people else []


def relate_fake(video: Video, known: dict, names: set[Words]) -> None:
    """Relate a fake to what its name and folders hold, where that is known first of the places."""
    people = (FOLDER, video.split)
    places = [*near(video), people, (video.split,), ()]
    if video.person:
        places = [(video.split, video.person), people]
    found = find_names(video.words, names)
    if video.clip:  # a list tells its original: an equal name alone is nobody's
        found = [name for name in found if name != video.words]
    found += [name for name in map(split_name, video.folders) if name in names]
    for name in found:
        place = next((place for place in places if (*place, name) in known), None)
        if place is None:
            continue
        reals = known[*place, name]
        if place == people:
            video.people += (name_person(video, reals[0].person),)
            continue
        is_common = place == (video.split,) and len({real.folders for real in reals}) > 1
        if is_common or is_version(name, video.words):  # such a name tells nobody
            continue
        for real in reals:
            if not real.people and not real.is_known:
                real.people = (name_person(real, "/".join((*real.folders, *name))),)
            video.people += real.people
            video.group_keys += (real.video,)
        same = [real for real in reals if real.words in (name, (*name, video.words[-1]))]
        if same:
            video.clip = video.clip or same[0].clip or same[0].video
    if len(video.words) > 1:  # the same swap by another method
        video.group_keys += (f"{video.split}/{video.person} {sorted(video.words)}",)


def is_version(name: Words, words: Words) -> bool:
    """Whether a name is a small number among other words, as the version of a method may be."""
    is_small = len(name) == 1 and name[0].isdigit() and len(name[0]) < 3
    return is_small and words[-1:] != name and not all(map(str.isdigit, words))


def near(video: Video) -> list[tuple[str, str]]:
    """The split and a folder, the nearest first, in which names mean the same."""
    return [(video.split, folder.lower()) for folder in reversed(video.folders)]


def relate_copies_of_clips(videos: list[Video]) -> None:
    """Videos of one class, folder and name show the same: 253, 253_c40 and Copy of 253."""
    first_of = {}
    for video in sorted(videos, key=lambda video: not video.clip):
        name = (video.split, video.label, video.folders, video.words)
        first = first_of.setdefault(name, video)
        if first is not video:
            video.group_keys += (first.video,)
            first.clip = video.clip = first.clip or ("" if video.label else first.video)


# --- Copies ---


def relate_copies(videos: list[Video]) -> list[str]:
    """Keep copies of one file together. Only files of equal size and equal ends are read.

    Raises InputError where one is real and the other fake.
    """
    of_size = defaultdict(list)
    for video in videos:
        with suppress(OSError):
            of_size[os.path.getsize(video.path)].append(video)
    of_size.pop(0, None)
    first, copies = {}, []
    for video in (video for alike in of_size.values() if len(alike) > 1 for video in alike):
        try:
            other = first.setdefault(fingerprint(video.path), video)
        except OSError:  # it will fail when it is read
            continue
        if other is video or not filecmp.cmp(other.path, video.path, shallow=False):
            continue
        if other.label != video.label:
            both = f"{other.video} and {video.video} are one file"
            raise InputError(f"{both}, once real and once fake: take one of them away")
        copies.append(f"{other.video} and {video.video}")
        video.group_keys += (other.video,)
    what = f"files that are there twice: {len(copies)}, kept together"
    return [f"{what}, {copies[0]} for one"] if copies else []


# --- Groups ---


class Joined:
    """Names that are joined bit by bit: those that belong together have one name in common."""

    def __init__(self) -> None:
        self.part_of = {}  # name: another of the same part

    def find(self, name):
        """The name of the part that this name is in."""
        while name in self.part_of:
            above = self.part_of[name]
            if above in self.part_of:  # shorter for the next one who asks
                self.part_of[name] = self.part_of[above]
            name = above
        return name

    def join(self, first, second) -> None:
        """Make one part of two; it goes by the name of the first one's."""
        first, second = self.find(first), self.find(second)
        if first != second:
            self.part_of[second] = first


def join_related(videos: list[Video]) -> None:
    """Put into one group what is related, directly or through others; it has its first's name."""
    joined, first = Joined(), {}
    for i, video in enumerate(videos):
        for key in (video.video, *video.people, *video.group_keys):
            joined.join(*sorted((joined.find(first.setdefault(key, i)), joined.find(i))))
    for i, video in enumerate(videos):
        video.group = videos[joined.find(i)].video


def describe_lone_fakes(videos: list[Video]) -> list[str]:
    """Which fakes belong to no real video, though neither a list nor ids of people say to whom."""
    with_real = {video.group for video in videos if video.label == 0}
    fakes = [video for video in videos if video.label]
    lone = [v for v in fakes if v.group not in with_real and not v.people and not v.clip]
    if not lone or not with_real:
        return []
    known = f"of {len(fakes)} fakes {len(lone)} belong to no real video by name"
    example = ", ".join(video.video for video in lone[:3])
    remedy = "people may be on both sides; --videos-csv with a column group keeps them together"
    return [f"{known} ({example}; in videos.csv those without people and clip): {remedy}"]
