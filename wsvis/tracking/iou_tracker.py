"""The simplest tracker: a track takes the detection that overlaps its last one most.

Source: Bochinski, Eiselein, Sikora, "High-Speed Tracking-by-Detection Without Using Image
Information" (AVSS 2017), by its released program.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsvis.tracking.boxes import box_iou, boxes_of
from wsvis.tracking.detections import Detection, canonical_order
from wsvis.types import FrameInstances


def iou_tracks(
    frames: Sequence[FrameInstances],
    *,
    min_score: float = 0.0,
    min_overlap: float = 0.5,
    min_best_score: float = 0.0,
    min_length: int = 1,
) -> list[list[Detection]]:
    """Group the detections of a video by box overlap alone: no motion, no class, no memory.

    In each frame the active tracks, oldest first, take the remaining detection with the best box
    IoU if it is at least ``min_overlap``; a track that gets none ends. What is left starts tracks.

    Differs from the original: its setting for MOT17 (pedestrians at full frame rate, Faster R-CNN)
    is 0.0 / 0.9 / 0.3 / 3 in the order of the arguments. In clips sampled every few frames that
    would lose most objects; by default no track is thrown away here.

    Args:
        frames: detections of each of the T frames.
        min_score: sigma_l; lower-scoring detections are ignored.
        min_overlap: sigma_IoU.
        min_best_score: sigma_h; a track whose best detection scores less is dropped.
        min_length: t_min, in frames; shorter tracks are dropped.

    Returns:
        Groups of (frame, position), in the order they began.
    """
    active: list[tuple[list[Detection], np.ndarray]] = []
    groups: list[list[Detection]] = []
    for t, instances in enumerate(frames):
        order = [n for n in canonical_order(instances) if instances.scores[n] >= min_score]
        boxes = boxes_of([instances.masks[n] for n in order])
        overlap = box_iou(np.array([box for _, box in active]).reshape(-1, 4), boxes)
        still: list[tuple[list[Detection], np.ndarray]] = []
        free = np.ones(len(order), dtype=bool)
        for (group, _), row in zip(active, overlap, strict=True):
            row = np.where(free, row, -1.0)
            if len(row) and row.max() >= min_overlap:
                best = int(row.argmax())
                free[best] = False
                group.append((t, order[best]))
                still.append((group, boxes[best]))
        for n in np.flatnonzero(free).tolist():
            groups.append([(t, order[n])])
            still.append((groups[-1], boxes[n]))
        active = still
    return [
        group
        for group in groups
        if len(group) >= min_length
        and max(float(frames[t].scores[n]) for t, n in group) >= min_best_score
    ]
