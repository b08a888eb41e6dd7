"""What a video is, and one look at every folder below a root for what may be one."""

import os
import re
import string
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SPLITS = ("train", "val", "test")
CLASSES = ("real", "fake")  # a label is an index into this
VIDEO_ENDINGS = (
    "mp4 avi mov mkv webm m4v mpg mpeg wmv asf flv f4v 3gp gif "
    "ts mts m2ts vob ogv mxf h264 264 hevc 265"
)
VIDEO_SUFFIXES = tuple(f".{ending}" for ending in VIDEO_ENDINGS.split())
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
# Words that name no person, also with a number after them
COMMON_WORDS = """
    fakes? reals? deepfakes? (?:face)?swap(?:ped|s)? face2face faceshifter neuraltextures wav2lip
    fsgan simswap gan gen generated synth
    videos? vid clip movie mov take scene shot part cam camera
    frames? images? img dsc mvi photo pic
    sample out output result test train val version ver v c crf h x mp
    seed epoch step fps method model file the
"""
COMMON = "|".join(COMMON_WORDS.split())
# Of images also these: face_001.jpg, face_002.jpg are of two people
UNNAMED = rf"{COMMON}|faces?|person|people|portraits?|selfies?|celeb\w*|ffhq|subject|id|no|nr"
LABEL_FILES = ("metadata.json", "labels.csv")  # of DFDC
LEVEL = "(?:videos?|frames?|images?|imgs?|faces?|crops?|clips?)"  # folders that tell nothing
SKIPPED = re.compile(
    r"masks?|landmarks?|b?boxes|thumb(?:nail)?s?|downloaded_videos\w*|source_videos", re.IGNORECASE
)


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


# --- The walk ---


@dataclass
class Folder:
    """A folder, its path below the root ("" for the root itself), and names in it."""

    path: str
    videos: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)  # files that hold DFDC's labels


@dataclass
class Item:
    """A video file, an image, a folder of frames, or frames of one video among others.

    The last are named after what their names have in common: a/000_003 for a/000_003_0017.png.
    """

    path: str  # below the root
    key: str  # the same without ending
    kind: str = "videos"  # or how images are read: one of READINGS
    n_images: int = 0


READINGS = {
    "frames": "each folder of images is read as a video: {n} videos, {images} frames in all",
    "mixed": "loose images are read as frames of the video that stands before their last number: "
    "{n} videos, {images} frames in all",
    "photos": "each loose image is read as a video of one frame: {n} videos",
}


def walk(root: Path) -> tuple[list[Folder], list[str]]:
    """All folders, sorted, and a line on each that is not read. Hidden ones are left alone.

    Links are followed, but no folder is read twice.
    """
    folders, problems, visited = [], [], set()
    waiting = [("", os.path.realpath(root))]
    while waiting:
        path, real_path = waiting.pop()
        if real_path in visited:
            problems.append(f"{path}/ leads to a folder that was read already: left out")
            continue
        visited.add(real_path)
        try:
            with os.scandir(real_path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            problems.append(f"{path}/ cannot be read ({error.strerror}): videos may be missing")
            continue
        folder, below = Folder(path), []
        for entry in entries:
            name = entry.name
            ending = f".{name.rpartition('.')[2].lower()}"
            if name.startswith("."):
                continue
            if entry.is_dir():  # known from the listing: only a link needs another look
                inside = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                below.append((join(path, name), inside))
            elif ending in VIDEO_SUFFIXES:
                folder.videos.append(name)
            elif ending in IMAGE_SUFFIXES:
                folder.images.append(name)
            elif name in LABEL_FILES:
                folder.labels.append(name)
        folders.append(folder)
        waiting += reversed(below)
    return folders, problems


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def read_file(folder: Folder, name: str, kind: str) -> Item:
    path = join(folder.path, name)
    return Item(path, path.rpartition(".")[0], kind, int(kind == "photos"))


def find_prefix(name: str) -> str | None:
    """What stands before the last number of an image's name: 000_003 of 000_003_0017.png.

    None where its name does not end with a number; (1) is one too.
    """
    stem = name.rpartition(".")[0].rstrip(")")
    before = stem.rstrip(string.digits)
    return None if before == stem else before.rstrip(string.punctuation + " ")


def read_images(folder: Folder, may_be_video: bool) -> list[Item]:
    """The videos that the images of a folder make, if there is no video file beside them.

    They are frames of several videos where what stands before the last number of their names
    recurs; else frames of one, where the folder may be a video and they have numbers, or where all
    have one name before the number; else photos.
    """
    prefix_of = {name: find_prefix(name) for name in folder.images}
    n_numbered = sum(prefix is not None for prefix in prefix_of.values())
    sizes = Counter(filter(None, prefix_of.values()))
    least = 3 if may_be_video else 2  # frames named after frame and face: 0017_0, 0017_1
    is_one = len(sizes) == 1 and not may_be_video and names_somebody(next(iter(sizes)))
    if (len(sizes) > 1 or is_one) and sizes.total() >= max(
        0.9 * len(prefix_of), least * len(sizes)
    ):
        paths = {join(folder.path, prefix): n for prefix, n in sizes.items()}
        mixed = [Item(path, path, "mixed", n) for path, n in paths.items()]
        alone = [name for name, prefix in prefix_of.items() if not prefix]
        return mixed + [read_file(folder, name, "photos") for name in alone]
    if may_be_video and n_numbered >= len(prefix_of) / 2:
        return [Item(folder.path, folder.path, "frames", len(prefix_of))]
    return [read_file(folder, name, "photos") for name in folder.images]


def names_somebody(prefix: str) -> bool:
    """Whether what stands before the number of an image can name a video, unlike img or face."""
    words = re.split(r"[\W\d_]+", prefix.lower())
    return not all(re.fullmatch(UNNAMED, word) for word in words if word)


def list_videos(folder: Path) -> tuple[list[Path], list[str]]:
    """Sorted videos below a folder, perhaps itself, and a line on each way images were read."""
    items = []
    for inside in walk(folder)[0]:
        if find_skipped(inside.path):
            continue
        if inside.videos:
            items += [read_file(inside, name, "videos") for name in inside.videos]
        elif inside.images:
            items += read_images(inside, may_be_video=True)
    return sorted(Path(folder, item.path) for item in items), describe_readings(items)


def describe_readings(items: list[Item]) -> list[str]:
    """A line on each way in which images were read, with how many videos that makes."""
    lines = []
    for kind, text in READINGS.items():
        sizes = [item.n_images for item in items if item.kind == kind]
        if sizes:
            lines.append(text.format(n=len(sizes), images=sum(sizes)))
    return lines


def find_skipped(path: str) -> str:
    """The path down to a folder that holds no videos of a set, such as masks; "" if none."""
    parts = path.split("/")
    for end, part in enumerate(parts, 1):
        if SKIPPED.fullmatch(part):
            return "/".join(parts[:end])
    return ""
