"""Forest Path Cutting: tracklets joined across gaps into long tracks.

K tracklets in the order of (first frame, last frame), numbered from 0; T frames; D length of a ReID
descriptor. Source: UnOVOST (Luiten, Zulfikar, Leibe, WACV 2020), the tracker Liu et al. 2021 use
"with the same hyper-parameters as the original work" (Sec. 4.2). The WACV text and the released
program may differ; this is the program, with its defects mended (``warp_tracklets.chain_links``; a
video of one tracklet or none is fine).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

from wsvis.tracking.config import TrackingConfig
from wsvis.tracking.cutouts import Sampling
from wsvis.tracking.detections import Detection, clipped
from wsvis.tracking.warp_tracklets import warp_tracklets
from wsvis.types import FrameInstances

NO_PARENT = -1


def descriptor_distances(descriptors: Float[np.ndarray, "K D"]) -> Float[np.ndarray, "K K"]:
    """||f_a - f_b|| over the largest such distance in the video: 0 (alike) to 1.

    UnOVOST: f_k is the mean ReID vector of tracklet k, Dmax = max ||f_a - f_b||. All zero when all
    descriptors are equal.
    """
    distances = cdist(descriptors, descriptors)
    largest = distances.max(initial=0)
    return distances / largest if largest > 0 else np.zeros_like(distances)


def forest_parents(
    starts: Int[np.ndarray, " K"], ends: Int[np.ndarray, " K"], distances: Float[np.ndarray, "K K"]
) -> list[int]:
    """The tracklet each tracklet continues; ``NO_PARENT`` for those with nothing before them.

    Candidates of k end before k starts (e_q < s_k). Let q1 and q2 be the two most alike, ties to
    the lower number. parent(k) = q2 where q2 itself continues q1 (q1 then is on q2's chain, and the
    later link is the better place to attach), else q1.

    Args:
        starts: s_k, first frame of each tracklet; (s_k, e_k) ascending.
        ends: e_k, last frame.
        distances: how unlike two tracklets are; only their order matters.

    Returns:
        K parents, each lower than its child: a forest over time.
    """
    parents: list[int] = []
    for k in range(len(starts)):
        candidates = np.flatnonzero(ends[:k] < starts[k])
        nearest = candidates[np.argsort(distances[k, candidates], kind="stable")[:2]].tolist()
        if not nearest:
            parents.append(NO_PARENT)
        elif len(nearest) == 2 and parents[nearest[1]] == nearest[0]:
            parents.append(nearest[1])
        else:
            parents.append(nearest[0])
    return parents


def cut_paths(
    parents: Sequence[int],
    starts: Int[np.ndarray, " K"],
    ends: Int[np.ndarray, " K"],
    distances: Float[np.ndarray, "K K"],
    length: int,
    *,
    coverage_weight: float = 0.9,
    similarity_weight: float = 0.1,
) -> list[list[int]]:
    """Take the best path out of each tree, again and again, until every tracklet is in one.

    The score of a path from a root to a leaf is
        coverage_weight * sum_k (e_k - s_k) / T
        + similarity_weight * max over pairs (a, b) on the path of (1 - distance(a, b)),
    the second term 0 for a single tracklet. So one-frame tracklets add no coverage, and one alike
    pair is enough for full similarity. Ties go to the later last frame, then to the first path in
    lexicographic order. What hangs on the path that was cut out becomes trees of their own.

    Args:
        parents: from :func:`forest_parents`.
        starts: s_k.
        ends: e_k.
        distances: 0..1, from :func:`descriptor_distances`.
        length: T, frames of the video.
        coverage_weight: 0.9 in the released program.
        similarity_weight: 0.1 in the released program.

    Returns:
        Paths of tracklet numbers, ascending in time; every tracklet is in exactly one.
    """
    children: list[list[int]] = [[] for _ in parents]
    roots: list[int] = []
    for k, parent in enumerate(parents):
        (roots if parent == NO_PARENT else children[parent]).append(k)
    paths: list[list[int]] = []
    while roots:
        path = _best_path(
            roots.pop(), children, starts, ends, distances, length, coverage_weight,
            similarity_weight,
        )  # fmt: skip
        paths.append(path)
        for k, following in zip(path, [*path[1:], None], strict=True):
            roots += [child for child in children[k] if child != following]
    return sorted(paths)


def _best_path(
    root: int,
    children: Sequence[Sequence[int]],
    starts: np.ndarray,
    ends: np.ndarray,
    distances: np.ndarray,
    length: int,
    coverage_weight: float,
    similarity_weight: float,
) -> list[int]:
    best: tuple[float, int] | None = None
    winner: list[int] = []
    # Depth first, children ascending: leaves come in lexicographic order of their paths, so that
    # "strictly better" leaves ties to the first. Coverage is a whole number of frames: no rounding.
    pending: list[tuple[list[int], int, float]] = [([root], int(ends[root] - starts[root]), 0.0)]
    while pending:
        path, frames, similarity = pending.pop()
        if not children[path[-1]]:
            score = coverage_weight * frames / length + similarity_weight * similarity
            if best is None or (score, int(ends[path[-1]])) > best:
                best, winner = (score, int(ends[path[-1]])), path
            continue
        for child in reversed(children[path[-1]]):
            alike = max(similarity, 1 - float(distances[child, path].min()))
            pending.append(([*path, child], frames + int(ends[child] - starts[child]), alike))
    return winner


def rank_value(frame_counts: Sequence[int], scores: Sequence[float]) -> float:
    """UnOVOST's worth of a trajectory: later tracklets count more, the longer it has been seen.

    Mean over its tracklets of score_k * c_k, c_k being the frames seen up to and including tracklet
    k and score_k its mean detection score.

    Args:
        frame_counts: frames of each tracklet, in time order.
        scores: score_k, mean detection score of each tracklet.
    """
    return float(np.mean(np.cumsum(frame_counts) * np.asarray(scores)))


def forest_path_cutting(
    frames: Sequence[FrameInstances],
    backward_flow: Sequence[Float[np.ndarray, "H W 2"] | Sampling] | None,
    descriptors: Sequence[Float[np.ndarray, "_ D"]],
    *,
    max_overlap: float = TrackingConfig.max_overlap,
    min_link_overlap: float = TrackingConfig.min_link_overlap,
    max_tracks: int = TrackingConfig.max_tracks,
) -> list[list[Detection]]:
    """Group the detections of a video into the tracks of the objects they show.

    Classes play no part; to track each class for itself call it per class.

    Args:
        frames: detections of each of the T frames.
        backward_flow: T - 1 fields F_{t+1 -> t} in pixels of the frame; ``None``: nothing moves.
        descriptors: for each frame the ReID vector of each detection (``reid.py``); scale-free.
        max_overlap: IoU at or above which only the better of two detections of a frame is kept.
        min_link_overlap: IoU that a warped mask must exceed to be linked to one of the next frame.
        max_tracks: keep this many, by :func:`rank_value` (20 is DAVIS's limit); 0 = all.

    Returns:
        Groups of (frame, position), best first, each ascending in time. Without a limit on their
        number they are a partition of the detections left by the overlap rule.
    """
    kept = clipped(frames, max_iou=max_overlap)
    masks = [[f.masks[n] for n in chosen] for f, chosen in zip(frames, kept, strict=True)]
    tracklets = warp_tracklets(masks, backward_flow, min_overlap=min_link_overlap)
    if not tracklets:
        return []
    members = [[(t, kept[t][n]) for t, n in enumerate(one.members, one.start)] for one in tracklets]
    mean_scores = [float(np.mean([frames[t].scores[n] for t, n in one])) for one in members]
    means = np.stack([np.mean([descriptors[t][n] for t, n in one], axis=0) for one in members])
    distances = descriptor_distances(means.astype(np.float64))
    starts = np.array([one.start for one in tracklets])
    ends = np.array([one.end for one in tracklets])
    parents = forest_parents(starts, ends, distances)
    paths = cut_paths(parents, starts, ends, distances, len(frames))
    values = [
        rank_value([len(members[k]) for k in path], [mean_scores[k] for k in path])
        for path in paths
    ]
    best = np.argsort(-np.asarray(values), kind="stable")[: max_tracks or None].tolist()
    return [[detection for k in paths[p] for detection in members[k]] for p in best]
