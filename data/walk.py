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
    "ts mts m2ts vob ogv mxf h264 264 hevc 265 divx dv m2v y4m rm rmvb"
)
VIDEO_SUFFIXES = tuple(f".{ending}" for ending in VIDEO_ENDINGS.split())
IMAGE_ENDINGS = "png jpg jpeg jpe jfif bmp webp tif tiff ppm pgm jp2 avif heic heif"
IMAGE_SUFFIXES = tuple(f".{ending}" for ending in IMAGE_ENDINGS.split())
LOOSE = "*"  # ends the path of frames that lie loose in a folder
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
UNNAMED = (
    rf"(?:{COMMON}|faces?|person|people|portraits?|selfies?|screenshots?|scan|celeb[a-z]*|ffhq|"
    r"subject|id|no|nr|dscn|dscf|pxl|mvimg)\d*|(?:19|20)\d{6}"  # or a date
)
PACKED = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".part", ".crdownload", ".download")
LABEL_FILES = ("metadata.json", "labels.csv")  # of DFDC
# Folders that tell nothing, also with a size: frames_224, faces-256x256
LEVEL = r"(?:videos?|clips?|(?:frames?|images?|imgs?|faces?|crops?)(?:[_-](?:\d{2,4}x)?\d{2,4})?)"
SKIPPED = re.compile(
    r"(?:\w+[_-])?(?:masks?|landmarks?)(?:[_-]\w+)?|b?box(?:es)?|depths?|thumb(?:nail)?s?|"
    r"downloaded_videos\w*|source_videos",
    re.IGNORECASE,
)


@dataclass
class Video:
    """A video file, a folder of frames or an image, and what its data set tells of it."""

    path: Path  # of frames that lie loose in a folder: a/000_003* for a/000_003_0017.png
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
        """The name of its file without the ending, or of its folder: clip of clip/frames."""
        path = self.path
        if self.n_images > 1 and re.fullmatch(LEVEL, path.name, re.IGNORECASE):
            path = path.parent
        is_file = path.name.lower().endswith(VIDEO_SUFFIXES + IMAGE_SUFFIXES)
        return path.stem if is_file else path.name.removesuffix(LOOSE)

    @property
    def kind(self) -> str:
        """What it is made of: a key of READINGS, or "videos" for a video file."""
        if self.n_images == 0:
            return "videos"
        if self.path.name.endswith(LOOSE):
            return "mixed"
        return "photos" if self.path.name.lower().endswith(IMAGE_SUFFIXES) else "frames"


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
    """A video file, an image, a folder of frames, or frames of one video among others."""

    path: str  # below the root, as that of Video
    key: str  # the same without ending, or frames/ at its end
    n_images: int = 0


READINGS = {
    "frames": "each folder of images is read as a video (videos: {n}, frames: {images})",
    "mixed": "loose images are read as frames of the video that stands before their last number "
    "(videos: {n}, frames: {images})",
    "photos": "each loose image is read as a video of one frame (videos: {n})",
}


def walk(root: Path) -> tuple[list[Folder], list[str]]:
    """All folders, sorted, and a line on each that is not read. Hidden ones are left alone.

    Links are followed, but no folder is read twice.
    """
    folders, problems, visited, packed = [], [], set(), []
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
            elif ending in PACKED:
                packed.append(join(path, name))
        folders.append(folder)
        waiting += reversed(below)
    if packed:
        example = f"{packed[0]} for one"
        problems.append(f"packed or half-downloaded files: {len(packed)} left alone, {example}")
    return folders, problems


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def item_of_file(folder: Folder, name: str, n_images: int = 0) -> Item:
    path = join(folder.path, name)
    return Item(path, path.rpartition(".")[0], n_images)


def find_prefix(name: str) -> str:
    """What stands before the last number of an image's name: 000_003 of 000_003_0017.png.

    "" where there is no number, and where the name is one: 0017.png, 1.25.png.
    """
    stem = name.rpartition(".")[0]
    reversed_number = re.match(r"[^0-9]*[0-9]+", stem[::-1])
    if not reversed_number or re.fullmatch(r"[0-9]+\.[0-9]+", stem):
        return ""
    return stem[: -reversed_number.end()].rstrip(string.punctuation + " ")


def items_of_images(folder: Folder, key: str | None) -> list[Item]:
    """The videos that the images of a folder make, if there is no video file beside them.

    `key` is that of the folder, if it may be a video, else None. The images are frames of several
    videos where what stands before the last number of their names recurs and can name a video.
    Else all are frames of one, if the folder may be it; else photos.
    """
    prefix_of = {name: find_prefix(name) for name in folder.images}
    prefixes = set(filter(names_video, set(prefix_of.values())))
    sizes = Counter(prefix for prefix in prefix_of.values() if prefix in prefixes)
    if key is None:
        least, are_several = 2, len(sizes) > 1 or any(map(is_more_than_a_number, sizes))
    else:  # frames may be numbered twice, by frame and by face: 0017_0, 0017_1
        least, are_several = (8 if all(map(str.isdigit, sizes)) else 3), len(sizes) > 1
    if are_several and sizes.total() >= max(0.8 * len(prefix_of), least * len(sizes)):
        items = []
        for prefix, n in sizes.items():
            path = join(folder.path, prefix)
            items.append(Item(path + LOOSE, path, n))
        alone = [name for name, prefix in prefix_of.items() if prefix not in prefixes]
        return items + [item_of_file(folder, name, 1) for name in alone]
    if key is not None:
        return [Item(folder.path, key, len(prefix_of))]
    return [item_of_file(folder, name, 1) for name in folder.images]


def names_video(prefix: str) -> bool:
    """Whether what stands before the number of an image can name a video, unlike img or face."""
    words = re.split(r"[\W_]+", prefix.lower())
    return not all(re.fullmatch(UNNAMED, word) for word in words if word)


def is_more_than_a_number(prefix: str) -> bool:
    """Whether it has a letter or two numbers, 000_003: photos may be named 1 (1), 1 (2)."""
    return bool(re.search(r"[^\W\d_]|\d[\W_]+\d", prefix))


def describe_readings(videos: list[Video]) -> list[str]:
    """A line on each way in which images were read, with how many videos that makes."""
    lines = []
    for kind, text in READINGS.items():
        sizes = [video.n_images for video in videos if video.kind == kind]
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
