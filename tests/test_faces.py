"""Where the face is: the crop's geometry, who is followed, the detector's file; with REAL_VIDEOS_DIR, real faces."""

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import deepfake_detection_model as ddm
import feature_extraction as fe

# --- Geometry -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ((40, 30, 20, 10), 1.0, (40, 25, 20)),  # the longer side counts, around the centre
        ((40, 30, 10, 20), 1.0, (35, 30, 20)),
        ((40, 30, 20, 20), 1.5, (35, 25, 30)),
        ((0, 0, 20, 20), 1.5, (0, 0, 30)),  # shifted inside at the corners
        ((-8, -8, 20, 20), 1.0, (0, 0, 20)),
        ((90, 70, 20, 20), 1.5, (70, 50, 30)),
        ((40, 0, 80, 80), 1.0, (20, 0, 80)),  # as high as the frame
        ((10, 10, 80, 60), 1.125, (5, -5, 90)),  # higher than the frame: all of its height is inside
        ((0, 0, 10, 10), 15.0, (-50, -70, 150)),  # larger than the frame: the face as near to the middle as can be
        ((40, 30, 0.2, 0.1), 1.0, (40, 30, 1)),
    ],
)
def test_the_square_around_a_box(box, margin, expected):
    assert fe.place_square(np.array(box, float), margin, (80, 100, 3)) == expected


def test_a_crop_is_that_part_of_the_frame_continued_at_its_edges():
    rng = np.random.default_rng(0)
    for _ in range(300):
        height, width = rng.integers(1, 40, 2)
        frame = rng.integers(0, 256, (height, width, 3), np.uint8)
        box = np.concatenate([rng.uniform(-10, 40, 2), rng.uniform(0.1, 50, 2)])
        crop = fe.crop_square(frame, box, 1.3)
        left, top, side = fe.place_square(box, 1.3, frame.shape)
        endless = np.pad(frame, ((200, 200), (200, 200), (0, 0)), mode="edge")
        assert np.array_equal(crop, endless[200 + top : 200 + top + side, 200 + left : 200 + left + side])
        assert crop.shape == (side, side, 3) and side == max(1, round(1.3 * max(box[2:])))
        for start, length in ((left, width), (top, height)):  # inside, or around all of it
            assert 0 <= start <= start + side <= length or start <= 0 <= length <= start + side
        assert fe.resize_frame(crop).shape == (3, 224, 224)


# --- Who is followed ------------------------------------------------------------------------------


def follow(*frames):
    """Index and box of each frame, for boxes given as (x, y, size)."""
    boxes = [np.array([(x, y, size, size) for x, y, size in frame], float).reshape(-1, 4) for frame in frames]
    chosen, followed = fe.follow_face(boxes, np.arange(len(boxes)) * 10)
    return chosen.tolist(), followed


def test_one_person_is_followed():
    chosen, followed = follow(*[[(10 + i, 20, 50)] for i in range(5)])
    assert chosen == [0] * 5
    assert followed.tolist() == [[10 + i, 20, 50, 50] for i in range(5)]


def test_the_larger_of_two_people_is_followed_in_whatever_order_they_come():
    near, far = (100, 50, 80), (300, 50, 40)
    assert follow([near, far], [far, near], [far, near], [near, far])[0] == [0, 1, 1, 0]


def test_a_constant_person_is_preferred_to_a_larger_one_who_is_there_for_a_moment():
    constant, passing = (100, 50, 60), (300, 50, 90)
    assert follow([constant], [constant, passing], [passing, constant], [constant], [constant])[0] == [0, 0, 1, 0, 0]


def test_nobody_is_left_for_a_larger_person_who_joins_beside():
    """The sum of sizes would be largest on a way that begins with the one and goes on with the other."""
    first, second = (100, 50, 60), (170, 50, 70)
    chosen, _ = follow(*[[first]] * 3, *[[first, second]] * 20)
    assert chosen in ([-1] * 3 + [1] * 20, [0] * 23)


