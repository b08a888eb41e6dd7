import errno
import os
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from conftest import contents, make_split, read_json, read_table, train
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import deepfake_detection_model as ddm
from data.files import InputError, ReadError, write_json
from data.frames import Crop, Extraction
from data.layouts import Video
from features import splits as room
from features.cache import Cached, Outcome
from features.compare import check_same_extraction
from features.splits import divide, hold_out, load_split, write_features

ENDINGS = ("features.npy", "labels.npy", "frames.npy", "videos.csv")
WEIGHTS = {"name": "random", "sha256": "0" * 64}


def groups_of(split) -> set[str]:
    return {split.videos[i]["group"] for i in split.video_index}


# --- Writing --------------------------------------------------------------------------------------


def some_videos(tmp_path, names=("train/a", "train/b", "train/c", "val/d", "val/e")):
    """Videos, their outcomes and what is cached of them; `c` cannot be used."""
    videos, outcomes, cached = [], [], {}
    rng = np.random.default_rng(0)
    for i, name in enumerate(names):
        video = Video(tmp_path / name, label=i % 2, split=name.split("/")[0], people=("P 1", "P 2"))
        video.video, video.group, video.clip = f"{name}.mp4", f"group {i}", f"clip {i}"
        videos.append(video)
        if name.endswith("c"):
            outcomes.append(Outcome(0, "no video"))
            continue
        features = rng.normal(size=(i + 2, 1000)).astype(np.float32)
        facts = {"frames": 9, "size": 100 + i, "fingerprint": f"print {name}"}
        cached[video.video] = Cached(features, 10 * np.arange(i + 2, dtype=np.int32), facts)
        outcomes.append(Outcome(i + 2))
    return videos, outcomes, cached


@pytest.fixture
def write(tmp_path, monkeypatch):
    """write(**what differs) writes the features of some_videos to the folder f; {split: frames}."""
    folder = tmp_path / "f"
    folder.mkdir()

    def write(frames_per_video=8, names=None, **more):
        videos, outcomes, cached = some_videos(tmp_path, *([names] if names else []))
        monkeypatch.setattr(room, "load_cached", lambda video, *_: cached.get(video.video))
        extraction = Extraction(frames_per_video, videos_dir="/set", **{"weights": WEIGHTS, **more})
        room.announce_new_features(folder, extraction, {video.split for video in videos})
        return write_features(folder, videos, outcomes, extraction)

    return write


def test_what_is_written_is_what_is_loaded(write, tmp_path):
    assert write() == {"train": 5, "val": 11}
    _, _, cached = some_videos(tmp_path)
    for name, videos in (("train", "ab"), ("val", "de")):
        split = load_split(tmp_path / f"f/{name}_features.npy")
        expected = [cached[f"{name}/{video}.mp4"] for video in videos]
        np.testing.assert_array_equal(
            split.features, np.concatenate([c.features for c in expected])
        )
        np.testing.assert_array_equal(split.numbers, np.concatenate([c.numbers for c in expected]))
        sizes = [len(c.numbers) for c in expected]
        np.testing.assert_array_equal(split.video_index, np.repeat([0, 1], sizes))
        index = ["abcde".index(video) for video in videos]
        np.testing.assert_array_equal(split.labels, np.repeat([i % 2 for i in index], sizes))
        assert [row["group"] for row in split.videos] == [f"group {i}" for i in index]
        assert [row["clip"] for row in split.videos] == [f"clip {i}" for i in index]
        assert {row["people"] for row in split.videos} == {"P 1;P 2"}
        assert [row["fingerprint"] for row in split.videos] == [f"print {name}/{v}" for v in videos]
        assert split.has_videos and split.extraction.videos_dir == "/set"
    first = "video,label,method,group,clip,people,"
    assert (tmp_path / "f/val_videos.csv").read_text().startswith(first)
    assert read_table(tmp_path / "f/failed.csv") == [
        {"video": "train/c.mp4", "label": "0", "reason": "no video"}
    ]
    counts = {"found": 5, "used": 4, "failed": 1, "frames": {"train": 5, "val": 11}}
    assert read_json(tmp_path / "f/extraction.json")["counts"] == counts
    dtypes = {"features": np.float32, "labels": np.int64, "frames": np.int32}
    for name, dtype in dtypes.items():
        assert np.load(tmp_path / f"f/train_{name}.npy").dtype == dtype


