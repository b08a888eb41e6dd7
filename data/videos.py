"""What a video is, one look at every folder below a root, and which images make a video."""

import os
import re
import string
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from data.files import InputError
from data.words import IMAGE_SUFFIXES, LABEL_FILES, LEVEL, LISTS, SKIPPED, VIDEO_SUFFIXES

NOTHING = re.compile(LEVEL, re.IGNORECASE)
ENDS_IN_NOTHING = re.compile(rf"[_ -]{LEVEL}$", re.IGNORECASE)  # clip_frames
IS_SKIPPED = re.compile(SKIPPED, re.IGNORECASE)

# A pattern of the names of loose images is plain text around these. With a video's own name in
# place of {video} it is a template: the end of the path of loose frames.
PARTS = {"video": "(?P<video>.+)", "frame": r"\d+", "face": r"\d+", "any": ".*"}
PHOTO = "photo"  # instead of a pattern: each image is a video
WORD = r"(?<![^\W\d_])(?P<word>frame|face)s?"  # not of surface12
NUMBERED = re.compile(rf"({WORD}[\W_]*)\d+", re.IGNORECASE)
# A number's place in a template, with the word before it
PLACE = re.compile(rf"(?:{WORD})?[\W_]*\{{(?:frame|face|any)\}}", re.IGNORECASE)


def is_template(name: str) -> bool:
    """Whether the end of a path stands for the loose frames of a video: 000_003_{frame}."""
    return any(f"{{{part}}}" in name for part in PARTS)


@dataclass
class Video:
    """A video file, a folder of frames, loose frames or an image, and what is known of it."""

    path: Path  # of frames that lie loose in a folder: a/000_003_{frame}
    label: int  # 1 = fake, 0 = real
    split: str = "train"
    method: str = ""  # how a fake was made, where that is known
    clip: str = ""  # the footage that is seen: of a fake, that of its target; "" if not known
    people: tuple[str, ...] = ()  # who is in it, as far as that is known
    group_keys: tuple[str, ...] = ()  # videos with a key or a person in common are in one group
    is_known: bool = False  # a set, a list or ids tell what it belongs to: names are not asked
    video: str = ""  # its identifier: the path below the root with `/` between the parts
    key: str = ""  # what lists, copies and groups know it by: see tidy
    group: str = ""  # what must stay on one side of a split, named after its first video
    compression: str = ""  # of FaceForensics++
    folders: tuple[str, ...] = ()  # which may be methods or people, the outermost first
    words: tuple[str, ...] = ()  # of its name, that tell it from others: see data/groups.py
    person: str = ""  # the folder that is a person, in lower case
    n_images: int = 0  # 0 for a video file

    @property
    def kind(self) -> str:
        """What it is made of: a key of READINGS, or "videos" for a video file."""
        if self.n_images == 0:
            return "videos"
        if is_template(self.path.name):
            return "loose frames"
        return "photos" if self.path.name.lower().endswith(IMAGE_SUFFIXES) else "frames"


def tidy(path: str, is_folder: bool = False) -> str:
    """A path below the root without ending, and without folders that tell nothing (videos/).

    In lower case it is the key of a video, in lists and on disk, as a file or as frames.
    """
    *folders, name = normalize("NFC", path).split("/")
    folders = [folder for folder in folders if not NOTHING.fullmatch(folder)]
    if is_folder:
        while NOTHING.fullmatch(name) and folders:
            name = folders.pop()
        name = ENDS_IN_NOTHING.sub("", name)
    if is_template(name):
        name = PLACE.sub(" ", name).strip(string.punctuation + " ")
    if name.lower().endswith(VIDEO_SUFFIXES + IMAGE_SUFFIXES):
        name = name.rpartition(".")[0]
    return "/".join([*folders, name])


# --- The walk ---


@dataclass
class Item:
    """A video file, an image, a folder of frames, or loose frames of one video."""

    path: str  # below the root, as that of Video
    place: str  # what `tidy` makes of it
    n_images: int = 0


