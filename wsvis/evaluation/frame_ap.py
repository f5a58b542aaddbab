"""Average precision of instances in single frames (COCO protocol), straight from RLE.

C classes, K IoU thresholds. Liu et al. 2021, Sec. 4.3 (Tables 1, 2, 4, 5, 6: AP50).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from jaxtyping import Bool, Float
from pycocotools import mask as coco_mask

from wsvis.evaluation.greedy_matching import COCO_THRESHOLDS, MAX_DETECTIONS, greedy_match
from wsvis.evaluation.precision_recall import mean_over_classes, precision_at_recalls
from wsvis.masks import rle_areas
from wsvis.types import FrameInstances, Rle, Video


@dataclass(frozen=True)
class FrameTruth:
    """Ground truth of one frame."""

    labels: np.ndarray
    """int64 [N], 0..C-1."""
    masks: tuple[Rle, ...]
    crowd: np.ndarray
    """bool [N]: a crowd neither rewards nor punishes a detection inside it."""


def frame_truths(video: Video) -> list[FrameTruth]:
    """Ground truth of each frame; objects without a visible pixel in a frame are absent from it.

    Crowd objects stay, marked. Frames without any object stay, since detections in them are false
    positives.
    """
    if video.instances is None:
        raise ValueError(f"video {video.id} has no ground truth")
    truths = []
    for t in range(video.length):
        present = [(i, i.segmentations[t]) for i in video.instances]
        shown = [(i, rle) for i, rle in present if rle is not None]
        visible = rle_areas([rle for _, rle in shown]) > 0
        kept = [pair for pair, seen in zip(shown, visible, strict=True) if seen]
        truths.append(
            FrameTruth(
                labels=np.array([i.label for i, _ in kept], dtype=np.int64),
                masks=tuple(rle for _, rle in kept),
                crowd=np.array([i.is_crowd for i, _ in kept], dtype=bool),
            )
        )
    return truths


def as_instances(truth: FrameTruth, crowds: bool = True) -> FrameInstances:
    """Ground truth in the form of what is found, each object with score 1."""
    chosen = np.arange(len(truth.labels)) if crowds else np.flatnonzero(~truth.crowd)
    masks = tuple(truth.masks[n] for n in chosen)
    return FrameInstances(truth.labels[chosen], np.ones(len(chosen), np.float32), masks)


class FrameAp:
    """Gathers frames one at a time; every frame is one image of the COCO protocol.

    The mean over classes leaves out those without ground truth (COCO's "-1"); it is NaN when no
    class has any. Paper, Sec. 4.3: AP50. It is silent on the program and on maxDets; COCO's 100 per
    image and class is taken.
    """

    def __init__(
        self,
        classes: int,
        iou_thresholds: Sequence[float] = (0.25, 0.5),
        max_detections: int = MAX_DETECTIONS,
    ) -> None:
        """``classes``: C; labels are 0..C-1. ``iou_thresholds``: in (0, 1]."""
        self.classes, self.max_detections = classes, max_detections
        self.thresholds = tuple(iou_thresholds)
        self.positives = np.zeros(classes, dtype=np.int64)
        self.flags: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [
            [] for _ in range(classes)
        ]
        """Per class: scores, matched and ignored of each frame."""

    def add(self, truth: FrameTruth, detections: FrameInstances) -> None:
        """Count one more frame."""
        _check_frame(truth, detections, self.classes)
        np.add.at(self.positives, truth.labels[~truth.crowd], 1)
        for label in np.unique(detections.labels):
            columns = np.flatnonzero(truth.labels == label)
            rows = np.flatnonzero(detections.labels == label)
            order = np.argsort(-detections.scores[rows], kind="stable")
            rows = rows[order][: self.max_detections]
            crowd = truth.crowd[columns]
            iou = _iou(detections.masks, rows, truth.masks, columns, crowd)
            flags = greedy_match(iou, crowd, crowd, self.thresholds)
            self.flags[label].append((detections.scores[rows].astype(np.float64), *flags))

    def by_class(self) -> Float[np.ndarray, "K C"]:
        """AP of each class at each threshold; NaN for a class without ground truth."""
        ap = np.full((len(self.thresholds), self.classes), np.nan)
        for c in np.flatnonzero(self.positives):
            ap[:, c] = _average_precision(
                self.flags[c], int(self.positives[c]), len(self.thresholds)
            )
        return ap

    def numbers(self) -> dict[str, float]:
        """``AP50`` for threshold 0.5, ``AP25`` for 0.25 and so on, in [0, 1].

        And ``AP``, the mean over .50:.05:.95, where ``COCO_THRESHOLDS`` are among the thresholds.
        """
        rows = dict(zip(self.thresholds, self.by_class(), strict=True))
        result = {f"AP{round(100 * t)}": mean_over_classes(row) for t, row in rows.items()}
        if set(COCO_THRESHOLDS) <= set(rows):
            result["AP"] = mean_over_classes(np.stack([rows[t] for t in COCO_THRESHOLDS]))
        return result


def frame_ap(
    truth: Iterable[FrameTruth],
    predictions: Iterable[FrameInstances],
    classes: int,
    iou_thresholds: Sequence[float] = (0.25, 0.5),
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, float]:
    """Mean AP over classes at each IoU threshold, equal to pycocotools' COCOeval.

    Args:
        truth: one entry per frame.
        predictions: the same frames in the same order.
        classes: C.
        iou_thresholds: in (0, 1]; pass ``COCO_THRESHOLDS`` for AP .50:.95.
        max_detections: detections of one class that count per frame, best scores first.

    Returns:
        The numbers of :meth:`FrameAp.numbers`.
    """
    measure = FrameAp(classes, iou_thresholds, max_detections)
    for frame_truth, detections in zip_longest(truth, predictions):
        if frame_truth is None or detections is None:
            raise ValueError("ground truth and predictions differ in their number of frames")
        measure.add(frame_truth, detections)
    return measure.numbers()


def instances_per_frame(predictions: Sequence[FrameInstances], score_threshold: float = 0) -> float:
    """Mean number of instances with at least the given score (Sec. 4.5: 1.81 against 1.50).

    The paper is silent on the score cut behind its figures. NaN for no frames.
    """
    counts = [int((frame.scores >= score_threshold).sum()) for frame in predictions]
    return float(np.mean(counts)) if counts else float("nan")


def _iou(
    detections: Sequence[Rle],
    rows: np.ndarray,
    truth: Sequence[Rle],
    columns: np.ndarray,
    crowd: Bool[np.ndarray, " G"],
) -> np.ndarray:
    """COCO's mask IoU: against a crowd, the share of the detection that lies inside it."""
    if not len(rows) or not len(columns):
        return np.zeros((len(rows), len(columns)))
    flags = crowd.astype(int).tolist()
    values = coco_mask.iou([detections[d] for d in rows], [truth[g] for g in columns], flags)
    return np.asarray(values, dtype=np.float64)


def _average_precision(
    flags: list[tuple[np.ndarray, np.ndarray, np.ndarray]], positives: int, thresholds: int
) -> np.ndarray:
    if not flags:
        return np.zeros(thresholds)
    scores = np.concatenate([s for s, _, _ in flags])
    matched = np.concatenate([m for _, m, _ in flags], axis=1)
    ignored = np.concatenate([i for _, _, i in flags], axis=1)
    return precision_at_recalls(scores, matched, ignored, positives)[0].mean(axis=1)


def _check_frame(truth: FrameTruth, detections: FrameInstances, classes: int) -> None:
    labels = np.concatenate([truth.labels, detections.labels])
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"labels must be 0..{classes - 1}, found {labels.min()}..{labels.max()}")
    if not len(detections.labels) == len(detections.scores) == len(detections.masks):
        raise ValueError("labels, scores and masks of a frame differ in number")
    if np.isnan(detections.scores).any():
        raise ValueError("a score is NaN")
    if len({tuple(rle["size"]) for rle in (*truth.masks, *detections.masks)}) > 1:
        raise ValueError("masks of one frame differ in size")
