"""What the three README files show: their commands run, their flags exist, their code works."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest

import deepfake_detection_model
import feature_extraction
from features import evaluate, predict

ROOT = Path(feature_extraction.__file__).parent
PAGES = ["README.md", "data/README.md", "features/README.md"]
SCRIPTS = {
    "feature_extraction.py": feature_extraction.main,
    "deepfake_detection_model.py": deepfake_detection_model.main,
}

OTHERS = ("--index-url", "--people")  # of pip and of data/make_sample.py


def commands(page: str) -> list[list[str]]:
    """The words of each command with one of the two scripts, in code blocks and in the text."""
    found = []
    for line in re.findall(r"python (\w+\.py[^`\n&]*)", (ROOT / page).read_text()):
        words = shlex.split(line)
        if words[0] in SCRIPTS:
            found.append(words)
    return found


def code_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture
def somewhere(tmp_path, monkeypatch, drawn_videos, both_scripts_run) -> Path:
    """A folder with what the pages assume: my_videos, the sample set, other features."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drawn_videos, tmp_path / "my_videos")
    shutil.copytree(drawn_videos, tmp_path / "data/sample")
    shutil.copytree(drawn_videos / "fake", tmp_path / "more_videos")
    shutil.copy(drawn_videos / "real/000.mp4", tmp_path / "video.mp4")
    (tmp_path / "data/sample/fake/FaceSwap").mkdir()
    for name in ("real/000.mp4", "fake/FaceSwap/000_001.mp4"):
        shutil.copy(drawn_videos / "real/000.mp4", tmp_path / "data/sample" / name)
    for folder in ("features", "results"):
        shutil.copytree(both_scripts_run / folder, tmp_path / folder / "sample")
    shutil.copytree(both_scripts_run / "features", tmp_path / "features/other")
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_exists(page, capsys):
    helps = {}
    for script, main in SCRIPTS.items():
        with pytest.raises(SystemExit):
            main(["--help"])
        helps[script] = capsys.readouterr().out
    found = commands(page)
    assert found
    for script, *arguments in found:
        for flag in (word for word in arguments if word.startswith("--")):
            assert f" {flag}" in helps[script], f"{page}: {script} has no {flag}"
    for flag in re.findall(r"`(--[a-z-]+)", (ROOT / page).read_text()):
        known = flag in OTHERS or any(f" {flag}" in text for text in helps.values())
        assert known, f"{page}: no script has {flag}"


def test_every_column_of_the_results_is_named(both_scripts_run):
    text = (ROOT / "features/README.md").read_text().split("## Columns of the results")[1]
    named = {}
    for line in re.findall(r"^\| `.*", text, re.MULTILINE):
        table, *columns = re.findall("`([^`]+)`", line)
        named.setdefault(table, set()).update(columns)
    columns = {"predict_*.csv": predict.PREDICT_COLUMNS, "evaluated.csv": evaluate.SET_FIGURES}
    for name in ("predictions.csv", "roc.csv", "originals.csv", "../runs.csv"):
        with open(both_scripts_run / "results" / name) as file:
            columns[name.removeprefix("../")] = [
                re.sub("^(val|test)_(?!fraction|features)", "", column)
                for column in next(csv.reader(file))
            ]
    for table, expected in columns.items():
        assert set(expected) <= named[table], table


def test_the_commands_for_your_own_videos_run(somewhere):
    """As they stand, but with an untrained network and few epochs."""
    text = (ROOT / "README.md").read_text()
    block = text.split("## Your own videos")[1].split("```")[1]
    lines = [shlex.split(line)[1:] for line in block.strip().splitlines()]
    assert len(lines) == 4
    for script, *arguments in lines:
        more = ["--device", "cpu"]
        if script == "feature_extraction.py":
            more += ["--weights", "random", "--frames-per-video", "4"]
        elif "--train-features-file" in arguments:
            more += ["--num-epochs", "1", "--no-pictures"]
        elif "--evaluate" in arguments:
            more += ["--no-pictures"]
        SCRIPTS[script]([*arguments, *more])
    results = somewhere / "results/my_videos"
    written = {path.name for path in results.iterdir()}
    tables = {"predictions.csv", "roc.csv", "originals.csv", "predict_video.csv"}
    assert {"model.pt", "metrics.json", "evaluated", "predict_video.json", *tables} <= written
    assert len(list(results.glob("predict_video_*.png"))) == 6
    assert (somewhere / "results/runs.csv").is_file()
    assert (results / "evaluated/other_train/metrics.json").is_file()


def test_the_notebook_example_runs(somewhere):
    _, code = code_blocks("features/README.md")
    found = {}
    exec(code.replace('"imagenet"', '"random"'), found)
    assert found["features"].shape[1] == 1000
    assert [row["video"] for row in found["rows"]] == found["paths"]
    assert 0 <= found["eer"] <= 1


def test_the_arrays_are_read_as_the_example_reads_them(somewhere):
    code, _ = code_blocks("features/README.md")
    exec(code, {})
