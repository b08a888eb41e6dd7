"""The public sets as a table: where each keeps its videos, how they are named, how they are split.

A set is a row of SETS. A pattern is a regular expression for the whole path of a video below the
root of the set, without ending, in any case; {words} in it are those of WORDS. Its named parts
tell of the video: method, compression, split, target (who is seen), source (whose face is put in),
take (which clip of the target), scene (what belongs together), rest (holds more ids of people),
folders (methods or people).
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from data.files import InputError, read_json
from data.groups import NAMES, SPLITS, Video, read_name

COMPRESSIONS = ("raw", "c0", "c23", "c40")  # of FaceForensics++
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
DF40_METHODS = (
    "blendface collabdiff dagan danet ddim ddpm deepfacelab dit e4e e4s facedancer faceswap "
    "facevid2vid fomm fs_vid2vid fsgan heygen hyperreenact inswap lia mcnet midjourney midjourney6 "
    "mobileswap mraa one_shot_free oneshot pirender pixart rddm sadtalker sd2.1 simswap sit stargan "
    "starganv2 styleclip stylegan2 stylegan3 styleganxl tpsm uniface vqgan wav2lip whichfaceisreal"
)
LEVEL = "(?:videos?|frames?|images?|imgs?|faces?|crops?|clips?)"  # folders that tell nothing
WORDS = {
    "any": r"[^/]+",
    "level": LEVEL,
    "deeper": r"(?:[^/]+/)*",
    "folders": r"(?P<folders>(?:[^/]+/)*)",
    "c": f"(?:(?P<compression>{'|'.join(COMPRESSIONS)})/)?",
    "split": f"(?P<split>{'|'.join(SPLIT_WORDS)})",
    "real": rf"(?:\d[ _-])?(?:reals?|originals?|authentic|genuine|pristine)(?:[ _-]?{LEVEL})?",
    "fake": r"(?:\d[ _-])?(?:(?:deep)?fakes?|manipulated|synthetic|synthesi[sz]ed|forged|tampered)"
    f"(?:[ _-]?{LEVEL})?",
    "df40": f"(?P<method>{re.escape(DF40_METHODS).replace(chr(92) + ' ', '|')})",
    **{kind: regex.replace("(?P<", f"(?P<{kind}_") for kind, (_, regex) in NAMES.items()},
}


def compile_pattern(text: str) -> re.Pattern:
    regex = re.sub(r"\{([a-z]\w*)\}", lambda word: WORDS[word[1]], text)
    return re.compile(regex, re.IGNORECASE)


# Folders that name no video, method or person
NO_NAME = compile_pattern(rf"{{level}}|{{split}}|{{real}}|{{fake}}|{'|'.join(COMPRESSIONS)}")


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
    has_public_ids: bool = True  # ids of people and clips mean the same wherever the set lies
    shares_people: bool = False  # the official split puts people on both sides
    told: dict[str, dict] = field(default_factory=dict)  # by path_key, where no pattern tells it

    @cached_property
    def rules(self) -> list[tuple[int, re.Pattern]]:
        rules = [(0, text) for text in self.real]
        rules += [(1, text) for text in (*self.fake, *self.others)]
        return [(label, compile_pattern(text)) for label, text in rules]

    def has_place_for(self, path: str) -> bool:
        """Whether a video at this path below the root is one of the set's own."""
        own = self.rules[: len(self.real) + len(self.fake)]
        return any(rule.fullmatch(path) for _, rule in own)

    def read_path(self, path: str) -> dict | None:
        """What a path below the root tells of a video (fields of Video); None: no video of it."""
        if self.told:
            return self.told.get(path_key(path))
        for label, rule in self.rules:
            match = rule.fullmatch(path)
            if match:
                return self.read_parts(label, match.groupdict())
        return None

    def read_parts(self, label: int, parts: dict[str, str | None]) -> dict:
        """Fields of Video from the named parts of its path."""
        ids = self.name
        for kind, (whose, _) in NAMES.items():
            named = {name: parts.get(f"{kind}_{name}") for name in ("target", "source", "take")}
            if any(named.values()):
                ids, parts = whose, parts | named
        clip, people = read_name(ids, parts)
        scene = f"{self.name} {parts['scene']}" if parts.get("scene") else ""
        folders = [name for name in (parts.get("folders") or "").split("/") if name]
        words = [SPLIT_WORDS.get(word.lower()) for word in (parts.get("split") or "", *folders)]
        return {
            "label": label,
            "split": next(filter(None, words), ""),
            "method": (parts.get("method") or self.method) if label else "",
            "compression": (parts.get("compression") or "").lower(),
            "clip": scene or clip,
            "people": people,
            "group_keys": tuple(filter(None, [scene or clip])),
            "folders": tuple(name for name in folders if not NO_NAME.fullmatch(name)),
        }


