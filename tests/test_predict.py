"""--predict, predict_videos, and the checkpoint."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    Payload,
    contents,
    extract,
    read_json,
    read_table,
    train,
    videos_of,
    write_squares,
    write_video,
)

import deepfake_detection_model as ddm
from data.faces import FACE_MODEL_SHA256
from data.files import InputError
from data.frames import Sampling
from features import predict as room
from features import screen
from features.checkpoint import FORMAT
from features.extraction import Extraction, caution_of
from features.resnet18 import kept_weights, load_backbone
from features.text import format_figure, format_n

SEEN = "the model was trained or tuned on this video"


def predict(folder: Path, *arguments: str | Path) -> list[dict]:
    """The lines of the table that a call leaves."""
    results = folder / "results"
    before = set(results.glob("predict_*.csv"))
    ddm.main(["--output-dir", str(results), "--device", "cpu", "--predict", *map(str, arguments)])
    (table,) = set(results.glob("predict_*.csv")) - before
    return read_table(table)


def change_checkpoint(folder: Path, **changes) -> None:
    """Change what the checkpoint in a folder of results says of its extraction."""
    path = folder / "results/model.pt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["extraction"] |= changes
    torch.save(checkpoint, path)


def predict_one(folder: Path, *paths: Path) -> list[dict]:
    """What predict_videos gives."""
    return list(ddm.predict_videos(paths, folder / "results/model.pt", "cpu"))


def test_the_checkpoint_alone_gives_the_scores_of_the_training(trained, videos, capsys):
    (videos / "fake/broken.mp4").write_text("no video")
    before = contents(trained / "results")
    table = read_table(trained / "results/predictions.csv")
    known = {row["video"]: float(row["score"]) for row in table}
    report = read_json(trained / "results/metrics.json")
    threshold = report["thresholds"]["used"]
    rows = predict(trained, videos, videos / "real/000.mp4")
    out = capsys.readouterr().out
    assert len(rows) == 12 and list(rows[0]) == room.PREDICT_COLUMNS
    rows = {row["video"].removeprefix(f"{videos}/"): row for row in rows}
    broken = rows.pop("fake/broken.mp4")
    assert (broken["score"], broken["at_T"], broken["frames"]) == ("", "no decision", "0")
    assert broken["reason"].startswith("not a video") and broken["reason"] in out
    for name, row in rows.items():
        assert name in out
        assert float(row["score"]) == pytest.approx(known[name], abs=1e-4)
        at = [("real", "fake")[known[name] >= limit] for limit in (0.5, threshold)]
        assert [row["at_0.5"], row["at_T"]] == at
        assert (row["frames"], row["note"]) == ("4", SEEN)
    assert "11 scored, 1 failed" in out
    val = videos_of(report, "val")
    own = f"Validation AUC {format_figure(val, 'auc')}, n = {format_n(val)}"
    assert own in out.split("Score: ")[0]  # how good the model is, before what it says
    assert "proves nothing about a single video" in out
    assert before.items() <= contents(trained / "results").items()


def test_a_video_that_is_copied_is_known_and_another_is_not(trained, videos, tmp_path, capsys):
    shutil.copy(videos / "real/000.mp4", tmp_path / "renamed.mp4")
    write_video(tmp_path / "000.mp4", n=10, colour=(10, 200, 30))
    rows = predict(trained, tmp_path / "renamed.mp4", tmp_path / "000.mp4")
    assert [row["note"] for row in rows] == [SEEN, ""]
    out = capsys.readouterr().out
    assert out.startswith("WARNING: model trained on features of an untrained network")
    change_checkpoint(trained, code="edited")
    predict(trained, tmp_path / "renamed.mp4")
    warning = "WARNING: the model's features and those of these videos were made by different code"
    assert warning not in out and warning in capsys.readouterr().out


def test_the_drawn_set_is_named_first(trained):
    extraction = ddm.load_model(trained / "results/model.pt")[1]["extraction"]
    drawn = replace(extraction, sample={"drawn_by": "data/make_sample.py"})
    assert caution_of(drawn).startswith("trained on drawn people")
    assert caution_of(replace(extraction, weights={"name": "imagenet"})) == ""


def test_the_checkpoint_alone_draws_videos_of_any_name(trained, videos, tmp_path, monkeypatch):
    (row,) = predict_one(trained, videos / "fake/000_003.mp4")
    alone, odd = tmp_path / "alone", tmp_path / "alone/odd"
    odd.mkdir(parents=True)
    shutil.move(trained / "results/model.pt", alone / "detector.pt")
    names = ["%03d 'x'.mp4", "b$\\frac$.mp4", f"{'long' * 60}.mp4"]
    for name in names:
        shutil.copy(videos / "fake/000_003.mp4", odd / name)
    for folder in (videos, trained / "features", trained / "results"):
        shutil.rmtree(folder)
    monkeypatch.chdir(alone)
    ddm.main(["--checkpoint", "detector.pt", "--predict", "odd", "--plot", "--device", "cpu"])
    rows = read_table(alone / "predict_odd.csv")
    for i, (each, name) in enumerate(zip(rows, names, strict=True), 1):
        assert (Path(each["video"]).name, each["picture"]) == (name, f"predict_odd_000{i}.png")
        assert float(each["score"]) == pytest.approx(row["score"], abs=1e-4)
        assert (alone / each["picture"]).stat().st_size > 5000


@pytest.mark.usefixtures("quick_backbone")
def test_a_prediction_takes_the_score_that_training_took_and_the_threshold_that_is_given(
    videos, tmp_path, capsys, monkeypatch
):
    extract(videos, tmp_path / "features")
    train(tmp_path, "--video-score", "median", results="results")
    table = read_table(tmp_path / "results/predictions.csv")
    known = {row["video"]: float(row["score"]) for row in table}
    labels = []
    draw = room.plot_prediction

    def spy(*arguments):
        figure = draw(*arguments)
        labels.append(figure.axes[-1].get_legend_handles_labels()[1][0])
        return figure

    monkeypatch.setattr(room, "plot_prediction", spy)
    middle = float(np.median(list(known.values())))
    capsys.readouterr()
    rows = predict(tmp_path, videos, "--threshold", str(middle), "--plot")
    out = capsys.readouterr().out
    assert "Score      of a video: the median of its frames' scores\n" in out
    assert f"Threshold  T = {100 * middle:.1f} %, given by --threshold\n" in out
    assert "T is right where" not in out  # nothing was validated
    report = read_json(tmp_path / "results/predict_videos.json")
    assert report["thresholds"]["used"] == middle
    for row, whole, label in zip(rows, report["videos"], labels, strict=True):
        assert float(row["score"]) == float(np.median(whole["scores"]))
        expected = known[row["video"].removeprefix(f"{videos}/")]
        assert float(row["score"]) == pytest.approx(expected, abs=1e-6)
        assert row["at_T"] == ("fake" if float(row["score"]) >= middle else "real")
        assert label == f"median of 4 frames, {100 * float(row['score']):.1f} %"
    assert {row["at_T"] for row in rows} == {"real", "fake"}


def test_an_interrupted_prediction_keeps_what_it_has(trained, videos, monkeypatch):
    extract_video, failures = room.extract_video, iter([False] * 4 + [True])

    def interrupted(*arguments):
        if next(failures):
            raise KeyboardInterrupt
        return extract_video(*arguments)

    monkeypatch.setattr(room, "extract_video", interrupted)
    monkeypatch.setattr(room, "count_cores", lambda: 1)
    with pytest.raises(KeyboardInterrupt, match=r"predict_videos\.csv holds what was scored"):
        predict(trained, videos)
    assert len(read_table(trained / "results/predict_videos.csv")) == 4


def test_useless_input_is_one_clear_line(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    for path, message in (
        ("text.mp4", "none of the 1 videos could be scored"),
        ("empty", "no videos in this folder"),
        ("missing.mp4", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            predict(trained, path)
    with pytest.raises(TypeError, match=r"expected a list of paths: \['clip.mp4'\]"):
        ddm.predict_videos("clip.mp4", trained / "results/model.pt")


@pytest.mark.usefixtures("detector")
def test_a_model_whose_features_cannot_be_made_scores_nothing(trained, random_weights):
    extraction = ddm.load_model(trained / "results/model.pt")[1]["extraction"]
    of_another = replace(extraction.sampling, face_margin=1.3, face_model="of another detector")
    cropped = replace(extraction, sampling=of_another)
    # weights are known by their hash: what lies there now may be others
    own = replace(extraction, weights=extraction.weights | {"name": str(random_weights)})
    for of_model, message in (
        (own, r"needs the weights it was trained with, .* --weights FILE: .*: no such file"),
        (cropped, "was trained on faces that another detector found"),
        (None, "was trained on features without extraction.json"),
    ):
        with pytest.raises(InputError, match=message):
            room.load_backbone_of(of_model, "cpu")


def test_weights_of_ones_own_are_found_by_their_hash(trained, videos, random_weights, tmp_path):
    """Where they lay is not known any more: they are in torch's cache, or are named."""
    file = shutil.copy(random_weights, tmp_path / "own.pth")
    sha256 = load_backbone(str(file))[1]["sha256"]  # which keeps a copy
    change_checkpoint(trained, weights={"name": "gone.pth", "sha256": sha256})
    video = videos / "real/000.mp4"
    from_cache = predict(trained, video)
    kept_weights(sha256).unlink()
    with pytest.raises(InputError, match="needs the weights it was trained with"):
        predict(trained, video)
    assert predict(trained, video, "--weights", file) == from_cache
    change_checkpoint(trained, weights={"name": "gone.pth", "sha256": "1" * 64})
    with pytest.raises(InputError, match=r"own\.pth holds other weights than .* with --weights"):
        predict(trained, video, "--weights", file)


