"""The public sets as a table: where their videos lie, how they are named, their official lists.

A pattern is a regular expression for the path of a video below the root of its set, as videos.tidy
makes it, in any case; {words} in it are those of WORDS. Its named parts tell of the video: method,
compression, split, target (who is seen), source (whose face is put in), take (which clip of the
target), scene (what belongs together), rest (ids of more people), ending (what a tool added).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data.class_folders import ANY_WORD
from data.files import InputError, read_json
from data.videos import Video, tidy
from data.words import COMPRESSIONS, SPLIT_WORDS, SPLITS

# --- Names: whose ids they are, and how a video is called ---

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


def read_ids(ids: str, parts: dict[str, str]) -> dict:
    """Clip and people that the named parts of a name tell; `ids` is the set whose these are."""
    people = [parts[who] for who in ("target", "source") if who in parts]
    people += re.findall(r"(?<![^\W_])id\d+", parts.get("rest", ""))
    clip = parts.get("target", "") + parts.get("take", "")
    return {
        "clip": f"{ids} {clip}" if clip else "",
        "people": tuple(f"{ids} {name}" for name in people),
    }


def read_name(name: str, label: int) -> dict:
    """What a name tells that looks as in DFD, Celeb-DF or DeeperForensics, wherever it lies.

    FaceForensics++'s own (000, 000_003) are too plain to be told from other people's.
    """
    for ids, pattern in (NAMES["dfd"], NAMES["celeb"]):
        match = re.fullmatch(pattern, name, re.IGNORECASE)
        if match and bool(match["source"]) == bool(label):
            return read_ids(ids, found_parts(match)) | {"is_known": True}
    actor = re.fullmatch(r"\d{3}_([mw]\d{3})", name, re.IGNORECASE)  # 512_W017
    return {"people": (f"DeeperForensics {actor[1]}",)} if actor and label else {}


def found_parts(match: re.Match) -> dict[str, str]:
    return {name: part for name, part in match.groupdict().items() if part}


# --- Sets that are told by patterns ---

DF40_METHODS = (
    "blendface collabdiff dagan danet ddim ddpm deepfacelab dit e4e e4s facedancer faceswap "
    "facevid2vid fomm fs_vid2vid fsgan heygen hyperreenact inswap lia mcnet midjourney midjourney6 "
    "mobileswap mraa one_shot_free oneshot pirender pixart rddm sadtalker sd2.1 simswap sit "
    "stargan starganv2 styleclip stylegan2 stylegan3 styleganxl tpsm uniface vqgan wav2lip "
    "whichfaceisreal"
)
WORDS = {
    "any": r"[^/]+",
    "deeper": r"(?:[^/]+/)*",
    "method": r"(?P<method>[^/]+)",
    "c": f"(?:(?P<compression>{'|'.join(COMPRESSIONS)})/)?",
    "split": f"(?P<split>{'|'.join(SPLIT_WORDS)})",
    "nothing": rf"(?:\d*[ _-]?(?:{ANY_WORD})[ _-]?)+",  # see names_nothing
    "df40": f"(?P<method>{'|'.join(map(re.escape, DF40_METHODS.split()))})",
}
for kind, (_, name) in NAMES.items():
    WORDS[kind] = f"(?P<{kind}>" + re.sub(r"\?P<\w+>", "?:", name) + ")"
    WORDS[f"below_{kind}"] = f"{WORDS['deeper']}(?:{WORDS[kind]}|{WORDS['any']})"


@dataclass
class PublicSet:
    """A row of the table."""

    name: str
    real: tuple[str, ...] = ()  # patterns
    fake: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # of fakes that another set put into the same tree
    method: str = ""  # of all fakes, where the path does not tell it
    lists: tuple[str, ...] = ()  # where an official split may lie below the root
    read_list: Callable[[Path, str], Iterator[tuple[str, str]]] | None = None
    notes = ()

    @cached_property
    def rules(self) -> list[tuple[int, re.Pattern]]:
        """(label, regular expression), those of the set's own videos first."""
        rules = []
        for text in (*self.real, *self.fake, *self.others):
            regex = re.sub(r"\{([a-z]\w*)\}", lambda word: WORDS[word[1]], text)
            rules.append((int(text not in self.real), re.compile(regex, re.IGNORECASE)))
        return rules

    def fits(self, place: str) -> bool:
        """Whether a video at this place below the root is one of the set's own."""
        own = self.rules[: len(self.real) + len(self.fake)]
        return any(rule.fullmatch(place) for _, rule in own)

    def read(self, place: str) -> dict | None:
        """What a path below the root tells of a video (fields of Video); None: no video of it."""
        matches = ((label, rule.fullmatch(place)) for label, rule in self.rules)
        label, match = next((found for found in matches if found[1]), (0, None))
        if not match:
            return None
        ids, parts = self.name, found_parts(match)
        for kind, (set_name, regex) in NAMES.items():
            if kind in parts:
                ids = set_name
                parts |= found_parts(re.fullmatch(regex, parts[kind], re.IGNORECASE))
        told = read_ids(ids, parts)
        clip = f"{self.name} {parts['scene']}" if "scene" in parts else told["clip"]
        return told | {
            "label": label,
            "split": SPLIT_WORDS.get(parts.get("split", "").lower(), ""),
            "method": parts.get("method", self.method) if label else "",
            "compression": parts.get("compression", "").lower(),
            "clip": clip,
            "group_keys": (clip,) if clip else (),
            "is_known": bool(clip or told["people"]),
            "key": place.removesuffix(parts.get("ending", "")).lower(),
        }


