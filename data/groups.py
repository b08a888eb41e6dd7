"""Which videos belong together and must stay on one side of a split, as far as names tell."""

import re
import stat
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from data.files import InputError, fingerprint

SPLITS = ("train", "val", "test")
CLASSES = ("real", "fake")  # a label is an index into this
VIDEO_ENDINGS = (
    "mp4 avi mov mkv webm m4v mpg mpeg wmv asf flv f4v 3gp gif "
    "ts mts m2ts vob ogv mxf h264 264 hevc 265"
)
VIDEO_SUFFIXES = tuple(f".{ending}" for ending in VIDEO_ENDINGS.split())
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


@dataclass
class Video:
    """A video file, a folder of frames or an image, and what its data set tells of it."""

    path: Path  # of frames that lie loose in a folder: folder / what their names have in common
    label: int  # 1 = fake, 0 = real
    split: str = "train"
    method: str = ""  # how a fake was made, where that is known
    clip: str = ""  # the footage that is seen: of a fake, that of its target
    people: tuple[str, ...] = ()  # ids that mean the same people in every copy of a public set
    group_keys: tuple[str, ...] = ()  # videos with a key or a person in common are in one group
    video: str = ""  # its identifier: the path below the root with `/` between the parts
    group: str = ""  # what must stay on one side of a split, named after its first video
    compression: str = ""  # of FaceForensics++
    folders: tuple[str, ...] = ()  # between the class folder and the video
    n_images: int = 0  # 0 for a video file

    @property
    def name(self) -> str:
        """The name of its file without the ending, or of its folder."""
        is_file = self.path.name.lower().endswith(VIDEO_SUFFIXES + IMAGE_SUFFIXES)
        return self.path.stem if is_file else self.path.name

    @property
    def is_related(self) -> bool:
        """Whether the data set, or its name, tells what it belongs to."""
        return bool(self.people or self.group_keys)


def set_groups(videos: list[Video]) -> list[str]:
    """Give each video its group, clip and method, and return what is to be said about them.

    What the data set tells comes first, then names; what is not certain is not joined, but said.
    Raises InputError where one file is in both classes.
    """
    unknown = [video for video in videos if not video.is_related]
    notes = relate_by_folders(videos)
    public = relate_by_public_names(unknown)
    notes += relate_by_names([video for video in unknown if id(video) not in public])
    notes += relate_copies([video for video in videos if not video.n_images])
    join_related(videos)
    for video in videos:
        video.clip = video.clip or video.video
    return notes + describe_lone_fakes(videos, public)


# --- The names of the public sets ---

# How public sets name a video, and whose ids these are. `target` is the person who is seen,
# `source` the one whose face is put in, `take` which clip of the target it is.
NAMES = {
    "ff": (
        "FaceForensics++",  # also DeeperForensics' 000_M101, where M101 is an actor
        r"(?P<target>\d+)(?:_(?P<source>\d+|[mw]\d+))?(?P<ending>_[a-z]\w*)?",
    ),
    "dfd": (
        "DFD",  # actor 03 is not FaceForensics++'s video 03
        r"(?P<target>\d\d)(?:_(?P<source>\d\d))?(?P<take>__[a-z_]+?)(?:__[a-z0-9]{8})?",
    ),
    "celeb": (
        "Celeb-DF",
        r"(?P<target>id\d+)(?:_(?P<source>id\d+))?(?P<take>_\d+)(?P<ending>_[a-z]\w*)?",
    ),
    "youtube": ("Celeb-DF", r"(?P<take>\d+)(?P<ending>_[a-z]\w*)?"),
}


def read_name(ids: str, parts: dict[str, str | None]) -> tuple[str, tuple[str, ...]]:
    """Clip and people that the named parts of a video's name tell; `ids` says whose ids they are.

    `rest` holds ids of more people, as id00166 in FakeAVCeleb.
    """
    people = [parts.get("target"), parts.get("source")]
    people += re.findall(r"(?<![^\W_])id\d+", parts.get("rest") or "")
    clip = (parts.get("target") or "") + (parts.get("take") or "")
    return f"{ids} {clip}" if clip else "", tuple(f"{ids} {name}" for name in people if name)


