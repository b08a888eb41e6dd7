"""Originals: which real video a fake was made from, by the features themselves."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.neighbors import NearestNeighbors

from features.dataset import Split
from features.extraction import Extraction


@dataclass(frozen=True)
class Limits:
    """How near the nearest real video must be to count as the original."""

    distance: float
    ratio: float  # to the distance of the next one (Lowe 2004)


TRAINED = Limits(distance=0.7, ratio=0.5)
UNTRAINED = Limits(distance=0.35, ratio=0.3)  # such a network sees little but colour and light
COPIES = 0.35  # real videos that are nearer show the same footage, compressed or scaled
FEWEST = 4  # groups with a real video: among fewer, the next one means nothing
NEAREST = 16  # real videos that are looked at for each video
MOST_ADDED = 5  # videos that matches may always add to a group: a fake by each of five methods
CHUNK = 8192  # videos that are looked for at a time

# What becomes of a match
JOINED = "kept together"
STATED = "apart by the data set"
TOO_MANY = "the group would be too large"
ACROSS = "in another split"
OUTCOMES = (JOINED, STATED, TOO_MANY, ACROSS)
ORIGINALS_COLUMNS = ("video", "real", "distance", "ratio", "label", "outcome")


@dataclass
class Footage:
    """A video as it is compared."""

    split: str
    row: dict  # of <split>_videos.csv
    number: int  # of its middle frame
    extraction: Extraction | None

    @property
    def video(self) -> str:
        return self.row["video"]

    @property
    def group(self) -> tuple[str, str]:
        """Its group and where that name means something: below one folder of videos."""
        return self.extraction.videos_dir if self.extraction else "", self.row["group"]


@dataclass
class Match:
    """A video and the real one that it seems to show."""

    fake: Footage  # or a real video too: a copy
    real: Footage
    distance: float
    ratio: float  # to the distance of the next real video of other footage
    outcome: str = ""


@dataclass
class Search:
    """What was looked for, and what was found, nearest first."""

    n_fakes: int = 0  # that belong to no real video by name
    n_groups: int = 0  # that have a real video; among fewer than FEWEST none is looked for
    matches: list[Match] = field(default_factory=list)


# --- Finding ---


def mean_features(splits: dict[str, Split]) -> np.ndarray:
    """(V, 1000) float32: each video's mean over its frames, standardised over all videos.

    The videos are those of the splits in turn, in order. A video is read at a time: the features
    may be larger than the memory.
    """
    means = []
    for split in splits.values():
        for rows in rows_of_videos(split):
            means.append(split.gather(split.rows[rows]).numpy().mean(axis=0))
    means = np.stack(means)
    deviation = means.std(axis=0)
    deviation[deviation == 0] = 1
    means -= means.mean(axis=0)
    means /= deviation
    return means


def rows_of_videos(split: Split) -> list[np.ndarray]:
    """The frames of each video of a split, by video."""
    order = np.argsort(split.video_index, kind="stable")
    starts = np.unique(split.video_index[order], return_index=True)[1]
    return np.split(order, starts[1:])


def distances(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(k,) distances of (1000,) and (k, 1000) features: |a - b| / ((|a| + |b|) / 2), 0 to 2."""
    lengths = np.linalg.norm(one) + np.linalg.norm(others, axis=1)
    return 2 * np.linalg.norm(others - one, axis=1) / np.maximum(lengths, 1e-12)


