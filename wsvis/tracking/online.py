"""Online tracker: each frame's detections join the identities seen so far, or found new ones.

N detections of a frame, M identities. Source: MaskTrack R-CNN (Yang, Fan, Xu, ICCV 2019, Sec. 3.3,
Eq. 2) without its learned term: weak supervision has no identity labels to train it with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from wsvis.tracking.boxes import box_iou, boxes_of
from wsvis.tracking.cutouts import Cutout, Sampling, cutout_iou, cutouts, sampling_of, warp_cutout
from wsvis.tracking.detections import Detection, canonical_order
from wsvis.types import FrameInstances

NEW = -1


def association_scores(
    scores: Float[np.ndarray, " N"],
    overlap: Float[np.ndarray, "N M"],
    same_class: Bool[np.ndarray, "N M"],
    *,
    score_weight: float = 1.0,
    overlap_weight: float = 2.0,
    class_weight: float = 10.0,
    min_overlap: float = 0.0,
) -> Float[np.ndarray, "N K"]:
    """How well each detection fits "a new object" (column 0) and each identity (columns 1..M).

    v(i, n) = score_weight * log s_i + overlap_weight * IoU(i, n) + class_weight * [c_i = c_n]
    v(i, new) = score_weight * log s_i + overlap_weight * min_overlap + class_weight

    Source: MaskTrack R-CNN, Eq. 2 (weights 1, 2, 10), whose log p_i(n) is left out. What is left
    says: join the identity of the same class with the largest overlap, if there is any overlap.

    Args:
        scores: s_i, in (0, 1].
        overlap: IoU (0..1) of detection i and what is remembered of identity n.
        same_class: whether the classes agree.
        score_weight: alpha.
        overlap_weight: beta.
        class_weight: gamma.
        min_overlap: overlap that a detection must exceed to join an identity of its class (0 in
            Eq. 2, where the learned term does this work).
    """
    own = score_weight * np.log(np.maximum(scores, 1e-12))[:, None]
    known = overlap_weight * overlap + class_weight * same_class
    new = np.full((len(scores), 1), overlap_weight * min_overlap + class_weight)
    return own + np.concatenate([new, known], axis=1)


def assign(scores: Float[np.ndarray, "N K"], losers: Literal["new", "drop"]) -> list[int | None]:
    """What each detection joins: an identity 0..M-1, ``NEW``, or ``None`` where it is dropped.

    Each detection takes its best column, ties to the lower ("new" first). If several want one
    identity, the highest score gets it, ties to the first detection.

    Args:
        scores: from :func:`association_scores`.
        losers: what becomes of the others: dropped as duplicates, or new objects.
    """
    best = (scores.argmax(axis=1) - 1).tolist() if len(scores) else []
    chosen: list[int | None] = list(best)
    for identity in set(best) - {NEW}:
        rivals = [i for i, want in enumerate(best) if want == identity]
        winner = max(rivals, key=lambda i: scores[i, identity + 1])
        for i in rivals:
            if i != winner:
                chosen[i] = NEW if losers == "new" else None
    return chosen


@dataclass
class _Identity:
    label: int
    box: np.ndarray
    shape: Cutout
    group: list[Detection]


def online_tracks(
    frames: Sequence[FrameInstances],
    backward_flow: Sequence[Float[np.ndarray, "H W 2"] | Sampling] | None = None,
    *,
    overlap: Literal["box", "mask"] = "box",
    min_overlap: float = 0.0,
    losers: Literal["new", "drop"] = "drop",
) -> list[list[Detection]]:
    """Group the detections of a video frame by frame, without looking ahead.

    Memory holds the latest box, mask and class of every identity and never forgets one.

    Args:
        frames: detections of each of the T frames.
        backward_flow: T - 1 fields F_{t+1 -> t} in pixels of the frame. If given, remembered masks
            (and their boxes) move along with it; ``None``: they stay where they were last seen.
        overlap: IoU of boxes, as in the original, or of masks.
        min_overlap: as in :func:`association_scores`.
        losers: as in :func:`assign`; the original drops them.

    Returns:
        Groups of (frame, position), in the order they were founded.
    """
    identities: list[_Identity] = []
    for t, instances in enumerate(frames):
        if t and backward_flow is not None and identities:
            _move(identities, backward_flow[t - 1])
        order = canonical_order(instances)
        labels = instances.labels[order]
        masks = [instances.masks[n] for n in order]
        boxes, shapes = boxes_of(masks), cutouts(masks)
        if overlap == "box":
            remembered = np.array([one.box for one in identities]).reshape(-1, 4)
            similarity = box_iou(boxes, remembered)
        else:
            similarity = cutout_iou(shapes, [one.shape for one in identities])
        known = np.array([one.label for one in identities], dtype=np.int64)
        fits = association_scores(
            instances.scores[order].astype(np.float64),
            similarity,
            labels[:, None] == known[None, :],
            min_overlap=min_overlap,
        )
        for i, joined in enumerate(assign(fits, losers)):
            if joined is None:
                continue
            seen = _Identity(int(labels[i]), boxes[i], shapes[i], [(t, order[i])])
            if joined == NEW:
                identities.append(seen)
            else:
                seen.group = identities[joined].group + seen.group
                identities[joined] = seen
    return [one.group for one in identities]


def _move(identities: list[_Identity], backward_flow: np.ndarray | Sampling) -> None:
    sampling = sampling_of(backward_flow)
    for one in identities:
        one.shape = warp_cutout(one.shape, sampling)
        rows = np.flatnonzero(one.shape.mask.any(1))
        columns = np.flatnonzero(one.shape.mask.any(0))
        if len(rows):
            left, top = one.shape.left, one.shape.top
            one.box = np.array(
                [left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1],
                dtype=np.float64,
            )
