"""Average precision of instances by the Cityscapes protocol, in memory.

H W pixels, G ground-truth regions and P predictions of one class in one image, C = 8 classes,
K = 10 overlap thresholds. Differs from COCO's measure in nearly everything but the name: see
docs/evaluation.md. Liu et al. 2021 (Tables 2, 4, 5, 6) do not say which program they used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from pycocotools import mask as coco_mask

from wsvis.data.cityscapes import THINGS
from wsvis.evaluation.cityscapes_labels import class_ids, void_of_instances
from wsvis.types import FrameInstances

OVERLAPS: tuple[float, ...] = tuple(np.arange(0.5, 1.0, 0.05).tolist())
"""Bit for bit those of the official script, whose 0.6 is 0.6000000000000001."""

SMALLEST = 100
"""Ground-truth instances of fewer pixels are ignore regions."""


@dataclass(frozen=True)
class ClassOverlaps:
    """All that is kept of one class in one image."""

    truth_pixels: Int[np.ndarray, " G"]
    counts: np.ndarray
    """bool [G]: a single instance that is large enough, not a group or a small one."""
    groups: np.ndarray
    """bool [G]: one region for several objects."""
    scores: Float[np.ndarray, " P"]
    pixels: Int[np.ndarray, " P"]
    void: Int[np.ndarray, " P"]
    """Pixels of each prediction on void."""
    shared: Int[np.ndarray, "P G"]


def cityscapes_ap(
    frames: Iterable[tuple[np.ndarray, FrameInstances]],
) -> dict[str, float | dict[str, dict[str, float]]]:
    """The benchmark's AP and AP50% with a value per class.

    Args:
        frames: for each image the values of its ``gtFine_instanceIds`` png, int [H, W], and the
            predictions with labels 0..7 in the order of ``THINGS``.

    Returns:
        ``AP`` (mean over .50:.05:.95), ``AP50``, and ``classes`` with the same per name. NaN for a
        class without ground truth, which the means leave out.
    """
    ap = cityscapes_ap_by_class(frames)

    def mean(values: np.ndarray) -> float:
        return float("nan") if np.isnan(values).all() else float(np.nanmean(values))

    each = {
        name: {"AP": float(np.average(row)), "AP50": float(row[0])}
        for name, row in zip(THINGS.values(), ap, strict=True)
    }
    return {"AP": mean(ap), "AP50": mean(ap[:, 0]), "classes": each}


def cityscapes_ap_by_class(
    frames: Iterable[tuple[np.ndarray, FrameInstances]],
) -> Float[np.ndarray, "C K"]:
    """Average precision of each class at each overlap; NaN for a class without ground truth.

    Where the official script crashes, because all predictions of a class are ignored, it is 0.
    """
    kept: list[list[ClassOverlaps]] = [[] for _ in THINGS]
    for instance_ids, detections in frames:
        for label, overlaps in enumerate(image_overlaps(instance_ids, detections)):
            kept[label].append(overlaps)
    ap = np.full((len(THINGS), len(OVERLAPS)), np.nan)
    for label, images in enumerate(kept):
        if any(image.counts.any() for image in images):
            ap[label] = [_ap_at(images, threshold) for threshold in OVERLAPS]
    return ap


def image_overlaps(
    instance_ids: Int[np.ndarray, "H W"], detections: FrameInstances
) -> list[ClassOverlaps]:
    """Pixel counts between predictions and ground truth of one image, per class."""
    if instance_ids.min() < 0:
        raise ValueError("instance ids are not negative")
    totals = np.bincount(instance_ids.ravel())
    values = np.flatnonzero(totals)
    totals, place = totals[values], np.zeros(len(totals), dtype=np.int64)
    place[values] = np.arange(len(values))
    index = place[instance_ids]
    void_value = void_of_instances(values[None])[0]
    value_class = class_ids(values[None])[0]
    if np.isnan(detections.scores).any():
        raise ValueError("a score is NaN")
    if detections.labels.size and not set(detections.labels.tolist()) <= set(range(len(THINGS))):
        raise ValueError(f"labels must be 0..{len(THINGS) - 1}")
    inside = np.zeros((len(detections), len(values)), dtype=np.int64)
    for n, rle in enumerate(detections.masks):
        if list(rle["size"]) != list(instance_ids.shape):
            raise ValueError(f"mask {n} is {rle['size']}, its image {list(instance_ids.shape)}")
        encoded: Any = rle
        x, y, w, h = coco_mask.toBbox(encoded).astype(int)  # images are large, objects are small
        window = np.s_[y : y + h, x : x + w]
        mask = coco_mask.decode(encoded)[window].astype(bool)
        inside[n] = np.bincount(index[window][mask], minlength=len(values))
    pixels = inside.sum(axis=1)
    result = []
    for label, class_id in enumerate(THINGS):
        rows = np.flatnonzero((detections.labels == label) & (pixels > 0))
        regions = np.flatnonzero(value_class == class_id)
        result.append(
            ClassOverlaps(
                truth_pixels=totals[regions],
                counts=(values[regions] >= 1000) & (totals[regions] >= SMALLEST),
                groups=values[regions] < 1000,
                scores=detections.scores[rows].astype(np.float64),
                pixels=pixels[rows],
                void=inside[rows][:, void_value].sum(axis=1),
                shared=inside[rows][:, regions],
            )
        )
    return result


def outcomes(image: ClassOverlaps, threshold: float) -> tuple[np.ndarray, np.ndarray, int]:
    """True and false positives of one class in one image: their scores, and objects not found.

    A prediction belongs to the region with which its IoU exceeds the threshold (strictly; for
    thresholds from .5 there is one at most). Of several on one object the best score is a true
    positive, the others are false. A prediction on a group or a small instance is neither. Any
    other is a false positive unless the share of its pixels on void, groups and small instances of
    its class exceeds the threshold. (A small group is counted twice in that share, as the official
    script does.)
    """
    union = image.truth_pixels + image.pixels[:, None] - image.shared
    holds = image.shared / union > threshold
    true, false, missed = [], [], 0
    for g in np.flatnonzero(image.counts):
        scores = np.sort(image.scores[holds[:, g]])
        missed += not len(scores)
        true.extend(scores[-1:])
        false.extend(scores[:-1])
    small = image.truth_pixels < SMALLEST
    weights = image.groups.astype(np.int64) + small
    excused = (image.void + image.shared @ weights) / np.maximum(image.pixels, 1) > threshold
    false.extend(image.scores[~holds.any(axis=1) & ~excused])
    return np.array(true, dtype=np.float64), np.array(false, dtype=np.float64), missed


def average_precision(true: np.ndarray, false: np.ndarray, missed: int) -> float:
    """Area under the raw precision-recall curve over distinct scores, by the official rule.

    One point per distinct score, and the artificial point (precision 1, recall 0). Each precision
    weighs half the distance between the recalls before and after it.
    """
    if not len(true) + len(false):
        return 0.0
    scores = np.concatenate([true, false])
    hits = np.concatenate([np.ones(len(true)), np.zeros(len(false))])
    order = np.argsort(scores, kind="stable")
    _, first = np.unique(scores[order], return_index=True)
    lower_hits = np.append(0.0, np.cumsum(hits[order]))[first]
    tp = len(true) - lower_hits
    precision = np.append(tp / (len(scores) - first), 1.0)
    recall = np.append(tp / (len(true) + missed), 0.0)
    around = np.concatenate([recall[:1], recall, [0.0]])
    return float(np.dot(precision, np.convolve(around, [-0.5, 0, 0.5], "valid")))


def _ap_at(images: Sequence[ClassOverlaps], threshold: float) -> float:
    true, false, missed = zip(*(outcomes(image, threshold) for image in images), strict=True)
    return average_precision(np.concatenate(true), np.concatenate(false), sum(missed))
