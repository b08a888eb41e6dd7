import json
from dataclasses import asdict, replace

import pytest

from data.files import InputError, write_json
from data.frames import Sampling
from features.extraction import (
    Extraction,
    check_alike,
    find_left_out,
    hash_code,
    load_extraction,
)

SAMPLING = Sampling(4, face_margin=1.3, face_model="8f23")
WEIGHTS = {"name": "imagenet", "sha256": "f37072fd"}
VERSIONS = {"python": "3.12.1", "numpy": "2.1", "torch": "2.9", "torchvision": "1", "opencv": "5"}
EXTRACTION = Extraction(
    SAMPLING,
    weights=WEIGHTS | {"instead_of": "x"},
    versions=VERSIONS,
    code="2a71a1c1",
    videos_dir="/clips",
    layout="DFDC",
    counts={"found": 3, "used": 2, "failed": 1, "frames": {"train": 8}},
)
OF_THE_FILES = [  # what does not change the features of a video
    {"videos_dir": "/elsewhere"},
    {"layout": ""},
    {"compression": "c23"},
    {"sample": {"seed": 0}},
    {"notes": ["people may be on both sides"]},
    {"counts": {}},
    {"weights": WEIGHTS | {"name": "/path/of/the/same.pth"}},
    {"versions": VERSIONS | {"python": "3.13", "numpy": "3"}},
]
BY_ROUNDING = [  # or not known: other code
    {"code": "0f0f0f0f"},
    {"device": "cuda"},
    {"versions": VERSIONS | {"torch": "3"}},
    {"versions": VERSIONS | {"torchvision": "3"}},
    {"versions": VERSIONS | {"opencv": "3"}},
]
FACES, DETECTOR = "--crop-faces --face-margin 1.3", "a face detector of sha256"
OWN = {"name": "own.pth", "sha256": "0" * 64}
OTHER = [  # and what the two are then said to have
    ({"frames_per_video": 5}, "--frames-per-video 4", "--frames-per-video 5"),
    ({"frame_step": 10}, "--frame-step 0", "--frame-step 10"),
    ({"face_margin": None}, FACES, "no --crop-faces"),
    ({"face_margin": 1.4}, FACES, "--crop-faces --face-margin 1.4"),
    ({"if_no_face": "whole"}, "--if-no-face skip", "--if-no-face whole"),
    ({"face_model": "1" * 64}, f"{DETECTOR} 8f23", f"{DETECTOR} 11111111"),
    (
        {"weights": OWN},
        "--weights imagenet (sha256 f37072fd)",
        "--weights own.pth (sha256 00000000)",
    ),
]


def changed(change: dict) -> Extraction:
    """EXTRACTION with other weights or another sampling."""
    if "weights" in change:
        return replace(EXTRACTION, **change)
    return replace(EXTRACTION, sampling=replace(SAMPLING, **change))


def test_an_extraction_survives_its_file(tmp_path):
    assert load_extraction(tmp_path) is None
    write_json(tmp_path / "extraction.json", asdict(EXTRACTION))
    assert load_extraction(tmp_path) == EXTRACTION
    content = asdict(EXTRACTION)
    del content["sampling"]["frame_step"]  # of a version that had evenly spaced frames alone
    write_json(tmp_path / "extraction.json", content)
    assert load_extraction(tmp_path) == EXTRACTION


OLD = {"frames_per_video": 4, "crop": None, "weights": WEIGHTS}
MORE = asdict(EXTRACTION) | {"sampling": asdict(SAMPLING) | {"landmarks": 5}}


@pytest.mark.parametrize("content", [OLD, MORE])
def test_one_of_another_version_asks_for_a_new_one(tmp_path, content):
    write_json(tmp_path / "extraction.json", content)
    problem = r"extraction\.json: of another version .*: run feature_extraction\.py again$"
    with pytest.raises(InputError, match=problem):
        load_extraction(tmp_path)


def test_the_recipe_is_all_that_changes_features_and_nothing_else():
    recipe = EXTRACTION.recipe()
    assert json.loads(json.dumps(recipe)) == recipe
    for change in OF_THE_FILES:
        assert replace(EXTRACTION, **change).recipe() == recipe, change
    for change in BY_ROUNDING:
        assert replace(EXTRACTION, **change).recipe() != recipe, change
    for change, *_ in OTHER:
        assert changed(change).recipe() != recipe, change


def test_sets_are_alike_if_their_features_differ_by_rounding_alone(capsys):
    for change in OF_THE_FILES + BY_ROUNDING:
        check_alike({"train": EXTRACTION, "bare": None, "val": replace(EXTRACTION, **change)})
        said = "WARNING: train and val were made by different code" in capsys.readouterr().out
        assert said == ("code" in change)
    for change, ours, theirs in OTHER:
        with pytest.raises(InputError) as caught:
            check_alike({"the model": EXTRACTION, "b": changed(change)})
        assert str(caught.value) == f"the model has {ours}, b has {theirs}: extract them alike"


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ("'Room.'\nx = 1\n\nclass A:\n  'A.'\n  def f(self, x):\n    return (x + 1)  # more", True),
        ("x = 1\nclass A:\n  def f(self, x): return x + 2", False),
        ("x = None\nclass A:\n  def f(self, x): return x + 1", False),
        ("x = 1\nclass A:\n  def f(self, x=None): return x + 1", False),
    ],
)
def test_the_hash_of_code_is_of_what_it_does(source, same):
    ours = "x = 1\nclass A:\n  def f(self, x): return x + 1"
    assert (hash_code(source) == hash_code(ours)) == same


def test_the_hash_of_code_is_the_same_from_each_python():
    """As other versions have other empty fields, and an update must not redo everything."""
    source = "def f(a: int, *b, c=None) -> str:\n    return f'{a!r:>3}' if b[-1:] else (not c)"
    assert hash_code(source) == "89bd3646"
    assert hash_code("a", "b") != hash_code("b", "a")


C23, TWO, TEN = {"compression": "c23"}, {"methods": ["A", "B"]}, {"max_videos": 10}


@pytest.mark.parametrize(
    ("earlier", "now", "flag"),
    [
        ({}, C23, "--compression c23"),
        ({}, TWO, "--methods A,B"),
        ({}, TEN, "--max-videos 10"),
        (C23, {"compression": "c40"}, "--compression c40"),
        (TWO, {"methods": ["A"]}, "--methods A"),
        (TEN, {"max_videos": 5}, "--max-videos 5"),
        (C23, C23, None),  # the same
        (TWO, {}, None),  # more
        (TEN, {"max_videos": 20}, None),
        ({"methods": ["a"]}, TWO, None),
        ({}, {"max_videos": 40}, None),  # that leaves nothing out
    ],
)
def test_what_a_second_extraction_would_leave_out_is_named(earlier, now, flag):
    whole = replace(EXTRACTION, counts={"found": 40})
    assert find_left_out(replace(whole, **earlier), replace(EXTRACTION, **now)) == flag