def test_a_gap_is_bridged_on_a_straight_line_and_the_ends_continued():
    chosen, followed = follow([], [(10, 10, 50)], [], [], [(40, 10, 80)], [])
    assert chosen == [-1, 0, -1, -1, 0, -1]
    assert followed[:, 0].tolist() == [10, 10, 20, 30, 40, 40]
    assert followed[:, 3].tolist() == [50, 50, 60, 70, 80, 80]


def test_a_gap_is_bridged_by_the_numbers_of_the_frames():
    box = np.array([[0.0, 0, 50, 50]])
    _, followed = fe.follow_face([box, box[:0], box + [[40, 0, 0, 0]]], np.array([0, 30, 40]))
    assert followed[:, 0].tolist() == [0, 30, 40]


@pytest.mark.parametrize("wrong", [(400, 300, 50), (400, 300, 200), (100, 50, 300)])
def test_a_single_jump_away_is_taken_for_an_error(wrong):
    face = (100, 50, 60)
    chosen, followed = follow(*[[face]] * 4, [wrong], *[[face]] * 4)
    assert chosen == [0] * 4 + [-1] + [0] * 4
    assert followed[4].tolist() == [100, 50, 60, 60]


def test_a_person_who_walks_and_one_who_has_moved_for_good_are_followed():
    for step in (20, 90, 200):
        assert follow(*[[(step * i, 50, 60)] for i in range(12)])[0] == [0] * 12
    assert follow(*[[(0, 50, 60)]] * 6, *[[(200, 50, 60)]] * 6)[0] == [0] * 12


def test_a_larger_person_who_leaves_is_not_continued_by_another():
    here, leaves = (100, 50, 60), (1500, 50, 100)
    assert follow(*[[leaves, here]] * 20, *[[here]] * 12)[0] == [1] * 20 + [0] * 12


def test_one_huge_box_is_not_worth_a_person():
    assert follow([(900, 500, 400)], *[[(100, 50, 50)]] * 4)[0][1:] == [0] * 4
    assert follow(*[[(100, 50, 30)]] * 16, [(0, 0, 1000)], *[[(100, 50, 30)]] * 15)[0][16] == -1


def test_nobody():
    chosen, followed = follow([], [], [])
    assert chosen == [-1] * 3 and followed is None
    assert fe.follow_face([], np.arange(0))[0].tolist() == []


def place(box):
    return np.array([(box[0] + box[2] / 2) / 2, (box[1] + box[3] / 2) / 2, max(box[2:])])


def cost(first, second):
    larger = max(*first[2:], *second[2:])
    return larger**0.5 * min(0.75, np.linalg.norm(place(first) - place(second)) / larger)


def slow_follow(frames) -> float:
    """The largest sum of roots of sizes less movement, by trying every way through the frames."""

    def nearest(box, frame):
        return min(frame, key=lambda other: np.linalg.norm(place(box) - place(other)))

    def go_on(last, last_frame, total, rest):
        yield total
        for i, frame in enumerate(rest):
            for box in frame:
                worth = max(box[2:]) ** 0.5
                if last is None:
                    yield from go_on(box, frame, worth, rest[i + 1 :])
                elif nearest(last, frame) is box and nearest(box, last_frame) is last:
                    yield from go_on(box, frame, total + worth - cost(last, box), rest[i + 1 :])

    return max(go_on(None, None, 0, frames))


def test_the_way_is_the_best_of_all_ways():
    rng = np.random.default_rng(1)
    for _ in range(80):
        frames = [
            np.column_stack([rng.uniform(0, 200, (k, 2)), rng.uniform(20, 90, (k, 2))])
            for k in rng.integers(0, 4, rng.integers(1, 6))
        ]
        chosen, _ = fe.follow_face(frames, np.arange(len(frames)))
        way = [frames[i][k] for i, k in enumerate(chosen) if k >= 0]
        total = sum(max(box[2:]) ** 0.5 for box in way) - sum(cost(*pair) for pair in pairwise(way))
        assert total == pytest.approx(slow_follow([list(boxes) for boxes in frames]))


# --- The detector's file --------------------------------------------------------------------------