def test_extraction_json_comes_last_and_old_splits_go_after_it(write, tmp_path, monkeypatch):
    write()
    done = []
    replace_file, unlink = os.replace, type(tmp_path).unlink

    def note_replace(source, target):
        replace_file(source, target)
        done.append(os.path.basename(target))

    def note_unlink(path, missing_ok=False):
        if path.exists() and not path.name.startswith("."):
            done.append(f"removed {path.name}")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(os, "replace", note_replace)
    monkeypatch.setattr(type(tmp_path), "unlink", note_unlink)
    write(names=("train/a", "train/b"))
    final = [name for name in done if not name.startswith(".")]
    new = {*(f"train_{ending}" for ending in ENDINGS), "failed.csv"}
    assert set(final[:5]) == new and final[5] == "extraction.json"
    assert final[6:] == [f"removed val_{ending}" for ending in ENDINGS]
    assert set(contents(tmp_path / "f")) == {*new, "extraction.json"}


@pytest.mark.parametrize(("place", "name"), [(np, "save"), (room, "write_csv"), (os, "replace")])
def test_on_a_full_disk_the_files_of_an_earlier_run_stay(write, tmp_path, monkeypatch, place, name):
    write()
    before = contents(tmp_path / "f")

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(place, name, full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(frames_per_video=4, names=("train/a", "train/b"))
    assert contents(tmp_path / "f") == before  # those of val too


@pytest.mark.parametrize("frames", [None, 1])
def test_a_video_that_changes_during_the_run_is_an_error(tmp_path, monkeypatch, frames):
    videos, outcomes, _ = some_videos(tmp_path, ("train/a", "train/b"))
    changed = frames and Cached(np.zeros((1, 1000)), np.zeros(1), {})
    monkeypatch.setattr(room, "load_cached", lambda *_: changed)
    with pytest.raises(InputError, match="cached features changed during the run: run the"):
        write_features(tmp_path, videos, outcomes, Extraction(4, weights=WEIGHTS))
    assert not contents(tmp_path)


def test_a_split_without_a_usable_video_is_an_error(write, tmp_path):
    with pytest.raises(InputError, match=r"no video of the val split .*, val/c\.mp4: no video"):
        write(names=("train/a", "train/c", "val/c"))
    assert not contents(tmp_path / "f")


def test_what_other_features_replace_is_said_in_one_line(write, tmp_path, capsys):
    def said(**settings):
        write(**settings)
        return capsys.readouterr().out

    folder = tmp_path / "f"
    imagenet = {"name": "imagenet", "sha256": "f37072fd" + "0" * 56}
    assert said(frames_per_video=32, weights=imagenet) == ""
    assert said(frames_per_video=32, weights=imagenet) == ""  # the same again
    words = "32 frames a video, weights imagenet (f37072fd) -> 8 frames a video, weights random"
    assert said() == f"Replaces   {folder}: {words} (00000000)\n"
    crop = Crop(margin=1.5, no_face="fail", detector_sha256="8f2383e4dd3cfbb4")
    out = said(crop=crop)
    faces = "face crops (margin 1.5, none: fail, detector 8f2383e4)"
    assert out == f"Replaces   {folder}: uncropped frames -> {faces}\n"
    versions = {"torch": "2.9", "python": "3.12"}
    assert "-> torch 2.9 " in said(crop=crop, versions=versions)
    assert said(crop=crop, versions=versions | {"python": "3.13"}) == ""
    (folder / "extraction.json").write_text("{}")
    assert said() == f"Replaces   {folder}: features of unknown settings\n"


# --- Loading --------------------------------------------------------------------------------------


def test_a_video_scores_the_mean_of_its_frames(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=3, frames=4))
    scores = np.random.default_rng(0).random(24)
    index, labels, video_scores = split.video_scores(scores)
    assert index.tolist() == list(range(6)) and labels.tolist() == [1, 1, 1, 0, 0, 0]
    np.testing.assert_allclose(video_scores, scores.reshape(6, 4).mean(1))
    unit, labels, values = split.by_unit(scores)
    assert unit == "videos" and labels.tolist() == [1, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(values, video_scores)
    unit, labels, values = replace(split, has_videos=False).by_unit(scores)
    assert unit == "frames" and labels is split.labels and values is scores
    assert split.name(3) == "train/real/000.mp4" and split.group(3) == "train000.mp4"
    bare = replace(split, videos=[], has_videos=False)
    assert bare.name(3) == "row 3" and bare.group(3) == "3"


def damage(name, change):
    """A case in which the array `<split>_<name>.npy` is changed."""

    def apply(folder):
        path = folder / f"train_{name}.npy"
        np.save(path, change(np.load(path)))

    return apply


def nan_in_row_5(features):
    features[5, 7] = np.nan
    return features


def overwrite(name, data):
    return lambda folder: (folder / f"train_{name}").write_bytes(data)


def cut_videos(folder):
    path = folder / "train_videos.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], "train/real/009.mp4,0"]))


WRONG = [
    (
        lambda folder: (folder / "train_features.npy").unlink(),
        r"train_features\.npy: no such file; run feature",
    ),
    (
        lambda folder: (folder / "train_labels.npy").unlink(),
        r"train_labels\.npy: no such file",
    ),
    (
        damage("labels", lambda a: a[:-2]),
        r"train_labels\.npy has 78 rows but .*train_features\.npy has 80: run",
    ),
    (
        damage("features", lambda a: a[:, :512]),
        r"float32 in 512 columns, expected float32 in 1000",
    ),
    (damage("features", lambda a: a.astype(np.float64)), r"float64 in 1000 columns"),
    (damage("features", lambda a: a[0]), r"holds float32 of shape \(1000,\), expected 2-d"),
    (damage("features", lambda a: a[:0]), r"holds float32 of shape \(0, 1000\)"),
    (damage("features", nan_in_row_5), r"NaN or infinity in row 5"),
    (
        damage("labels", lambda a: a + 1),
        r"has the labels \[1, 2\], expected only 0 \(real\) and 1 \(fake\)",
    ),
    (damage("labels", lambda a: a * 0), r"do not fit .*train_labels\.npy"),
    (damage("labels", lambda a: a.astype(float)), r"holds float64 of shape"),
    (
        damage("labels", lambda a: a.astype(object)),
        r"train_labels\.npy is not a \.npy file of numbers",
    ),
    (
        damage("frames", lambda a: a[:-1]),
        r"train_frames\.npy, .*do not fit.*run feature_extraction\.py again",
    ),
    (damage("frames", lambda a: a[:, :1]), r"do not fit"),
    (damage("frames", lambda a: a + 20), r"do not fit"),
    (damage("frames", lambda a: a - 1), r"do not fit"),
    (overwrite("features.npy", b""), r"train_features\.npy is not a \.npy file of numbers"),
    (
        overwrite("features.npy", b"1.0 2.0\n"),
        r"train_features\.npy is not a \.npy file of numbers",
    ),
    (
        overwrite("videos.csv", b"a,b\n1,2\n"),
        r"train_videos\.csv lacks the columns video,label,group",
    ),
    (overwrite("videos.csv", b"video,label,group\n"), r"train_videos\.csv lacks the columns"),
    (cut_videos, r"train_videos\.csv lacks the columns"),
    (
        lambda folder: (folder / "extraction.json").write_text("{"),
        r"extraction\.json is not valid JSON",
    ),
    (
        lambda folder: (folder / "extraction.json").write_text("{}"),
        r"extraction\.json: frames_per_video is missing: run feature_extraction\.py again",
    ),
]


@pytest.mark.parametrize(("apply", "message"), WRONG)
def test_wrong_inputs_are_one_clear_line(tmp_path, apply, message):
    path = make_split(tmp_path / "features")
    apply(tmp_path / "features")
    with pytest.raises(InputError, match=message) as caught:
        load_split(path)
    assert "\n" not in str(caught.value)


def test_wrong_inputs_are_found_before_anything_is_written(tmp_path):
    make_split(tmp_path / "features")
    damage("features", nan_in_row_5)(tmp_path / "features")
    with pytest.raises(InputError, match="NaN or infinity in row 5"):
        train(tmp_path)
    assert not (tmp_path / "results").exists()


def test_one_class_without_sidecar_files(tmp_path):
    make_split(tmp_path / "features")
    (tmp_path / "features/train_videos.csv").unlink()
    damage("labels", lambda a: a * 0)(tmp_path / "features")
    with pytest.raises(InputError, match=r"80 real and 0 fake frames: both are needed"):
        train(tmp_path)


def test_a_folder_or_another_name_is_explained(tmp_path):
    path = make_split(tmp_path / "features")
    make_split(tmp_path / "features", "val")
    expected = "is a folder: name the file in it, train_features.npy or val_features.npy"
    with pytest.raises(InputError, match=expected):
        load_split(tmp_path / "features")
    with pytest.raises(InputError, match=r"is a folder: .*feature_extraction\.py writes"):
        load_split(tmp_path)
    other = path.rename(path.with_name("mine.npy"))
    with pytest.raises(InputError, match=r"mine\.npy is not named \.\.\._features\.npy"):
        load_split(other)
    split = load_split(other, path.with_name("train_labels.npy"))
    assert len(split.rows) == 80 and not split.has_videos


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "no permission"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "no memory left"),
        (MemoryError(), "no memory left"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_not_called_damaged(tmp_path, monkeypatch, error, message):
    path = make_split(tmp_path)

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    with pytest.raises(ReadError, match=message) as caught:
        load_split(path)
    assert "train_features.npy" in str(caught.value) and "extract" not in str(caught.value)


def test_mapped_features_are_never_written_to(tmp_path):
    path = make_split(tmp_path / "features")
    before = path.read_bytes()
    split = load_split(path)
    assert not split.features.flags.writeable
    gathered = split.gather(split.rows[3:5])
    assert gathered.dtype == torch.float32 and gathered.shape == (2, 1000)
    np.testing.assert_array_equal(gathered, split.features[3:5])
    gathered += 1  # a copy
    train(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("row", [0, 7, 40, 79])
@pytest.mark.parametrize("kind", ["plain", "columns first", "with bytes behind", "with holes"])
def test_infinity_is_found_in_each_row(tmp_path, monkeypatch, row, kind):
    monkeypatch.setattr(room, "CHUNK", 7)
    path = make_split(tmp_path)
    features = np.load(path)
    features[row, 999] = np.inf
    np.save(path, np.asfortranarray(features) if kind == "columns first" else features)
    if kind == "with bytes behind":
        path.write_bytes(path.read_bytes() + bytes(50_000))
    if kind == "with holes":
        make_sparse(path, 80)
        np.lib.format.open_memmap(path, "r+")[row, 999] = np.inf
    with pytest.raises(InputError, match=f"NaN or infinity in row {row}:"):
        load_split(path)


def test_a_system_without_holes_checks_all(tmp_path, monkeypatch):
    path = make_split(tmp_path)
    monkeypatch.delattr(os, "SEEK_DATA", raising=False)
    assert list(room.find_written(path)) == [(0, path.stat().st_size)]
    damage("features", nan_in_row_5)(tmp_path)
    with pytest.raises(InputError, match="row 5"):
        load_split(path)


MUTATIONS = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6)


def mutate(data, changes, length):
    data = bytearray(data)
    for place, value in changes:
        at = int(place * (len(data) - 1))
        data[at : at + len(value)] = value
    return bytes(data[: int(length * len(data))])


@pytest.mark.parametrize("name", [f"train_{ending}" for ending in ENDINGS])
def test_damaged_features(tmp_path, name):
    path = make_split(tmp_path, n_groups=3)
    target = tmp_path / name
    whole, seen = target.read_bytes(), []

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
        derandomize=True,
    )
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


