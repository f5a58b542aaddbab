"""Average precision of tracks: the YouTube-VIS measure, one video at a time.

T frames, D found tracks of a video and class, G true ones, C classes, K = 10 IoU thresholds,
A = 4 area ranges, M = 3 limits on tracks per video and class, R = 101 recall samples.
Liu et al. 2021, Sec. 4.4 (Table 3), which points to the YouTube-VIS tool; its "[0.5, 0.9]" is read
as that tool's .50:.05:.95.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from jaxtyping import Float, Int, UInt8

from wsvis.errors import InputError
from wsvis.evaluation.greedy_matching import COCO_THRESHOLDS, MAX_DETECTIONS, greedy_match
from wsvis.evaluation.precision_recall import RECALL_SAMPLES, precision_at_recalls
from wsvis.evaluation.tracks import VideoTracks, mean_visible_area, track_areas, track_iou
from wsvis.types import Report

AREA_RANGES: dict[str, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 128**2),
    "medium": (128**2, 256**2),
    "large": (256**2, 1e10),
}
"""Pixels of a track's mean mask, both ends included (not COCO's 32 and 96)."""

TRACK_LIMITS = (1, 10, MAX_DETECTIONS)
"""Tracks that count per video and class, best scores first."""

VideoSource = VideoTracks | Callable[[], VideoTracks]


@dataclass(frozen=True)
class ClassMatches:
    """What is kept of one class in one video: 24 bytes per track."""

    scores: Float[np.ndarray, " D"]
    """Falling; at most ``MAX_DETECTIONS``."""
    matched: UInt8[np.ndarray, "A 2 D"]
    """For each area range, bit by bit over the thresholds: found a true track."""
    ignored: UInt8[np.ndarray, "A 2 D"]
    """The same: counts neither as true nor as false."""
    positives: Int[np.ndarray, " A"]
    """True tracks that count."""


@dataclass(frozen=True)
class VideoAp:
    """Every number of the measure; NaN where a class has no ground truth in an area range."""

    precision: Float[np.ndarray, "A K R C"]
    """Interpolated precision, with up to 100 tracks per video and class."""
    recall: Float[np.ndarray, "A M K C"]
    """Final recall for each limit on tracks."""
    videos: int


def video_ap(
    videos: Iterable[VideoSource],
    classes: int,
    processes: int = 1,
    report: Report | None = None,
) -> VideoAp:
    """The YouTube-VIS measure over a stream of videos, in any order.

    One video is held at a time (with ``processes`` > 1, a few per process); of each only its
    matches are kept. Pass functions that load a video to have the loading done in the processes.

    Where the official tool fails, this one answers: no tracks at all give AP 0.

    Args:
        videos: each id once.
        classes: C; labels are 0..C-1.
        processes: worker processes; 1 means this one.
        report: called with ``{"videos": n}`` after every video.

    Raises:
        InputError: broken masks, wrong lengths, scores that are no finite numbers, a video twice.
    """
    kept: dict[int, dict[int, ClassMatches]] = {}
    for number, matches in _matched(videos, classes, processes):
        if number in kept:
            raise InputError(f"video {number}: appears twice; give every video once")
        kept[number] = matches
        if report:
            report({"videos": len(kept)})
    by_class: dict[int, list[ClassMatches]] = defaultdict(list)
    for number in sorted(kept):
        for label, matches in kept[number].items():
            by_class[label].append(matches)
    areas, thresholds = len(AREA_RANGES), len(COCO_THRESHOLDS)
    precision = np.full((areas, thresholds, RECALL_SAMPLES, classes), np.nan)
    recall = np.full((areas, len(TRACK_LIMITS), thresholds, classes), np.nan)
    for label, parts in by_class.items():
        precision[..., label], recall[..., label] = _accumulate(parts)
    return VideoAp(precision, recall, len(kept))


def match_video(source: VideoSource, classes: int) -> tuple[int, dict[int, ClassMatches]]:
    """Id and matches by class of one video (its whole share of the work)."""
    video = source if isinstance(source, VideoTracks) else source()
    shape = video.height, video.width, video.length
    for track in (*video.truth, *video.predicted):
        if not 0 <= track.label < classes:
            raise ValueError(f"video {video.id}: label {track.label} is not in 0..{classes - 1}")
    for n, track in enumerate(video.predicted):
        if not np.isfinite(track.score):
            name = track.where or f"video {video.id}, track {n}"
            raise InputError(f"{name}: score {track.score} is not a finite number")
    found_areas = track_areas(video.predicted, *shape)
    truth_areas = track_areas(video.truth, *shape)
    result = {}
    for label in sorted({track.label for track in (*video.truth, *video.predicted)}):
        rows = [d for d, track in enumerate(video.predicted) if track.label == label]
        rows = sorted(rows, key=lambda d: -video.predicted[d].score)[:MAX_DETECTIONS]
        columns = [g for g, track in enumerate(video.truth) if track.label == label]
        truth = [video.truth[g] for g in columns]
        results = [video.predicted[d] for d in rows]
        of_masks = mean_visible_area(truth_areas[columns])
        stated = [
            float(area) if track.mean_area is None else track.mean_area
            for area, track in zip(of_masks, truth, strict=True)
        ]
        result[label] = _match_class(
            np.array([track.score for track in results], dtype=np.float64),
            track_iou(results, truth, found_areas[rows], truth_areas[columns]),
            mean_visible_area(found_areas[rows]),
            np.array(stated, dtype=np.float64),
            np.array([track.crowd for track in truth], dtype=bool),
        )
    return video.id, result


def _match_class(
    scores: np.ndarray,
    iou: np.ndarray,
    found_area: np.ndarray,
    truth_area: np.ndarray,
    crowd: np.ndarray,
) -> ClassMatches:
    """Match for every area range; ranges that ignore the same true tracks share one matching."""
    shape = (len(AREA_RANGES), len(COCO_THRESHOLDS), len(scores))
    matched, ignored = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    positives = np.zeros(len(AREA_RANGES), dtype=np.int64)
    done: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    for a, (low, high) in enumerate(AREA_RANGES.values()):
        skip = crowd | (truth_area < low) | (truth_area > high)
        if skip.tobytes() not in done:
            done[skip.tobytes()] = greedy_match(iou, skip, crowd)
        matched[a], on_ignored = done[skip.tobytes()]
        outside = (found_area < low) | (found_area > high)
        ignored[a] = on_ignored | (~matched[a] & outside)
        positives[a] = (~skip).sum()
    packed = np.packbits(matched, axis=1), np.packbits(ignored, axis=1)
    return ClassMatches(scores, *packed, positives)


def _accumulate(parts: list[ClassMatches]) -> tuple[np.ndarray, np.ndarray]:
    """Precision [A, K, R] and recall [A, M, K] of one class over videos in order of their ids."""
    scores = np.concatenate([part.scores for part in parts])
    rank = np.concatenate([np.arange(len(part.scores)) for part in parts])
    thresholds = len(COCO_THRESHOLDS)
    packed = [np.concatenate([p.matched for p in parts], axis=2)]
    packed.append(np.concatenate([p.ignored for p in parts], axis=2))
    matched, ignored = (np.unpackbits(p, axis=1, count=thresholds).astype(bool) for p in packed)
    positives = np.sum([part.positives for part in parts], axis=0)
    precision, recall = [], []
    for a in range(len(AREA_RANGES)):
        precision.append(precision_at_recalls(scores, matched[a], ignored[a], int(positives[a]))[0])
        true = matched[a] & ~ignored[a]
        hits = np.stack([(true & (rank < limit)).sum(axis=1) for limit in TRACK_LIMITS])
        recall.append(hits / positives[a] if positives[a] else np.full(hits.shape, np.nan))
    return np.stack(precision), np.stack(recall)


def _matched(
    videos: Iterable[VideoSource], classes: int, processes: int
) -> Iterator[tuple[int, dict[int, ClassMatches]]]:
    if processes <= 1:
        for video in videos:
            yield match_video(video, classes)
        return
    # "spawn": the caller may hold threads (torch, Ray), which a fork would freeze in the child
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[tuple[int, dict[int, ClassMatches]]]] = deque()
        for video in videos:
            waiting.append(pool.submit(match_video, video, classes))
            if len(waiting) >= 4 * processes:  # no further ahead, so that memory stays bounded
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