# --- Official lists: each reader gives a path, a name or a person, and its split ---


def read_pairs(file: Path, split: str) -> Iterator[tuple[str, str]]:
    """FaceForensics++'s pairs of ids, or DeeperForensics' names of fakes, TTT_M004.mp4."""
    if file.suffix == ".txt":
        for name in file.read_text(encoding="utf-8").split():
            yield tidy(name).lower(), split
            yield f"FaceForensics++ {name.split('_')[0]}", split
        return
    for pair in read_json(file, list):
        if not isinstance(pair, list) or [isinstance(i, str | int) for i in pair] != [True, True]:
            raise InputError(f'{file}: {pair} is not a pair of ids like ["000", "003"]')
        for name in pair:
            number = f"{name:03d}" if isinstance(name, int) else name
            yield f"FaceForensics++ {number}", split


def read_celeb_df_list(file: Path, _: str) -> Iterator[tuple[str, str]]:
    """Lines of a label and a path. In this list 1 = real and 0 = fake."""
    expected = {"celeb-real": "1", "youtube-real": "1", "celeb-synthesis": "0"}
    lines = file.read_text("utf-8-sig", "replace").replace("\\", "/").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        label, _, name = line.strip().partition(" ")
        key = tidy(name.strip()).lower()
        if expected.get(key.split("/")[0]) != label:
            problem = f"{line!r} does not fit the folder; 1 = real here, 0 = fake"
            raise InputError(f"{file}, line {number}: {problem}")
        yield key, "test"


def read_preview_list(file: Path, _: str) -> Iterator[tuple[str, str]]:
    """{path: {"label": "real" or "fake", "set": "train" or "test"}}."""
    for name, entry in read_json(file).items():
        label = "real" if name.startswith("original_videos/") else "fake"
        try:
            listed, split = entry["label"], SPLIT_WORDS[entry["set"]]
        except (KeyError, TypeError):
            raise InputError(f"{file}: {name} has no label, or no set train or test") from None
        if listed != label:
            raise InputError(f"{file}: {name} is {listed}, but lies where {label}s are")
        yield tidy(name).lower(), split


# --- The table: where two rows fit alike, the first is taken ---

FF_REAL = (r"original_sequences/(?!actors/){any}/{c}{below_ff}", r"original/{ff}")
FF_FAKE = (
    r"manipulated_sequences/{method}/{c}{deeper}(?:{dfd}|{ff}|{any})",
    r"(?P<method>deepfakes|face2face|faceswap|faceshifter|neuraltextures)/{ff}",
    r"(?P<method>deepfakedetection)/{dfd}",
)
FF_LISTS = ("{split}.json", "splits/{split}.json", "dataset/splits/{split}.json")
DEEPER_FAKE = (r"manipulated_videos/{method}/{c}{below_ff}",)
FAKEAV = (
    r"{any}/{any}/(?P<target>id\d+)(?P<take>/\d+)(?P<rest>(?:_[\w-]+?)?)"
    r"(?:_(?P<method>(?!id\d)[a-z][a-z0-9-]*))?"
)

