"""Originals: which real video a fake was made from, by the features themselves."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

from data.groups import BY_NAME, Joined
from features.dataset import Split, complete_people


class Limits(NamedTuple):
    """How near two videos must be to show the same footage."""

    distance: float  # of a fake and its original
    ratio: float  # of that to the distance of the next real video of other footage (Lowe 2004)
    copies: float  # distance of two real videos


TRAINED = Limits(distance=0.7, ratio=0.5, copies=0.6)
UNTRAINED = Limits(distance=0.35, ratio=0.3, copies=0.35)  # it sees little but colour and light
ALIKE = 0.35  # reals that are nearer to an original say nothing of a fake, though they be no copies
FEWEST = 4  # groups with a real video: among fewer, the next one means nothing
NEAREST = 16  # real videos that are looked at for each video
MOST_ADDED = 5  # videos that matches may always add to a group: a fake by each of five methods

# What becomes of a match
JOINED = "one group"
STATED = "apart by the data set"
TOO_MANY = "the group would be too large"
ACROSS = "in another split"
ORIGINALS_COLUMNS = (
    *("video", "split", "real", "real_split"),
    *("distance", "ratio", "label", "outcome"),
)


@dataclass
class Originals:
    """What was looked for, and what was found."""

    splits: dict[str, Split]  # with each fake in the group of the real video that it shows
    n_fakes: int = 0  # that belong to no real video by name
    n_groups: int = 0  # that have a real video; among fewer than FEWEST none is looked for
    matches: list[dict] = field(default_factory=list)  # rows of originals.csv, nearest first


# --- Finding ---


def mean_features(splits: dict[str, Split]) -> np.ndarray:
    """(V, 1000) float32: each video's mean over its frames, standardised over all videos.

    The videos are those of the splits in turn, in order. A video is read at a time: the features
    may be larger than the memory.
    """
    means = []
    for split in splits.values():
        order = np.argsort(split.video_index, kind="stable")
        starts = np.unique(split.video_index[order], return_index=True)[1]
        for rows in np.split(order, starts[1:]):
            means.append(split.gather(split.rows[rows]).numpy().mean(axis=0))
    means = np.stack(means)
    deviation = means.std(axis=0)
    deviation[deviation == 0] = 1
    means -= means.mean(axis=0)
    means /= deviation
    return means


def distances(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(k,) distances of (1000,) and (k, 1000) features: |a - b| / ((|a| + |b|) / 2), 0 to 2."""
    lengths = np.linalg.norm(one) + np.linalg.norm(others, axis=1)
    return 2 * np.linalg.norm(others - one, axis=1) / np.maximum(lengths, 1e-12)


def find_nearest(means: np.ndarray, videos: np.ndarray, reals: np.ndarray, groups: np.ndarray):
    """Of each of these videos the nearest reals of other groups, and their distances, ascending."""
    finder = NearestNeighbors(n_neighbors=min(NEAREST, len(reals)), algorithm="brute")
    nearest = finder.fit(means[reals]).kneighbors(means[videos], return_distance=False)
    for video, others in zip(videos.tolist(), reals[nearest], strict=True):
        others = others[groups[others] != groups[video]]
        distance = distances(means[video], means[others])
        order = np.argsort(distance, kind="stable")
        yield video, others[order].tolist(), distance[order]


def find_matches(
    means: np.ndarray, labels: np.ndarray, groups: np.ndarray, limits: Limits = TRAINED
) -> list[tuple[int, int, float, float]]:
    """(video, real, distance, ratio) of copies among the reals, and of fakes without a real.

    `means` (V, 1000) are those of mean_features, `labels` and `groups` are (V,): a fake is looked
    for if no real is in its group. Reals are copies of each other if the next one is much farther.
    These are one footage then, so that the copy of an original is not the next one to a fake.
    Nearest first.
    """
    groups = np.unique(groups, return_inverse=True)[1]
    reals = np.flatnonzero(labels == 0)
    if len(np.unique(groups[reals])) < FEWEST:
        return []
    lone = np.flatnonzero((labels == 1) & ~np.isin(groups, groups[reals]))
    found, footage = {}, Joined()
    for video, others, distance in find_nearest(means, np.append(reals, lone), reals, groups):
        if labels[video] == 0:
            is_far = distance[:-1] >= np.minimum(limits.copies, limits.ratio * distance[1:])
            n_copies = max(np.flatnonzero(~is_far), default=-1) + 1
            for i in range(n_copies):
                footage.join(groups[video], groups[others[i]])
                if (others[i], video) not in found:
                    found[video, others[i]] = distance[i], distance[i] / distance[n_copies]
        else:  # the footage of all reals is known by now
            shown = np.array([footage.find(groups[real]) for real in others])
            is_other = (shown != shown[0]) & (distances(means[others[0]], means[others]) >= ALIKE)
            next_distance = min(distance[is_other], default=distance[-1])
            ratio = distance[0] / max(next_distance, 1e-12)
            if distance[0] < limits.distance and ratio < limits.ratio:
                found[video, others[0]] = distance[0], ratio
    matches = [(*pair, *map(float, figures)) for pair, figures in found.items()]
    return sorted(matches, key=lambda match: match[2])


# --- Joining ---


