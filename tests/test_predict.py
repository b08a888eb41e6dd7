import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import make_split
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torchvision.models import resnet18

import deepfake_detection_model as ddm
import feature_extraction as fe
from data.files import InputError
from data.layouts import CLASSES
from features.resnet18 import extract_video
from features.splits import load_split


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """No t-SNE here, which takes seconds: test_evaluation.py draws it."""
    monkeypatch.setattr("features.plots.TSNE", lambda **_: PCA(2))


def run(folder, *more, features="features", results="results"):
    ddm.main(
        ["--train-features-file", str(folder / features / "train_features.npy"), "--output-dir", str(folder / results)]
        + ["--num-epochs", "2", "--lr", "1e-3", "--device", "cpu", *more]
    )
    return json.loads((folder / results / "metrics.json").read_text())


@pytest.fixture
def trained(videos, tmp_path, random_weights):
    """Both scripts run over small videos, with weights from own.pth."""
    random_weights = shutil.copy(random_weights, tmp_path / "own.pth")
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "features"), "--weights", str(random_weights)]
        + ["--frames-per-video", "3", "--device", "cpu"]
    )
    run(tmp_path)
    return tmp_path


RUN = ["--num-epochs", "2", "--lr", "1e-3", "--device", "cpu"]


@pytest.fixture
def trained_on_random(videos, tmp_path):
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "features"), "--weights", "random"]
        + ["--frames-per-video", "3", "--device", "cpu"]
    )
    run(tmp_path)
    return tmp_path


OPTIONS = ["--weights", "random", "--frames-per-video", "4", "--device", "cpu"]


def start(videos, features, **options):
    command = [sys.executable, fe.__file__, "--videos-dir", str(videos), "--features-dir", str(features), *OPTIONS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **options)


MUTATIONS = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6)


RELAXED = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture], "derandomize": True}


