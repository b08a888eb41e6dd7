"""What the names of videos and folders tell of people and footage."""

import re
from collections import Counter, defaultdict
from itertools import combinations

from data.walk import COMMON, Video

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
    if clip:
        clip = f"{ids} {clip}"
    return clip, tuple(f"{ids} {name}" for name in people if name)


def relate_by_public_names(videos: list[Video]) -> set[str]:
    """Relate videos that are named as in DFD or Celeb-DF, wherever they lie, and return which.

    The names count within this data set only: anybody may name other people's videos so.
    FaceForensics++'s own (000, 000_003) are too plain to be told from other people's, and
    relate_by_names finds all that they say.
    """
    related = set()
    for ids, pattern in (NAMES["dfd"], NAMES["celeb"]):
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
            related.add(video.video)
    return related


# --- Folders ---


def relate_by_folders(videos: list[Video], told: set[str]) -> list[str]:
    """A folder below both classes holds one person: a group. Another one below fake/ is a method.

    It is no person where the names in it tell more: set/000_003 is of set/000 and set/003.
    """
    inside = defaultdict(list)
    for video in videos:
        for folder in video.folders:
            inside[folder.lower()].append(video)
    shared = {name for name in inside if {video.label for video in inside[name]} == {0, 1}}
    for video in videos:
        methods = [folder for folder in video.folders if folder.lower() not in shared]
        if video.label and methods:
            video.method = methods[0]
    unknown = {name for name in shared if any(v.video not in told for v in inside[name])}
    people = sorted(name for name in unknown if not holds_pairs(inside[name]))
    across = [name for name in people if len({video.split for video in inside[name]}) > 1]
    for name in people:
        for video in inside[name]:
            if video.video in told:
                continue
            video.group_keys += (f"{video.split} folder {name}",)
    notes = []
    if people:
        which = f"{len(people)}, {people[0]}/ for one"
        notes.append(f"folders with reals and fakes ({which}): each is a group")
    if across:
        which = f"{len(across)}, {across[0]}/ for one"
        notes.append(f"such folders in several splits ({which}): are people on both sides?")
    return notes


def holds_pairs(videos: list[Video]) -> bool:
    """Whether a fake among these is named after two of the reals."""
    known = {words_of(video) for video in videos if video.label == 0}
    return any(len(find_names(words_of(video), known)) > 1 for video in videos if video.label)


# --- Any names ---


def words_of(video: Video) -> tuple[str, ...]:
    """The words of a video's name: Anna_02-b is ("anna", "02", "b")."""
    return tuple(word for word in re.split(r"[\W_]+", video.name.lower()) if word)


def find_names(words: tuple[str, ...], known) -> list[tuple[int, int]]:
    """Places (start, end) in `words` of what is `known`, the longest first, none twice."""
    free, places = set(range(len(words))), []
    spans = combinations(range(len(words) + 1), 2)
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):
        if free.issuperset(range(start, end)) and words[start:end] in known:
            places.append((start, end))
            free -= set(range(start, end))
    return sorted(places)


def find_takes(reals: list[Video]) -> dict[str, tuple[str, ...]]:
    """{video: words before the number}, if reals are named as takes of people: anna_1, anna_2.

    So they are if nine of ten end in a number and most of these share the words before it with
    others, but not all with all. Of several numbers, as in anna_01_02, the last alone is that of
    the take if all of them leave nothing that tells people apart: subject_01_02.
    """
    for most in (9, 1):
        takes = {}
        for video in reals:
            words = words_of(video)
            person = drop_numbers(words, most)
            name = " ".join(person)
            has_letters = re.search(r"[^\W\d]", name)
            if person != words and has_letters and not re.fullmatch(COMMON, name):
                takes[video.video] = person
        sizes = Counter(takes.values())
        recurring = sum(size for size in sizes.values() if size > 1)
        are_most = len(takes) >= 0.9 * len(reals) and recurring >= len(takes) / 2
        if are_most and len(sizes) > 1:
            return takes
    return {}


