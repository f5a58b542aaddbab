"""Tracklets: detections of consecutive frames chained where the flow carries one onto the next.

T frames, N detections of frame t, M of frame t + 1, H W pixels. Source: the frame-to-frame step of
UnOVOST (Luiten et al., WACV 2020) as its released program does it; Liu et al. 2021 use it unchanged
(Sec. 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from wsvis.tracking.cutouts import Sampling, cutout_iou, cutouts, sampling_of, warp_cutout
from wsvis.types import Rle


@dataclass(frozen=True)
class Tracklet:
    """Detections of consecutive frames that are one object."""

    start: int
    """Frame of the first one."""
    members: tuple[int, ...]
    """Position of the detection in each frame from ``start`` on."""

    @property
    def end(self) -> int:
        """Frame of the last one."""
        return self.start + len(self.members) - 1


def link_overlaps(
    masks: Sequence[Sequence[Rle]],
    backward_flow: Sequence[Float[np.ndarray, "H W 2"] | Sampling] | None,
) -> list[Float[np.ndarray, "_ _"]]:
    """For each pair of consecutive frames, the IoU of every warped mask with every next one.

    W[i, j] = IoU(W_{t -> t+1}(m_i), m_j), with the mask moved by backward sampling.

    Args:
        masks: of each frame's detections.
        backward_flow: T - 1 fields F_{t+1 -> t} in pixels of the frame; ``None``: nothing moves.

    Returns:
        T - 1 arrays [N, M].

    Raises:
        ValueError: not T - 1 flow fields, or a field that is not of the masks' size.
    """
    pairs = max(len(masks) - 1, 0)
    if backward_flow is not None and len(backward_flow) != pairs:
        raise ValueError(f"{len(backward_flow)} flow fields for {pairs} pairs of frames")
    overlaps: list[np.ndarray] = []
    now = cutouts(masks[0]) if masks else []
    for t in range(pairs):
        following = cutouts(masks[t + 1])
        moved = now
        if backward_flow is not None and now and following:
            sampling = sampling_of(backward_flow[t])
            if list(sampling.x.shape) != list(masks[t][0]["size"]):
                raise ValueError(f"flow of {sampling.x.shape} for masks of {masks[t][0]['size']}")
            moved = [warp_cutout(cutout, sampling) for cutout in now]
        overlaps.append(cutout_iou(moved, following))
        now = following
    return overlaps


def match_largest_sum(
    overlap: Float[np.ndarray, "N M"], min_overlap: float
) -> list[tuple[int, int]]:
    """One-to-one pairs with the largest total overlap, without those not above the minimum.

    Args:
        overlap: IoU (0..1) of every pair.
        min_overlap: a link needs strictly more (UnOVOST: 0.05).
    """
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return [
        (int(i), int(j)) for i, j in zip(rows, columns, strict=True) if overlap[i, j] > min_overlap
    ]


def chain_links(
    counts: Sequence[int], links: Sequence[Sequence[tuple[int, int]]]
) -> list[Tracklet]:
    """Every detection in exactly one tracklet, in the order of first frame, last frame, position.

    Differs from UnOVOST's released program, which loses detections that first appear in the last
    frame and all frames before the first link of the video.

    Args:
        counts: detections in each of the T frames.
        links: for each of the T - 1 pairs of frames the linked (position, next position).
    """
    following = [dict(pairs) for pairs in links]
    continued = [set[int]()] + [set(pairs.values()) for pairs in following]
    tracklets = []
    for t, count in enumerate(counts):
        for first in range(count):
            if first in continued[t]:
                continue
            members, frame = [first], t
            while frame < len(following) and members[-1] in following[frame]:
                members.append(following[frame][members[-1]])
                frame += 1
            tracklets.append(Tracklet(t, tuple(members)))
    return sorted(tracklets, key=lambda one: (one.start, one.end))


def warp_tracklets(
    masks: Sequence[Sequence[Rle]],
    backward_flow: Sequence[Float[np.ndarray, "H W 2"] | Sampling] | None,
    *,
    min_overlap: float = 0.05,
) -> list[Tracklet]:
    """Chain the detections of a video into tracklets.

    Args:
        masks: of each frame's detections, overlapping ones taken out.
        backward_flow: as in :func:`link_overlaps`.
        min_overlap: as in :func:`match_largest_sum`.
    """
    overlaps = link_overlaps(masks, backward_flow)
    links = [match_largest_sum(overlap, min_overlap) for overlap in overlaps]
    return chain_links([len(frame) for frame in masks], links)
