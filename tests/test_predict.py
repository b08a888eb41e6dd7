"""What a checkpoint is used for afterwards: --predict, --evaluate, and the checkpoint itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    contents,
    extract,
    make_split,
    read_json,
    read_table,
    train,
    write_video,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import deepfake_detection_model as ddm
from data.files import InputError
from features.splits import load_split

COLUMNS = ["video", "score", "at_0.5", "at_T", "frames", "spread", "note", "reason"]


def predict(folder: Path, *arguments: str) -> list[dict]:
    """The lines of predict.csv."""
    flags = ["--output-dir", str(folder / "results"), "--device", "cpu", "--predict"]
    ddm.main([*flags, *map(str, arguments)])
    return read_table(folder / "results/predict.csv")


def scores_of_training(folder: Path) -> dict[str, float]:
    rows = read_table(folder / "results/predictions.csv")
    return {row["video"]: float(row["score"]) for row in rows}


# --- Predict --------------------------------------------------------------------------------------


def test_the_checkpoint_alone_gives_the_scores_of_the_training(trained, videos, capsys):
    (videos / "fake/broken.mp4").write_text("no video")
    known = scores_of_training(trained)
    before = (trained / "results/predictions.csv").read_bytes()
    threshold = ddm.load_checkpoint(trained / "results/model.pt")[1]["thresholds"]["used"]
    rows = predict(trained, videos, videos / "real/000.mp4")
    out = capsys.readouterr().out
    assert len(rows) == 12 and list(rows[0]) == COLUMNS
    for row in rows:
        name = row["video"].removeprefix(f"{videos}/")
        assert name in out
        if name == "fake/broken.mp4":
            assert (row["score"], row["at_T"], row["frames"]) == ("", "no decision", "0")
            assert row["reason"].startswith("not a video") and row["reason"] in out
        else:
            assert float(row["score"]) == pytest.approx(known[name], abs=1e-4)
            assert row["at_0.5"] == ("fake" if known[name] >= 0.5 else "real")
            assert row["at_T"] == ("fake" if known[name] >= threshold else "real")
            assert row["frames"] == "4"
            assert row["note"] == "the model was trained or tuned on this video"
    assert "11 scored, 1 failed" in out
    assert (trained / "results/predictions.csv").read_bytes() == before


def test_a_score_of_exactly_the_threshold_is_fake():
    assert ddm.prediction_words(0.3, 0.3) == {"at_0.5": "real", "at_T": "fake"}
    assert ddm.prediction_words(0.5, 0.6) == {"at_0.5": "fake", "at_T": "real"}
    assert ddm.prediction_words(np.nextafter(0.3, 0), 0.3)["at_T"] == "real"


def test_a_video_that_is_copied_is_known_and_another_is_not(trained, videos, tmp_path, capsys):
    shutil.copy(videos / "real/000.mp4", tmp_path / "renamed.mp4")
    write_video(tmp_path / "000.mp4", n=10, colour=(10, 200, 30))
    rows = predict(trained, tmp_path / "renamed.mp4", tmp_path / "000.mp4")
    assert [row["note"] for row in rows] == ["the model was trained or tuned on this video", ""]
    out = capsys.readouterr().out
    assert out.startswith("WARNING: model trained on features of an untrained network")


def test_the_drawn_set_is_named_first(trained):
    checkpoint = torch.load(trained / "results/model.pt", weights_only=True)
    checkpoint["extraction"]["sample"] = {"drawn_by": "data/make_sample.py"}
    torch.save(checkpoint, trained / "results/model.pt")
    extraction = ddm.load_checkpoint(trained / "results/model.pt")[1]["extraction"]
    assert ddm.screen.caution_of(extraction).startswith("trained on drawn people")
    extraction.sample = None
    extraction.weights["name"] = "imagenet"
    assert ddm.screen.caution_of(extraction) == ""


def test_a_process_that_knows_only_the_checkpoint_scores_a_video(trained, videos, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(trained / "results/model.pt", elsewhere / "detector.pt")
    shutil.copy(videos / "fake/000_003.mp4", elsewhere / "clip.mp4")
    flags = ["--checkpoint", "detector.pt", "--predict", "clip.mp4", "--plot", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, ddm.__file__, *flags], cwd=elsewhere, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "proves nothing about a single video" in done.stdout
    (row,) = read_table(elsewhere / "predict.csv")
    known = scores_of_training(trained)["fake/000_003.mp4"]
    assert float(row["score"]) == pytest.approx(known, abs=1e-4)
    assert (elsewhere / "predict_0001_clip.png").stat().st_size > 5000


def test_odd_names_do_not_stop_the_pictures(trained, videos):
    folder = videos / "odd"
    folder.mkdir()
    names = ["b$\\frac$.mp4", f"{'long' * 60}.mp4", "%03d 'x'.mp4"]
    for name in names:
        shutil.copy(videos / "fake/000_003.mp4", folder / name)
    rows = predict(trained, folder, "--plot")
    assert len(list((trained / "results").glob("predict_*.png"))) == 3
    assert sorted(Path(row["video"]).name for row in rows) == sorted(names)


def test_an_interrupted_prediction_keeps_what_it_has(trained, videos, monkeypatch):
    extract_video, done = ddm.extract_video, []

    def interrupted(path, *rest):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(path)
        return extract_video(path, *rest)

    monkeypatch.setattr(ddm, "extract_video", interrupted)
    monkeypatch.setattr(ddm, "count_cores", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        predict(trained, videos)
    rows = read_table(trained / "results/predict.csv")
    assert [Path(row["video"]) for row in rows] == done


def test_useless_input_is_one_clear_line(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    for path, message in (
        ("text.mp4", "none of the 1 videos could be scored"),
        ("empty", "no videos in this folder"),
        ("missing.mp4", "no such file"),
        ("", "an empty name"),  # Path("") is the current folder
    ):
        with pytest.raises(InputError, match=message):
            predict(trained, path)


def test_one_path_is_not_a_list_of_letters(trained):
    with pytest.raises(TypeError, match=r"expected a list of paths: \['clip.mp4'\]"):
        ddm.predict_videos("clip.mp4", trained / "results/model.pt")


def test_other_weights_are_refused(trained, videos, random_weights, tmp_path):
    checkpoint = torch.load(trained / "results/model.pt", weights_only=True)
    own = shutil.copy(random_weights, tmp_path / "own.pth")
    checkpoint["extraction"]["weights"]["name"] = str(own)
    torch.save(checkpoint, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"other\.pt was trained with other weights than .*own"):
        ddm.predict_videos([videos / "real/000.mp4"], tmp_path / "other.pt", "cpu")
    own.unlink()
    with pytest.raises(InputError, match=r"own\.pth: no such file"):
        ddm.predict_videos([videos / "real/000.mp4"], tmp_path / "other.pt", "cpu")
    checkpoint["extraction"] = None
    torch.save(checkpoint, tmp_path / "bare.pt")
    with pytest.raises(InputError, match=r"bare\.pt was trained on features without extraction"):
        ddm.predict_videos([videos / "real/000.mp4"], tmp_path / "bare.pt", "cpu")


# --- Which checkpoint -----------------------------------------------------------------------------


def test_the_only_model_is_taken_and_of_several_they_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"there is no results/\*/model\.pt: train a model first"):
        ddm.find_checkpoint(None, None)
    for name in ("sample", "mine"):
        (tmp_path / "results" / name).mkdir(parents=True)
    (tmp_path / "results/sample/model.pt").write_text("")
    assert ddm.find_checkpoint(None, None) == Path("results/sample/model.pt")
    (tmp_path / "results/mine/model.pt").write_text("")
    with pytest.raises(InputError, match=r"results/mine/model\.pt, results/sample/model\.pt"):
        ddm.find_checkpoint(None, None)
    assert ddm.find_checkpoint(Path("x.pt"), None) == Path("x.pt")
    assert ddm.find_checkpoint(None, Path("results/mine")) == Path("results/mine/model.pt")


def checkpoint_content(**changes) -> dict:
    extraction = {"weights": {"name": "random", "sha256": ""}, "frames_per_video": 4}
    content = {"format": ddm.CHECKPOINT_FORMAT, "model": ddm.DeepfakeMLP().state_dict()}
    content |= {"extraction": extraction, "thresholds": {"used": 0.4}, "trained_on": {}}
    return content | changes


def test_wrong_checkpoints(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(checkpoint_content(), path)
    assert ddm.load_checkpoint(path)[1]["thresholds"]["used"] == 0.4
    for content in (
        {"weights": 1},
        checkpoint_content(format=0),  # of an earlier version
        checkpoint_content(model=torch.nn.Linear(2, 2).state_dict()),
        checkpoint_content(extraction={"frames_per_video": "many"}),
    ):
        torch.save(content, path)
        with pytest.raises(
            InputError, match=r"(?s)model\.pt .*checkpoint of deepfake.*: train again"
        ):
            ddm.load_checkpoint(path)
    path.write_text("model")
    with pytest.raises(InputError, match=r"model\.pt .*checkpoint of deepfake_detection_model"):
        ddm.load_checkpoint(path)
    path.unlink()
    with pytest.raises(InputError, match=r"model\.pt: no such file"):
        ddm.load_checkpoint(path)


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_damaged_checkpoints_run_nothing_and_are_one_line(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(checkpoint_content(), path)
    whole = path.read_bytes()
    changes = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6)

    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(changes, st.floats(0, 1) | st.just(1.0), st.booleans())
    def check(changes, length, in_header):
        start, end = (whole[:4000], whole[4000:]) if in_header else (whole, b"")
        data = bytearray(start)
        for place, value in changes:
            at = int(place * (len(data) - 1))
            data[at : at + len(value)] = value
        path.write_bytes(bytes(data[: int(length * len(data))]) + end)
        try:
            ddm.load_checkpoint(path)
        except InputError as error:
            assert "\n" not in str(error)

    check()
    torch.save(checkpoint_content(model=Payload(tmp_path / "made")), path)
    with pytest.raises(InputError, match=r"model\.pt is damaged or of another kind"):
        ddm.load_checkpoint(path)
    assert not (tmp_path / "made").exists()


# --- Evaluate -------------------------------------------------------------------------------------


def evaluate(folder: Path, *files: Path) -> None:
    flags = ["--output-dir", str(folder / "results"), "--device", "cpu", "--no-pictures"]
    ddm.main([*flags, "--evaluate", *map(str, files)])


def test_evaluate_scores_other_data_and_warns_of_what_was_seen(tmp_path, capsys):
    make_split(tmp_path / "features")
    report = train(tmp_path)
    other = make_split(tmp_path / "other", "test", n_groups=7, seed=5)
    capsys.readouterr()
    before = contents(tmp_path / "results")
    evaluate(tmp_path, other, tmp_path / "features/train_features.npy")
    out = capsys.readouterr().out
    assert f"{other} shares with the training: 0 videos, 0 groups, 0 clips" in out
    assert "train_features.npy shares with the training: 20 videos" in out
    assert out.count("NOT THE FIGURES OF UNSEEN PEOPLE") == 1
    folder = tmp_path / "results/evaluated/other_test"
    assert {path.name for path in folder.iterdir()} == {"metrics.json", "predictions.csv"}
    model, checkpoint = ddm.load_checkpoint(tmp_path / "results/model.pt")
    split, threshold = load_split(other), checkpoint["thresholds"]["used"]
    assert threshold == report["thresholds"]["used"]
    expected = ddm.evaluate(split, ddm.score_frames(model, split), threshold)
    assert read_json(folder / "metrics.json")["splits"]["test"] == expected
    assert len(read_table(folder / "predictions.csv")) == 14
    assert (tmp_path / "results/evaluated/features_train/metrics.json").is_file()
    assert contents(tmp_path / "results") == before


def test_each_evaluated_set_has_a_folder_of_its_own(tmp_path):
    make_split(tmp_path / "features")
    train(tmp_path)
    files = [make_split(tmp_path / name / "set", "test", seed=3) for name in ("a", "b")]
    evaluate(tmp_path, *files)
    folder = tmp_path / "results/evaluated"
    assert {path.name for path in folder.iterdir()} == {"set_test", "set_test_2"}
    before = (folder / "set_test/metrics.json").read_bytes()
    (folder / "set_test_2/roc.png").write_text("of an earlier call")
    evaluate(tmp_path, files[1])
    assert (folder / "set_test/metrics.json").read_bytes() == before
    assert contents(folder / "set_test_2").keys() == {"metrics.json", "predictions.csv"}


def test_a_second_prediction_replaces_the_first_wholly(trained, videos, capsys):
    predict(trained, videos / "real/000.mp4", videos / "real/001.mp4", "--plot")
    (trained / "results/predict_notes.png").write_text("precious")
    predict(trained, videos / "real/003.mp4", "--plot")
    assert "Replaces" in capsys.readouterr().out
    pictures = {path.name for path in (trained / "results").glob("*.png")}
    assert pictures == {"predict_0001_003.png", "predict_notes.png"}


def test_evaluate_refuses_features_of_other_weights(tmp_path):
    make_split(tmp_path / "features")
    train(tmp_path)
    other = make_split(tmp_path / "other", "test", seed=5)
    extraction = read_json(tmp_path / "other/extraction.json")
    extraction["weights"] = {"name": "mine.pth", "sha256": "1" * 64}
    ddm.write_json(tmp_path / "other/extraction.json", extraction)
    with pytest.raises(InputError, match=r"random .*mine\.pth"):
        evaluate(tmp_path, other)


def test_a_moved_copy_of_the_training_videos_raises_the_warning(
    trained, videos, tmp_path, capsys, quick_backbone
):
    """Other names, another folder: what is in the files counts."""
    for i, path in enumerate(sorted(videos.rglob("*.mp4"))):
        path.rename(path.with_name(f"copy {i}.mp4"))
    videos.rename(tmp_path / "elsewhere")
    extract(videos.parent / "elsewhere", tmp_path / "features")
    train(tmp_path)
    capsys.readouterr()
    evaluate(tmp_path, tmp_path / "features/train_features.npy")
    assert "shares with the training: 10 videos" in capsys.readouterr().out


def test_score_and_spread_are_mean_and_deviation_of_the_frames(trained, videos):
    [row] = ddm.predict_videos([videos / "real/000.mp4"], trained / "results/model.pt", "cpu")
    assert len(row["scores"]) == row["frames"] == 4
    assert row["score"] == pytest.approx(np.mean(row["scores"]))
    assert row["spread"] == pytest.approx(np.std(row["scores"])) and row["spread"] > 0
