import json

import numpy as np
import pytest
from conftest import make_split
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

import deepfake_detection_model as ddm
from data.files import InputError
from features.splits import hold_out, load_split


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """No t-SNE here, which takes seconds: test_evaluation.py draws it."""
    monkeypatch.setattr("features.plots.TSNE", lambda **_: PCA(2))


def damage(name, change):
    """A case in which the array `<split>_<name>.npy` is changed."""

    def apply(folder):
        path = folder / f"train_{name}.npy"
        np.save(path, change(np.load(path)))

    return apply


def nan_in_row_5(features):
    features[5, 7] = np.nan
    return features


def write(name, data):
    return lambda folder: (folder / f"train_{name}").write_bytes(data)


def run(folder, *more, features="features", results="results"):
    ddm.main(
        ["--train-features-file", str(folder / features / "train_features.npy"), "--output-dir", str(folder / results)]
        + ["--num-epochs", "2", "--lr", "1e-3", "--device", "cpu", *more]
    )
    return json.loads((folder / results / "metrics.json").read_text())


MUTATIONS = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6)


RELAXED = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture], "derandomize": True}


def mutate(data, changes, length):
    data = bytearray(data)
    for place, value in changes:
        at = int(place * (len(data) - 1))
        data[at : at + len(value)] = value
    return bytes(data[: int(length * len(data))])


def test_a_video_scores_the_mean_of_its_frames(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=3, frames=4))
    scores = np.random.default_rng(0).random(24)
    index, labels, video_scores = split.video_scores(scores)
    assert index.tolist() == list(range(6)) and labels.tolist() == [1, 1, 1, 0, 0, 0]
    np.testing.assert_allclose(video_scores, scores.reshape(6, 4).mean(1))


@pytest.mark.parametrize("val_fraction", [0.1, 0.2, 0.3, 0.5])
def test_split_shares_no_group_and_keeps_both_classes(tmp_path, val_fraction):
    whole = load_split(make_split(tmp_path, n_groups=40))
    train, val = hold_out(whole, val_fraction, seed=3)
    assert not train.names("group") & val.names("group")
    assert len(train.names("group")) + len(val.names("group")) == 40
    assert len(val.names("group")) == pytest.approx(40 * val_fraction, abs=1)
    assert sorted([*train.rows, *val.rows]) == list(range(320))
    assert not set(train.video) & set(val.video)
    for part in (train, val):
        assert part.labels.mean() == 0.5
        np.testing.assert_array_equal(part.labels, whole.labels[part.rows])
    again = hold_out(whole, val_fraction, seed=3)[1]
    other = hold_out(whole, val_fraction, seed=4)[1]
    assert again.names("group") == val.names("group") != other.names("group")