def find_matches(
    means: np.ndarray, labels: np.ndarray, groups: np.ndarray, limits: Limits = TRAINED
) -> list[tuple[int, int, float, float]]:
    """(video, real, distance, ratio) of the fakes without a real in their group, and of copies.

    `means` (V, 1000) are those of mean_features, `labels` and `groups` are (V,). Nearest first.
    """
    groups = np.unique(groups, return_inverse=True)[1]
    reals = np.flatnonzero(labels == 0)
    if len(np.unique(groups[reals])) < FEWEST:
        return []
    finder = NearestNeighbors(n_neighbors=min(NEAREST, len(reals)), algorithm="brute")
    finder.fit(means[reals])
    looked_for = np.flatnonzero((labels == 0) | ~np.isin(groups, groups[reals]))
    found = {}
    for start in range(0, len(looked_for), CHUNK):
        videos = looked_for[start : start + CHUNK]
        nearest = reals[finder.kneighbors(means[videos], return_distance=False)]
        for video, candidates in zip(videos.tolist(), nearest, strict=True):
            real, distance, ratio = compare(video, candidates, means, groups)
            most = limits.distance if labels[video] == 1 else COPIES
            if distance < most and ratio < limits.ratio and (real, video) not in found:
                found[video, real] = distance, ratio
    matches = [(*pair, *figures) for pair, figures in found.items()]
    return sorted(matches, key=lambda match: match[2])


def compare(video, candidates, means, groups) -> tuple[int, float, float]:
    """The nearest real video of another group, its distance, and the ratio to the next one.

    The next one is neither of the first one's group nor a copy of it. Where all candidates are, it
    is at least as far as the last.
    """
    candidates = candidates[groups[candidates] != groups[video]]
    if len(candidates) < 2:
        return video, np.inf, np.inf
    distance = distances(means[video], means[candidates])
    order = np.argsort(distance, kind="stable")
    candidates, distance = candidates[order], distance[order]
    first = candidates[0]
    is_same = groups[candidates] == groups[first]
    is_same |= distances(means[first], means[candidates]) < COPIES
    others = distance[~is_same]
    next_distance = others[0] if len(others) else distance[-1]
    return int(first), float(distance[0]), float(distance[0] / max(next_distance, 1e-12))


# --- Joining ---


def keep_originals(splits: dict[str, Split]) -> tuple[dict[str, Split], Search]:
    """The splits, with each fake in the group of the real video it shows; and what was found.

    The rows of `videos` whose group changes keep the old one as `named_group`. Splits of unknown
    videos come back as they are.
    """
    known = {name: split for name, split in splits.items() if split.has_videos}
    if not known:
        return splits, Search()
    videos = list_footage(known)
    number = {}
    groups = np.array([number.setdefault(video.group, len(number)) for video in videos])
    labels = np.array([int(video.row["label"]) for video in videos])
    with_real = np.unique(groups[labels == 0])
    n_fakes = int(((labels == 1) & ~np.isin(groups, with_real)).sum())
    extractions = [split.extraction for split in known.values() if split.extraction]
    is_untrained = any(each.weights["name"] == "random" for each in extractions)
    limits = UNTRAINED if is_untrained else TRAINED
    matches = []
    for video, real, *figures in find_matches(mean_features(known), labels, groups, limits):
        matches.append(Match(videos[video], videos[real], *figures))
    joined = join_matches(matches, videos)
    renamed = {name: rename_groups(split, joined) for name, split in known.items()}
    return splits | renamed, Search(n_fakes, len(with_real), matches)


