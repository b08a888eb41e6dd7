"""The final files of an extraction: what they hold; that they are whole or absent."""

import os

import numpy as np
import pytest
from conftest import contents, read_json, read_table

from data.files import InputError
from data.frames import Sampling
from data.layouts import DataSet, LeftOut
from data.videos import Video
from features import write as room
from features.cache import Cached, Outcome
from features.dataset import load_split
from features.extraction import Extraction

SOME = ("train/a", "train/b", "train/c", "val/d", "val/e")
LEFT_OUT = [LeftOut(f"masks/{i}/x.mp4", "masks, not videos", "masks") for i in range(4)]
LEFT_OUT.append(LeftOut("x.mp4", "not where they are"))


def some_videos(names=SOME):
    """A data set, the outcomes of its videos and what is cached of them; `c` cannot be used."""
    videos, outcomes, cached = [], [], {}
    rng = np.random.default_rng(0)
    for i, name in enumerate(names):
        video = Video(f"/set/{name}", label=i % 2, split=name.split("/")[0], people=("P 1", "P 2"))
        video.video, video.group, video.clip = f"{name}.mp4", f"group {i}", f"clip {i}"
        videos.append(video)
        if name.endswith("c"):
            outcomes.append(Outcome(0, "no video"))
            continue
        features = rng.normal(size=(i + 2, 1000)).astype(np.float32)
        facts = {"frames": 9, "size": 100 + i, "fingerprint": f"print {name}"}
        cached[video.video] = Cached(features, 10 * np.arange(i + 2, dtype=np.int32), facts)
        outcomes.append(Outcome(i + 2))
    return DataSet("/set", "list", videos, LEFT_OUT, notes=[]), outcomes, cached


@pytest.fixture
def write(tmp_path, monkeypatch):
    """write(names) writes the features of some_videos to the folder f; the counts."""
    (tmp_path / "f").mkdir()

    def write(names=SOME):
        data_set, outcomes, cached = some_videos(names)
        monkeypatch.setattr(room, "load_cached", lambda video, *_: (cached.get(video.video), ""))
        extraction = Extraction(Sampling(8), notes=["people may be on both sides"])
        room.write_features(tmp_path / "f", data_set, outcomes, extraction)
        return extraction.counts

    return write


def test_what_is_written_is_what_is_loaded(write, tmp_path):
    counts = write()
    _, _, cached = some_videos()
    for name, members in (("train", {"a": 0, "b": 1}), ("val", {"d": 3, "e": 4})):
        split = load_split(tmp_path / f"f/{name}_features.npy")
        parts = [cached[f"{name}/{video}.mp4"] for video in members]
        sizes = [len(part.numbers) for part in parts]
        expected = {
            "features": np.concatenate([part.features for part in parts]),
            "numbers": np.concatenate([part.numbers for part in parts]),
            "video_index": np.repeat([0, 1], sizes),
            "labels": np.repeat([i % 2 for i in members.values()], sizes),
        }
        for key, values in expected.items():
            np.testing.assert_array_equal(getattr(split, key), values)
        for row, (video, i) in zip(split.videos, members.items(), strict=True):
            names = {
                "video": f"{name}/{video}.mp4",
                "group": f"group {i}",
                "clip": f"clip {i}",
                "people": "P 1;P 2",
                "fingerprint": f"print {name}/{video}",
            }
            assert row | names == row
        assert split.has_videos and split.extraction.sampling == Sampling(8)
    assert [list(row.values()) for row in read_table(tmp_path / "f/failed.csv")] == [
        ["train/c.mp4", "0", "no video"],
        ["x.mp4", "", "left out: not where they are"],
        ["masks/", "", "left out, 4 videos: masks, not videos"],
    ]
    expected = {"found": 10, "used": 4, "failed": 1, "failed_real": 1, "failed_fake": 0}
    assert counts == expected | {"left_out": 5, "frames": {"train": 5, "val": 11}}
    report = read_json(tmp_path / "f/extraction.json")
    assert report["counts"] == counts and report["notes"] == ["people may be on both sides"]
    for name, dtype in (("features", np.float32), ("labels", np.int64), ("frames", np.int32)):
        assert np.load(tmp_path / f"f/train_{name}.npy").dtype == dtype


def test_extraction_json_comes_last_and_old_splits_go_after_it(write, tmp_path, monkeypatch):
    write()
    done, replace_file = [], os.replace
    old = [tmp_path / f"f/val_{ending}" for ending in room.FILES]

    def note(source, target):
        assert all(path.exists() for path in old)
        replace_file(source, target)
        name = os.path.basename(target)
        if not name.startswith("."):
            done.append(name)

    monkeypatch.setattr(os, "replace", note)
    write(("train/a", "train/b"))
    new = {*(f"train_{ending}" for ending in room.FILES), "failed.csv"}
    assert set(done[:-1]) == new and done[-1] == "extraction.json"
    assert set(contents(tmp_path / "f")) == set(done)


@pytest.mark.parametrize("frames", [None, 1])
def test_a_video_that_changes_during_the_run_is_an_error(tmp_path, monkeypatch, frames):
    data_set, outcomes, _ = some_videos(("train/a", "train/b"))
    changed = frames and Cached(np.zeros((1, 1000)), np.zeros(1), {})
    monkeypatch.setattr(room, "load_cached", lambda *_: (changed, ""))
    with pytest.raises(InputError, match="cached features changed during the run: run the"):
        room.write_features(tmp_path, data_set, outcomes, Extraction(Sampling(4)))
    assert not contents(tmp_path)


def test_a_split_without_a_usable_video_is_an_error_that_leaves_the_earlier_files(write, tmp_path):
    write()
    before = contents(tmp_path / "f")
    with pytest.raises(InputError, match=r"no video of the val split .*, val/c\.mp4: no video"):
        write(("train/a", "train/c", "val/c"))
    assert contents(tmp_path / "f") == before
