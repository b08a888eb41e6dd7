"""What the pictures of figures show; that they can be drawn at all, once."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from conftest import make_split
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from data.files import InputError
from features import pictures as room
from features.dataset import load_split
from features.divide import Division
from features.figures import evaluate
from features.originals import Originals
from features.plots import (
    plot_curves,
    plot_features,
    plot_roc,
    plot_scores,
    plot_unseen,
    save_figure,
)
from features.results import Run
from features.text import format_figure

T = 0.4


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Three splits, scores of their frames, and what evaluate makes of them."""
    splits, scores, results = {}, {}, {}
    for seed, name in enumerate(("train", "val", "test")):
        folder = tmp_path_factory.mktemp(name)
        splits[name] = load_split(make_split(folder, name, n_groups=6, frames=2, seed=seed))
        drawn = np.random.default_rng(seed).normal(0.4 + 0.2 * splits[name].labels, 0.2)
        scores[name] = np.clip(drawn, 0, 1)
        results[name] = evaluate(splits[name], scores[name], T, intervals=name != "train")
    return splits, scores, results


def history(n_epochs: int, shift: float = 0) -> list[dict]:
    records = []
    for epoch in range(1, n_epochs + 1):
        record = {"epoch": epoch, "loss": 0.5}
        for key in ("log_loss", "accuracy", "eer"):
            record |= {f"train_{key}": epoch / 10 + shift, f"val_{key}": epoch / 20 + shift}
        records.append(record)
    return records