def list_footage(splits: dict[str, Split]) -> list[Footage]:
    """The videos of mean_features."""
    videos = []
    for name, split in splits.items():
        for rows in rows_of_videos(split):
            middle = rows[len(rows) // 2]
            row = split.videos[split.video_index[middle]]
            videos.append(Footage(name, row, int(split.numbers[middle]), split.extraction))
    return videos


def join_matches(matches: list[Match], videos: list[Footage]) -> dict[tuple, tuple]:
    """{group: new group} of the groups that matches join; sets the outcome of each match.

    The nearest come first. A match joins nothing across splits, and no two groups of which both
    have people: the data set would have joined them. To what names have joined, matches add at most
    a tenth of the videos.
    """
    joined = {}  # group: another one that it is now a part of
    size = Counter(video.group for video in videos)
    by_name = dict(size)  # the size of the largest part that names have joined
    with_people = {video.group for video in videos if video.row.get("people")}
    most_added = max(MOST_ADDED, len(videos) // 10)
    for match in matches:
        first, second = (find_whole(joined, each.group) for each in (match.real, match.fake))
        total, largest = size[first] + size[second], max(by_name[first], by_name[second])
        if match.fake.split != match.real.split:
            match.outcome = ACROSS
        elif first == second:
            match.outcome = JOINED
        elif {first, second} <= with_people:
            match.outcome = STATED
        elif total - largest > most_added:
            match.outcome = TOO_MANY
        else:
            match.outcome = JOINED
            joined[second] = first
            size[first], by_name[first] = total, largest
            if second in with_people:
                with_people.add(first)
    return {group: find_whole(joined, group) for group in joined}


def find_whole(joined: dict, group: tuple) -> tuple:
    """The group that a group is now a part of: itself, or what it was joined to."""
    while group in joined:
        group = joined[group]
    return group


def rename_groups(split: Split, joined: dict[tuple, tuple]) -> Split:
    """The split with the new groups in the rows of its videos."""
    root = split.extraction.videos_dir if split.extraction else ""
    rows = []
    for row in split.videos:
        _, new = joined.get((root, row["group"]), (root, row["group"]))
        rows.append(
            row if new == row["group"] else row | {"group": new, "named_group": row["group"]}
        )
    return replace(split, videos=rows)


# --- Saying it ---


def summarise_search(search: Search) -> dict | None:
    """What metrics.json holds of a search; None where nothing was looked for."""
    if search.n_groups < FEWEST:
        return None
    found = Counter(match.fake.row["label"] for match in search.matches)
    outcomes = Counter(match.outcome for match in search.matches)
    summary = {"looked_for": search.n_fakes, "found": found["1"], "copies": found["0"]}
    return summary | {outcome: outcomes[outcome] for outcome in OUTCOMES}


def describe_originals(search: Search) -> list[str]:
    """The lines for the screen; none where names tell all that there is to tell."""
    looked_for = f"of {search.n_fakes} fakes without a known original"
    if search.n_fakes and search.n_groups < FEWEST:
        few = f"{search.n_groups} groups with real videos are too few to tell"
        return [f"Originals  {looked_for} none was looked for: {few}"]
    kept = Counter(each.fake.row["label"] for each in search.matches if each.outcome == JOINED)
    lines = []
    if search.n_fakes:
        found = f"{kept['1']} look like a real video here"
        together = ": kept together (originals.csv)" if kept["1"] else ""
        lines.append(f"Originals  {looked_for} {found}{together}")
    if kept["0"]:
        lines.append(f"Originals  {kept['0']} real videos look like copies: kept together")
    for outcome in (STATED, TOO_MANY):
        refused = [match for match in search.matches if match.outcome == outcome]
        if refused:
            found = f"{len(refused)} videos look like a real one"
            lines.append(f"WARNING: {found}, not kept together ({outcome}): {name_one(refused)}")
    return lines + audit_content(search)


def audit_content(search: Search) -> list[str]:
    """A warning for each pair of splits of which one has videos that look like reals of another."""
    across = defaultdict(list)
    for match in search.matches:
        if match.outcome == ACROSS:
            kind = "fakes" if match.fake.row["label"] == "1" else "real videos"
            across[kind, match.fake.split, match.real.split].append(match)
    lines = []
    for (kind, split, other), matches in across.items():
        found = f"{len(matches)} {kind} of {split} look like real videos of {other}"
        lines.append(f"WARNING: Leak audit by content: {found}, {name_one(matches)}")
    return lines


def name_one(matches: list[Match]) -> str:
    return f"{matches[0].fake.video} and {matches[0].real.video} for one"


def describe_matches(search: Search) -> list[dict]:
    """The lines of originals.csv, nearest first."""
    rows = []
    for match in search.matches:
        row = {"video": match.fake.video, "real": match.real.video}
        row |= {"distance": round(match.distance, 4), "ratio": round(match.ratio, 4)}
        rows.append(row | {"label": match.fake.row["label"], "outcome": match.outcome})
    return rows