def relate_by_public_names(videos: list[Video]) -> set[int]:
    """Relate videos that are named as in DFD or Celeb-DF, wherever they lie; return their id()s.

    The names count within this data set only: anybody may name other people's videos so.
    FaceForensics++'s own (000, 000_003) are too plain to be told from other people's, and
    relate_by_names finds all that they say.
    """
    related = set()
    for kind in ("dfd", "celeb"):
        ids, pattern = NAMES[kind]
        named = []
        for video in videos:
            match = re.fullmatch(pattern, video.name, re.IGNORECASE)
            if match and bool(match["source"]) == bool(video.label):
                named.append((video, *read_name(ids, match.groupdict())))
        if not any(video.label for video, *_ in named):  # the names of the reals only look like it
            continue
        first_of_clip = {}
        for video, clip, people in sorted(named, key=lambda row: row[0].label):
            video.group_keys += people
            video.clip = first_of_clip.setdefault(clip, video.video)
            related.add(id(video))
    return related


# --- Folders ---


def relate_by_folders(videos: list[Video]) -> list[str]:
    """A folder below both classes holds one person: a group. Another one below fake/ is a method.

    It is no person if the names in it tell more: fake/set/000_003 of real/set/000 and 003.
    """
    members = defaultdict(list)
    for video in videos:
        for folder in video.folders:
            members[folder.lower()].append(video)
    shared = {
        name for name, inside in members.items() if len({video.label for video in inside}) == 2
    }
    people = {name for name in shared if not holds_pairs(members[name])}
    for video in videos:
        methods = [folder for folder in video.folders if folder.lower() not in shared]
        if video.label and methods:
            video.method = video.method or methods[0]
    split_by_name = {}
    for name in sorted(people):
        for video in members[name]:
            if not video.people:
                video.group_keys += (f"{video.split} folder {name}",)
        split_by_name[name] = {video.split for video in members[name]}
    if not people:
        return []
    example = min(people)
    notes = [f"{len(people)} folders hold reals and fakes, {example}/ for one: each is a group"]
    across = [name for name, splits in split_by_name.items() if len(splits) > 1]
    if across:
        where = f"{len(across)} such folders are in more than one split, {across[0]}/ for one"
        notes.append(f"{where}: people may be on both sides")
    return notes


def holds_pairs(videos: list[Video]) -> bool:
    """Whether a fake among these is named after two of the reals."""
    known = {words_of(video) for video in videos if video.label == 0}
    fakes = [video for video in videos if video.label]
    return any(len(find_names(words_of(video), known)) > 1 for video in fakes)


# --- Any names ---

COMMON = (  # words that name no person, also with a number after them
    "fakes?|reals?|deepfakes?|(?:face)?swap(?:ped|s)?|face2face|faceshifter|neuraltextures|wav2lip|"
    "fsgan|simswap|gan|gen|generated|synth|videos?|vid|clip|movie|mov|take|scene|shot|part|cam|"
    "camera|frames?|images?|img|dsc|mvi|photo|pic|sample|out|output|result|test|train|val|version|"
    "ver|v|c|crf|h|x|mp|seed|epoch|step|fps|method|model|file|the"
)
PLENTY = 10  # a word in more fakes than this, and in a tenth of them, is not taken for a person


def words_of(video: Video) -> tuple[str, ...]:
    """The words of a video's name: Anna_02-b is ("anna", "02", "b")."""
    return tuple(word for word in re.split(r"[\W_]+", video.name.lower()) if word)


def find_names(words: tuple[str, ...], known) -> list[tuple[int, int]]:
    """Places (start, end) in `words` of what is `known`, the longest first, none twice."""
    free, places = set(range(len(words))), []
    for start, end in sorted(combinations(range(len(words) + 1), 2), key=lambda at: at[0] - at[1]):
        if free.issuperset(range(start, end)) and words[start:end] in known:
            places.append((start, end))
            free -= set(range(start, end))
    return sorted(places)


def find_takes(reals: list[Video]) -> dict[int, tuple[str, ...]]:
    """{id(video): words before the number}, if reals are named as takes of people: anna_1, anna_2.

    So they are if nine of ten end in a number and most of these share the words before it with
    others, but not all with all.
    """
    takes = {}
    for video in reals:
        *person, number = words_of(video) or ("",)
        name = " ".join(person)
        if number.isdigit() and re.search(r"[^\W\d]", name) and not re.fullmatch(COMMON, name):
            takes[id(video)] = tuple(person)
    sizes = Counter(takes.values())
    recurring = sum(size for size in sizes.values() if size > 1)
    is_sure = len(takes) >= 0.9 * len(reals) and len(sizes) > 1 and recurring >= len(takes) / 2
    return takes if is_sure else {}


