"""What the three README files show: their commands run, their flags exist, their code works."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import deepfake_detection_model
import feature_extraction
from features import evaluate, predict
from features.text import results_table

ROOT = Path(feature_extraction.__file__).parent
PAGES = ["README.md", "data/README.md", "features/README.md"]
SCRIPTS = {
    "feature_extraction.py": feature_extraction.main,
    "deepfake_detection_model.py": deepfake_detection_model.main,
}

OTHERS = ("--index-url", "--people")  # of pip and of data/make_sample.py


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def commands(page: str) -> list[list[str]]:
    """The words of each command with one of the two scripts, in code blocks and in the text."""
    found = []
    for line in re.findall(r"python (\w+\.py[^`\n&]*)", text_of(page)):
        words = shlex.split(line)
        if words[0] in SCRIPTS:
            found.append(words)
    return found


@pytest.fixture
def somewhere(tmp_path, monkeypatch, drawn_videos, both_scripts_run) -> Path:
    """A folder with what the pages assume: mine, the sample set, other features."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "data/sample"):
        shutil.copytree(drawn_videos, tmp_path / name)
    (tmp_path / "data/sample/fake/FaceSwap").mkdir()
    for name in ("video.mp4", "data/sample/fake/FaceSwap/000_001.mp4"):
        shutil.copy(drawn_videos / "real/000.mp4", tmp_path / name)
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
    assert commands(page)
    for script, *arguments in commands(page):
        for flag in (word for word in arguments if word.startswith("--")):
            assert f" {flag}" in helps[script], f"{page}: {script} has no {flag}"
    for flag in re.findall(r"`(--[a-z-]+)", text_of(page)):
        known = flag in OTHERS or any(f" {flag}" in text for text in helps.values())
        assert known, f"{page}: no script has {flag}"


def test_every_column_of_the_results_is_named(both_scripts_run):
    text = text_of("features/README.md").split("## Columns of the results")[1]
    named = {}
    for line in re.findall(r"^\| `.*", text, re.MULTILINE):
        table, *columns = re.findall("`([^`]+)`", line)
        named.setdefault(table, set()).update(columns)
    columns = {"predict_*.csv": predict.PREDICT_COLUMNS, "evaluated.csv": evaluate.SET_FIGURES}
    for name in ("predictions.csv", "roc.csv", "originals.csv", "../runs.csv"):
        head = (both_scripts_run / "results" / name).read_text().split("\n")[0].split(",")
        names = [re.sub("^(val|test)_(?!fraction|features)", "", column) for column in head]
        columns[name.removeprefix("../")] = names
    for table, expected in columns.items():
        assert set(expected) <= named[table], table


def test_the_commands_for_your_own_videos_run(somewhere):
    """As they stand, but with an untrained network and one epoch."""
    text = text_of("README.md")
    block = text.split("## Your own videos")[1].split("```")[1]
    lines = [shlex.split(line)[1:] for line in block.strip().splitlines()]
    assert len(lines) == 4
    for script, *arguments in lines:
        more = ["--device", "cpu"]
        if script == "feature_extraction.py":
            more += ["--weights", "random", "--frames-per-video", "4"]
        elif "--predict" not in arguments:
            more.append("--no-pictures")
        if "--train-features-file" in arguments:
            more += ["--num-epochs", "1"]
        SCRIPTS[script]([*arguments, *more])
    results = somewhere / "results"
    for name in ("mine/model.pt", "mine/predict_video.csv", "mine/predict_video_0001.png"):
        assert (results / name).is_file()
    for name in ("mine/evaluated/other_train/metrics.json", "runs.csv"):
        assert (results / name).is_file()


def read_column(lines: list[str], column: int) -> dict:
    """The figures in a column of the first table, as evaluate gives them."""
    cells = [re.findall(r"[\d.]+", re.split("  +", line)[column]) for line in lines]
    (n_real, n_fake, people), *figures = ([float(cell) for cell in row] for row in cells)
    metrics = {"of": "videos", "n": int(n_real + n_fake), "n_fake": int(n_fake), "majority": 0.5}
    metrics |= {"unit": "person", "n_units": int(people)}
    metrics["tpr_at_fpr"] = {"0.01": None, "0.05": figures.pop()[0] / 100}
    for key, (value, *interval) in zip(("accuracy", "eer", "auc"), figures, strict=True):
        metrics[key] = value / 100
        if interval:
            metrics.setdefault("intervals", {})[key] = [end / 100 for end in interval]
    return metrics


def test_the_first_table_is_as_the_program_prints_it():
    table = text_of("README.md").split("You see:\n```\n")[1].split("\n```")[0]
    lines = table.splitlines()[1:]
    train, val = ({"videos": read_column(lines, column)} for column in (1, 2))
    assert results_table({"train": train, "val": val}).startswith(table + "\n")


def test_every_link_leads_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\((?!http)([^)]+)\)", text_of(page)):
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            assert target.exists(), f"{page}: {link}"
            if anchor:
                titles = re.findall("^#+ (.*)", target.read_text().lower(), re.MULTILINE)
                names = [re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles]
                assert anchor in names, f"{page}: {link}"


def test_the_examples_in_python_run(somewhere):
    text = text_of("features/README.md")
    arrays, notebook = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(arrays, {})
    found = {}
    exec(notebook.replace('"imagenet"', '"random"'), found)
    assert found["features"].shape[1] == 1000
    assert [row["video"] for row in found["rows"]] == found["paths"]
    assert 0 <= found["eer"] <= 1


def test_the_first_page_repeats_the_figures_of_the_table():
    figures = r"EER ([\d.]+) % instead of ([\d.]+) % \(means"
    first_page = re.search(figures, text_of("README.md")).groups()
    lines = re.findall(r"^(.*?)  +\S+ \S+ +([\d.]+) ", text_of(PAGES[2]), re.MULTILINE)
    eer = dict(lines)
    assert first_page == (eer["--split-unit frame"], eer["defaults"])