# --- Official lists: readers give a path, a name or a person, and its split -----------------------


def read_ids(file: Path, split: str) -> Iterator[tuple[str, str]]:
    """FaceForensics++'s pairs of ids, or DeeperForensics' names of fakes, TTT_M004.mp4."""
    if file.suffix == ".txt":
        for name in file.read_text(encoding="utf-8").split():
            key = path_key(name)
            yield from ((key, split), (f"FaceForensics++ {key.split('_')[0]}", split))
        return
    for pair in read_json(file, list):
        if not isinstance(pair, list) or [type(name) in (str, int) for name in pair] != [True] * 2:
            raise InputError(f'{file}: {pair} is not a pair of ids like ["000", "003"]')
        for name in pair:
            yield f"FaceForensics++ {name:03d}" if type(name) is int else f"FaceForensics++ {name}", split


def read_celeb_df_list(file: Path, _: str) -> Iterator[tuple[str, str]]:
    """Lines of a label and a path. In this list 1 = real and 0 = fake."""
    expected = {"celeb-real": "1", "youtube-real": "1", "celeb-synthesis": "0"}
    for number, line in enumerate(file.read_text("utf-8", "replace").split("\n"), 1):
        label, _, name = line.strip().partition(" ")
        key = path_key(name)
        if line.strip() and expected.get(key.split("/")[0]) != label:
            problem = f"{line!r} does not fit the folder; 1 = real here, 0 = fake"
            raise InputError(f"{file}, line {number}: {problem}")
        if line.strip():
            yield key, "test"


def read_preview_list(file: Path, _: str) -> Iterator[tuple[str, str]]:
    """{path: {"label": "real" or "fake", "set": "train" or "test"}}."""
    for name, entry in read_json(file).items():
        label = "real" if name.startswith("original_videos/") else "fake"
        try:
            if entry["label"] != label:
                raise InputError(f"{file}: {name} is {entry['label']}, but lies where {label}s are")
            yield path_key(name), SPLIT_WORDS[entry["set"]]
        except (KeyError, TypeError):
            raise InputError(f"{file}: {name} has no label, or no set train or test") from None


# --- The table: where two rows fit alike, the first is taken --------------------------------------

FF_REAL = (r"original_sequences/(?!actors/){any}/{c}{deeper}(?:{ff}|{any})", r"original/{ff}")
FF_FAKE = (
    r"manipulated_sequences/(?P<method>{any})/{c}{deeper}(?:{dfd}|{ff}|{any})",
    r"(?P<method>deepfakes|face2face|faceswap|faceshifter|neuraltextures)/{ff}",
    r"(?P<method>deepfakedetection)/{dfd}",
)
FF_LISTS = ("{split}.json", "splits/{split}.json", "dataset/splits/{split}.json")
DEEPER_FAKE = (r"manipulated_videos/(?P<method>{any})/{c}{deeper}(?:{ff}|{any})",)
FAKEAV = (
    r"{any}/{any}/(?P<target>id\d+)(?P<take>/\d+)(?P<rest>(?:_[\w-]+?)?)"
    r"(?:_(?P<method>(?!id\d)[a-z][a-z0-9-]*))?"
)

