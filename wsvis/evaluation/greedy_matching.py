"""Greedy assignment of detections to ground truth, the rule that COCO and YouTube-VIS share.

D detections, G ground-truth objects (both of one class in one image or video), K IoU thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

COCO_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""IoU thresholds .50:.05:.95, bit for bit those of the COCO and YouTube-VIS tools."""

MAX_DETECTIONS = 100
"""Detections of one class that count in one image or video, best scores first."""


def greedy_match(
    iou: Float[np.ndarray, "D G"],
    ignored: Bool[np.ndarray, " G"],
    crowd: Bool[np.ndarray, " G"],
    thresholds: Sequence[float] = COCO_THRESHOLDS,
) -> tuple[Bool[np.ndarray, "K D"], Bool[np.ndarray, "K D"]]:
    """Which detections find a ground-truth object, and which of these finds do not count.

    Each detection in turn takes the free object with the highest IoU that reaches the threshold
    (IoU >= threshold). Objects that count are tried before ignored ones, and a detection that holds
    one that counts does not move on to an ignored one; of equal IoU the later object is taken; a
    crowd can be taken any number of times. A threshold of 1 means "all but 1e-10 of it".

    Source: the published COCO protocol; the paper (Sec. 4.3, 4.4) only names the tools.

    Args:
        iou: similarity of detections (rows, descending score) and objects, in [0, 1].
        ignored: objects that neither reward nor punish.
        crowd: objects that may be taken repeatedly.
        thresholds: IoU thresholds in [0, 1].

    Returns:
        ``matched`` and ``on_ignored``; the second is a subset of the first.
    """
    order = np.argsort(ignored, kind="stable")
    objects = [(int(g), bool(ignored[g]), bool(crowd[g])) for g in order]
    matched = np.zeros((len(thresholds), len(iou)), dtype=bool)
    on_ignored = np.zeros_like(matched)
    lowest = min((min(t, 1 - 1e-10) for t in thresholds), default=1.0)
    candidates = [
        (d, [(g, ig, cr, row[g]) for g, ig, cr in objects if row[g] >= lowest])
        for d, row in enumerate(iou.tolist())
    ]
    candidates = [(d, overlaps) for d, overlaps in candidates if overlaps]
    for k, threshold in enumerate(thresholds):
        taken: set[int] = set()
        for d, overlaps in candidates:
            best, holds, holds_ignored = min(threshold, 1 - 1e-10), -1, False
            for g, object_ignored, object_crowd, value in overlaps:
                if g in taken and not object_crowd:
                    continue
                if holds >= 0 and object_ignored and not holds_ignored:
                    break
                if value >= best:
                    best, holds, holds_ignored = value, g, object_ignored
            if holds >= 0:
                taken.add(holds)
                matched[k, d], on_ignored[k, d] = True, holds_ignored
    return matched, on_ignored