@pytest.fixture
def served_model(tmp_path, monkeypatch) -> Path:
    """A file that passes for YuNet, behind the URL from which it is downloaded."""
    path = tmp_path / "server/yunet.onnx"
    path.parent.mkdir()
    path.write_bytes(b"a network that finds faces")
    monkeypatch.setattr(fe, "FACE_MODEL_URL", path.as_uri())
    monkeypatch.setattr(fe, "FACE_MODEL_SHA256", fe.hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def fetch_model(copy=None):
    return fe.fetch(fe.FACE_MODEL_URL, fe.FACE_MODEL_SHA256, "do without", copy)


def test_the_detector_is_downloaded_once(served_model, torch_home):
    cached = torch_home / "hub/checkpoints/yunet.onnx"
    assert fetch_model() == cached and cached.read_bytes() == served_model.read_bytes()
    served_model.unlink()
    assert fetch_model() == cached
    cached.write_bytes(b"something else")
    with pytest.raises(fe.InputError, match=r"yunet.onnx is damaged .*delete it and run again"):
        fetch_model()


def test_a_damaged_download_is_refused_and_not_kept(served_model, torch_home):
    served_model.write_bytes(b"an error page")
    with pytest.raises(fe.DownloadError, match="invalid hash value"):
        fetch_model()
    assert not list(torch_home.rglob("*onnx*"))


def test_without_network_the_error_says_what_to_get_and_where_to_put_it(served_model, torch_home, videos, tmp_path):
    served_model.unlink()
    with pytest.raises(fe.DownloadError) as error:
        fe.main(["--videos-dir", str(videos), "--features-dir", str(tmp_path / "f"), "--crop-faces"])
    place = torch_home / "hub/checkpoints/yunet.onnx"
    for part in (fe.FACE_MODEL_URL, fe.FACE_MODEL_SHA256, str(place), "--face-model PATH"):
        assert part in str(error.value)
    assert "\n" not in str(error.value) and not (tmp_path / "f").exists()


def test_a_copy_takes_the_place_of_the_download_and_another_file_is_refused(served_model, torch_home, videos, tmp_path):
    copy, cached = tmp_path / "copy of the model.onnx", torch_home / "hub/checkpoints/yunet.onnx"
    served_model.rename(copy)
    assert fetch_model(copy) == cached and fetch_model() == cached
    cached.write_bytes(b"damaged")
    assert fetch_model(copy).read_bytes() == copy.read_bytes()
    copy.write_bytes(b"another network")
    flags = ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "f"), "--crop-faces", "--face-model"]
    with pytest.raises(fe.InputError, match=r"copy of the model.onnx cannot be had \(invalid hash value"):
        fe.main([*flags, str(copy)])
    assert fetch_model() == cached  # what was there is kept
    with pytest.raises(fe.InputError, match=r"gone.onnx cannot be had .*No such file"):
        fe.main([*flags, str(tmp_path / "gone.onnx")])


# --- The run, with a detector of red squares ------------------------------------------------------


class RedSquareDetector:
    """Finds what is red, as cv2.FaceDetectorYN finds faces."""

    def setInputSize(self, size):
        self.size = tuple(size)

    def detect(self, frame):
        assert frame.shape[1::-1] == self.size and max(self.size) <= 640
        red = (frame[..., 2] > 150) & (frame[..., 1] < 100)
        *_, stats, _ = cv2.connectedComponentsWithStats(red.astype(np.uint8))
        boxes = [[*square[:4], *[0] * 11] for square in stats[1:] if square[4] > 50]  # the first is what is not red
        return 1, np.array(boxes, np.float32) if boxes else None


@pytest.fixture
def detector(monkeypatch):
    monkeypatch.setattr(fe, "load_face_detector", lambda copy=None: RedSquareDetector())


