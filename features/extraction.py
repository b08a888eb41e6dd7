"""How and of what features were made: the content of extraction.json; whether two are alike."""

import ast
import hashlib
import platform
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision

from data.files import InputError, read_json
from data.frames import Sampling

N_FEATURES = 1000  # of a frame
AGAIN = "run feature_extraction.py again"
OTHER_CODE = "were made by different code: extract again, unless the change was one of words"
REPOSITORY = Path(__file__).parents[1]
CODE = (  # that makes features, from a video's file on
    "data/decode.py",
    "data/upright.py",
    "data/images.py",
    "data/faces.py",
    "data/frames.py",
    "features/resnet18.py",
)

# --- The program that makes them ---


def package_versions() -> dict[str, str]:
    modules = {"torch": torch, "torchvision": torchvision, "opencv": cv2, "numpy": np}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {"python": platform.python_version()} | versions


def hash_code(*sources: str) -> str:
    """A short hash of Python code without comments, docstrings and layout."""
    text = "\n".join(spell(ast.parse(source)) for source in sources)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def spell(node) -> str:
    """A tree of syntax as text; unlike ast.dump the same from each version of Python."""
    if isinstance(node, list):
        return f"[{','.join(filter(None, map(spell, node)))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return ""  # a docstring
    fields = ast.iter_fields(node)  # the empty ones change from version to version
    spelled = [f"{name}={spell(value)}" for name, value in fields if value not in (None, [])]
    return f"{type(node).__name__}({','.join(spelled)})"


def hash_extraction_code() -> str:
    return hash_code(*((REPOSITORY / name).read_text(encoding="utf-8") for name in CODE))


# --- The extraction ---


@dataclass
class Extraction:
    """How the features of a set are made, and of which videos: the content of extraction.json."""

    sampling: Sampling
    weights: dict = field(default_factory=dict)  # name, sha256, and instead_of where others failed
    device: str = "cpu"
    versions: dict = field(default_factory=dict)  # of packages, and of Python
    code: str = ""  # hash_extraction_code() of the program that made them
    name: str = ""  # of the set
    videos_dir: str = ""
    layout: str = ""
    compression: str = "all"
    image_names: str = ""  # how loose images are named, where that was said
    methods: list = field(default_factory=list)  # of the fakes taken; none: all
    max_videos: int = 0  # of each class; 0: all
    sample: dict | None = None  # how the sample set was drawn, if it is one
    notes: list = field(default_factory=list)  # what was said of the data set
    counts: dict = field(default_factory=dict)  # of videos: see features/write.py

    @classmethod
    def from_dict(cls, values: dict) -> "Extraction":
        """The extraction that asdict gave. Raises InputError for one of another version."""
        try:
            return cls(**values | {"sampling": Sampling(**values["sampling"])})
        except (KeyError, TypeError) as error:
            raise InputError(f"of another version of this program ({error}): {AGAIN}") from error

    def without_paths(self) -> "Extraction":
        """The same with names instead of paths, for files that are passed on to others."""
        weights = self.weights | {"name": Path(self.weights["name"]).name}
        return replace(self, videos_dir=Path(self.videos_dir).name, weights=weights)

    def recipe(self) -> dict:
        """All that changes the features of a video, for the cache."""
        versions = {name: self.versions.get(name) for name in ("torch", "torchvision", "opencv")}
        program = {"device": self.device, "code": self.code, "versions": versions}
        return asdict(self.sampling) | {"weights": self.weights.get("sha256")} | program


def load_extraction(folder: Path) -> Extraction | None:
    """How the features in a folder were made, if its extraction.json is there to tell."""
    path = folder / "extraction.json"
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        return Extraction.from_dict(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def find_difference(ours: Extraction, theirs: Extraction) -> tuple[str, str] | None:
    """What makes other features, in both: ("no --crop-faces", "--crop-faces --face-margin 1.3").

    None where they are alike. Another device or another version of a package changes features by
    rounding only. Of other code nobody knows what it changes: see OTHER_CODE.
    """
    their_recipe = theirs.recipe()
    for key, value in ours.recipe().items():
        if key not in ("device", "versions", "code") and their_recipe[key] != value:
            return describe_setting(ours, key), describe_setting(theirs, key)
    return None


def describe_setting(extraction: Extraction, key: str) -> str:
    """A part of the recipe as a user knows it: the flag that it was given by, or its name."""
    value = extraction.recipe()[key]
    if key == "weights":
        return f"--weights {extraction.weights['name']} (sha256 {value[:8]})"
    if key == "face_model":
        return f"a face detector of sha256 {value[:8]}"
    if key == "face_margin":
        return "no --crop-faces" if value is None else f"--crop-faces --face-margin {value:g}"
    return f"--{key.replace('_', '-')} {value}"


def find_left_out(earlier: Extraction, now: Extraction) -> str | None:
    """The flag by which an extraction leaves videos out that an earlier one had; None: no flag."""
    if now.compression not in ("all", earlier.compression):
        return f"--compression {now.compression}"
    had, wanted = ({name.lower() for name in each.methods} for each in (earlier, now))
    if wanted and (not had or had - wanted):
        return f"--methods {','.join(now.methods)}"
    found = earlier.counts.get("found", now.max_videos + 1)
    if 0 < now.max_videos < min(found, earlier.max_videos or found):
        return f"--max-videos {now.max_videos}"
    return None


def check_alike(extractions: dict[str, Extraction | None]) -> None:
    """Raise InputError where features were made otherwise than the first ones, {name: how}.

    Where only the code was another, that is said: the change may be one of words.
    """
    known = [(name, extraction) for name, extraction in extractions.items() if extraction]
    for name, theirs in known[1:]:
        first, ours = known[0]
        if difference := find_difference(ours, theirs):
            found = f"{first} has {difference[0]}, {name} has {difference[1]}"
            raise InputError(f"{found}: extract them alike")
        if ours.code and theirs.code and ours.code != theirs.code:
            print(f"WARNING: {first} and {name} {OTHER_CODE}")


def caution_of(extraction: Extraction | None) -> str:
    """What a score of such a model does not mean; "" where there is nothing to say."""
    if extraction and extraction.sample:
        return "trained on drawn people: its scores mean nothing for your video"
    if extraction and extraction.weights["name"] == "random":
        return "trained on features of an untrained network: its scores mean nothing for your video"
    return ""


def describe_extraction(extraction: Extraction | None) -> str:
    """Data set and weights in a few words, for headers and the footers of pictures."""
    if extraction is None:
        return "unknown videos, unknown weights"
    videos = extraction.name
    if extraction.sample and " + " not in videos:
        videos = "the sample set" if videos == "sample" else f"the drawn set {videos}"
    margin = extraction.sampling.face_margin
    faces = f", faces with margin {margin:g}" if margin else ""
    return f"{videos}{faces}, ResNet-18 weights: {Path(extraction.weights['name']).name}"
