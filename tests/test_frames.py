import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import write_squares
from PIL import Image

import data.frames
from data.decode import read_frames, sample_frame_numbers
from data.faces import crop_square, shrink
from data.files import InputError
from data.frames import Crop, Extraction, resize_frame, sample_video

CROP = Crop(margin=1.3, no_face="fail", detector_sha256="8f23")
WEIGHTS = {"name": "imagenet", "sha256": "f37072fd"}
VERSIONS = {
    "python": "3.12.1",
    "numpy": "2.1",
    "torch": "2.9",
    "torchvision": "0.29",
    "opencv": "5",
}
EXTRACTION = Extraction(
    frames_per_video=4,
    frame_choice="nearest-reference",
    crop=CROP,
    weights=WEIGHTS | {"instead_of": "x"},
    versions=VERSIONS,
    videos_dir="/clips",
    layout="DFDC",
    sample={"seed": 0},
    counts={"found": 3, "used": 2, "failed": 1, "frames": {"train": 8}},
)


def crop_faces(n=8, margin=1.5, no_face="fail") -> Extraction:
    return Extraction(frames_per_video=n, crop=Crop(margin, no_face, ""))


def is_red(frame: torch.Tensor) -> np.ndarray:
    pixels = frame.permute(1, 2, 0).numpy()
    return (pixels[..., 0] > 150) & (pixels[..., 1] < 100)