def relate_by_names(videos: list[Video]) -> list[str]:
    """Relate each fake to the reals whose names its own joins, and takes of a person.

    `fake/000_003.mp4` is related to `real/000.mp4`, to `real/003.mp4`, and to the other fakes of
    the two. A real in the fake's own folder comes first, then one in its own split: people number
    each split from 1. What is left of a fake's name may name a person, see `relate_by_words`.
    """
    reals = [video for video in videos if video.label == 0]
    takes = find_takes(reals)
    known = defaultdict(list)  # words, or a place and words: reals
    for video in reals:
        names = {words_of(video)}
        if id(video) in takes:
            names.add(takes[id(video)])
            video.group_keys += (f"{video.split} takes of {takes[id(video)]}",)
        for words in names:
            for place in ((video.split, video.folders), video.split):
                known[place, words].append(video)
            known[words].append(video)
    left = []
    for video in videos:
        if video.label == 0:
            continue
        words = words_of(video)
        rest = list(words)
        for start, end in find_names(words, known):
            name = words[start:end]
            own = known.get(((video.split, video.folders), name)) or known.get((video.split, name))
            originals = own or known[name]
            video.group_keys += tuple(real.video for real in originals)
            if words_of(originals[0]) == name:
                video.clip = video.clip or originals[0].video
            rest[start:end] = [""] * (end - start)
        if len(words) > 1:
            video.group_keys += (f"{video.split} {sorted(words)}",)
        left.append((video, rest))
    relate_by_words(left)
    people = len(set(takes.values()))
    return [f"reals are named as takes of {people} people: kept together"] if people else []


def relate_by_words(fakes: list[tuple[Video, list[str]]]) -> None:
    """Relate fakes with a word in common that names a person, as M101 does, and no take or method.

    A plain word counts at the start of a name in which no real is found: anna_ben, anna_carl.
    """
    names = {}
    for video, rest in fakes:
        names[id(video)] = {word for word in rest if re.fullmatch(r"[^\W\d]{1,3}\d{2,}", word)}
        if all(rest) and len(rest) > 1 and re.search(r"[^\W\d]{2}", rest[0]):
            names[id(video)].add(rest[0])
    counts = Counter(word for words in names.values() for word in words)
    plenty = max(PLENTY, len(fakes) / 10)
    for video, _ in fakes:
        for word in sorted(names[id(video)]):
            if counts[word] <= plenty and not re.fullmatch(rf"(?:{COMMON})\d*", word):
                video.group_keys += (f"{video.split} name {word}",)


# --- Copies ---


def relate_copies(videos: list[Video]) -> list[str]:
    """Keep copies of one file together. Only files of equal size are read, 128 kB of each.

    Raises InputError where one is real and the other fake.
    """
    of_size = defaultdict(list)
    for video in videos:
        size = size_of(video.path)
        if size:
            of_size[size].append(video)
    first, copies = {}, []
    for video in (video for alike in of_size.values() if len(alike) > 1 for video in alike):
        key = f"file {fingerprint(video.path)}"
        other = first.setdefault(key, video)
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
    return [f"{len(copies)} files are there twice: kept together, {example} for one"]


def size_of(path: Path) -> int:
    """The size of a file in bytes; 0 where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


# --- Groups ---


def join_related(videos: list[Video]) -> None:
    """Put into one group what is related, directly or through others."""
    sharing = defaultdict(list)
    for video in videos:
        for key in keys_of(video):
            sharing[key].append(video)
    for first in videos:
        reached = [] if first.group else [first]
        while reached:
            video = reached.pop()
            video.group = first.video
            for key in keys_of(video):
                reached += sharing.pop(key, [])  # each key is followed once


def keys_of(video: Video) -> tuple[str, ...]:
    return (video.video, *video.people, *video.group_keys)


def describe_lone_fakes(videos: list[Video], public: set[int]) -> list[str]:
    """How many fakes belong to no real, other than by ids of people or groups that were given."""
    with_real = {video.group for video in videos if video.label == 0}
    fakes = [video for video in videos if video.label]
    lone = [video for video in fakes if video.group not in with_real and id(video) not in public]
    lone = [v for v in lone if not v.people and not any(map(is_given, v.group_keys))]
    if not lone or not with_real:
        return []
    known = f"of {len(fakes)} fakes {len(lone)} belong to no real video by name"
    return [f"{known}: people may be on both sides (--videos-csv groups them)"]


def is_given(key: str) -> bool:
    return key.startswith("group ")