SETS = (
    PublicSet(
        "FaceForensics++",
        real=(*FF_REAL, r"original_sequences/actors/{c}{deeper}(?:{dfd}|{any})"),
        fake=FF_FAKE,
        others=DEEPER_FAKE,
        lists=FF_LISTS,
        read_list=read_ids,
    ),
    PublicSet(
        "DeeperForensics-1.0",
        real=FF_REAL,
        fake=DEEPER_FAKE,
        others=FF_FAKE,
        lists=("lists/splits/{split}.txt", *FF_LISTS),
        read_list=read_ids,
    ),
    PublicSet(
        "DFD",
        real=(r"dfd_original[ _]sequences/{deeper}(?:{dfd}|{any})",),
        fake=(r"dfd_manipulated[ _]sequences/{deeper}(?:{dfd}|{any})",),
        method="DeepFakeDetection",
    ),
    PublicSet(
        "Celeb-DF",
        real=(r"celeb-real/{deeper}(?:{celeb}|{any})", r"youtube-real/{deeper}(?:{youtube}|{any})"),
        fake=(
            r"(?=celeb-synthesis/){deeper}(?P<method>(?!{level}/){any})/(?:{level}/)?"
            r"(?:{celeb}|{any})",
        ),
        lists=("List_of_testing_videos.txt",),
        read_list=read_celeb_df_list,
        shares_people=True,
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
        real=(r"{df40}/real/{deeper}(?:{ff}|{any})",),
        fake=(
            r"(?P<method>{any})/ff/{deeper}(?:{ff}|{any})",
            r"(?P<method>{any})/cdf/{deeper}(?:{celeb}|{any})",
            r"{df40}/fake/{deeper}(?:{ff}|{any})",
        ),
    ),
    PublicSet(
        "WildDeepfake",
        real=(r"(?P<scene>real[ _]{split}/{deeper}\d+)/\d+",),
        fake=(r"(?P<scene>fake[ _]{split}/{deeper}\d+)/\d+",),
        has_public_ids=False,
    ),
    PublicSet(
        "class folders",
        real=(r"{real}[ _-]{split}/{folders}{any}", r"(?:{split}[/ _-])?{real}/{folders}{any}"),
        fake=(r"{fake}[ _-]{split}/{folders}{any}", r"(?:{split}[/ _-])?{fake}/{folders}{any}"),
        has_public_ids=False,
    ),
)
DFDC = PublicSet("DFDC")
LABEL_FILES = ("metadata.json", "labels.csv")  # of DFDC
PUBLIC = {row.name for row in (*SETS, DFDC) if row.has_public_ids}
SHARES_PEOPLE = {row.name for row in SETS if row.shares_people}


# --- The official split ---------------------------------------------------------------------------


def drop_levels(path: str) -> str:
    """The path in lower case, without folders such as videos/ that tell nothing."""
    *folders, name = path.lower().split("/")
    return "/".join([*(folder for folder in folders if not re.fullmatch(LEVEL, folder)), name])


def path_key(path: str) -> str:
    """What a list and a tree have in common: a/id0_0000 for a/videos/id0_0000_face.mp4."""
    path = re.sub(r"\.(mp4|avi)$", "", drop_levels(path.strip()))
    return re.sub(r"(?<=\d)_(?!id\d|[mw]\d)[a-z][^\W/]*$", "", path)


def set_splits(row: PublicSet, videos: list[Video], root: Path, base: str) -> list[str]:
    """Give each video its official split, or that of its folder, or train; return what to say.

    Raises InputError where a list contradicts the tree or itself, or belongs to other videos.
    """
    named = {video.split for video in videos}
    if "" in named and len(named) > 1:
        both = f"{root} has both {max(named)}/ and real/ or fake/ outside of such a folder"
        raise InputError(f"{both}: which is meant? Move one of them away")
    split_of, notes = read_official_split(row, [root / base, root])
    listed, n_unlisted = set(), 0
    for video in videos:
        key = path_key(video.path.relative_to(root / base).as_posix())
        listed.add(key)
        official = find_split(split_of, key, video.people)
        n_unlisted += not official
        video.split = official or video.split or "train"
    paths = {key for key in split_of if "/" in key}
    missing = sorted(paths - listed)
    if missing:
        absent = f"{len(missing)} of {len(paths)} videos of {row.lists[0]} are not there"
        if len(missing) > len(paths) / 2:
            remedy = "take the list that belongs to these videos, or only its lines for them"
            raise InputError(f"{root}: {absent}, {missing[0]} for one: {remedy}")
        notes.append(f"{absent}, {missing[0]} for one")
    if split_of and n_unlisted and not paths:
        notes.append(f"{n_unlisted} videos are in no official list: they are for training")
    return notes