def keep_originals(splits: dict[str, Split]) -> Originals:
    """Put each fake into the group of the real video that it shows, and copies of reals into one.

    The rows of `videos` whose group changes keep the old one as `named_group`. Splits of unknown
    videos stay as they are.
    """
    known = {name: split for name, split in splits.items() if split.has_videos}
    if not known:
        return Originals(splits)
    rows = []  # of the videos of mean_features
    for name, split in known.items():
        shown = [split.videos[i] for i in np.unique(split.video_index)]
        rows += [row | {"split": name, "key": group_key(row)} for row in shown]
    keys = [row["key"] for row in rows]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    groups = np.array([number[key] for key in keys])
    labels = np.array([int(row["label"]) for row in rows])
    with_real = np.unique(groups[labels == 0])
    n_fakes = int(((labels == 1) & ~np.isin(groups, with_real)).sum())
    extractions = [split.extraction for split in known.values() if split.extraction]
    is_untrained = any(each.weights["name"] == "random" for each in extractions)
    limits = UNTRAINED if is_untrained else TRAINED
    matches = find_matches(mean_features(known), labels, groups, limits)
    outcomes, joined = join_matches(matches, rows)
    table = []
    for (i, j, distance, ratio), outcome in zip(matches, outcomes, strict=True):
        video, real = rows[i], rows[j]
        pair = video["video"], video["split"], real["video"], real["split"]
        figures = round(distance, 4), round(ratio, 4)
        cells = *pair, *figures, video["label"], outcome
        table.append(dict(zip(ORIGINALS_COLUMNS, cells, strict=True)))
    renamed = {name: rename_groups(split, joined) for name, split in known.items()}
    return Originals(splits | renamed, n_fakes, len(with_real), table)


def group_key(row: dict) -> tuple[str, str]:
    """A group with the folder in which its name means it: of several sets, in all."""
    return "" if row["set"] else row["root"], row["group"]


def join_matches(matches: list[tuple], rows: list[dict]) -> tuple[list[str], Joined]:
    """What becomes of each match, (video, real, ...) by their numbers in `rows`; joined groups.

    The nearest come first. A match joins nothing across splits, and no two groups of which both
    have people that the data set tells: it would have joined them. To what names have joined,
    matches add at most MOST_ADDED videos, or a tenth of all if that is more. The group of a real
    video keeps its name, of two reals the first one.
    """
    joined, outcomes = Joined(), []
    size = Counter(row["key"] for row in rows)
    by_name = dict(size)  # the size of the largest part that names have joined
    with_people = set()
    for row in rows:
        if any(name and not name.startswith(BY_NAME) for name in row["people"].split(";")):
            with_people.add(row["key"])
    most_added = max(MOST_ADDED, len(rows) // 10)
    for video, real, *_ in matches:
        first, second = (joined.find(rows[i]["key"]) for i in (real, video))
        if rows[video]["label"] == "0":
            first, second = sorted((first, second))
        total, largest = size[first] + size[second], max(by_name[first], by_name[second])
        outcome = JOINED
        if rows[video]["split"] != rows[real]["split"]:
            outcome = ACROSS
        elif first != second and {first, second} <= with_people:
            outcome = STATED
        elif first != second and total - largest > most_added:
            outcome = TOO_MANY
        elif first != second:
            joined.join(first, second)
            size[first], by_name[first] = total, largest
            if second in with_people:
                with_people.add(first)
        outcomes.append(outcome)
    return outcomes, joined


def rename_groups(split: Split, joined: Joined) -> Split:
    """The split with the new groups in the rows of its videos, and the people of these."""
    rows = []
    for row in split.videos:
        new = joined.find(group_key(row))[1]
        changed = {"group": new, "named_group": row["group"]} if new != row["group"] else {}
        rows.append(row | changed)
    complete_people(rows)
    return replace(split, videos=rows)


# --- Saying it ---


def count_originals(found: Originals) -> dict | None:
    """What metrics.json holds of a search; None where nothing was looked for."""
    if found.n_groups < FEWEST:
        return None
    labels = Counter(match["label"] for match in found.matches)
    outcomes = Counter(match["outcome"] for match in found.matches)
    counts = {"looked_for": found.n_fakes, "found": labels["1"], "copies": labels["0"]}
    return counts | {outcome: outcomes[outcome] for outcome in (JOINED, STATED, TOO_MANY, ACROSS)}


def describe_originals(found: Originals) -> list[str]:
    """The lines for the screen; none where names tell all that there is to tell."""
    looked_for = f"Originals  of {found.n_fakes} fakes without a known original"
    if found.n_fakes and found.n_groups < FEWEST:
        few = f"{found.n_groups} groups with real videos are too few to tell"
        return [f"{looked_for} none was looked for: {few}"]
    alike = defaultdict(list)
    for match in found.matches:
        place = (match["split"], match["real_split"]) if match["outcome"] == ACROSS else ()
        alike[match["outcome"], match["label"], *place].append(match)
    lines = []
    if found.n_fakes:
        n = len(alike.pop((JOINED, "1"), ()))
        together = " and join its group (originals.csv)" if n else ""
        lines.append(f"{looked_for} {n} look like a real video here{together}")
    copies = {match["video"] for match in alike.pop((JOINED, "0"), ())}
    if copies:
        n = len(copies)
        lines.append(f"Originals  {n} real videos look like copies of others and join their groups")
    for (outcome, label, *place), matches in alike.items():
        what = f"{len(matches)} {'fakes' if label == '1' else 'real videos'}"
        example = f"{matches[0]['video']} and {matches[0]['real']} for one"
        line = f"{what} look like a real one, not joined ({outcome}): {example}"
        if outcome == ACROSS:
            across = f"{what} of {place[0]} look like real videos of {place[1]}, {example}"
            line = f"Leak audit by content: {across}"
        lines.append(f"WARNING: {line}")
    return lines