def drop_numbers(words: tuple[str, ...], most: int) -> tuple[str, ...]:
    """The words without up to so many numbers at their end; clip1 is a number too."""
    end = len(words)
    while end > max(0, len(words) - most) and re.fullmatch(rf"(?:{COMMON})?\d+", words[end - 1]):
        end -= 1
    return words[:end]


def relate_by_names(videos: list[Video], told: set[str]) -> list[str]:
    """Relate takes of a person, and each fake to the reals whose names its own joins.

    `fake/000_003.mp4` is related to `real/000.mp4`, to `real/003.mp4`, and to the other fakes of
    the two. Nothing is added to the videos that are `told` already.
    """
    reals = [video for video in videos if video.label == 0]
    takes = find_takes([video for video in reals if video.video not in told])
    known = list_names(reals, takes)
    known_words = {key[-1] for key in known}
    rests = []
    for video in videos:
        if video.label == 1 and video.video not in told:
            rests.append((video, relate_fake(video, known, known_words)))
    relate_by_words(rests)
    people = set(takes.values())
    return [f"reals are named as takes of {len(people)} people: kept together"] if people else []


def list_names(reals: list[Video], takes: dict[str, tuple[str, ...]]) -> dict[tuple, list[Video]]:
    """{(*place, words): reals}: what reals are called, in their folders, their split, anywhere."""
    known = defaultdict(list)
    for video in reals:
        names = {words_of(video)}
        if video.video in takes:
            names.add(takes[video.video])
            video.group_keys += (f"{video.split} takes of {takes[video.video]}",)
        for words in names:
            for place in ((), (video.split,), *places_of(video)):
                known[*place, words].append(video)
    return known


def relate_fake(video: Video, known: dict, known_words: set) -> list[str]:
    """Relate a fake to the reals that its name joins; its words, "" for those that named a real.

    A real in the fake's own folder comes first, then one in its own split: people number each
    split from 1, and the clips of each person may start from 1.
    """
    words = words_of(video)
    rest = list(words)
    near, has_folder = places_of(video), bool(video.group_keys)
    for start, end in find_names(words, known_words):
        name = words[start:end]
        places = near
        if not has_folder or not "".join(name).isdigit():
            places = [*near, (video.split,), ()]
        originals = next((known[*at, name] for at in places if (*at, name) in known), [])
        if not originals:
            continue
        video.group_keys += tuple(real.video for real in originals)
        if words_of(originals[0]) == name:  # and not the words of a person
            video.clip = video.clip or originals[0].video
        rest[start:end] = [""] * (end - start)
    if len(words) > 1:
        video.group_keys += (f"{video.split} {sorted(words)}",)
    return rest


def places_of(video: Video) -> list[tuple[str, str]]:
    """The split and a folder, the nearest first, in which names mean the same."""
    return [(video.split, folder.lower()) for folder in reversed(video.folders)]


def relate_by_words(rests: list[tuple[Video, list[str]]]) -> None:
    """Relate fakes by a word that names a person: M101, or the first where no real is named.

    `rests` are the words of a fake's name, "" for those that named a real. fake/anna_ben and
    fake/anna_carl are of one person. A word in more than a tenth of the fakes may be a method.
    """
    names = {}
    for video, rest in rests:
        words = {word for word in rest if re.fullmatch(r"[^\W\d]{1,3}\d{2,}", word)}
        nothing_named = all(rest) and len(rest) > 1
        if nothing_named and re.search(r"[^\W\d]{2}", rest[0]):
            words.add(rest[0])
        common = {word for word in words if re.fullmatch(rf"({COMMON})\d*", word)}
        names[video.video] = words - common
    counts = Counter(word for words in names.values() for word in words)
    for video, _ in rests:
        for word in sorted(names[video.video]):
            if counts[word] <= max(10, len(rests) / 10):
                video.group_keys += (f"{video.split} name {word}",)
