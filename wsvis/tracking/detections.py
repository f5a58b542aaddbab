"""The detections that enter a tracker: ordered, and with overlapping ones taken out.

T frames, N detections of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsvis.masks import rle_areas, rle_iou
from wsvis.types import FrameInstances

Detection = tuple[int, int]
"""(frame, position in that frame's instances)."""


def canonical_order(instances: FrameInstances) -> list[int]:
    """Positions by descending score; ties by class, then larger area, then the mask itself.

    With it no result depends on the order in which a detector lists its findings, not even between
    equal scores.
    """
    areas = rle_areas(instances.masks).tolist()
    keys = [
        (-score, label, -area, mask["counts"])
        for score, label, area, mask in zip(
            instances.scores.tolist(),
            instances.labels.tolist(),
            areas,
            instances.masks,
            strict=True,
        )
    ]
    return sorted(range(len(instances)), key=keys.__getitem__)


def non_overlapping(instances: FrameInstances, max_iou: float) -> list[int]:
    """Positions of the detections left when each conflict is won by the higher score.

    Frame-wise clipping of UnOVOST (Luiten et al., WACV 2020, by its released program): afterwards
    all pairs of masks have IoU < ``max_iou``. Empty masks go too.

    Differs from the released program: that one walks the detections in file order and lets a later,
    higher-scoring one replace an earlier one, repeating until nothing conflicts; here they are
    walked by descending score, which is mask non-maximum suppression and needs one pass.

    Args:
        instances: detections of one frame.
        max_iou: IoU (0..1) at or above which two detections exclude each other; above 1 keeps all.
    """
    order = [n for n in canonical_order(instances) if rle_areas([instances.masks[n]])[0]]
    masks = [instances.masks[n] for n in order]
    conflict = rle_iou(masks, masks) >= max_iou
    kept: list[int] = []
    for position in range(len(order)):
        if not conflict[position, kept].any():
            kept.append(position)
    return [order[position] for position in kept]


def clipped(frames: Sequence[FrameInstances], *, max_iou: float) -> list[list[int]]:
    """:func:`non_overlapping` of each frame."""
    return [non_overlapping(instances, max_iou) for instances in frames]


def selected(
    frames: Sequence[FrameInstances], *, min_score: float = 0.0, label: int | None = None
) -> list[list[int]]:
    """For each frame the positions of the detections with a score and, if asked, a class."""
    return [
        np.flatnonzero(
            (instances.scores >= min_score) & (True if label is None else instances.labels == label)
        ).tolist()
        for instances in frames
    ]
