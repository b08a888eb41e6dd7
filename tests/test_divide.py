"""What is held out: by group, person, video or frame, whole, in the wanted share, and stable."""

from collections import defaultdict
from itertools import combinations, product

import numpy as np
import pytest
from conftest import make_split, read_table, train

from data.files import InputError, write_csv
from features.audit import audit_leaks
from features.dataset import load_split
from features.divide import LEFT_OUT, choose_number, choose_units, divide, hold_out


def groups_of(split) -> set[str]:
    return {split.videos[i]["group"] for i in split.video_index}


def people_of(split) -> set[str]:
    return {name for i in split.video_index for name in split.people(i).split(";")}


def sample_set(n=100) -> list[tuple]:
    """(name, label, people) of pairs of people with a real and a fake each, as make_sample.py."""
    videos = []
    for i in range(0, n, 2):
        for a, b in ((f"{i:03d}", f"{i + 1:03d}"), (f"{i + 1:03d}", f"{i:03d}")):
            videos += [(f"real/{a}", 0, (a,)), (f"fake/{a}_{b}", 1, (a, b))]
    return videos


def dfd(n=28) -> list[tuple]:
    """28 actors, 13 reals of each, and all pairs swapped: one group."""
    people = [f"DFD {i:02d}" for i in range(n)]
    videos = [(f"{a}__{k}", 0, (a,)) for a in people for k in range(13)]
    return videos + [(f"{a}_{b}", 1, (a, b)) for a in people for b in people if a != b]


def celeb_df(sizes=(30, 10, 10, 5)) -> list[tuple]:
    """Groups of so many people with ten reals each, pairs swapped, and reals of strangers."""
    videos, n = [(f"YouTube-real/{i:05d}", 0, ()) for i in range(300)], 0
    for size in sizes:
        people = [f"Celeb-DF id{i}" for i in range(n, n + size)]
        n += size
        videos += [(f"{a}_{k}", 0, (a,)) for a in people for k in range(10)]
        videos += [(f"{a}_{b}", 1, (a, b)) for a in people for b in people if a != b]
    return videos


def strangers(n=100) -> list[tuple]:
    return [(f"{label}{i}", label, ()) for label in (0, 1) for i in range(n)]


def units_of(tree, unit) -> list[tuple]:
    """The units of each video; a group goes by the first of its people."""
    people = [names or (name,) for name, _, names in tree]
    if unit == "person":
        return people
    part = {name: {name} for names in people for name in names}
    for names in people:
        whole = set().union(*(part[name] for name in names))
        for name in whole if len(names) > 1 else ():
            part[name] = whole
    return [(min(part[names[0]]),) for names in people]


def choose_of(tree, unit, seed=0, fraction=0.2):
    labels = np.array([label for _, label, _ in tree])
    return choose_units(labels, units_of(tree, unit), fraction, seed)


def shares_of(tree, choice) -> list[float]:
    """Of reals and of fakes, which share of what is not left out is held out."""
    labels = np.array([label for _, label, _ in tree])
    return [float(np.mean(choice.side[(labels == k) & (choice.side >= 0)])) for k in (0, 1)]


TREES = [
    (sample_set, "group", 1),
    (celeb_df, "group", 2),
    (strangers, "group", 1),
    (sample_set, "person", 2),
    (dfd, "person", 1.6),
    (celeb_df, "person", 1.7),
]


@pytest.mark.parametrize(("tree", "unit", "miss"), TREES)
def test_whole_units_in_about_the_wanted_share_of_both_classes_and_others_for_each_seed(
    tree, unit, miss
):
    videos, parts = tree(), set()
    units = units_of(videos, unit)
    for seed in range(5):
        choice = choose_of(videos, unit, seed)
        on_side = defaultdict(set)
        for side, names in zip(choice.side, units, strict=True):
            on_side[side].update(names)
        assert not on_side[0] & on_side[1]
        for names, side in zip(units, choice.side, strict=True):
            is_on_both = not (on_side[0].isdisjoint(names) or on_side[1].isdisjoint(names))
            assert (side == -1) == is_on_both
        ratios = np.array(shares_of(videos, choice)) / 0.2
        assert max(*ratios, *(1 / ratios)) == pytest.approx(choice.miss)
        assert choice.miss <= miss + 1e-9
        parts.add(choice.side.tobytes())
    assert len(parts) == 5