def test_each_call_has_a_table_of_its_own(trained, videos):
    results, first = trained / "results", videos / "real/000.mp4"
    predict(trained, first)
    before = contents(results)
    shutil.copy(videos / "real/003.mp4", first)
    predict(trained, first)
    predict(trained, videos / "fake/../real")
    after = contents(results)
    assert before.items() <= after.items()
    tables = {path.removesuffix(".csv").removesuffix(".json") for path in after.keys() - before}
    assert tables == {"predict_000_2", "predict_real"}


def test_a_program_gets_what_json_can_hold_and_the_same_lies_beside_the_table(trained, videos):
    (videos / "real/broken.mp4").write_text("no video")
    paths = [videos / "real/000.mp4", videos / "real/broken.mp4"]
    rows = predict_one(trained, *paths)
    assert json.loads(json.dumps(rows)) == rows
    assert [row["video"] for row in rows] == [path.as_posix() for path in paths]
    first, scores = rows[0], rows[0]["scores"]
    assert len(scores) == first["frames"] == 4
    assert first["score"] == pytest.approx(np.mean(scores))
    assert first["spread"] == pytest.approx(np.std(scores)) and first["spread"] > 0
    predict(trained, *paths)
    report = read_json(trained / "results/predict_000.json")
    assert report["videos"] == [row | {"picture": ""} for row in rows]
    assert report["thresholds"] == read_json(trained / "results/metrics.json")["thresholds"]