def mutate(data, changes, length):
    data = bytearray(data)
    for place, value in changes:
        at = int(place * (len(data) - 1))
        data[at : at + len(value)] = value
    return bytes(data[: int(length * len(data))])


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_end_to_end(trained, videos, capsys):
    results = trained / "results"
    assert (results / "sample_frames.png").read_bytes().startswith(b"\x89PNG")
    with open(results / "predictions.csv", newline="") as file:
        known = {row["video"]: float(row["score"]) for row in csv.DictReader(file)}
    assert len(known) == 10

    # the checkpoint alone gives the same scores from the video files
    (videos / "fake/broken.mp4").write_text("no video")
    assert ddm.load_checkpoint(results / "model.pt")[1]["extraction"]["frames_per_video"] == 3
    checkpoint = torch.load(results / "model.pt", weights_only=True)
    threshold = checkpoint["thresholds"]["used"]
    assert 0 <= threshold <= 1
    before = (results / "predictions.csv").read_bytes()
    capsys.readouterr()
    ddm.main(["--predict", str(videos), str(videos / "real/000.mp4"), "--output-dir", str(results), "--device", "cpu"])
    out = capsys.readouterr().out
    with open(results / "predict.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for row in rows:
        name = str(row["video"]).removeprefix(f"{videos}/")
        assert name in out
        if name == "fake/broken.mp4":
            assert (row["score"], row["prediction"], row["frames"]) == ("", "no decision", "0")
            assert row["reason"].startswith("not a video") and row["reason"] in out
        else:
            assert float(row["score"]) == pytest.approx(known[name], abs=1e-4)
            assert row["prediction"] == CLASSES[known[name] >= threshold] and row["frames"] == "3"
    assert (results / "predictions.csv").read_bytes() == before
    single = next(ddm.predict_videos([videos / "real/000.mp4"], results / "model.pt", "cpu"))
    assert single["score"] == pytest.approx(known["real/000.mp4"], abs=1e-4)


def test_predict_refuses_other_weights_and_useless_input(trained, videos, tmp_path):
    arguments = ["--output-dir", str(trained / "results"), "--device", "cpu", "--predict"]
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    for path, message in (
        (tmp_path / "text.mp4", "none of the 1 videos could be scored"),
        (tmp_path / "empty", "no videos in this folder"),
        (tmp_path / "missing.mp4", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            ddm.main([*arguments, str(path)])
    torch.save(resnet18(weights=None).state_dict(), trained / "own.pth")
    with pytest.raises(InputError, match=r"model\.pt was trained on features of other weights than .*own\.pth"):
        ddm.main([*arguments, str(videos / "real/000.mp4")])
    (trained / "own.pth").unlink()
    with pytest.raises(InputError, match=r"own\.pth: no such file"):
        ddm.main([*arguments, str(videos / "real/000.mp4")])


def test_wrong_checkpoints(tmp_path):
    torch.save({"model": torch.nn.Linear(2, 2).state_dict()}, tmp_path / "other.pt")
    torch.save({"weights": 1}, tmp_path / "keys.pt")
    (tmp_path / "text.pt").write_text("model")
    for name in ("other.pt", "keys.pt", "text.pt", "missing.pt"):
        with pytest.raises(InputError, match=rf"{name}.*checkpoint of deepfake_detection_model"):
            ddm.load_checkpoint(tmp_path / name)


def test_evaluate_scores_other_data_and_warns_of_what_was_seen(tmp_path, capsys):
    make_split(tmp_path / "features")
    report = run(tmp_path)
    other = make_split(tmp_path / "other", "test", n_groups=7, seed=5)
    arguments = ["--output-dir", str(tmp_path / "results"), "--device", "cpu", "--evaluate"]
    capsys.readouterr()
    before = (tmp_path / "results/model.pt").read_bytes()
    ddm.main([*arguments, str(other), str(tmp_path / "features/train_features.npy")])
    out = capsys.readouterr().out
    assert f"{other} shares with its training: 0 videos, 0 groups, 0 clips" in out
    assert "train_features.npy shares with its training: 20 videos" in out and "NOT THOSE OF UNSEEN PEOPLE" in out
    results = json.loads((tmp_path / "results/evaluate.json").read_text())["splits"][str(other)]
    model, checkpoint = ddm.load_checkpoint(tmp_path / "results/model.pt")
    split = load_split(other)
    threshold = checkpoint["thresholds"]["used"]
    assert threshold == report["thresholds"]["used"]
    assert results["videos"] == ddm.evaluate(split, ddm.score_frames(model, split), threshold)["videos"]
    assert (tmp_path / "results/model.pt").read_bytes() == before
    extraction = json.loads((tmp_path / "other/extraction.json").read_text())
    extraction["weights"]["sha256"] = "1" * 64
    (tmp_path / "other/extraction.json").write_text(json.dumps(extraction))
    with pytest.raises(InputError, match=r"sha256 is 000.* for the checkpoint.*extract them alike"):
        ddm.main([*arguments, str(other)])


def test_a_process_that_knows_only_the_checkpoint_scores_a_video(trained_on_random, videos, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(trained_on_random / "results/model.pt", elsewhere / "detector.pt")
    shutil.copy(videos / "fake/000_003.mp4", elsewhere / "clip.mp4")
    command = [sys.executable, ddm.__file__, "--checkpoint", "detector.pt", "--predict", "clip.mp4", "--plot"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "UNTRAINED" in done.stdout and "proves nothing about a single video" in done.stdout
    with open(trained_on_random / "results/predictions.csv", newline="") as file:
        known = {row["video"]: float(row["score"]) for row in csv.DictReader(file)}
    with open(elsewhere / "results/predict.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["video", "score", "prediction", "frames", "spread", "reason"]
    assert float(row["score"]) == pytest.approx(known["fake/000_003.mp4"], abs=1e-4)
    threshold = ddm.load_checkpoint(elsewhere / "detector.pt")[1]["thresholds"]["used"]
    assert row["prediction"] == CLASSES[float(row["score"]) >= threshold] and row["frames"] == "3"
    assert (elsewhere / "results/predict_0001_clip.png").stat().st_size > 5000


def test_an_interrupted_prediction_keeps_what_it_has(trained_on_random, videos, monkeypatch):
    extract, done = extract_video, []

    def interrupted(path, *rest):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(path)
        return extract(path, *rest)

    monkeypatch.setattr("deepfake_detection_model.extract_video", interrupted)
    monkeypatch.setattr("deepfake_detection_model.count_cores", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        ddm.main(["--output-dir", str(trained_on_random / "results"), "--device", "cpu", "--predict", str(videos)])
    with open(trained_on_random / "results/predict.csv", newline="") as file:
        assert [Path(row["video"]) for row in csv.DictReader(file)] == done


def test_odd_names_do_not_stop_the_pictures(trained_on_random, videos, capsys):
    folder = videos / "odd"
    folder.mkdir()
    names = ["b$\\frac$.mp4", f"{'long' * 60}.mp4", "%03d 'x'.mp4"]
    for name in names:
        shutil.copy(videos / "fake/000_003.mp4", folder / name)
    ddm.main(
        ["--output-dir", str(trained_on_random / "results"), "--device", "cpu", "--predict", str(folder), "--plot"]
    )
    assert len(list((trained_on_random / "results").glob("predict_*.png"))) == 3
    with open(trained_on_random / "results/predict.csv", newline="") as file:
        assert sorted(Path(row["video"]).name for row in csv.DictReader(file)) == sorted(names)


def test_broken_files_get_no_decision(trained_on_random, videos, capsys):
    (videos / "real/broken.mp4").write_text("no video")
    ddm.main(["--output-dir", str(trained_on_random / "results"), "--device", "cpu", "--predict", str(videos / "real")])
    assert "real/broken.mp4: not a video" in capsys.readouterr().out
    rows = list(ddm.predict_videos([videos / "real/broken.mp4"], trained_on_random / "results/model.pt", "cpu"))
    assert rows[0]["prediction"] == "no decision" and rows[0]["score"] is None and rows[0]["reason"] == "not a video"


def test_damaged_checkpoints(tmp_path):
    path = tmp_path / "model.pt"
    extraction = {"weights": {"name": "random", "sha256": ""}, "frames_per_video": 4, "frame_choice": "exact"}
    rest = {"extraction": extraction, "thresholds": {"used": 0.4}, "seen": {"video": []}}
    torch.save({"model": ddm.DeepfakeMLP().state_dict()} | rest, path)
    ddm.load_checkpoint(path)
    whole = path.read_bytes()

    @settings(max_examples=60, **RELAXED)
    @given(MUTATIONS, st.floats(0, 1) | st.just(1.0), st.booleans())
    def check(changes, length, in_header):
        start, end = (whole[:4000], whole[4000:]) if in_header else (whole, b"")
        path.write_bytes(mutate(start, changes, length) + end)
        try:
            ddm.load_checkpoint(path)
        except InputError as error:
            assert "\n" not in str(error)

    check()
    torch.save({"model": Payload(tmp_path / "made")} | rest, path)
    with pytest.raises(InputError, match=r"model\.pt is damaged or of another kind"):
        ddm.load_checkpoint(path)
    assert not (tmp_path / "made").exists()