def legend_of(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def rows_of(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def points_of(lines) -> list[tuple]:
    """Where the dots among lines are."""
    return [tuple(line.get_xydata()[0]) for line in lines if len(line.get_xdata()) == 1]


def test_all_are_drawn_with_a_footer_as_wide_as_the_picture(drawn, tmp_path, recwarn):
    """The only test that draws t-SNE, which takes seconds."""
    splits, scores, results = drawn
    pictures = {
        "training_curves.png": partial(plot_curves, [history(2)], results),
        "roc.png": partial(plot_roc, splits, scores, results),
        "scores.png": partial(plot_scores, splits, scores, results),
        "features.png": partial(plot_features, splits, 0),
    }
    for name, plot in pictures.items():
        save_figure(plot(), tmp_path / name, "of_$me$_and_you")
        assert (tmp_path / name).stat().st_size > 5000
    figure = Figure((6, 2))
    figure.suptitle("real/日本 😀.mp4")  # that the font cannot show
    figure.supxlabel("orange: wrong")
    save_figure(figure, tmp_path / "roc.png", "$of" + "/long" * 40)
    first, *rest = figure.get_supxlabel().splitlines()
    assert first.startswith("orange: wrong; $of/long") and rest
    assert max(map(len, [first, *rest])) <= 6 * 18
    assert not recwarn.list


def test_curves_show_the_mean_and_range_of_seeds_at_whole_epochs(drawn):
    figure = plot_curves([history(3), history(3, shift=0.2)], drawn[2])
    loss, accuracy, eer = figure.axes
    assert figure.get_suptitle() == "mean and range of 2 seeds"
    for line, values in (
        (accuracy.lines[0], [20, 30, 40]),  # percent, of training
        (accuracy.lines[1], [15, 20, 25]),
        (loss.lines[0], [0.2, 0.3, 0.4]),  # nats
        (eer.lines[0], [20, 30, 40]),
    ):
        np.testing.assert_allclose(line.get_xydata().T, [[1, 2, 3], values])
    band = accuracy.collections[0].get_paths()[0].vertices
    at_last = band[band[:, 0] == 3, 1]
    assert (at_last.min(), at_last.max()) == pytest.approx((30, 50))
    assert legend_of(eer) == ["Training Set (n = 12 videos)", "Validation Set (n = 12 videos)"]
    one_class = [record | {"val_eer": None} for record in history(2)]
    eer = plot_curves([one_class], drawn[2]).axes[2]
    assert np.isnan(eer.lines[1].get_ydata()).all()


def test_roc_has_the_diagonals_and_the_figures_of_the_table(drawn):
    splits, scores, results = drawn
    (axes,) = plot_roc(splits, scores, results).axes
    chance, equal = (line.get_xydata().tolist() for line in axes.lines[:2])
    assert (chance, equal) == ([[0, 0], [100, 100]], [[0, 100], [100, 0]])
    thick = [line.get_xydata() for line in axes.lines if line.get_linewidth() == 5]
    assert len(thick) == 2  # validation and test: training has no interval
    for name, line in zip(splits, legend_of(axes), strict=True):
        metrics = results[name]["videos"]
        auc, eer = (format_figure(metrics, key) for key in ("auc", "eer"))
        assert line.endswith(f", 12 videos: AUC {auc}, EER {eer}")
        crossing = 100 * metrics["eer"]
        assert (crossing, 100 - crossing) in points_of(axes.lines)
        if name != "train":
            ends = 100 * np.array(metrics["intervals"]["eer"])
            np.testing.assert_allclose(thick.pop(0).T, [ends, 100 - ends])


def test_one_class_has_no_roc(drawn):
    splits, scores, results = drawn
    one_class = {"val": {"videos": results["val"]["videos"] | {"eer": None}}}
    assert len(legend_of(plot_roc(splits, scores, results | one_class).axes[0])) == 2
    with pytest.raises(InputError, match="one class alone has no ROC"):
        plot_roc({"val": splits["val"]}, scores, one_class)


def test_scores_show_every_video_both_thresholds_and_which_bar_is_which(drawn):
    figure = plot_scores(*drawn)
    assert len(figure.axes) == 3  # one method: nothing to tell apart
    for axes in figure.axes:
        assert sum(bar.get_height() for bar in axes.patches) == 12
        assert [line.get_xdata()[0] for line in axes.lines] == [50, 100 * T]
        assert {"real (n = 6)", "fake (n = 6)", "50 %", "T = 40.0 %"} == set(legend_of(axes))
    scores = {name: np.where(split.labels == 1, 0.9, 0.1) for name, split in drawn[0].items()}
    reals, fakes = plot_scores(drawn[0], scores, drawn[2]).axes[0].containers
    for bars, name, place in ((reals, "real (n = 6)", 10), (fakes, "fake (n = 6)", 90)):
        (bar,) = (bar for bar in bars if bar.get_height())
        assert bars[0].get_label() == name
        assert abs(bar.get_x() - place) < 6


def test_fakes_without_a_method_among_others_leave_the_whole_alone(tmp_path, drawn):
    split = load_split(make_split(tmp_path, n_groups=12, frames=2))
    for i, row in enumerate(split.videos):
        row["method"] = ("Deep$fakes", "Two", "")[i % 3] if row["label"] == "1" and i < 11 else ""
    scores = np.random.default_rng(0).random(48)
    results = evaluate(split, scores, T)
    val = split, scores, results
    splits, *figures = (each | {"val": new} for each, new in zip(drawn, val, strict=True))
    del splits["train"]
    figure = plot_scores(splits, *figures)
    *_, methods, of_one = figure.axes
    assert not of_one.get_visible()  # test has one method
    assert rows_of(methods) == ["not named (n = 4)", r"Deep\$fakes (n = 4)", "Two (n = 4)"]
    aucs = [100 * metrics["auc"] for metrics in results["methods"].values()]
    np.testing.assert_allclose(points_of(methods.lines), list(zip(aucs, range(3), strict=True)))
    # of four fakes there is no interval, as in the table
    assert len(methods.lines) == 4 and methods.get_xlabel() == "AUC, % (dotted: chance)"


def test_a_method_stands_unseen_beside_seen_with_its_intervals():
    rows = []
    for method, unseen in (("A", 0.6), ("B$", None)):
        counts = {"n": 14, "n_fake": 7}
        row = {"method": method, "split": "val", "seen": {"auc": 0.9} | counts}
        intervals = {"auc": unseen and [0.5, 0.7]}
        rows.append(row | {"unseen": {"auc": unseen, "intervals": intervals} | counts})
    figure = plot_unseen(rows)
    (axes,) = figure.axes
    dots = sorted(points_of(axes.lines))
    np.testing.assert_allclose(dots, [(60, -0.15), (90, 0.15), (90, 1.15)])
    interval = axes.lines[0]  # a method that was seen has none here
    np.testing.assert_allclose(interval.get_xydata(), [(50, -0.15), (70, -0.15)])
    assert rows_of(axes) == ["A, val (n = 7)", r"B\$, val (n = 7)"]
    first, second = (text.get_text() for text in figure.legends[0].get_texts())
    assert (first, second) == ("method unseen in training", "method seen in training")


def test_features_are_those_of_the_split_and_the_class_they_are_labelled_with(drawn, monkeypatch):
    monkeypatch.setattr("features.plots.TSNE", lambda **_: PCA(2))
    splits = {}
    for name, split in drawn[0].items():
        splits[name] = split.part(split.labels * split.video_index < 3)  # three of six fakes
    left, _ = plot_features(splits, 0, most=54).axes
    assert left.get_title().startswith("PCA of 54 frames")
    counts, of_class = dict.fromkeys(splits, 0), {"real": [], "fake": []}
    for points in left.collections:
        split, label, n = re.match(r"(\w+), (\w+) \(n = (\d+)", points.get_label()).groups()
        first = points.get_offsets()[:, 0]
        assert len(first) == int(n)
        counts[split] += len(first)
        of_class[label] += first.tolist()
    assert counts == {"train": 18, "val": 18, "test": 18}
    # the fakes of make_split are shifted: the first component tells them apart
    real, fake = of_class.values()
    assert (len(real), len(fake)) == (36, 18)
    assert max(real) < min(fake) or max(fake) < min(real)


def test_a_picture_that_cannot_be_drawn_is_a_line_and_goes(tmp_path, capsys):
    def fail():
        raise InputError("all features are equal")

    pictures = {"a.png": fail, "b.png": Figure}
    for name in pictures:
        (tmp_path / name).write_text("of an earlier model")
    assert room.draw_pictures(tmp_path, pictures, "footer", True) == ["b.png"]
    assert "a.png is not drawn: all features are equal" in capsys.readouterr().out
    (path,) = tmp_path.iterdir()
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert room.draw_pictures(tmp_path, pictures, "footer", False) == []
    assert not list(tmp_path.iterdir())  # that of the earlier model is not left


def test_the_pictures_of_a_run_are_of_the_first_seed_and_say_so(drawn, tmp_path, monkeypatch):
    splits, scores, results = drawn
    extraction = splits["train"].extraction  # not that of validation: it may be bare
    splits = splits | {"val": replace(splits["val"], extraction=None)}
    runs = []
    for seed in (3, 4):
        division = Division(dict(splits), {}, {})
        runs.append(Run(seed, division, None, 1, history(1, seed), scores, T, "", results))
    calls = []
    monkeypatch.setattr(room, "draw_pictures", lambda *call: calls.append(call[1:3]) or [])
    for some in (runs, runs[:1]):
        room.draw_run(tmp_path, some, [], Originals({}), True)
    pictures = calls[0][0] | calls[1][0]
    assert "originals.png" not in pictures  # none were found
    for name in ("roc.png", "scores.png", "features.png"):
        assert pictures[name].args[0] is runs[0].splits
    assert pictures["features.png"].args[1] == 3
    assert pictures["training_curves.png"].args[0] == [run.history for run in runs]
    footers = ["seeds 3 to 4", "seed 3, the first of 2", *["seed 3"] * 2]
    made = f"{extraction.name}, ResNet-18 weights: random"
    assert [footer for _, footer in calls] == [f"{made}; {footer}" for footer in footers]