def test_split_of_few_and_unequal_groups(tmp_path):
    whole = load_split(make_split(tmp_path, n_groups=6))
    for row in whole.videos[:6]:
        row["group"] = row["video"]  # the fakes stand alone
    for row in whole.videos[6:10]:
        row["group"] = "one set of reals"
    for seed in range(20):
        train, val = hold_out(whole, 0.2, seed)
        assert not train.names("group") & val.names("group")
        assert set(train.labels) == set(val.labels) == {0, 1}
    for row in whole.videos[6:]:
        row["group"] = "one set of reals"
    with pytest.raises(InputError, match=r"1 groups with real videos and 6 with fakes are too few"):
        hold_out(whole, 0.2, 0)


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda folder: (folder / "train_features.npy").unlink(), r"train_features\.npy: no such file; run feature"),
        (lambda folder: (folder / "train_labels.npy").unlink(), r"train_labels\.npy: no such file"),
        (damage("labels", lambda a: a[:-2]), r"train_labels\.npy has 78 rows but .*train_features\.npy has 80: run"),
        (damage("features", lambda a: a[:, :512]), r"float32 in 512 columns, expected float32 in 1000"),
        (damage("features", lambda a: a.astype(np.float64)), r"float64 in 1000 columns"),
        (damage("features", lambda a: a[0]), r"holds float32 of shape \(1000,\), expected 2-d"),
        (damage("features", lambda a: a[:0]), r"holds float32 of shape \(0, 1000\)"),
        (damage("features", nan_in_row_5), r"NaN or infinity in row 5"),
        (damage("labels", lambda a: a + 1), r"has the labels \[1, 2\], expected only 0 \(real\) and 1 \(fake\)"),
        (damage("labels", lambda a: a * 0), r"do not fit .*train_labels\.npy"),
        (damage("labels", lambda a: a.astype(float)), r"holds float64 of shape"),
        (damage("labels", lambda a: a.astype(object)), r"train_labels\.npy is not a \.npy file of numbers"),
        (damage("frames", lambda a: a[:-1]), r"train_frames\.npy, .*do not fit.*run feature_extraction\.py again"),
        (damage("frames", lambda a: a[:, :1]), r"do not fit"),
        (damage("frames", lambda a: a + 20), r"do not fit"),
        (write("features.npy", b""), r"train_features\.npy is not a \.npy file of numbers"),
        (write("features.npy", b"1.0 2.0\n"), r"train_features\.npy is not a \.npy file of numbers"),
        (write("videos.csv", b"a,b\n1,2\n"), r"train_videos\.csv lacks the columns video,label,group"),
        (lambda folder: (folder / "extraction.json").write_text("{"), r"extraction\.json is not valid JSON"),
    ],
)
def test_wrong_inputs_are_one_clear_line(tmp_path, apply, message):
    make_split(tmp_path / "features")
    apply(tmp_path / "features")
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "results").exists()


def test_one_class_without_sidecar_files(tmp_path):
    make_split(tmp_path / "features")
    (tmp_path / "features/train_videos.csv").unlink()
    damage("labels", lambda a: a * 0)(tmp_path / "features")
    with pytest.raises(InputError, match=r"80 real and 0 fake frames: both are needed"):
        run(tmp_path)


def test_the_held_out_part_is_as_near_to_the_fraction_as_the_groups_allow(tmp_path):
    whole = load_split(make_split(tmp_path, n_groups=50))
    sizes = (26, 8, 6, 5, 5)  # groups of very unequal size, as the people of Celeb-DF are joined
    names = [f"group {i}" for i, size in enumerate(sizes) for _ in range(size)] * 2
    for row, name in zip(whole.videos, names, strict=True):
        row["group"] = name
    for seed in range(5):
        train, val = hold_out(whole, 0.2, seed)
        assert not train.names("group") & val.names("group")
        assert 0.1 <= len(val.rows) / len(whole.rows) <= 0.3
    for fraction in (1e-6, 0.01, 0.99):
        train, val = hold_out(load_split(tmp_path / "train_features.npy"), fraction, 0)
        assert abs(len(val.rows) / len(whole.rows) - fraction) < 0.06
        assert set(train.labels) == set(val.labels) == {0, 1}


def test_splits_extracted_differently_are_refused(tmp_path):
    make_split(tmp_path / "features")
    val = make_split(tmp_path / "other", "val", frames=2)
    with pytest.raises(InputError, match=r"frames_per_video is 4 for train, 2 for val: extract them alike"):
        run(tmp_path, "--val-features-file", str(val))


def test_memory_mapped_features_are_never_written_to(tmp_path):
    path = make_split(tmp_path / "features")
    before = path.read_bytes()
    run(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["train_features.npy", "train_labels.npy", "train_frames.npy", "train_videos.csv"])
def test_damaged_features(tmp_path, name):
    path = make_split(tmp_path, n_groups=3)
    target = tmp_path / name
    whole, seen = target.read_bytes(), []

    @settings(max_examples=150, **RELAXED)
    @given(MUTATIONS, st.floats(0, 1) | st.just(1.0), st.booleans())
    def check(changes, length, in_header):
        header, rest = (whole[:128], whole[128:]) if in_header else (whole, b"")
        target.write_bytes(mutate(header, changes, length) + rest)
        try:
            load_split(path)
            seen.append("loaded")
        except InputError as error:
            assert "\n" not in str(error)
            seen.append("refused")

    check()
    assert {"loaded", "refused"} <= set(seen)