# --- Large files ----------------------------------------------------------------------------------


def make_sparse(path, n):
    """A features file of n rows of zeros that takes no space on the disk, if the disk can do so."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, 1000)}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 4000 * n)


def bare_arrays(folder, n):
    """Features and labels of n frames, without the files that tell of videos."""
    path = folder / "train_features.npy"
    try:
        make_sparse(path, n)
    except OSError as error:
        pytest.skip(f"no sparse files here: {error}")
    if path.stat().st_blocks * 512 > 1e6:
        pytest.skip("no sparse files here")
    np.save(folder / "train_labels.npy", np.arange(n) % 2 == 1)
    return path


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="would read the whole file")
def test_features_larger_than_the_memory_are_opened_checked_and_trained_on(tmp_path):
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    n = int(1.25 * memory / 4000)
    path = bare_arrays(tmp_path, n)
    features = np.lib.format.open_memmap(path, "r+")
    features[-1, 5] = np.nan
    with pytest.raises(InputError, match=f"NaN or infinity in row {n - 1}:"):
        load_split(path)
    features[-1, 5] = 1
    split = load_split(path)
    assert split.features[-1, 5] == 1 and len(split.rows) == n
    part = split.part(np.arange(n - 64, n))
    model, _, history = ddm.train(
        {"train": part, "val": part}, 16, 1, 1e-4, torch.device("cpu"), seed=0
    )
    assert 0.6 < history[0]["loss"] < 0.8 and model.mean[5] == pytest.approx(1 / 64)


def peak_memory(function) -> int:
    import tracemalloc

    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_opening_millions_of_rows_takes_little_memory(tmp_path):
    """Less than 1 GB for the 3.8 million frames of 119,000 videos, here a tenth of it."""
    n, n_videos = 380_000, 11_900
    path = bare_arrays(tmp_path, n)
    splits = []
    assert peak_memory(lambda: splits.append(load_split(path))) < 0.5e8
    assert splits[0].videos == [] and not splits[0].has_videos
    assert len(set(splits[0].video_index[:100])) == 100
    index = np.arange(n) % n_videos
    np.save(tmp_path / "train_labels.npy", index % 2)
    frames = np.stack([index, index], axis=1)
    np.save(tmp_path / "train_frames.npy", frames.astype(np.int32))
    lines = [f"fake/{i:06d}.mp4,{i % 2},g{i},640,480,25.0,300,12.0" for i in range(n_videos)]
    header = "video,label,group,width,height,fps,frames,duration"
    (tmp_path / "train_videos.csv").write_text("\n".join([header, *lines]))
    assert peak_memory(lambda: splits.append(load_split(path))) < 1e8
    assert splits[1].has_videos and len(splits[1].videos) == n_videos


# --- Comparing ------------------------------------------------------------------------------------


def test_splits_extracted_differently_are_refused(tmp_path):
    make_split(tmp_path / "features")
    val = make_split(tmp_path / "other", "val", frames=2)
    with pytest.raises(
        InputError, match="train has 4 frames a video, val has 2 frames a video: extract them alike"
    ):
        train(tmp_path, "--val-features-file", str(val))


def test_what_differs_is_named_in_words():
    ours = Extraction(8, weights={"name": "imagenet", "sha256": "f37072fd" + "a" * 56})
    crop = Crop(margin=1.3, no_face="fail", detector_sha256="d" * 16)
    others = {
        "val has 9 frames a video": {"frames_per_video": 9},
        "val has frame choice nearest-reference": {"frame_choice": "nearest-reference"},
        "train has uncropped frames, val has face crops": {"crop": crop},
        r"train has weights imagenet \(f37072fd\), val has weights random \(bbbbbbbb\)": {
            "weights": {"name": "random", "sha256": "b" * 64}
        },
    }
    for message, changes in others.items():
        theirs = replace(ours, **changes)
        with pytest.raises(InputError, match=message) as caught:
            check_same_extraction({"train": ours, "val": theirs})
        assert "aaaaaaaaa" not in str(caught.value)
    for changes in ({"margin": 1.4}, {"no_face": "whole"}, {"detector_sha256": "e" * 16}):
        cropped = replace(ours, crop=crop), replace(ours, crop=replace(crop, **changes))
        with pytest.raises(InputError, match=r"train has face crops .*, val has face crops "):
            check_same_extraction(dict(zip(("train", "val"), cropped, strict=True)))
    renamed = replace(ours, weights=ours.weights | {"name": "copy.pth"}, device="cuda")
    moved = replace(renamed, videos_dir="/other", versions={"torch": "9"}, counts={"found": 1})
    check_same_extraction({"train": ours, "val": moved, "test": None})
    check_same_extraction({"train": None, "val": ours, "test": Extraction(3, weights=WEIGHTS)})
    assert asdict(ours)["crop"] is None


# --- Dividing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("val_fraction", [0.1, 0.2, 0.3, 0.5])
def test_split_shares_no_group_and_keeps_both_classes(tmp_path, val_fraction):
    whole = load_split(make_split(tmp_path, n_groups=40))
    training, val = hold_out(whole, val_fraction, seed=3)
    assert not groups_of(training) & groups_of(val)
    assert len(groups_of(training)) + len(groups_of(val)) == 40
    assert len(groups_of(val)) == pytest.approx(40 * val_fraction, abs=1)
    assert sorted([*training.rows, *val.rows]) == list(range(320))
    assert not set(training.video_index) & set(val.video_index)
    for part in (training, val):
        assert part.labels.mean() == 0.5
        np.testing.assert_array_equal(part.labels, whole.labels[part.rows])
    again = hold_out(whole, val_fraction, seed=3)[1]
    other = hold_out(whole, val_fraction, seed=4)[1]
    assert groups_of(again) == groups_of(val) != groups_of(other)


def test_split_of_few_and_unequal_groups(tmp_path):
    whole = load_split(make_split(tmp_path, n_groups=6))
    for row in whole.videos[:6]:
        row["group"] = row["video"]  # the fakes stand alone
    for row in whole.videos[6:10]:
        row["group"] = "one set of reals"
    for seed in range(20):
        training, val = hold_out(whole, 0.2, seed)
        assert not groups_of(training) & groups_of(val)
        assert set(training.labels) == set(val.labels) == {0, 1}
    for row in whole.videos[6:]:
        row["group"] = "one set of reals"
    with pytest.raises(InputError, match=r"1 groups with real videos and 6 with fakes are too few"):
        hold_out(whole, 0.2, 0)


def test_the_held_out_part_is_as_near_to_the_fraction_as_the_groups_allow(tmp_path):
    whole = load_split(make_split(tmp_path, n_groups=50))
    sizes = (26, 8, 6, 5, 5)  # groups of very unequal size, as the people of Celeb-DF are joined
    names = [f"group {i}" for i, size in enumerate(sizes) for _ in range(size)] * 2
    for row, name in zip(whole.videos, names, strict=True):
        row["group"] = name
    for seed in range(5):
        training, val = hold_out(whole, 0.2, seed)
        assert not groups_of(training) & groups_of(val)
        assert 0.1 <= len(val.rows) / len(whole.rows) <= 0.3
    for fraction in (1e-6, 0.01, 0.99):
        training, val = hold_out(load_split(tmp_path / "train_features.npy"), fraction, 0)
        assert abs(len(val.rows) / len(whole.rows) - fraction) < 0.06
        assert set(training.labels) == set(val.labels) == {0, 1}


def test_a_seed_gives_the_split_that_it_always_gave(tmp_path):
    whole = load_split(make_split(tmp_path))
    for unit, videos in (("group", [2, 8, 12, 18]), ("video", [1, 8, 18, 19])):
        val = hold_out(whole, 0.2, 0, unit)[1]
        assert val.video_index.tolist() == np.repeat(videos, 4).tolist()
    frames = [4, 5, 7, 12, 24, 26, 37, 38, 40, 44, 46, 51, 62, 67, 72, 74]
    assert hold_out(whole, 0.2, 0, "frame")[1].rows.tolist() == frames


def test_copies_of_a_file_stay_together(tmp_path):
    whole = load_split(make_split(tmp_path, n_groups=20))
    for i in range(0, 20, 2):  # the fakes of groups 0 and 1, of 2 and 3, ...
        whole.videos[i + 1]["fingerprint"] = whole.videos[i]["fingerprint"]
    for unit in ("group", "video"):
        for seed in range(5):
            training, val = hold_out(whole, 0.2, seed, unit)
            files = [
                {part.videos[i]["fingerprint"] for i in part.video_index}
                for part in (training, val)
            ]
            assert not files[0] & files[1]
            if unit == "group":
                assert not groups_of(training) & groups_of(val)
            assert set(training.labels) == set(val.labels) == {0, 1}


def test_bare_arrays_are_divided_by_frames(tmp_path):
    path = make_split(tmp_path)
    (tmp_path / "train_frames.npy").unlink()
    splits, how = divide({"train": load_split(path)}, 0.2, 0, "group")
    assert how == "20.0 % of the frames held out, by group"
    assert len(splits["val"].rows) == 16 and splits["val"].video_index is not None
    assert sorted([*splits["train"].rows, *splits["val"].rows]) == list(range(80))


def test_a_lost_validation_part_is_said(tmp_path):
    splits = {"test": load_split(make_split(tmp_path, "test"))}
    splits["train"] = load_split(make_split(tmp_path, n_groups=20))
    divided, how = divide(splits, 0.2, 0, "group")
    assert list(divided) == ["train", "val", "test"]
    assert how == "20.0 % of the frames held out, by group"
    extraction = splits["train"].extraction.to_dict()
    extraction["counts"] = {"frames": {"train": 160, "val": 80}}
    write_json(tmp_path / "extraction.json", extraction)
    splits["train"] = load_split(tmp_path / "train_features.npy")
    how = divide(splits, 0.2, 0, "group")[1]
    lost = "val_features.npy of the extraction is gone"
    assert how == f"WARNING: {lost}; 20.0 % of the frames held out, by group"
    splits["val"] = load_split(make_split(tmp_path, "val"))
    divided, how = divide(splits, 0.2, 0, "group")
    assert how == "as extracted" and list(divided) == ["train", "val", "test"]
    assert divided["train"] is splits["train"]


def test_the_held_out_part_is_near_to_the_fraction_in_both_classes():
    reals, fakes = (1, 1, 3, 3), (1, 3, 1, 3)  # of four units: each pair is half of one class
    units = np.repeat([0, 1, 2, 3] * 2, reals + fakes)
    labels = np.repeat([0, 1], [8, 8])
    for seed in range(5):
        drawn = room.draw_nearest(labels, units, 0.5, seed)
        assert np.bincount(labels[drawn]).tolist() == [4, 4]
