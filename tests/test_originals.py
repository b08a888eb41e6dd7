"""A fake is kept with the real video whose footage it shows, whatever the two are called."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import extract, make_split

from data.files import InputError
from features.dataset import load_split
from features.divide import hold_out
from features.originals import (
    ACROSS,
    ALIKE,
    FEWEST,
    JOINED,
    STATED,
    TOO_MANY,
    TRAINED,
    Limits,
    Originals,
    count_originals,
    describe_originals,
    find_matches,
    join_matches,
    keep_originals,
    mean_features,
)
from features.pictures import plot_originals


def near(rng, video, share) -> np.ndarray:
    """Features at about this distance of others."""
    length = share * np.linalg.norm(video) / np.sqrt(len(video))
    return video + rng.normal(size=len(video)) * length


@pytest.fixture
def made_up():
    """Means, labels and groups of 30 reals, two of which have copies, and of fakes of ten."""
    rng = np.random.default_rng(0)
    reals = rng.normal(size=(30, 1000))
    copies = [near(rng, reals[0], 0.2), near(rng, reals[0], 0.25), near(rng, reals[1], 0.3)]
    reals[7] = near(rng, reals[6], 0.7)
    shares = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.5, 1, 0.1, 1)
    fakes = [near(rng, reals[i], share) for i, share in enumerate(shares)]
    strangers = rng.normal(size=(5, 1000))
    means = np.concatenate([reals, copies, fakes, strangers]).astype(np.float32)
    labels = np.repeat([0, 0, 1, 1], [30, 3, 10, 5])
    groups = np.arange(len(means))
    groups[41] = groups[8]  # a fake whose original is known by name
    groups[7] = groups[6]  # two reals of one group, in other footage
    return means, labels, groups


def find_slowly(means, labels, groups, limits) -> dict[tuple, tuple]:
    """What find_matches finds, from the distances of all pairs."""
    lengths = np.linalg.norm(means, axis=1)
    apart = np.linalg.norm(means[:, None] - means, axis=2)
    distance = 2 * apart / np.add.outer(lengths, lengths)

    def others(i):
        reals = [j for j, label in enumerate(labels) if label == 0 and groups[j] != groups[i]]
        return sorted(reals, key=lambda j: distance[i, j])

    found = {}
    footage = {i: set(np.flatnonzero(groups == group).tolist()) for i, group in enumerate(groups)}
    for i in np.flatnonzero(labels == 0).tolist():
        near = others(i)
        for n in range(len(near) - 1, 0, -1):
            last, following = distance[i, near[n - 1]], distance[i, near[n]]
            if last < limits.copies and last < limits.ratio * following:
                for j in near[:n]:
                    if (j, i) not in found:
                        found[i, j] = distance[i, j], distance[i, j] / following
                    whole = footage[i] | footage[j]
                    footage |= dict.fromkeys(whole, whole)
                break
    for i in np.flatnonzero((labels == 1) & ~np.isin(groups, groups[labels == 0])).tolist():
        first, *more = others(i)
        other = [j for j in more if j not in footage[first] and distance[first, j] >= ALIKE]
        ratio = distance[i, first] / min(distance[i, other])
        if ratio < limits.ratio and distance[i, first] < limits.distance:
            found[i, first] = distance[i, first], ratio
    return found


@pytest.mark.parametrize("limits", [TRAINED, Limits(2, 0.5, 0.3), Limits(0.4, 1, 0.3)])
def test_the_distances_and_ratios_are_those_of_a_slow_search(made_up, limits):
    expected = find_slowly(*made_up, limits)
    matches = find_matches(*made_up, limits)
    assert {match[:2] for match in matches} == set(expected)
    for video, real, *figures in matches:
        np.testing.assert_allclose(figures, expected[video, real], rtol=1e-4)
    assert [match[2] for match in matches] == sorted(match[2] for match in matches)


def test_a_copy_of_the_original_is_not_the_next_real_though_it_is_far():
    """Each real lies there compressed twice more, and a fake is as far as these are."""
    rng = np.random.default_rng(1)
    reals = rng.normal(size=(12, 1000))
    shown = np.concatenate([np.arange(12), np.repeat(np.arange(12), 2), np.arange(12)])
    shares = np.repeat([0, 0.35, 0.5], [12, 24, 12]) + 0.05 * (np.arange(48) % 2)
    means = np.array([near(rng, reals[i], share) for i, share in zip(shown, shares, strict=True)])
    matches = find_matches(means.astype(np.float32), np.repeat([0, 1], [36, 12]), np.arange(48))
    assert all(shown[video] == shown[real] for video, real, *_ in matches)
    assert {video for video, *_ in matches if video >= 36} == set(range(36, 48))


def test_means_are_standardised_over_all_videos(tmp_path):
    splits, means = {}, []
    for seed, name in enumerate(("train", "test")):
        path = make_split(tmp_path, name, n_groups=3, frames=3, seed=seed)
        splits[name] = load_split(path)
        means.extend(np.load(path).astype(float).reshape(6, 3, 1000).mean(axis=1))
    order = np.random.default_rng(0).permutation(18)
    splits["train"] = splits["train"].part(order)  # frames of a video need not lie together
    expected = (means - np.mean(means, axis=0)) / np.std(means, axis=0)
    np.testing.assert_allclose(mean_features(splits), expected, atol=1e-4)


def footage(name: str, group: str = "", people: str = "", split: str = "train") -> dict:
    """A row as join_matches takes it."""
    row = {"video": name, "label": str(int(name.startswith("fake"))), "people": people}
    return row | {"split": split, "key": ("root", group or name)}


def join(pairs, videos) -> tuple[list, list]:
    """The outcomes of matches of these pairs of names, and the groups of the videos by then."""
    number = {row["video"]: i for i, row in enumerate(videos)}
    matches = [(number[fake], number[real]) for fake, real in pairs]
    outcomes, joined = join_matches(matches, videos)
    groups = defaultdict(list)
    for row in videos:
        groups[joined.find(row["key"])].append(row)
    for (_, name), rows in groups.items():  # a group goes by the name of that of a real video
        reals = [row["key"][1] for row in rows if row["label"] == "0"]
        assert not reals or name in reals
    return outcomes, sorted(sorted(row["video"] for row in rows) for rows in groups.values())


def test_a_fake_brings_its_group_to_that_of_its_original():
    names = {"fake a": "x", "fake b": "x", "real c": "y", "real d": "y", "real e": ""}
    videos = [footage(name, group) for name, group in names.items()]
    outcomes, groups = join([("fake a", "real c"), ("fake b", "real d")], videos)
    assert outcomes == [JOINED, JOINED]
    assert groups == [["fake a", "fake b", "real c", "real d"], ["real e"]]


def test_what_the_data_set_keeps_apart_is_not_joined_even_through_others():
    people = {"real a": "anna", "real b": "ben", "real c": "~anna", "fake d": "carl"}
    videos = [footage(name, people=names) for name, names in people.items()]
    pairs = [("fake d", "real a"), ("real c", "real a"), ("real c", "real b")]
    outcomes, groups = join(pairs, videos)
    assert outcomes == [STATED, JOINED, STATED]
    assert groups == [["fake d"], ["real a", "real c"], ["real b"]]
    pairs = [("fake d", "real c"), ("real c", "real a")]
    assert join(pairs, videos)[0] == [JOINED, STATED]


@pytest.mark.parametrize(("n_others", "together"), [(0, 6), (100, 15)])
def test_a_chain_does_not_run_away(n_others, together):
    videos = [footage(f"real {i:03d}") for i in range(40 + n_others)]
    names = [row["video"] for row in videos[:40]]
    outcomes, groups = join(list(zip(names[1:], names, strict=False)), videos)
    assert len(groups[0]) == max(map(len, groups)) == together
    assert TOO_MANY in outcomes and JOINED in outcomes


def test_large_groups_that_names_have_made_may_still_be_joined_to_a_fake():
    videos = [footage(f"real {i}", "set") for i in range(30)] + [footage("fake"), footage("real a")]
    outcomes, groups = join([("real a", "real 3"), ("fake", "real 3")], videos)
    assert outcomes == [JOINED, JOINED] and len(groups) == 1


def test_copies_have_one_name_whichever_was_found_first_and_splits_stay_apart():
    videos = [footage("real a"), footage("real b"), footage("fake c", split="test")]
    for match in ((0, 1), (1, 0)):
        assert join_matches([match], videos)[1].find(("root", "real b")) == ("root", "real a")
    assert join_matches([(2, 1)], videos)[0] == [ACROSS]


def scene(seed: int) -> np.ndarray:
    """A still picture of large soft spots of colour, (96, 128, 3)."""
    spots = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    return cv2.resize(spots, (128, 96), interpolation=cv2.INTER_CUBIC)


def write_scene(path: Path, picture: np.ndarray, size=(128, 96)) -> None:
    """A clip of a picture that moves a little."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [np.roll(picture, 2 * i, axis=1) for i in range(6)]
    write_frames(path, [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def write_frames(path: Path, frames: list[np.ndarray]) -> None:
    fourcc = cv2.VideoWriter_fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), fourcc, 25, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(frame)
    writer.release()


@pytest.fixture
def scenes(quick_backbone, tmp_path) -> Path:
    """Features of twelve reals, copies of two, and fakes of two, all under names that say nothing.

    What they show is the second word of their names: anna's 03 is 3.mp4's.
    """
    videos = tmp_path / "videos"
    for i in range(12):
        write_scene(videos / f"real/{chr(97 + i)}-{i}.mp4", scene(i))
    write_scene(videos / "real/again-3.avi", scene(3))
    write_scene(videos / "real/small-4.mp4", scene(4), (64, 48))
    for i in (5, 6):
        swapped = scene(i)
        swapped[30:54, 50:70] = scene(100 + i)[30:54, 50:70]
        write_scene(videos / f"fake/swap-{i}.mp4", swapped, (112, 84))
    for i in (50, 51):
        write_scene(videos / f"fake/stranger{i}-{i}.mp4", scene(i))
    extract(videos, tmp_path / "features")
    return tmp_path / "features"


def test_real_clips_under_names_that_say_nothing(real_videos, tmp_path):
    """By the first frames of each, and an untrained network."""
    reals = [*real_videos.glob("faceforensics/original_sequences/**/*.mp4")]
    reals += real_videos.glob("dfdc/dfdc_train_part_1/*.mp4")
    fakes = [*real_videos.glob("faceforensics/manipulated_sequences/**/videos/*.mp4")]
    shown = {}  # name: the clip's own name, which begins with its original's
    for label, clips in (("real", sorted(reals)), ("fake", sorted(fakes))):
        (tmp_path / "videos" / label).mkdir(parents=True)
        for i, clip in enumerate(clips):
            name = f"{label}/{chr(97 + i)}{label}-{i}.avi"
            capture = cv2.VideoCapture(str(clip))
            write_frames(tmp_path / "videos" / name, [capture.read()[1] for _ in range(4)])
            shown[name] = clip.stem
    extract(tmp_path / "videos", tmp_path / "features")
    split = load_split(tmp_path / "features/train_features.npy")
    matches = keep_originals({"train": split}).matches
    pairs = {(shown[match["video"]], shown[match["real"]]) for match in matches}
    assert pairs == {("004_982", "004"), ("519_515", "519"), ("634_660", "634")}


def number_of(name: str) -> str:
    return Path(name).stem.split("-")[1]


def numbers_in(split) -> set[str]:
    return {number_of(split.name(i)) for i in split.video_index}


def test_videos_of_the_same_footage_are_kept_together(scenes):
    split = load_split(scenes / "train_features.npy")
    for row in split.videos:
        if row["video"] == "real/f-5.mp4":
            row["people"] = "anna"
    found = keep_originals({"train": split})
    pairs = {number_of(row["video"]): number_of(row["real"]) for row in found.matches}
    assert pairs == {number: number for number in "3456"}
    assert {row["outcome"] for row in found.matches} == {JOINED}
    groups, kept = defaultdict(set), found.splits["train"]
    for row in kept.videos:
        groups[row["group"]].add(number_of(row["video"]))
    assert len(groups) == 14 and all(len(numbers) == 1 for numbers in groups.values())
    with_people = {row["video"]: row["people"] for row in kept.videos if row["people"]}
    assert with_people == dict.fromkeys(("real/f-5.mp4", "fake/swap-5.mp4"), "anna")
    counts = count_originals(found)
    assert (counts["looked_for"], counts["found"], counts["copies"]) == (4, 2, 2)
    first, second = describe_originals(found)
    assert "of 4 fakes without a known original 2 look like a real video here" in first
    assert "2 real videos look like copies of others and join their groups" in second
    for seed in range(5):
        train, val, _ = hold_out(kept, 0.3, seed)
        assert not numbers_in(train) & numbers_in(val)
    assert all(row["group"] == row["video"] for row in split.videos)  # this one is not changed


def test_splits_of_the_data_are_audited_and_not_changed(scenes):
    whole = load_split(scenes / "train_features.npy")
    is_fake = whole.labels == 1
    found = keep_originals({"train": whole.part(~is_fake), "test": whole.part(is_fake)})
    assert all(row["group"] == row["video"] for row in found.splits["test"].videos[:4])
    across = [row for row in found.matches if row["outcome"] == ACROSS]
    assert {number_of(row["video"]) for row in across} == {"5", "6"}
    *_, line = describe_originals(found)
    like = "Leak audit by content: 2 fakes of test look like real videos of train"
    assert line == f"WARNING: {like}, {across[0]['video']} and {across[0]['real']} for one"


def test_few_real_videos_and_bare_features(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=FEWEST - 1))
    for row in split.videos:  # nothing is known by name
        row["group"] = row["video"]
    bare = replace(split, videos=[])
    few = f"of {FEWEST - 1} fakes without a known original none was looked for"
    for splits in ({"train": split}, {"test": bare, "train": split}):
        found = keep_originals(splits)
        (line,) = describe_originals(found)
        assert few in line and list(found.splits) == list(splits)
        assert found.splits["train"].videos == split.videos
        assert count_originals(found) is None  # not 0 of 0 found
    known = load_split(make_split(tmp_path))  # originals are known by name
    for split in (bare, known):
        found = keep_originals({"train": split})
        assert found.splits["train"].videos == split.videos
        assert found.n_fakes == 0 and describe_originals(found) == []


def test_the_picture_shows_the_middle_frames_of_the_pairs(scenes):
    found = keep_originals({"train": load_split(scenes / "train_features.npy")})
    figure = plot_originals(found)
    shown = [axes for axes in figure.axes if axes.get_images()]
    assert len(shown) == 2 * len(found.matches)
    for row, left, right in zip(found.matches, shown[::2], shown[1::2], strict=True):
        figures = f"distance {row['distance']:.2f}, ratio {row['ratio']:.2f}"
        assert left.get_title() == f"{row['video'][:4]}: {row['video']}\nframe 3\n{figures}"
        assert right.get_title() == f"real: {row['real']}\nframe 3\none group"
        ours, theirs = (np.asarray(axes.get_images()[0].get_array(), int) for axes in (left, right))
        assert np.median(abs(ours - theirs)) < 12  # the same scene, at the same time
    assert len(found.matches) > 1
    title = plot_originals(found, most=1).get_suptitle()
    assert title.startswith(f"The nearest 1 of {len(found.matches)} pairs ")
    with pytest.raises(InputError, match="no fake looks like a real video here"):
        plot_originals(Originals({}))