def read_official_split(row: PublicSet, folders: list[Path]) -> tuple[dict[str, str], list[str]]:
    """{path_key, name or person: split} of the lists of a set, and which were not found."""
    split_of, notes = {}, []
    has_three = any("{split}" in name for name in row.lists)
    for split in SPLITS if has_three else ("",) if row.lists else ():
        names = [name.format(split=split) for name in row.lists]
        file = next((f / name for f in folders for name in names if (f / name).is_file()), None)
        if file is None:
            notes.append(f"no official split found: looked for {' and '.join(names)}")
            continue
        for key, of_key in row.read_list(file, split):
            other = split_of.setdefault(key, of_key)
            if other != of_key:
                raise InputError(f"{file}: {key.split()[-1]} is in the {other} split too")
    return split_of, notes


def find_split(split_of: dict[str, str], key: str, people: tuple[str, ...]) -> str:
    """The official split of a video by its path, its name, or its people; "" if none is listed."""
    for keys in ([key], [key.rpartition("/")[2]], people):
        splits = sorted({split_of[key] for key in keys if key in split_of})
        if len(splits) > 1:
            both = " and ".join(splits)
            raise InputError(f"{key} joins people of the official splits {both}: remove it")
        if splits:
            return splits[0]
    return ""


def lacks_reals(videos: list[Video]) -> list[Video]:
    """DFD's fakes among FaceForensics++'s, if no real of DFD is there: their scenes give them away."""
    fakes = [v for v in videos if v.label and v.people and v.people[0].startswith("DFD ")]
    reals = [v for v in videos if not v.label]
    has_real = any(v.people and v.people[0].startswith("DFD ") for v in reals)
    return fakes if reals and not has_real else []


# --- DFDC: its labels stand in metadata.json or labels.csv ----------------------------------------


def read_dfdc(root: Path, files: list[str]) -> PublicSet:
    """DFDC with what its files (paths below the root) tell of each video.

    Of several parts of the training set each is one group: the set does not say who is in a video.
    """
    told = {}
    parts = [file for file in files if not split_in(file)]
    for file in files:
        folder = file.rpartition("/")[0]
        for name, entry in read_labels(root / file).items():
            try:
                label = ("REAL", "FAKE").index(entry["label"])
            except (KeyError, TypeError, ValueError):
                raise InputError(f"{root / file}: {name} has no label REAL or FAKE") from None
            clip = f"DFDC {entry.get('original') or name}"
            split = split_in(file) or SPLIT_WORDS.get(entry.get("split"), "train")
            told_of = {"label": label, "split": split, "clip": clip}
            if file in parts:  # of the test videos nothing is known
                part = (f"part {folder}",) if len(parts) > 1 else ()
                told_of |= {"people": (clip,), "group_keys": (f"DFDC {name}", *part)}
            told[path_key(f"{folder}/{name}".lstrip("/"))] = told_of
    return replace(DFDC, told=told)


def split_in(path: str) -> str:
    """The split that a folder of the path names: val or test, or "" for training."""
    splits = [SPLIT_WORDS.get(folder.lower()) for folder in path.split("/")]
    return next((split for split in splits if split in ("val", "test")), "")


def read_labels(file: Path) -> dict[str, dict]:
    """A metadata.json, or labels.csv with the columns filename and label in the same form."""
    if file.suffix == ".json":
        if isinstance(read_json(file, object), list):
            raise InputError(f"{file} is a list, as in LAV-DF: make a CSV of it for --videos-csv")
        return read_json(file)
    with open(file, newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    words = {"0": "REAL", "1": "FAKE"}
    try:
        return {row["filename"]: {"label": words.get(row["label"], row["label"])} for row in rows}
    except KeyError:
        raise InputError(f"{file}: expected the columns filename and label") from None
