"""How and of what features were made: the content of extraction.json; whether two are alike."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from data.files import InputError, read_json
from data.frames import Sampling

AGAIN = "run feature_extraction.py again"


@dataclass
class Extraction:
    """How the features of a set are made, and of which videos: the content of extraction.json."""

    sampling: Sampling
    weights: dict = field(default_factory=dict)  # name, sha256, and instead_of where others failed
    device: str = "cpu"
    versions: dict = field(default_factory=dict)  # of packages, and of Python
    name: str = ""  # of the set
    videos_dir: str = ""
    layout: str = ""
    compression: str = "all"
    image_names: str = ""  # how loose images are named, where that was said
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
        made_with = {"weights": self.weights.get("sha256"), "device": self.device}
        return asdict(self.sampling) | made_with | {"versions": versions}


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
    rounding only.
    """
    our_recipe, their_recipe = ours.recipe(), theirs.recipe()
    for key, value in our_recipe.items():
        if key not in ("device", "versions") and their_recipe[key] != value:
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


def check_alike(extractions: dict[str, Extraction | None]) -> None:
    """Raise InputError where features were made otherwise than the first ones, {name: how}."""
    known = {name: extraction for name, extraction in extractions.items() if extraction}
    for name, theirs in known.items():
        first, ours = next(iter(known.items()))
        difference = find_difference(ours, theirs)
        if difference:
            found = f"{first} has {difference[0]}, {name} has {difference[1]}"
            raise InputError(f"{found}: extract them alike")