def picture(height, width, seed=0):
    """A BGR picture with coarse shapes and fine noise."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.float32), (width, height))
    return np.clip(coarse + rng.normal(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)


def test_each_frame_is_cropped_to_its_own_box_from_the_full_resolution(detector, tmp_path):
    places = [(700 + 50 * i, 300) for i in range(8)]
    path = write_squares(tmp_path / "a.mp4", places, size=(1920, 1080), side=200)
    sampled = sample_video(path, crop_faces())
    assert sampled.facts["face_share"] == 1
    assert np.allclose(sampled.boxes, [(x, y, 200, 200) for x, y in places], atol=6)
    for frame in sampled.frames:
        assert frame.shape == (3, 224, 224) and frame.dtype == torch.uint8
        red = is_red(frame)
        assert (
            red.mean() == pytest.approx(1 / 1.5**2, abs=0.03) and red[112, 112] and not red[8].any()
        )


def test_crops_are_as_sharp_as_the_video(detector, tmp_path):
    """Stripes of 4 pixels are lost in what the detector gets, 640 of 1920, but not in a crop."""
    fourcc = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), fourcc, 25, (1920, 1080))
    frame = np.full((1080, 1920, 3), 128, np.uint8)
    cv2.rectangle(frame, (800, 400, 150, 150), (0, 0, 255), -1)
    frame[450:500, 850:900] = np.where(np.arange(50) % 4 < 2, 0, 255)[None, :, None]
    for _ in range(3):
        writer.write(frame)
    writer.release()
    for crop in sample_video(tmp_path / "a.avi", crop_faces(n=3)).frames:
        assert crop[1, 90:130, 90:130].float().std() > 60


def test_one_person_is_cropped_to_and_not_the_largest_of_each_frame(detector, tmp_path):
    writer = cv2.VideoWriter(
        str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 120)
    )
    for i in range(8):
        frame = np.full((120, 320, 3), 128, np.uint8)
        cv2.rectangle(frame, (20, 30, 40, 40), (0, 0, 255), -1)
        cv2.rectangle(frame, (35, 45, 10, 10), (255, 0, 0), -1)  # the one with a blue nose
        if i in (3, 4):
            cv2.rectangle(frame, (200, 20, 70, 70), (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    sampled = sample_video(tmp_path / "a.mp4", crop_faces())
    assert np.allclose(sampled.boxes, [20, 30, 40, 40], atol=2)
    assert all(frame[2, 112, 112] > 150 > frame[0, 112, 112] for frame in sampled.frames)


def test_frames_without_a_face_are_cropped_where_it_should_be(detector, tmp_path):
    places = [(20, 30), (24, 30), None, (32, 30), (36, 30), (40, 30), None, None]
    sampled = sample_video(write_squares(tmp_path / "a.mp4", places), crop_faces())
    assert sampled.facts["face_share"] == 0.625
    assert np.allclose(sampled.boxes[:, 0], [20, 24, 28, 32, 36, 40, 40, 40], atol=1)
    red = [is_red(frame).mean() for frame in sampled.frames]
    expected = [0 if place is None else 1 / 1.5**2 for place in places]
    assert np.allclose(red, expected, atol=0.04)
    for frame, box in zip(sampled.frames, sampled.boxes, strict=True):
        if not is_red(frame).any():  # the grey that is there, not a frame that stands for it
            assert abs(frame.float().mean() - 128) < 6 and np.isfinite(box).all()


def test_a_video_without_a_face_fails_or_gives_whole_frames(detector, tmp_path):
    path = write_squares(tmp_path / "a.mp4", [None] * 8)
    with pytest.raises(InputError, match=r"^no face found in 8 frames$"):
        sample_video(path, crop_faces())
    sampled = sample_video(path, crop_faces(no_face="whole"))
    whole = sample_video(path, Extraction(frames_per_video=8))
    assert sampled.facts["face_share"] == 0 and "face_share" not in whole.facts
    assert torch.equal(sampled.frames, whole.frames)


@pytest.mark.parametrize(
    "shape", [(1080, 1920), (256, 256), (225, 223), (480, 640), (100, 30), (16, 16)]
)
def test_resize_is_within_one_grey_level_of_pil(shape):
    frame = picture(*shape)
    ours = resize_frame(frame).permute(1, 2, 0).numpy().astype(int)
    image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    reference = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - reference).max() <= 1


# --- The frames that are named are those that are shown ---


@pytest.fixture
def reads(monkeypatch) -> list:
    """How often a video was read."""
    calls = []

    def read(path, *arguments, **keywords):
        calls.append(path)
        return read_frames(path, *arguments, **keywords)

    monkeypatch.setattr("data.frames.read_frames", read)
    return calls


def read_all(path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames
        frames.append(frame)


def write_walk(path: Path, missing=()) -> Path:
    """A square that walks on by 6 pixels a frame, on a ground that changes, 24 frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (240, 60))
    for i in range(24):
        frame = np.full((60, 240, 3), 60 + 6 * i, np.uint8)
        if i not in missing:
            cv2.rectangle(frame, (8 + 6 * i, 16, 24, 24), (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.parametrize("keep_whole", [False, True])
def test_whole_frames_are_those_that_are_named(tmp_path, reads, keep_whole):
    path = write_walk(tmp_path / "a.mp4")
    expected = read_all(path)
    sampled = sample_video(path, Extraction(frames_per_video=5), keep_whole=keep_whole)
    assert sampled.numbers.tolist() == sample_frame_numbers(24, 5)
    assert sampled.frames.shape == (5, 3, 224, 224) and sampled.frames.dtype == torch.uint8
    for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
        assert torch.equal(frame, resize_frame(expected[number]))
        assert not torch.equal(frame, resize_frame(expected[number + 1]))
    assert sampled.boxes is None and "face_share" not in sampled.facts
    assert len(sampled.whole) == (5 if keep_whole else 0) and len(reads) == 1


@pytest.mark.parametrize(("missing", "n_reads"), [((), 1), ((7, 16), 2)])
def test_crops_and_boxes_are_those_of_the_frames_that_are_named(
    detector, tmp_path, reads, missing, n_reads
):
    path = write_walk(tmp_path / "a.mp4", missing)
    expected = read_all(path)
    sampled = sample_video(path, crop_faces(n=5), keep_whole=True)
    numbers = sampled.numbers.tolist()
    assert numbers == [2, 7, 12, 16, 21] and len(reads) == n_reads
    assert np.allclose(sampled.boxes[:, 0], [8 + 6 * number for number in numbers], atol=2.5)
    for frame, box, number in zip(sampled.frames, sampled.boxes, numbers, strict=True):
        assert torch.equal(frame, resize_frame(crop_square(expected[number], box, 1.5)))
    for picture, number in zip(sampled.whole, numbers, strict=True):
        assert np.array_equal(picture[..., ::-1], shrink(expected[number], 480))


def test_whole_frames_are_kept_small_and_rgb(detector, tmp_path):
    path = write_squares(tmp_path / "a.mp4", [(100, 100)] * 3, size=(960, 540), side=300)
    for extraction in (Extraction(frames_per_video=2), crop_faces(n=2)):
        sampled = sample_video(path, extraction, keep_whole=True)
        assert len(sampled.whole) == 2
        for picture in sampled.whole:
            assert picture.shape == (270, 480, 3) and picture.dtype == np.uint8
            assert picture[120, 120, 0] > 200 > 60 > picture[120, 120, 2]


def test_frames_that_differ_each_time_are_an_error(detector, tmp_path, monkeypatch):
    path = write_walk(tmp_path / "a.mp4", missing=(7,))
    counts = [5, 4]

    def read(path, n, *arguments, **keywords):
        return read_frames(path, counts.pop(0), *arguments, **keywords)

    monkeypatch.setattr("data.frames.read_frames", read)
    with pytest.raises(InputError, match=r"^gives other frames each time it is read$"):
        sample_video(path, crop_faces(n=5))


# --- Extraction ---


def test_an_extraction_survives_json():
    for extraction in (
        EXTRACTION,
        replace(EXTRACTION, crop=None, sample=None),
        Extraction(frames_per_video=1, weights=WEIGHTS),
    ):
        content = json.loads(json.dumps(extraction.to_dict()))
        assert Extraction.from_dict(content) == extraction
        assert content["frame_size"] == 224 and "n equal shares" in content["sampling"]
    assert Extraction.from_dict(EXTRACTION.to_dict()).crop is not CROP


def test_an_extraction_does_not_change_what_it_is_read_from():
    content = EXTRACTION.to_dict()
    before = json.dumps(content)
    Extraction.from_dict(content)
    assert json.dumps(content) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames_per_video", "4"),
        ("frames_per_video", 0),
        ("frames_per_video", 4.0),
        ("frames_per_video", True),
        ("frames_per_video", None),
        ("frame_choice", "best"),
        ("frame_choice", ["exact"]),
        ("crop", "faces"),
        ("crop", 1.3),
        ("crop.margin", "1.3"),
        ("crop.margin", 0.5),
        ("crop.margin", float("nan")),
        ("crop.margin", float("inf")),
        ("crop.margin", True),
        ("crop.no_face", "skip"),
        ("crop.no_face", {}),
        ("crop.detector_sha256", 8),
        ("weights", "imagenet"),
        ("weights.name", 5),
        ("weights.sha256", None),
        ("device", 0),
        ("versions", []),
        ("videos_dir", None),
        ("layout", 1),
        ("compression", None),
        ("sample", "drawn"),
        ("counts", [1]),
        ("sampling", "the first frames"),
        ("frame_size", 299),
        ("audio", True),  # of a later version
        ("crop.landmarks", 5),
    ],
)
def test_a_wrong_value_is_named(field, value):
    content = EXTRACTION.to_dict()
    where = content
    *parents, name = field.split(".")
    for parent in parents:
        where = where[parent]
    where[name] = value
    with pytest.raises(ValueError, match=rf"^{field} is .*: run feature_extraction.py again$"):
        Extraction.from_dict(content)