SETS = (
    PublicSet(
        "FaceForensics++",
        real=(*FF_REAL, r"original_sequences/actors/{c}{below_dfd}"),
        fake=FF_FAKE,
        others=DEEPER_FAKE,
        lists=FF_LISTS,
        read_list=read_pairs,
    ),
    PublicSet(
        "DeeperForensics-1.0",
        real=FF_REAL,
        fake=DEEPER_FAKE,
        others=FF_FAKE[:1],
        lists=("lists/splits/{split}.txt", *FF_LISTS),
        read_list=read_pairs,
    ),
    PublicSet(
        "DFD",
        real=(r"dfd_original[ _]sequences/{below_dfd}",),
        fake=(r"dfd_manipulated[ _]sequences/{below_dfd}",),
        method="DeepFakeDetection",
    ),
    PublicSet(
        "Celeb-DF",
        real=(r"celeb-real/{below_celeb}", r"youtube-real/{below_youtube}"),
        fake=(r"(?=celeb-synthesis/){deeper}{method}/(?:{celeb}|{any})",),
        lists=("List_of_testing_videos.txt",),
        read_list=read_celeb_df_list,
    ),
    PublicSet(  # the picture counts: real pictures under fake sound are real
        "FakeAVCeleb",
        real=(rf"realvideo-(?:real|fake)audio/{FAKEAV}",),
        fake=(rf"fakevideo-(?:real|fake)audio/{FAKEAV}",),
    ),
    PublicSet(
        "DFDC preview",
        real=(r"original_videos/(?P<target>\d+)/{any}",),
        fake=(r"(?P<method>method_[ab])/(?P<target>\d+)/{deeper}{any}",),
        lists=("dataset.json",),
        read_list=read_preview_list,
    ),
    PublicSet(
        "DeepfakeTIMIT",
        fake=(r"(?P<method>(?:higher|lower)_quality)/(?P<target>\w+)(?P<take>/\w+)-video-{any}",),
    ),
    PublicSet(
        "DF40",
        real=(r"{df40}/real/{below_ff}",),
        fake=(
            r"(?!{nothing}/){method}/ff/{below_ff}",
            r"(?!{nothing}/){method}/cdf/{below_celeb}",
            r"{df40}/fake/{below_ff}",
        ),
    ),
    PublicSet(
        "WildDeepfake",
        real=(r"(?P<scene>real[ _]{split}/{deeper}\d+)(?:/real)?/\d+",),
        fake=(r"(?P<scene>fake[ _]{split}/{deeper}\d+)(?:/fake)?/\d+",),
    ),
)


# Sets whose ids of people and clips mean the same wherever they lie
PUBLIC = {"DFDC", *(row.name for row in SETS)} - {"WildDeepfake"}
SHARES_PEOPLE = {"Celeb-DF"}  # the official split puts people on both sides

# --- The split of each video ---


def set_splits(layout, videos: list[Video], root: Path, base: str) -> list[str]:
    """Give each video its official split, or that of its folder, or train; return what to say.

    Raises InputError where a list contradicts itself, or belongs to other videos.
    """
    named = {video.split: video.video for video in videos}
    if "" in named and len(named) > 1:
        both = f"{root} has both {named[max(named)]} and, in no folder of a split, {named['']}"
        raise InputError(f"{both}: which is meant? Move one of them away")
    split_of, notes = read_official_split(layout, [root / base, root])
    n_unlisted = 0
    for video in videos:
        official = find_split(split_of, video)
        n_unlisted += not official
        video.split = official or video.split or "train"
    paths = {key for key in split_of if "/" in key}
    missing = sorted(paths - {video.key for video in videos})
    if missing:
        absent = f"{len(missing)} of {len(paths)} videos of {layout.lists[0]} are not there"
        notes.append(f"{absent}, {missing[0]} for one")
    if len(missing) > len(paths) / 2:
        remedy = "take the list that belongs to these videos, or only its lines for them"
        raise InputError(f"{root}: {notes[-1]}: {remedy}")
    if split_of and n_unlisted and not paths:
        notes.append(f"{n_unlisted} videos are in no official list: they are for training")
    return notes


def read_official_split(layout, folders: list[Path]) -> tuple[dict[str, str], list[str]]:
    """{key, name or person: split} of the lists of a set, and which were not found."""
    if not layout.lists:
        return {}, []
    split_of, missing = {}, {}
    for split in SPLITS if "{split}" in layout.lists[0] else ("test",):
        names = [name.format(split=split) for name in layout.lists]
        places = [folder / name for folder in folders for name in names]
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            missing[split] = " and ".join(names)
            continue
        for name, of_name in layout.read_list(file, split):
            told = layout.read(name) if "/" in name else None
            other = split_of.setdefault(told["key"] if told else name, of_name)
            if other != of_name:
                raise InputError(f"{file}: {name.split()[-1]} is in the {other} split too")
    if not missing:
        return split_of, []
    (_, looked_for), *others = missing.items()
    and_so = f", and so for {' and '.join(split for split, _ in others)}" if others else ""
    return split_of, [f"no official split found: looked for {looked_for}{and_so}"]


def find_split(split_of: dict[str, str], video: Video) -> str:
    """The official split of a video by its path, its name, or its people; "" if none is listed."""
    name = video.key.rpartition("/")[2]
    listed = split_of.get(video.key) or split_of.get(name)
    splits = sorted({split_of[person] for person in video.people if person in split_of})
    if len(splits) > 1 and not listed:
        both = " and ".join(splits)
        raise InputError(f"{video.key} joins people of the official splits {both}: remove it")
    return listed or "".join(splits)
