"""Who and what belongs together and must stay on one side of a split.

What a data set or a list tells comes first. Of the others folders and names are asked, by these
rules alone; what they do not settle is said, and told by features/originals.py or by a list.

- What all names of a class share, what a compression, a quality, a copier or a piece adds, is no
  part of a name; a name that all videos share is replaced by its folder.
- A folder is a person if it is the outermost one that divides and lies below both classes; where
  most at its place are people, all are.
- A fake belongs to each real, and each person, whose whole name its own holds.
"""

import filecmp
import re
import stat
import unicodedata
from collections import Counter, defaultdict
from itertools import combinations, groupby
from pathlib import Path
from statistics import mode

from data.files import InputError, fingerprint
from data.videos import Video
from data.words import CLASS_WORDS, COPY_BEFORE, COPY_BEHIND, PIECES, QUALITIES, UNNAMED

Words = tuple[str, ...]  # of a name: Anna_02-b is ("anna", "02", "b")
# How people begin who mean somebody in this data set alone
BY_NAME = "~"  # told by names or folders: they may have another name, too
BY_LIST = "@"  # told by a list
FOLDER = "folder"  # in place of a place: a name is that of a folder that is a person


def set_groups(videos: list[Video]) -> list[str]:
    """Give each video its group, clip, people and method, and return what is to be said of them.

    People that names tell are those of this data set alone: they begin with BY_NAME. Raises
    InputError where one file is in both classes.
    """
    words = read_words(videos)
    asked = [video for video in videos if not video.is_known]
    folder_of, notes = relate_by_folders(asked, words)
    notes += relate_by_names(videos, words, folder_of)
    files = [video for video in videos if video.kind in ("videos", "photos")]
    notes += relate_copies(files)
    join_related(videos)
    return notes


# --- Names ---


def read_words(videos: list[Video]) -> dict[str, Words]:
    """{identifier: the words of its name that tell it from others}."""
    there = {video.key for video in videos}
    words = {video.video: split_name(video.key, there) for video in videos}
    if len(videos) > 1 and len(set(words.values())) == 1 and all(each.folders for each in videos):
        words = {video.video: split_folder(video.folders[-1]) for video in videos}
    by_class = [[video.video for video in videos if video.label == label] for label in (0, 1)]
    drop_shared(words, [*words], set())
    for names, others in (by_class, by_class[::-1]):
        drop_shared(words, names, {word for name in others for word in words[name]})
    return words


def split_name(key: str, there: set[str]) -> Words:
    """The words of the last part of a key, without those of a quality and marks of a copier.

    A number in brackets is a copier's if the key without it is `there`; else it is a word.
    """
    plain = re.sub(rf"{COPY_BEHIND}$", "", key)
    bracket = re.search(r"\(\d+\)$", key)
    number = () if plain in there or not bracket else (bracket[0],)
    name = re.sub(f"^{COPY_BEFORE}", "", plain.rpartition("/")[2])
    words = tuple("".join(word) for is_word, word in groupby(name, is_sign) if is_word)
    telling = tuple(word for word in words if not re.fullmatch(QUALITIES, word))
    return (telling or words or (name,)) + number


def split_folder(folder: str) -> Words:
    return split_name(folder.lower(), set())


def is_sign(sign: str) -> bool:
    """Whether a sign is part of a word: also vowel signs, as of Hindi, and emoji."""
    return sign.isalnum() or unicodedata.category(sign) in ("Mn", "Mc", "So")


def drop_shared(words: dict[str, Words], names: list[str], others: set[str]) -> None:
    """Take from both ends of these names, in place, the words that all share and no others have."""
    for place, rest in ((0, slice(1, None)), (-1, slice(None, -1))):
        while len({words[name] for name in names}) > 1 and all(len(words[n]) > 1 for n in names):
            ends = {words[name][place] for name in names}
            if len(ends) > 1 or not ends.isdisjoint(others):
                break
            words |= {name: words[name][rest] for name in names}


def find_names(words: Words, known) -> list[tuple[int, int]]:
    """Places (start, end) in `words` of what is `known`, the longest first, none twice."""
    free, places = set(range(len(words))), []
    spans = combinations(range(len(words) + 1), 2)
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):
        if free.issuperset(range(start, end)) and words[start:end] in known:
            places.append((start, end))
            free -= set(range(start, end))
    return sorted(places)