@pytest.mark.parametrize(
    "field",
    ["frames_per_video", "weights", "crop.margin", "crop.no_face", "crop.detector_sha256"],
)
def test_a_missing_value_is_named(field):
    content = EXTRACTION.to_dict()
    where = content
    *parents, name = field.split(".")
    for parent in parents:
        where = where[parent]
    del where[name]
    with pytest.raises(ValueError, match=rf"^{field} is missing: run feature_extraction.py again$"):
        Extraction.from_dict(content)


@pytest.mark.parametrize("name", ["name", "sha256"])
def test_weights_have_a_name_and_a_hash(name):
    content = EXTRACTION.to_dict()
    del content["weights"][name]
    with pytest.raises(ValueError, match=rf"^weights\.{name} is None, expected text"):
        Extraction.from_dict(content)


@pytest.mark.parametrize("content", [None, [], "exact", 4])
def test_an_extraction_is_an_object(content):
    with pytest.raises(ValueError, match=r"^the extraction is .*, expected an object"):
        Extraction.from_dict(content)


def test_an_extraction_of_the_earlier_version_asks_for_a_new_one():
    content = {"frames_per_video": 4, "crop": "none", "weights": WEIGHTS, "frame_size": 224}
    with pytest.raises(ValueError, match="earlier version of this program: run feature_extraction"):
        Extraction.from_dict(content)


def test_the_recipe_is_all_that_changes_features_and_nothing_else():
    recipe = EXTRACTION.recipe()
    assert json.loads(json.dumps(recipe)) == recipe
    alike = [
        {"videos_dir": "/elsewhere"},
        {"layout": ""},
        {"compression": "c23"},
        {"sample": None},
        {"counts": {}},
        {"weights": WEIGHTS | {"name": "/path/of/the/same.pth"}},
        {"versions": VERSIONS | {"python": "3.13", "numpy": "3"}},
    ]
    for change in alike:
        assert replace(EXTRACTION, **change).recipe() == recipe, change
    other = [
        {"frames_per_video": 5},
        {"frame_choice": "exact"},
        {"crop": None},
        {"crop": replace(CROP, margin=1.4)},
        {"crop": replace(CROP, no_face="whole")},
        {"crop": replace(CROP, detector_sha256="")},
        {"weights": WEIGHTS | {"sha256": "0"}},
        {"device": "cuda"},
        {"versions": VERSIONS | {"torch": "3"}},
        {"versions": VERSIONS | {"torchvision": "3"}},
        {"versions": VERSIONS | {"opencv": "3"}},
    ]
    for change in other:
        assert replace(EXTRACTION, **change).recipe() != recipe, change
    assert recipe["frame_size"] == data.frames.FRAME_SIZE and recipe["sampling"]