def write_squares(path: Path, places, size=(160, 120), side=40) -> Path:
    """A grey video with a red square at each frame's place (x, y), or with none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, size)
    for place in places:
        frame = np.full((size[1], size[0], 3), 128, np.uint8)
        if place is not None:
            cv2.rectangle(frame, place, (place[0] + side - 1, place[1] + side - 1), (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    return path


def face_settings(n=8, margin=1.5, no_face="fail"):
    return {"frames_per_video": n, "crop": {"margin": margin, "no_face": no_face}}


def is_red(frame: torch.Tensor) -> np.ndarray:
    pixels = frame.permute(1, 2, 0).numpy()
    return (pixels[..., 0] > 150) & (pixels[..., 1] < 100)


def test_each_frame_is_cropped_to_its_own_box_from_the_full_resolution(detector, tmp_path):
    places = [(700 + 50 * i, 300) for i in range(8)]
    path = write_squares(tmp_path / "a.mp4", places, size=(1920, 1080), side=200)
    sampled = fe.sample_video(path, face_settings())
    assert sampled.facts["face_share"] == 1
    assert np.allclose(sampled.boxes, [(x, y, 200, 200) for x, y in places], atol=6)
    for frame in sampled.frames:
        assert frame.shape == (3, 224, 224) and frame.dtype == torch.uint8
        red = is_red(frame)
        assert red.mean() == pytest.approx(1 / 1.5**2, abs=0.03) and red[112, 112] and not red[8].any()


def test_crops_are_as_sharp_as_the_video(detector, tmp_path):
    """Stripes of 4 pixels are lost in what the detector gets, 640 pixels of 1920, but not in a crop of 224 pixels."""
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (1920, 1080))
    frame = np.full((1080, 1920, 3), 128, np.uint8)
    cv2.rectangle(frame, (800, 400, 150, 150), (0, 0, 255), -1)
    frame[450:500, 850:900] = np.where(np.arange(50) % 4 < 2, 0, 255)[None, :, None]
    for _ in range(3):
        writer.write(frame)
    writer.release()
    for crop in fe.sample_video(tmp_path / "a.avi", face_settings(n=3)).frames:
        assert crop[1, 90:130, 90:130].float().std() > 60


def test_the_largest_faces_are_kept_in_a_crowd():
    class Crowd(RedSquareDetector):
        def detect(self, frame):
            return 1, np.array([[5 * i, 0, 10 + i, 5, *[0] * 11] for i in range(20)], np.float32)

    boxes = fe.detect_faces(Crowd(), np.zeros((720, 1280, 3), np.uint8))
    assert boxes[:, 2].tolist() == [2 * (29 - i) for i in range(8)]


def test_one_person_is_cropped_to_and_not_the_largest_of_each_frame(detector, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 120))
    for i in range(8):
        frame = np.full((120, 320, 3), 128, np.uint8)
        cv2.rectangle(frame, (20, 30, 40, 40), (0, 0, 255), -1)
        cv2.rectangle(frame, (35, 45, 10, 10), (255, 0, 0), -1)  # the one with a blue nose
        if i in (3, 4):
            cv2.rectangle(frame, (200, 20, 70, 70), (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    sampled = fe.sample_video(tmp_path / "a.mp4", face_settings())
    assert np.allclose(sampled.boxes, [20, 30, 40, 40], atol=2)
    assert all(frame[2, 112, 112] > 150 > frame[0, 112, 112] for frame in sampled.frames)


def test_frames_without_a_face_are_cropped_where_it_should_be(detector, tmp_path):
    places = [(20, 30), (24, 30), None, (32, 30), (36, 30), (40, 30), None, None]
    sampled = fe.sample_video(write_squares(tmp_path / "a.mp4", places), face_settings())
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
    with pytest.raises(fe.InputError, match=r"^no face found in 8 frames$"):
        fe.sample_video(path, face_settings())
    sampled = fe.sample_video(path, face_settings(no_face="whole"))
    whole = fe.sample_video(path, {"frames_per_video": 8})
    assert sampled.facts["face_share"] == 0 and "face_share" not in whole.facts
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(sampled.frames, whole.frames, strict=True))


@pytest.fixture
def faces(tmp_path) -> Path:
    """Two videos of each class with a square, and a real one without."""
    for i, label in enumerate(("real", "fake", "real", "fake")):
        write_squares(tmp_path / f"videos/{label}/{i}.mp4", [(10 * i + j, 30) for j in range(8)])
    write_squares(tmp_path / "videos/real/nobody.mp4", [None] * 8)
    return tmp_path / "videos"


def extract(faces, folder, *more):
    flags = ["--videos-dir", str(faces), "--features-dir", str(folder), "--weights", "random", "--device", "cpu"]
    fe.main([*flags, "--frames-per-video", "4", *more])
    return json.loads((folder / "extraction.json").read_text())


def train(features, results):
    flags = ["--train-features-file", str(features / "train_features.npy"), "--output-dir", str(results)]
    ddm.main([*flags, "--num-epochs", "1", "--batch-size", "4", "--val-fraction", "0.5", "--device", "cpu"])


def test_a_run_with_crops_and_a_prediction_that_repeats_them(detector, faces, tmp_path, capsys, monkeypatch):
    report = extract(faces, tmp_path / "f", "--crop-faces")
    crop = {"detector_sha256": fe.FACE_MODEL_SHA256, "margin": 1.3, "no_face": "fail"}
    assert report["crop"] == crop and report["counts"]["failed"] == 1
    (failed,) = fe.read_csv(tmp_path / "f/failed.csv")
    assert failed["reason"] == "no face found in 4 frames"
    assert {row["face_share"] for row in fe.read_csv(tmp_path / "f/train_videos.csv")} == {"1.0"}
    output = capsys.readouterr().out
    assert "Faces      cropped by YuNet, margin 1.3" in output and "+ 1 failed (1 real, 0 fake)\n" in output

    train(tmp_path / "f", tmp_path / "r")
    assert (tmp_path / "r/sample_frames.png").is_file()
    model, _ = ddm.load_checkpoint(tmp_path / "r/model.pt")
    features = np.load(tmp_path / "f/train_features.npy")
    rows = list(ddm.predict_videos([faces / "fake/1.mp4", faces / "real/nobody.mp4"], tmp_path / "r/model.pt", "cpu"))
    assert np.allclose(rows[0]["scores"], model.score(torch.from_numpy(features[:4])), atol=1e-6)
    assert rows[1]["prediction"] == "no decision" and rows[1]["reason"] == "no face found in 4 frames"

    def gone(copy=None):
        raise fe.DownloadError("no detector")

    monkeypatch.setattr(fe, "load_face_detector", gone)
    (tmp_path / "r/predict.csv").write_text("of an earlier run")
    with pytest.raises(fe.DownloadError, match="no detector"):
        ddm.main(["--predict", str(faces / "fake/1.mp4"), "--output-dir", str(tmp_path / "r"), "--device", "cpu"])
    assert (tmp_path / "r/predict.csv").read_text() == "of an earlier run"


def test_other_crops_are_made_anew_and_never_mixed(detector, faces, tmp_path, capsys):
    extract(faces, tmp_path / "f")
    whole = np.load(tmp_path / "f/train_features.npy")
    extract(faces, tmp_path / "f", "--crop-faces", "--no-face", "whole")
    assert "0 taken from an earlier run, 5 done again" in capsys.readouterr().out
    cropped = np.load(tmp_path / "f/train_features.npy")
    assert whole.shape == cropped.shape == (20, 1000)
    same = [np.array_equal(*rows) for rows in zip(whole, cropped, strict=True)]
    assert same == [False] * 16 + [True] * 4  # the last is the one without a face
    extract(faces, tmp_path / "g")
    split, other = (ddm.load_split(tmp_path / name / "train_features.npy") for name in "fg")
    with pytest.raises(fe.InputError, match="crop is faces for train, none for val"):
        ddm.check_same_extraction({"train": split.extraction, "val": other.extraction})
    del other.extraction["crop"]  # made before there were crops
    with pytest.raises(fe.InputError, match="crop is faces for train, none for val"):
        ddm.check_same_extraction({"train": split.extraction, "val": other.extraction})
    wider = split.extraction | {"crop": split.extraction["crop"] | {"margin": 2.0}}
    with pytest.raises(fe.InputError, match=r"^margin is 1.3 for train, 2.0 for val: extract them alike$"):
        ddm.check_same_extraction({"train": split.extraction, "val": wider})


def test_the_preview_shows_videos_and_extracts_nothing(detector, faces, tmp_path, capsys):
    for i, more in enumerate((["--crop-faces"], [])):
        flags = ["--videos-dir", str(faces), "--features-dir", str(tmp_path / f"f{i}"), "--frames-per-video", "4"]
        fe.main([*flags, "--preview", "9", *more])
        assert [path.name for path in (tmp_path / f"f{i}").iterdir()] == ["preview.png"]
        sheet = cv2.imread(str(tmp_path / f"f{i}/preview.png"))
        assert sheet.shape[0] == 5 * 210  # a row for each video that is there
        for colour in ((0, 159, 230), (233, 180, 86)):  # of the crop and of the box, which whole frames have not
            assert (abs(sheet.astype(int) - colour).max(2) < 40).any() == ("--crop-faces" in more)
        assert "5 of 5 videos; nothing was extracted" in capsys.readouterr().out


def test_how_often_a_face_is_found_is_a_shortcut_too(detector, faces, tmp_path):
    extract(faces, tmp_path / "f", "--crop-faces", "--no-face", "whole")
    split = ddm.load_split(tmp_path / "f/train_features.npy")
    assert ddm.audit_shortcuts(split)["face_share"] == pytest.approx(2 / 3)  # one real of three has none
    extract(faces, tmp_path / "g")
    assert "face_share" not in ddm.audit_shortcuts(ddm.load_split(tmp_path / "g/train_features.npy"))


def test_a_checkpoint_of_other_crops_is_refused(detector, faces, tmp_path):
    extract(faces, tmp_path / "f", "--crop-faces")
    train(tmp_path / "f", tmp_path / "r")
    checkpoint = torch.load(tmp_path / "r/model.pt", weights_only=True)
    for crop, message in (
        ({"detector_sha256": "0" * 64}, "that another detector found"),
        ({"margin": None}, "is not a checkpoint of"),
    ):
        extraction = checkpoint["extraction"] | {"crop": checkpoint["extraction"]["crop"] | crop}
        torch.save(checkpoint | {"extraction": extraction}, tmp_path / "other.pt")
        with pytest.raises(fe.InputError, match=message):
            ddm.predict_videos([faces / "fake/1.mp4"], tmp_path / "other.pt", "cpu")


@pytest.mark.parametrize(
    "flags", [["--face-margin", "0.5"], ["--face-model", "x.onnx"], ["--no-face", "whole"], ["--preview", "101"]]
)
def test_wrong_flags(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        fe.main(flags)
    assert caught.value.code == 2 and f"error: {flags[0]} " in capsys.readouterr().err


# --- Real faces -----------------------------------------------------------------------------------


@pytest.fixture
def real_settings(real_videos) -> dict:
    model = real_videos.parent / "models/face_detection_yunet_2023mar.onnx"
    if not model.is_file():
        pytest.skip(f"{model} is missing")
    fe.load_face_detector(model)
    return face_settings(n=32, margin=1.3)


def test_real_faces_are_found(real_videos, real_settings):
    clips = [path for name in ("faceforensics", "dfdc") for path in fe.list_video_files(real_videos / name)]
    assert len(clips) == 11
    for clip in clips:
        sampled = fe.sample_video(clip, real_settings)
        assert sampled.facts["face_share"] >= 0.95, clip
        sides = sampled.boxes[:, 2:].max(1)
        assert sides.min() > 40 and sides.max() < 2 * sides.min(), clip


@pytest.mark.parametrize("name", ["black.mp4", "noise.mp4"])
def test_no_face_in_black_and_noise(real_videos, real_settings, name):
    with pytest.raises(fe.InputError, match=r"^no face found in \d+ frames$"):
        fe.sample_video(real_videos / "awkward" / name, real_settings)