@pytest.mark.parametrize(("tree", "unit", "miss"), TREES)
def test_a_video_more_or_less_changes_little(tree, unit, miss):
    videos, rng, found = tree(), np.random.default_rng(0), []
    side = choose_of(videos, unit).side
    for _ in range(10):
        kept = np.sort(rng.permutation(len(videos))[len(videos) // 40 :])
        before = set(kept[side[kept] == 1])
        after = set(kept[choose_of([videos[i] for i in kept], unit).side == 1])
        found.append(len(before & after) / max(len(before), len(after)))
    assert np.mean(found) >= 0.93 and np.median(found) >= 0.9


@pytest.mark.parametrize("fraction", [1e-6, 0.01, 0.5, 0.99])
def test_both_sides_have_both_classes_whatever_the_fraction(fraction):
    for tree in (sample_set(4), strangers(2), dfd(6)):
        choice = choose_of(tree, "person" if len(tree) > 30 else "group", fraction=fraction)
        assert all(0 < share < 1 for share in shares_of(tree, choice)), tree


def make_tree(folder, tree):
    """Features of a tree whose groups are those of its people."""
    path = make_split(folder, n_groups=len(tree), frames=1)
    labels = np.array([label for _, label, _ in tree])
    rows = read_table(folder / "train_videos.csv")[: len(tree)]
    groups = units_of(tree, "group")
    for row, (name, label, people), (group,) in zip(rows, tree, groups, strict=True):
        row |= {"video": name, "label": label, "people": ";".join(people)}
        row |= {"group": group, "clip": name, "fingerprint": name}
    write_csv(folder / "train_videos.csv", rows[0], rows)
    features = np.random.default_rng(0).normal(size=(len(tree), 1000)) + labels[:, None]
    np.save(path, features.astype(np.float32))
    np.save(folder / "train_labels.npy", labels)
    np.save(folder / "train_frames.npy", np.load(folder / "train_frames.npy")[: len(tree)])
    return path


def test_people_of_one_group_are_held_out_by_person_and_what_joins_both_sides_is_left_out(
    tmp_path, capsys
):
    make_tree(tmp_path / "features", dfd(12))
    report = train(tmp_path)
    division = report["split"]
    n_left = division["n_left_out"]
    by = "by person: by group 100.0 % of the fakes are one group; "
    by += f"{division['n_held_out']} of 12 people held out, "
    assert division["by"].startswith(by)
    assert division["by"].endswith(f"; {n_left} fakes with people on both sides left out")
    assert set(division["shared"]["train-val"].values()) == {0}
    rows = read_table(tmp_path / "results/predictions.csv")
    people = defaultdict(set)
    for row in rows:
        people[row["split"]].update(row["people"].split(";"))
    assert not people["train"] & people["val"]
    assert people[LEFT_OUT] <= people["train"] | people["val"]
    left_out = [row for row in rows if row["split"] == LEFT_OUT]
    assert len(rows) == len(dfd(12))
    assert len(left_out) == n_left == report["left_out"]["videos"]["n"] > 50
    right = np.mean([row["at_T"] == row["label"] for row in left_out])
    assert report["left_out"]["videos"]["at_threshold"]["accuracy"] == pytest.approx(right)
    out = capsys.readouterr().out
    assert f"Split      {division['by']}\n" in out and "NOT THE FIGURES OF UNSEEN" not in out
    assert f"{n_left} videos with people on both sides, at T: FPR n/a, FNR " in out


def test_groups_that_can_be_held_out_are_unless_people_are_asked_for(tmp_path):
    splits = {"train": load_split(make_tree(tmp_path, sample_set(40)))}
    division = divide(splits, 0.2, 0, "group")
    assert division.report["by"] == "by group: 4 of 20 groups held out, 20.0 % of the frames"
    assert division.left_out == {} and division.report["n_left_out"] == 0
    for row in splits["train"].videos:  # what a group is called does not matter
        row["group"] = f"{10**6 - int(row['group'][-3:])}"
    again = divide(splits, 0.2, 0, "group").splits["val"]
    assert again.rows.tolist() == division.splits["val"].rows.tolist()
    division = divide(splits, 0.2, 0, "person")
    assert division.report["unit"] == "person" and "by group" not in division.report["by"]
    parts = [*division.splits.values(), division.left_out[LEFT_OUT]]
    assert not people_of(parts[0]) & people_of(parts[1])
    rows = np.concatenate([part.rows for part in parts])
    assert sorted(rows) == splits["train"].rows.tolist()
    nobody = {"train": load_split(make_split(tmp_path / "nobody"))}
    assert divide(nobody, 0.2, 0, "person").report["unit"] == "group"


def test_a_test_part_is_held_out_before_validation_in_shares_of_the_whole(tmp_path):
    split = load_split(make_tree(tmp_path / "features", sample_set(40)))
    tested = []
    for seed in range(3):
        division = divide({"train": split}, 0.4, seed, "group", 0.2)
        assert list(division.splits) == ["train", "val", "test"]
        assert division.report["by"] == (
            "by group: 4 of 20 groups held out for test, 20.0 % of the frames; "
            "8 of 16 groups held out for validation, 40.0 % of the frames"
        )
        for first, second in combinations(division.splits.values(), 2):
            assert not people_of(first) & people_of(second)
        tested.append(division.splits["test"].rows.tolist())
    assert tested[0] == tested[1] == tested[2]
    split = load_split(make_split(tmp_path / "of four frames"))
    frames = divide({"train": split}, 0.2, 0, "frame", 0.2).splits
    assert all(shared["videos"] for shared in audit_leaks(frames, "frame").values())


def test_where_people_are_held_out_for_the_one_they_are_for_both(tmp_path):
    make_tree(tmp_path / "features", dfd(12))
    report = train(tmp_path, "--test-fraction", "0.2", "--seeds", "2")
    for run in report["seeds"]:
        assert run["split"]["unit"] == "person" and run["split"]["parts"] == ["test", "val"]
    rows = read_table(tmp_path / "results/predictions.csv")
    people, tested = defaultdict(set), defaultdict(set)
    for row in rows:
        people[row["seed"], row["split"]].update(row["people"].split(";"))
        if row["split"] == "test":
            tested[row["seed"]].add(row["video"])
    assert tested["0"] == tested["1"]
    for first, second in combinations(("train", "val", "test"), 2):
        assert not people["0", first] & people["0", second]
    left_out = [row for row in rows if row["seed"] == "0" and row["split"] == LEFT_OUT]
    assert len(left_out) == report["split"]["n_left_out"] == report["left_out"]["videos"]["n"]
    assert len(rows) == 2 * len(dfd(12))


def test_people_are_held_out_where_one_group_has_most_of_a_class(tmp_path):
    split = load_split(make_tree(tmp_path, dfd(8) + sample_set(8)))
    report = divide({"train": split}, 0.2, 0, "group").report
    assert report["by"].startswith("by person: by group 92.9 % of the reals are one group; ")


def test_where_nobody_is_known_groups_are_held_out_though_they_are_large(tmp_path):
    whole = load_split(make_split(tmp_path, n_groups=6))
    for i, row in enumerate(whole.videos):  # the fakes stand alone, and two of the reals
        row["group"] = "one set of reals" if 6 <= i < 10 else row["video"]
    for seed in range(20):
        training, val, left_out = hold_out(whole, 0.2, seed)
        assert not groups_of(training) & groups_of(val) and not len(left_out.rows)
        assert set(training.labels) == set(val.labels) == {0, 1}
        np.testing.assert_array_equal(val.labels, whole.labels[val.rows])
    for row in whole.videos[6:]:
        row["group"] = "one set of reals"
    with pytest.raises(InputError, match=r"reals are of 1 group, fakes of 6 groups: add"):
        divide({"train": whole}, 0.2, 0, "group")


def test_a_seed_gives_the_split_that_it_always_gave(tmp_path):
    whole = load_split(make_split(tmp_path))
    for unit, videos in (("group", [5, 9, 15, 19]), ("video", [2, 6, 11, 18])):
        val = hold_out(whole, 0.2, 0, unit)[1]
        assert np.unique(val.video_index).tolist() == videos
    frames = [13, 16, 17, 22, 28, 29, 32, 33, 43, 45, 46, 48, 49, 58, 60, 75]
    assert hold_out(whole, 0.2, 0, "frame")[1].rows.tolist() == frames


def test_copies_of_a_file_stay_together(tmp_path):
    whole = load_split(make_split(tmp_path, n_groups=20))
    for i in range(0, 20, 2):  # the fakes of groups 0 and 1, of 2 and 3, ...
        whole.videos[i + 1]["fingerprint"] = whole.videos[i]["fingerprint"]
    for unit, seed in product(("group", "person", "video"), range(5)):
        training, val, _ = hold_out(whole, 0.2, seed, unit)
        files = [{part.fingerprint(i) for i in part.video_index} for part in (training, val)]
        assert not files[0] & files[1]
        assert unit == "video" or not groups_of(training) & groups_of(val)
        assert set(training.labels) == set(val.labels) == {0, 1}


def test_a_lost_validation_part_is_said(tmp_path):
    split = load_split(make_split(tmp_path))
    assert divide({"train": split}, 0.2, 0, "group").report["warnings"] == []
    split.extraction.counts = {"frames": {"train": 160, "val": 80}}
    division = divide({"test": split, "train": split}, 0.2, 0, "group")
    assert list(division.splits) == ["train", "val", "test"]
    assert division.report["warnings"] == ["val_features.npy of the extraction is gone"]
    division = divide({"train": split, "val": split}, 0.2, 0, "group")
    assert division.report["by"] == "as extracted" and division.splits["train"] is split


def test_a_share_is_missed_by_how_many_times_it_is_too_large_or_too_small():
    shares, possible = np.array([0, 1 / 12, 1 / 3, 1]), np.array([False, True, True, False])
    found = [choose_number([shares], possible, fraction) for fraction in (0.2, 0.1)]
    assert found == [2, 1]  # 1.7 times too large, not 2.4 times too small
