"""Whether features were made alike: what differs between two extractions, in words."""

from data.files import InputError
from data.frames import Extraction


def describe(extraction: Extraction) -> dict[str, str]:
    """What features are of and how they were made, in words."""
    weights, crop = extraction.weights, extraction.crop
    cropped = "uncropped frames"
    if crop:
        detector = crop.detector_sha256[:8]
        cropped = f"face crops (margin {crop.margin:g}, none: {crop.no_face}, detector {detector})"
    versions = extraction.recipe()["versions"]
    return {
        "videos_dir": f"videos of {extraction.videos_dir}",
        "compression": f"compression {extraction.compression}",
        "frames_per_video": f"{extraction.frames_per_video} frames a video",
        "frame_choice": f"frame choice {extraction.frame_choice}",
        "crop": cropped,
        "weights": f"weights {weights['name']} ({weights['sha256'][:8]})",
        "device": f"device {extraction.device}",
        "versions": " ".join(f"{package} {version}" for package, version in versions.items()),
    }


def compare(ours: Extraction, theirs: Extraction) -> dict[str, tuple[str, str]]:
    """What differs between two extractions, each time in words for both."""
    our_words, their_words = describe(ours), describe(theirs)
    our_values = our_words | ours.recipe()  # the same weights may have two names
    their_values = their_words | theirs.recipe()
    differences = {}
    for key, words in our_words.items():
        if our_values[key] != their_values[key]:
            differences[key] = (words, their_words[key])
    return differences


def describe_change(before: Extraction | None, now: Extraction) -> str:
    """What differs, in words: "32 frames a video -> 8 frames a video"; "" if nothing does."""
    differences = compare(before, now) if before else {}
    if not differences:
        return ""
    old, new = zip(*differences.values(), strict=True)
    return f"{', '.join(old)} -> {', '.join(new)}"


def check_same_extraction(extractions: dict[str, Extraction | None]) -> None:
    """Raise InputError where features were made otherwise than the first ones, {name: how}.

    Another device or another version of a package changes them by rounding only.
    """
    first, *others = extractions
    for name in others:
        ours, theirs = extractions[first], extractions[name]
        if ours is None or theirs is None:  # nobody knows
            continue
        differences = compare(ours, theirs)
        for key in ("weights", "frames_per_video", "frame_choice", "crop"):
            if key in differences:
                our_words, their_words = differences[key]
                problem = f"{first} has {our_words}, {name} has {their_words}"
                raise InputError(f"{problem}: extract them alike")