def find_pieces(reals: list[Video], words: dict[str, Words]) -> dict[str, Words]:
    """{identifier: words before the number}, if reals are numbered for each person: anna_1, anna_2.

    So they are if nine of ten end in a number, and most of these share what stands before it with
    others, but not nine of ten with each other.
    """
    piece = "|".join(PIECES.split())
    unnamed = rf"(?:{'|'.join(' '.join([UNNAMED, *CLASS_WORDS]).split())})\d*"
    stems = {}
    for video in reals:
        *stem, last = words[video.video]
        if stem and re.fullmatch(piece, stem[-1]):
            stem.pop()
        is_numbered = re.fullmatch(rf"(?:{piece})?\d+", last)
        if is_numbered and not all(re.fullmatch(unnamed, word) for word in stem):
            stems[video.video] = tuple(stem)
    sizes = Counter(stems.values())
    recurring = sum(size for size in sizes.values() if size > 1)
    are_most = len(stems) >= 0.9 * len(reals) and recurring >= len(stems) / 2
    return stems if are_most and max(sizes.values(), default=0) < 0.9 * len(stems) else {}


# --- Folders ---


def list_shared(videos: list[Video]) -> dict[str, list[Video]]:
    """{folder: what lies in it} of the folders that hold both classes, or lie below both."""
    inside = defaultdict(list)
    for video in videos:
        for folder in {folder.lower() for folder in video.folders}:
            inside[folder].append(video)
    return {folder: held for folder, held in inside.items() if len({v.label for v in held}) == 2}


def find_people(videos: list[Video], shared: set[str]) -> dict[str, int]:
    """{identifier: place of the folder, among the folders of the video, that is a person}.

    `shared` are the folders of both classes that divide the videos. The outermost of them counts,
    and for all videos the place at which most lie, if most folders there are shared.
    """
    people = {}
    for video in videos:
        places = [i for i, folder in enumerate(video.folders) if folder.lower() in shared]
        if places:
            people[video.video] = places[0]
    usual = {}  # {label: place of most people}
    for label in (0, 1):
        places = [people[v.video] for v in videos if v.label == label and v.video in people]
        if places:
            usual[label] = mode(places)
    beside, are_people = {}, {}  # what lies at that place
    for video in videos:
        place = usual.get(video.label, len(video.folders))
        if place < len(video.folders):
            beside[video.video] = place
            folder = video.folders[place].lower()
            are_people[video.label, folder] = folder in shared
    if 2 * sum(are_people.values()) <= len(are_people):
        return people
    of_reals = {video.video for video in videos if not video.label}  # fakes may lie below a method
    return beside | {name: at for name, at in people.items() if name not in of_reals & set(beside)}


def hold_pairs(videos: list[Video], words: dict[str, Words]) -> bool:
    """Whether a fake among these is named after two of the reals: then names tell more."""
    known = {words[video.video] for video in videos if video.label == 0}
    return any(len(find_names(words[video.video], known)) > 1 for video in videos if video.label)


def relate_by_folders(
    videos: list[Video], words: dict[str, Words]
) -> tuple[dict[str, str], list[str]]:
    """{identifier: folder of a person}, and what is to be said. Sets people, and methods.

    A folder below fake/ that is no person is a method.
    """
    of_both = list_shared(videos)
    dividing = {
        folder
        for folder, held in of_both.items()
        if len(held) < len(videos) and not hold_pairs(held, words)
    }
    places = find_people(videos, dividing)
    of_reals = {words[video.video] for video in videos if not video.label}
    folder_of, splits = {}, defaultdict(set)
    for video in videos:
        place = places.get(video.video)
        if place is not None:
            folder = folder_of[video.video] = video.folders[place].lower()
            splits[folder].add(video.split)
            video.people += (person(video, folder),)
        others = [folder for i, folder in enumerate(video.folders) if i != place]
        methods = [folder for folder in others if folder.lower() not in of_both]
        methods = [folder for folder in methods if split_folder(folder) not in of_reals]
        if video.label and methods and not video.method:
            video.method = methods[0]
    notes = []
    if splits:
        notes.append(f"folders that are people: {len(splits)}, {min(splits)}/ for one")
    across = sorted(folder for folder, found in splits.items() if len(found) > 1)
    if across:
        which = f"{len(across)}, {across[0]}/ for one"
        notes.append(f"such folders in several splits ({which}): are people on both sides?")
    return folder_of, notes


def person(video: Video, name: str) -> str:
    """A person of this data set, as told by names: not the same one in another split."""
    return f"{BY_NAME}{video.split} {name}".replace(";", ",")


# --- Fakes and their reals ---


