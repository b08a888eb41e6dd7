"""The public sets as a table: where each keeps its videos, how they are named, how they are split.

A set is a row of SETS. A pattern is a regular expression for the whole path of a video below the
root of the set, without ending, in any case; {words} in it are those of WORDS. Its named parts
tell of the video: method, compression, split, target (who is seen), source (whose face is put in),
take (which clip of the target), scene (what belongs together), rest (holds more ids of people),
folders (methods or people).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from data.names import NAMES, read_name
from data.official_lists import (
    SPLIT_WORDS,
    exact_key,
    read_celeb_df_list,
    read_ids,
    read_preview_list,
)
from data.walk import LEVEL

COMPRESSIONS = ("raw", "c0", "c23", "c40")  # of FaceForensics++
DF40_METHODS = (
    "blendface collabdiff dagan danet ddim ddpm deepfacelab dit e4e e4s facedancer faceswap "
    "facevid2vid fomm fs_vid2vid fsgan heygen hyperreenact inswap lia mcnet midjourney midjourney6 "
    "mobileswap mraa one_shot_free oneshot pirender pixart rddm sadtalker sd2.1 simswap sit "
    "stargan starganv2 styleclip stylegan2 stylegan3 styleganxl tpsm uniface vqgan wav2lip "
    "whichfaceisreal"
)
WORDS = {
    "any": r"[^/]+",
    "level": LEVEL,
    "deeper": r"(?:[^/]+/)*",
    "folders": r"(?P<folders>(?:[^/]+/)*)",
    "c": f"(?:(?P<compression>{'|'.join(COMPRESSIONS)})/)?",
    "split": f"(?P<split>{'|'.join(SPLIT_WORDS)})",
    "real": rf"(?:(?:\d|{LEVEL})[ _-])?"
    r"(?:reals?|originals?|authentic|genuine|pristine)"
    f"(?:[ _-]?{LEVEL})?",
    "fake": rf"(?:(?:\d|{LEVEL})[ _-])?"
    r"(?:(?:deep)?fakes?|manipulated|synthetic|synthesi[sz]ed|forged|tampered)"
    f"(?:[ _-]?{LEVEL})?",
    "df40": f"(?P<method>{re.escape(DF40_METHODS).replace(chr(92) + ' ', '|')})",
    **{kind: regex.replace("(?P<", f"(?P<{kind}_") for kind, (_, regex) in NAMES.items()},
}


def compile_pattern(text: str) -> re.Pattern:
    regex = re.sub(r"\{([a-z]\w*)\}", lambda word: WORDS[word[1]], text)
    return re.compile(regex, re.IGNORECASE)


WORDS["no_name"] = rf"(?:{WORDS['real']}|{WORDS['fake']}|{LEVEL}|{'|'.join(SPLIT_WORDS)})"
NO_NAME = compile_pattern("{no_name}|" + "|".join(COMPRESSIONS))  # no video, method or person


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
    told: dict[str, dict] = field(default_factory=dict)  # by exact_key, where no pattern tells it

    @cached_property
    def rules(self) -> list[tuple[int, re.Pattern, list[str]]]:
        """Of each pattern label, regular expression, and which of NAMES it asks for."""
        texts = [(0, text) for text in self.real]
        texts += [(1, text) for text in (*self.fake, *self.others)]
        return [
            (label, compile_pattern(text), [kind for kind in NAMES if f"{{{kind}}}" in text])
            for label, text in texts
        ]

    def has_place_for(self, path: str) -> bool:
        """Whether a video at this path below the root is one of the set's own."""
        own = self.rules[: len(self.real) + len(self.fake)]
        return any(rule.fullmatch(path) for _, rule, _ in own)

    def read_path(self, path: str) -> dict | None:
        """What a path below the root tells of a video (fields of Video); None: no video of it."""
        if self.told:
            return self.told.get(exact_key(path))
        for label, rule, kinds in self.rules:
            match = rule.fullmatch(path)
            if match:
                return self.read_parts(label, match.groupdict(), kinds)
        return None

    def read_parts(self, label: int, parts: dict[str, str | None], kinds: list[str]) -> dict:
        """Fields of Video from the named parts of its path."""
        ids = self.name
        for kind in kinds:
            named = {name: parts.get(f"{kind}_{name}") for name in ("target", "source", "take")}
            if any(named.values()):
                ids, parts = NAMES[kind][0], parts | named
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


# --- The table: where two rows fit alike, the first is taken ---

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
        others=FF_FAKE[:1],
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
            r"(?!{no_name}/)(?P<method>{any})/ff/{deeper}(?:{ff}|{any})",
            r"(?!{no_name}/)(?P<method>{any})/cdf/{deeper}(?:{celeb}|{any})",
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
PUBLIC = {row.name for row in (*SETS, DFDC) if row.has_public_ids}
SHARES_PEOPLE = {row.name for row in SETS if row.shares_people}
