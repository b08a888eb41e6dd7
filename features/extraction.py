"""How and of what features were made: the content of extraction.json; whether two are alike."""

from dataclasses import asdict, dataclass, field
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
    videos_dir: str = ""
    layout: str = ""
    compression: str = "all"
    sample: dict | None = None  # how the sample set was drawn, if it is one
    counts: dict = field(default_factory=dict)  # found, used, failed; frames by split

    @classmethod
    def from_dict(cls, values: dict) -> "Extraction":
        """The extraction that asdict gave. Raises InputError for one of another version."""
        try:
            return cls(**values | {"sampling": Sampling(**values["sampling"])})
        except (KeyError, TypeError) as error:
            raise InputError(f"of another version of this program ({error}): {AGAIN}") from error

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


def check_alike(extractions: dict[str, Extraction | None]) -> None:
    """Raise InputError where features were made otherwise than the first ones, {name: how}.

    Another device or another version of a package changes them by rounding only.
    """
    known = {name: how.recipe() for name, how in extractions.items() if how}
    for name, theirs in known.items():
        first, ours = next(iter(known.items()))
        for key in ours:
            if key not in ("device", "versions") and theirs[key] != ours[key]:
                found = f"{first} has {key} {ours[key]!s:.16}, {name} has {theirs[key]!s:.16}"
                raise InputError(f"{found}: extract them alike")
