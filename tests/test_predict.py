"""--predict, predict_videos, and the checkpoint."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
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
    write_squares,
    write_video,
)
from torchvision.models import resnet18

import deepfake_detection_model as ddm
from data.faces import FACE_MODEL_SHA256
from data.files import InputError
from data.frames import Sampling
from features import predict as room
from features.checkpoint import FORMAT
from features.extraction import Extraction, caution_of
from features.resnet18 import kept_weights, load_backbone

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


# --- Predict ---


def test_the_checkpoint_alone_gives_the_scores_of_the_training(trained, videos, capsys):
    (videos / "fake/broken.mp4").write_text("no video")
    table = read_table(trained / "results/predictions.csv")
    known = {row["video"]: float(row["score"]) for row in table}
    before = (trained / "results/predictions.csv").read_bytes()
    threshold = ddm.load_model(trained / "results/model.pt")[1]["thresholds"]["used"]
    rows = predict(trained, videos, videos / "real/000.mp4")
    out = capsys.readouterr().out
    assert len(rows) == 12 and list(rows[0]) == room.PREDICT_COLUMNS
    for row in rows:
        name = row["video"].removeprefix(f"{videos}/")
        assert name in out
        if name == "fake/broken.mp4":
            assert (row["score"], row["at_T"], row["frames"]) == ("", "no decision", "0")
            assert row["reason"].startswith("not a video") and row["reason"] in out
            continue
        assert float(row["score"]) == pytest.approx(known[name], abs=1e-4)
        at = [("real", "fake")[known[name] >= limit] for limit in (0.5, threshold)]
        assert [row["at_0.5"], row["at_T"]] == at
        assert (row["frames"], row["note"]) == ("4", SEEN)
    assert "11 scored, 1 failed" in out
    val = read_json(trained / "results/metrics.json")["splits"]["val"]["videos"]
    n = f"n = {val['n'] - val['n_fake']} + {val['n_fake']} of"
    own = f"Validation AUC {100 * val['auc']:.1f} % (too few videos), {n}"
    assert own in out.split("Score: ")[0]  # how good the model is, before what it says
    assert "proves nothing about a single video" in out
    assert (trained / "results/predictions.csv").read_bytes() == before


def test_a_video_that_is_copied_is_known_and_another_is_not(trained, videos, tmp_path, capsys):
    shutil.copy(videos / "real/000.mp4", tmp_path / "renamed.mp4")
    write_video(tmp_path / "000.mp4", n=10, colour=(10, 200, 30))
    rows = predict(trained, tmp_path / "renamed.mp4", tmp_path / "000.mp4")
    assert [row["note"] for row in rows] == [SEEN, ""]
    out = capsys.readouterr().out
    assert out.startswith("WARNING: model trained on features of an untrained network")
    change_checkpoint(trained, code="edited")
    assert predict(trained, tmp_path / "renamed.mp4")[0]["score"] == rows[0]["score"]
    warning = "WARNING: the model's features and those of these videos were made by different code"
    assert warning not in out and warning in capsys.readouterr().out


def test_the_drawn_set_is_named_first(trained):
    change_checkpoint(trained, sample={"drawn_by": "data/make_sample.py"})
    extraction = ddm.load_model(trained / "results/model.pt")[1]["extraction"]
    assert caution_of(extraction).startswith("trained on drawn people")
    extraction.sample = None
    extraction.weights["name"] = "imagenet"
    assert caution_of(extraction) == ""


def test_the_checkpoint_alone_draws_videos_of_any_name(trained, videos, tmp_path, monkeypatch):
    (row,) = predict_one(trained, videos / "fake/000_003.mp4")
    alone, odd = tmp_path / "alone", tmp_path / "alone/odd"
    odd.mkdir(parents=True)
    shutil.move(trained / "results/model.pt", alone / "detector.pt")
    names = ["b$\\frac$.mp4", f"{'long' * 60}.mp4", "%03d 'x'.mp4"]
    for name in names:
        shutil.copy(videos / "fake/000_003.mp4", odd / name)
    for folder in (videos, trained / "features", trained / "results"):
        shutil.rmtree(folder)
    monkeypatch.chdir(alone)
    ddm.main(["--checkpoint", "detector.pt", "--predict", "odd", "--plot", "--device", "cpu"])
    rows = read_table(alone / "predict_odd.csv")
    assert sorted(Path(row["video"]).name for row in rows) == sorted(names)
    assert [row["picture"] for row in rows] == [f"predict_odd_000{i}.png" for i in (1, 2, 3)]
    for each in rows:
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
    extract_video, done = room.extract_video, []

    def interrupted(path, *rest):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(path)
        return extract_video(path, *rest)

    monkeypatch.setattr(room, "extract_video", interrupted)
    monkeypatch.setattr(room, "count_cores", lambda: 1)
    with pytest.raises(KeyboardInterrupt, match=r"predict_videos\.csv holds what was scored"):
        predict(trained, videos)
    rows = read_table(trained / "results/predict_videos.csv")
    assert [Path(row["video"]) for row in rows] == done


def test_useless_input_is_one_clear_line(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    for path, message in (
        ("text.mp4", "none of the 1 videos could be scored"),
        ("empty", "no videos in this folder"),
        ("missing.mp4", "no such file"),
        ("", "no such file"),  # Path("") is the current folder
    ):
        with pytest.raises(InputError, match=message):
            predict(trained, path)
    with pytest.raises(TypeError, match=r"expected a list of paths: \['clip.mp4'\]"):
        ddm.predict_videos("clip.mp4", trained / "results/model.pt")


@pytest.mark.usefixtures("detector")
def test_a_model_whose_features_cannot_be_made_scores_nothing(trained, random_weights, tmp_path):
    checkpoint = torch.load(trained / "results/model.pt", weights_only=True)
    own = shutil.copy(random_weights, tmp_path / "own.pth")
    extraction = checkpoint["extraction"]
    weights = extraction["weights"] | {"name": str(own)}
    cropped = extraction["sampling"] | {"face_margin": 1.3, "face_model": "of another detector"}
    cases = {
        r"needs the weights it was trained with, .* --weights FILE: .*: no such file": {
            "weights": weights  # known by their hash: what lies there now may be other weights
        },
        "was trained on faces that another detector found": {"sampling": cropped},
        "was trained on features without extraction.json": None,
    }
    for message, changes in cases.items():
        checkpoint["extraction"] = changes and extraction | changes
        torch.save(checkpoint, tmp_path / "other.pt")
        with pytest.raises(InputError, match=message):
            ddm.predict_videos(["clip.mp4"], tmp_path / "other.pt", "cpu")


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
    torch.save(resnet18(weights=None).state_dict(), file)
    with pytest.raises(InputError, match=r"own\.pth holds other weights than .* with --weights"):
        predict(trained, video, "--weights", file)


def test_each_call_has_a_table_and_pictures_of_its_own(trained, videos):
    results, first = trained / "results", videos / "real/000.mp4"
    predict(trained, first, videos / "real/001.mp4", "--plot")
    before = contents(results)
    shutil.copy(videos / "real/003.mp4", first)
    predict(trained, first, "--plot")
    predict(trained, videos / "fake/../real")
    after = contents(results)
    assert before.items() <= after.items()
    new = {"predict_000_2.csv", "predict_000_2.json", "predict_000_2_0001.png"}
    assert after.keys() - before.keys() == new | {"predict_real.csv", "predict_real.json"}


def test_calls_at_one_moment_do_not_get_the_same_table(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(lambda _: room.claim_table(tmp_path, "a/b c$.mp4"), range(40)))
    names = {"predict_b_c_.csv", *(f"predict_b_c__{i}.csv" for i in range(2, 41))}
    assert {table.name for table in tables} == names


def test_a_program_gets_what_json_can_hold_and_the_same_lies_beside_the_table(trained, videos):
    (videos / "real/broken.mp4").write_text("no video")
    paths = [videos / "real/000.mp4", videos / "real/broken.mp4"]
    rows = predict_one(trained, *paths)
    assert json.loads(json.dumps(rows)) == rows
    assert [row["video"] for row in rows] == [path.as_posix() for path in paths]
    assert len(rows[0]["scores"]) == rows[0]["frames"] == 4
    assert rows[0]["score"] == pytest.approx(np.mean(rows[0]["scores"]))
    assert rows[0]["spread"] == pytest.approx(np.std(rows[0]["scores"])) and rows[0]["spread"] > 0
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


def test_in_a_log_a_prediction_tells_how_far_it_is(trained, videos, monkeypatch, capsys):
    (row,) = predict_one(trained, videos / "real/000.mp4")
    apart = row | {"at_0.5": "fake", "at_T": "real"}
    monkeypatch.setattr(room, "score_videos", lambda *_: (dict(apart) for _ in range(40)))
    predict(trained, *[videos / "real/000.mp4"] * 40)
    printed = capsys.readouterr()
    assert printed.err.count("predicting: ") == 20 and "predicting: 40 of 40 videos" in printed.err
    assert "The two verdicts differ for 40: T is right where a video is like those" in printed.out


# --- The checkpoint ---


def checkpoint_content(**changes) -> dict:
    extraction = asdict(Extraction(Sampling(4), weights={"name": "random", "sha256": ""}))
    content = {"format": FORMAT, "model": ddm.DeepfakeMLP().state_dict()}
    content |= {"extraction": extraction, "thresholds": {"used": 0.4}, "trained_on": {}}
    content["settings"] = {}  # of a version in which each video's score was a mean
    return content | changes


def test_wrong_checkpoints(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(InputError, match=r"model\.pt: no such file"):
        ddm.load_model(path)
    with pytest.raises(InputError, match=r"is a folder: name the file in it, .*/model\.pt$"):
        ddm.load_model(tmp_path)
    torch.save(checkpoint_content(), path)
    saved = ddm.load_model(path)[1]
    assert saved["video_score"] == "mean"
    assert saved["thresholds"]["used"] == 0.4 and saved["extraction"].sampling == Sampling(4)
    for content in (
        {"weights": 1},
        checkpoint_content(format=0),  # of an earlier version
        checkpoint_content(model=torch.nn.Linear(2, 2).state_dict()),
        checkpoint_content(extraction={"frames_per_video": 4}),
        checkpoint_content(model=Payload(tmp_path / "made")),
        ["a list"],
    ):
        torch.save(content, path)
        with pytest.raises(InputError, match=r"model\.pt .*expected|checkpoint of deepfake_det"):
            ddm.load_model(path)
    assert not (tmp_path / "made").exists()  # nothing in the file is run
    torch.save(checkpoint_content(), path)
    path.write_bytes(path.read_bytes()[:100_000])  # cut off
    with pytest.raises(InputError, match=r"model\.pt is damaged .*expected a checkpoint of deepf"):
        ddm.load_model(path)