def relate_by_names(
    videos: list[Video], words: dict[str, Words], folder_of: dict[str, str]
) -> list[str]:
    """Relate fakes to the reals and people whose names theirs hold, and copies of one clip.

    Nothing is added to videos of which more is known. Returns what is to be said.
    """
    reals = [video for video in videos if video.label == 0]
    asked = [video for video in videos if not video.is_known]
    pieces = find_pieces([video for video in asked if video.label == 0], words)
    known = defaultdict(list)  # {(*place, words): videos that are called so, or lie in a folder}
    for video in reals:
        for place in ((), (video.split,), *near(video)):
            known[*place, pieces.get(video.video, words[video.video])].append(video)
    for video in asked:
        if video.video in folder_of:
            name = split_folder(folder_of[video.video])
            known[FOLDER, video.split, name].append(video)
        elif video.video in pieces:
            video.people += (person(video, " ".join(pieces[video.video])),)
    names = {name for *_, name in known}
    for video in asked:
        if video.label:
            people = (FOLDER, video.split)
            places = [*near(video), people, (video.split,), ()]
            if video.video in folder_of:
                places = [(video.split, folder_of[video.video]), people]
            relate_fake(video, words, known, names, places)
            if len(words[video.video]) > 1:  # the same swap by another method
                where = f"{video.split}/{folder_of.get(video.video, '')}"
                video.group_keys += (f"{where} {sorted(words[video.video])}",)
    relate_copies_of_clips(asked, words)
    for video in videos:
        video.people = tuple(dict.fromkeys(video.people))
        video.clip = video.clip or ("" if video.label else video.video)
    if not pieces:
        return []
    people = sorted(map(" ".join, set(pieces.values())))
    return [f"people that names with a number tell: {len(people)}, {people[0]} for one"]


def relate_fake(video: Video, words, known: dict, names: set, places: list) -> None:
    """Relate a fake to what its name holds, where that is known first of these places."""
    own = words[video.video]
    spans = [own[start:end] for start, end in find_names(own, names)]
    spans += [name for name in map(split_folder, video.folders) if name in names]
    for name in spans:
        place = next((place for place in places if (*place, name) in known), None)
        found = known[*place, name] if place is not None else []
        if place and place[0] == FOLDER:
            video.people += found[0].people[-1:]
            continue
        if is_small_number(name) and not (own[-1:] == name or all(map(str.isdigit, own))):
            continue
        if len(place or "more") < 2 and len({(real.split, real.folders) for real in found}) > 1:
            continue  # a name that several reals in different folders have tells nobody
        for real in found:
            if not real.people and not real.is_known:
                real.people = (person(real, "/".join((*real.folders, *name))),)
            video.people += real.people
            video.group_keys += (real.video,)
        same = [real for real in found if words[real.video] in (name, (*name, own[-1]))]
        if same:
            video.clip = video.clip or same[0].clip or same[0].video


def is_small_number(name: Words) -> bool:
    """Whether a name is a number of one or two digits, as the version of a method may be."""
    return len(name) == 1 and name[0].isdigit() and len(name[0]) < 3


def near(video: Video) -> list[tuple[str, str]]:
    """The split and a folder, the nearest first, in which names mean the same."""
    return [(video.split, folder.lower()) for folder in reversed(video.folders)]


def relate_copies_of_clips(videos: list[Video], words: dict[str, Words]) -> None:
    """Videos of one class, folder and name show the same: 253, 253_c40 and Copy of 253."""
    first_of = {}
    for video in sorted(videos, key=lambda video: not video.clip):
        first = first_of.setdefault(
            (video.split, video.label, video.folders, words[video.video]), video
        )
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
        size = size_of(video.path)
        if size:
            of_size[size].append(video)
    first, copies = {}, []
    for video in (video for alike in of_size.values() if len(alike) > 1 for video in alike):
        try:
            key = f"file {fingerprint(video.path)}"
        except OSError:  # it will fail when it is read
            continue
        other = first.setdefault(key, video)
        if other is not video and not filecmp.cmp(other.path, video.path, shallow=False):
            continue
        if other.label != video.label:
            both = f"{other.video} and {video.video} are one file"
            raise InputError(f"{both}, once real and once fake: take one of them away")
        if other is not video:
            copies.append((other, video))
            other.group_keys += (key,)
            video.group_keys += (key,)
    if not copies:
        return []
    example = " and ".join(video.video for video in copies[0])
    return [f"files that are there twice: {len(copies)}, kept together, {example} for one"]


def size_of(path: Path) -> int:
    """The size of a file in bytes; 0 where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


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