@dataclass
class Folder:
    """A folder and names in it."""

    path: str  # below the root; "" for the root itself
    videos: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    labels: str = ""  # of two files with DFDC's labels labels.csv: that of test videos is complete

    def join(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name

    def item(self, name: str, n_images: int = 0) -> Item:
        return Item(self.join(name), tidy(self.join(name)), n_images)

    @property
    def skipped(self) -> str:
        """The path down to a folder that holds no videos of a set, such as masks; "" if none."""
        parts = self.path.split("/")
        ends = (end for end, part in enumerate(parts, 1) if IS_SKIPPED.fullmatch(part))
        return "/".join(parts[: next(ends, 0)])


def walk(root: Path) -> tuple[list[Folder], list[str]]:
    """All folders but hidden ones, sorted, links too; and notes on what else lies there."""
    folders, notes, visited, others = [], [], set(), defaultdict(list)
    waiting = [("", os.path.realpath(root))]
    while waiting:
        path, real_path = waiting.pop()
        if real_path in visited:
            notes.append(f"{path}/ leads to a folder that was read already: left out")
            continue
        visited.add(real_path)
        try:
            with os.scandir(real_path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            notes.append(f"{path}/ cannot be read ({error.strerror}): videos may be missing")
            continue
        folder, below = Folder(path), []
        for entry in entries:
            name = entry.name
            stem, _, ending = name.lower().rpartition(".")
            suffix = f".{ending}" if stem else ""
            if name.startswith("."):
                continue
            if entry.is_dir():  # known from the listing: only a link needs another look
                inside = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                below.append((folder.join(name), inside))
            elif suffix in VIDEO_SUFFIXES:
                folder.videos.append(name)
            elif suffix in IMAGE_SUFFIXES:
                folder.images.append(name)
            elif name in LABEL_FILES:
                folder.labels = folder.labels or name
            elif entry.is_symlink() and not os.path.exists(entry.path):
                others["are links to nowhere"].append(folder.join(name))
            elif suffix not in LISTS:
                how = f"end in {suffix}" if suffix else "have no ending"
                others[how].append(folder.join(name))
        folders.append(folder)
        waiting += reversed(below)
    for how, paths in sorted(others.items()):
        notes.append(f"not looked at: files that {how} ({len(paths)}), {paths[0]} for one")
    return folders, notes


# --- Which images make a video ---

READINGS = {
    "frames": "each folder of images is read as a video (videos: {}, frames: {})",
    "loose frames": "loose images are read as frames, by their names (videos: {}, frames: {})",
    "photos": "each loose image is read as a video of one frame (videos: {})",
}


def compile_names(pattern: str) -> re.Pattern:
    """The regular expression of a pattern or a template, for names without ending."""
    pieces = re.split(rf"\{{({'|'.join(PARTS)})\}}", pattern)
    return re.compile("".join(PARTS[p] if i % 2 else re.escape(p) for i, p in enumerate(pieces)))


def stem_of(name: str) -> str:
    return name.rpartition(".")[0]


def read_names(names: list[str], pattern: str) -> tuple[Counter[str], list[str]]:
    """{template: number of images} of names, and the names that do not tell which frame they are.

    The pattern tells it, or else the numbers after the words frame and face.
    """
    regex = compile_names(pattern) if pattern else None
    templates, others = Counter(), []
    for name in names:
        stem = stem_of(name)
        match = regex and regex.fullmatch(stem)
        if match:
            template = pattern.replace("{video}", match.groupdict().get("video", ""))
        else:
            template = NUMBERED.sub(lambda found: f"{found[1]}{{{found['word'].lower()}}}", stem)
        if match or "{frame}" in template:
            templates[template] += 1
        else:
            others.append(name)
    return templates, others


def read_images(folder: Folder, place: str | None, pattern: str = "") -> tuple[list[Item], bool]:
    """The videos that the images of a folder make, and whether their names leave that open.

    `place` is that of a folder that may be a video itself, else None. Such a folder is one video,
    unless its names tell of several. A loose image is a photo, unless its name tells which frame it
    is, or shares parts with some of the others: nobody can know then.
    """
    if pattern == PHOTO:
        return [folder.item(name, 1) for name in folder.images], False
    templates, others = read_names(folder.images, pattern)
    items = [folder.item(template, n) for template, n in templates.items()]
    if place is not None and len({item.place for item in items}) < 2:
        return [Item(folder.path, place, len(folder.images))], have_several_prefixes(others)
    has_nameless = any(item.place.endswith("/") for item in items)  # frame_12, and nothing more
    items += [folder.item(name, 1) for name in others]
    return items, has_nameless or recur(others)


def have_several_prefixes(names: list[str]) -> bool:
    """Whether two names recur before a last number; not in 0017_0, 0017_1: frame and face."""
    prefixes = Counter(re.sub(r"[\W_]*\d+\D*$", "", stem_of(name)) for name in names)
    recurring = [prefix for prefix, n in prefixes.items() if n > 1 and prefix]
    return sum(not prefix.isdigit() for prefix in recurring) > 1


def recur(names: list[str]) -> bool:
    """Whether a part of a name stands at its place in some others of as many parts, not in all."""
    stems = {re.sub(r"\s*\(\d+\)$", "", stem_of(name)) for name in names}  # 0000 (2)
    split = [re.split(r"[\W_]+", stem.lower()) for stem in stems]
    sizes = Counter(map(len, split))
    counts = Counter((len(parts), i, part) for parts in split for i, part in enumerate(parts))
    return any(1 < n < sizes[size] for (size, _, _), n in counts.items())


def check_pattern(image_names: str) -> None:
    """Raise InputError for what is no pattern of the names of images."""
    parts = re.findall(r"\{(.*?)\}", image_names)
    is_pattern = parts and set(parts) <= PARTS.keys() and parts.count("video") < 2
    if image_names not in ("", PHOTO) and not is_pattern:
        known = ", ".join(f"{{{part}}}" for part in PARTS)
        raise InputError(f"--image-names {image_names}: expected {PHOTO}, or text with {known}")


def suggest_patterns(folders: list[Folder]) -> dict[str, int]:
    """{pattern: videos that it gives} of the patterns that fit most names of images."""
    names = [name for folder in folders for name in folder.images]
    *longest, last = max((re.split(r"([\W_]+)", stem_of(name)) for name in names), key=len)
    separators = longest[1::2]
    ending = re.fullmatch(r"(\D*)\d+", last)  # anna_f0001
    patterns = []
    if separators and ending:
        patterns.append(f"{{video}}{separators[-1]}{ending[1]}{{frame}}")
    elif separators:
        patterns.append(f"{{frame}}{separators[0]}{{video}}")
    if len(separators) > 1:
        patterns.append(f"{{video}}{separators[-2]}{{frame}}{separators[-1]}{{face}}")
    suggested = {}
    for pattern in patterns:
        readings = [read_names(folder.images, pattern) for folder in folders]
        n_others = sum(len(others) for _, others in readings)
        if n_others < len(names) / 2:
            suggested[pattern] = n_others + sum(len(templates) for templates, _ in readings)
    return suggested


def ask_for_names(root: Path, folders: list[Folder]) -> str:
    """What to say where names of images leave open which number is the frame."""
    readings = [f'"{pattern}" ({n} videos)' for pattern, n in suggest_patterns(folders).items()]
    readings.append(f"{PHOTO} ({sum(len(folder.images) for folder in folders)} photos)")
    return (
        f"{root / folders[0].join(folders[0].images[0])}: its name and others leave open which "
        f"number is the frame: say it with --image-names {', '.join(readings)}; "
        "or put the frames of each video into a folder"
    )


def describe_readings(videos: list[Video]) -> list[str]:
    """A line on each way in which images were read, with how many videos that makes."""
    lines = []
    for kind, text in READINGS.items():
        sizes = [video.n_images for video in videos if video.kind == kind]
        if sizes:
            lines.append(text.format(len(sizes), sum(sizes)))
    return lines