@pytest.mark.usefixtures("detector")
def test_damage_and_a_missing_face_are_said(trained, tmp_path, capsys):
    sampling = Sampling(4, face_margin=1.3, if_no_face="whole", face_model=FACE_MODEL_SHA256)
    change_checkpoint(trained, sampling=asdict(sampling))
    square = write_squares(tmp_path / "square.avi", [(40, 40)] * 8)
    nobody = write_squares(tmp_path / "nobody.avi", [None] * 8)
    cut = tmp_path / "cut.avi"
    write_video(cut, n=40, size=(160, 120), colour=(0, 0, 255))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    rows = predict(trained, square, nobody, cut)
    assert [row["face_share"] for row in rows] == ["1.0", "0.0", "1.0"]
    assert rows[0]["note"] == ""
    assert rows[1]["note"] == "no face found: whole frames were scored, by a model that knows faces"
    assert "truncated" in rows[2]["note"]
    printed = capsys.readouterr().out
    assert all(f"{row['video']}: {row['note']}" in printed for row in rows[1:])


def test_verdicts_that_differ_are_counted(capsys):
    rows = [{"score": 0.4, "at_0.5": "real", "at_T": at_t} for at_t in ("real", "fake")]
    screen.print_predictions_written(rows, Path("predict_x.csv"), False, "")
    assert "The two verdicts differ for 1: T is right where a video" in capsys.readouterr().out


def test_wrong_checkpoints(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(InputError, match=r"model\.pt: no such file"):
        ddm.load_model(path)
    with pytest.raises(InputError, match=r"is a folder: name the file in it, .*/model\.pt$"):
        ddm.load_model(tmp_path)
    extraction = asdict(Extraction(Sampling(4), weights={"name": "random", "sha256": ""}))
    right = {"format": FORMAT, "model": ddm.DeepfakeMLP().state_dict(), "extraction": extraction}
    right |= {"settings": {}, "thresholds": {"used": 0.4}}  # of a version with means alone
    torch.save(right, path)
    cut_off = path.read_bytes()[:100_000]
    saved = ddm.load_model(path)[1]
    assert saved["video_score"] == "mean" and saved["extraction"].sampling == Sampling(4)
    for changes in (
        {"format": 0},  # of an earlier version
        {"model": torch.nn.Linear(2, 2).state_dict()},
        {"extraction": {"frames_per_video": 4}},
        {"model": Payload(tmp_path / "made")},
    ):
        torch.save(right | changes, path)
        with pytest.raises(InputError, match=r"model\.pt .*expected|checkpoint of deepfake_det"):
            ddm.load_model(path)
    assert not (tmp_path / "made").exists()  # nothing in the file is run
    path.write_bytes(cut_off)
    with pytest.raises(InputError, match=r"model\.pt is damaged .*expected a checkpoint of deepf"):
        ddm.load_model(path)
