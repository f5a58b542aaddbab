"""Semantic segmentation from instances, and its IoU (paper Sec. 4.3, Table 2 right column).

H W pixels, C classes. A semantic map is int16 [H, W]: 0..C-1 a class, ``BACKGROUND`` no object,
``VOID`` a pixel that is left out of the measurement (ground truth only).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from pycocotools import mask as coco_mask

from wsvis.evaluation.frame_ap import FrameTruth
from wsvis.evaluation.precision_recall import mean_over_classes
from wsvis.types import FrameInstances, Rle

BACKGROUND = -1
VOID = -2


def semantic_map(
    instances: FrameInstances, height: int, width: int, score_threshold: float = 0.0
) -> Int[np.ndarray, "H W"]:
    """Class of each pixel: that of the best scoring instance which covers it.

    Paper, Sec. 4.3: instance masks of the same class are merged, labels assigned by score. That is
    painting in order of rising score. The paper is silent on ties (here the lower class wins) and
    on the score cut.

    Args:
        instances: predictions of one frame.
        height: H.
        width: W.
        score_threshold: instances with a lower score are not painted.
    """
    painted = np.flatnonzero(instances.scores >= score_threshold)
    order = painted[np.lexsort((-instances.labels[painted], instances.scores[painted]))]
    return _paint([instances.masks[n] for n in order], instances.labels[order], height, width)


def truth_map(truth: FrameTruth, height: int, width: int) -> Int[np.ndarray, "H W"]:
    """Class of each pixel from ground-truth instances; crowds are void where nothing else is.

    Where annotated objects overlap, the earlier one wins.
    """
    crowd = np.flatnonzero(truth.crowd)
    order = np.concatenate([crowd, np.flatnonzero(~truth.crowd)[::-1]])
    classes = np.where(truth.crowd, VOID, truth.labels)[order]
    return _paint([truth.masks[n] for n in order], classes, height, width)


def confusion_matrix(
    truth: Int[np.ndarray, "H W"], predicted: Int[np.ndarray, "H W"], classes: int
) -> Int[np.ndarray, "C1 C1"]:
    """Pixels per (true, predicted) class; the last row and column are the background.

    Pixels whose truth is ``VOID`` are not counted.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {predicted.shape}")
    values = classes + 2  # with VOID and BACKGROUND
    codes = (truth - VOID).astype(np.int32) * values + (predicted - VOID)
    counts = np.bincount(codes.ravel(order="K"), minlength=values * values).reshape(values, values)
    order = [*range(2, values), 1]  # without VOID, the background last
    return counts[np.ix_(order, order)]


def iou_of_confusion(confusion: Int[np.ndarray, "C1 C1"]) -> np.ndarray:
    """IoU = TP / (TP + FP + FN) of each class and, last, of the background (float64 [C + 1]).

    NaN where the class has no ground-truth pixel.
    """
    true = np.diag(confusion).astype(np.float64)
    real, predicted = confusion.sum(1), confusion.sum(0)
    return np.where(real > 0, true / np.maximum(real + predicted - true, 1), np.nan)


def semantic_miou(
    maps: Iterable[tuple[np.ndarray, np.ndarray]], classes: int
) -> dict[str, float | list[float]]:
    """Mean IoU over the object classes of (truth, prediction) maps, pixels of all frames summed.

    Only the C object classes are averaged, as in Table 2 (its 79.23 for full supervision is an
    average over the 8 Cityscapes classes that have instances); all else is background, so that an
    object painted on it counts against its class. Classes without a ground-truth pixel are left
    out; NaN when no class has any.

    Returns:
        ``mIoU``; ``mIoU_with_background`` (the PASCAL VOC habit); ``IoU``, one value per class and
        last the background, NaN where there is no ground truth.
    """
    confusion = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    for truth, predicted in maps:
        confusion += confusion_matrix(truth, predicted, classes)
    iou = iou_of_confusion(confusion)
    return {
        "mIoU": mean_over_classes(iou[:-1]),
        "mIoU_with_background": mean_over_classes(iou),
        "IoU": iou.tolist(),
    }


def _paint(masks: Sequence[Rle], classes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Later masks over earlier ones; the array is column-major, as RLE is."""
    canvas = np.full((width, height), BACKGROUND, dtype=np.int16)
    for mask, label in zip(masks, classes, strict=True):  # one at a time: frames may be large
        rle: Any = mask
        pixels = coco_mask.decode(rle)
        if pixels.shape != (height, width):
            raise ValueError(f"a mask is {pixels.shape}, its frame {(height, width)}")
        np.copyto(canvas, label, where=pixels.T.view(bool))
    return canvas.T
