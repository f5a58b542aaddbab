"""A dense CRF on the final masks: their borders move to image edges.

Labels from class maps or from a random walk hold the object and some of what lies around it; of all
that was tried, masks that fit are worth most (docs/LOG.md). T frames of one video, N instances of a
frame, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8

from wsvis.chosen_instances import subset
from wsvis.masks import decode_masks, encode_masks
from wsvis.refinement.config import MaskCrfConfig
from wsvis.refinement.crf import dense_crf
from wsvis.types import FrameInstances

MOST = 254
"""Instances that one label map of bytes can hold beside the background."""


def painted(instances: FrameInstances, height: int, width: int) -> UInt8[np.ndarray, "H W"]:
    """All masks of a frame in one label map: 0 background, n + 1 instance n.

    Where masks overlap the higher score wins, of equal scores the first.
    """
    labels = np.zeros((height, width), dtype=np.uint8)
    masks = decode_masks(instances.masks, height, width)
    for place in np.argsort(-instances.scores, kind="stable")[::-1].tolist():
        labels[masks[place]] = place + 1
    return labels


def refine_masks(
    frames: UInt8[np.ndarray, "T H W 3"],
    instances: Sequence[FrameInstances],
    *,
    min_area: float = MaskCrfConfig.min_area,
    device: torch.device | None = None,
    **crf: float,
) -> list[FrameInstances]:
    """The same instances with masks that follow the image, those without a pixel left out.

    Each frame's instances are painted into one label map, best on top, and compete in the CRF with
    one another and with the background; of what an instance then has, 4-connected parts below
    ``min_area`` are dropped. Labels and scores stay.

    Args:
        frames: RGB.
        instances: of each frame; of more than 254 the best.
        min_area: share of the frame's pixels, 0..1.
        device: where to run the CRF.
        crf: parameters of :func:`wsvis.refinement.crf.dense_crf`.
    """
    if len(frames) != len(instances):
        raise ValueError(f"{len(frames)} frames, {len(instances)} lists of instances")
    height, width = frames.shape[1:3]
    sharpened = [best(frame, MOST) for frame in instances]
    busy = [t for t, frame in enumerate(sharpened) if len(frame)]
    if not busy:
        return sharpened
    maps = np.stack([painted(sharpened[t], height, width) for t in busy])
    refined = dense_crf(
        torch.from_numpy(frames[busy]).to(device),
        torch.from_numpy(maps).unsqueeze(1).to(device),
        [len(sharpened[t]) + 1 for t in busy],
        **crf,  # pyright: ignore[reportArgumentType]
    )
    for t, labels in zip(busy, refined[:, 0].cpu().numpy(), strict=True):
        sharpened[t] = unpainted(sharpened[t], labels, min_area)
    return sharpened


def unpainted(
    instances: FrameInstances, labels: UInt8[np.ndarray, "H W"], min_area: float
) -> FrameInstances:
    """The instances with the masks a label map gives them, without those it gives none.

    Args:
        instances: number n has the pixels n + 1.
        labels: see :func:`painted`.
        min_area: 4-connected parts smaller than this share of the frame are dropped.
    """
    masks = [large_parts(labels == n + 1, min_area) for n in range(len(instances))]
    left = [n for n, mask in enumerate(masks) if mask.any()]
    kept = subset(instances, left)
    rles = tuple(rle for n in left for rle in encode_masks(masks[n][None]))
    return FrameInstances(kept.labels, kept.scores, rles)


def large_parts(mask: Bool[np.ndarray, "H W"], min_area: float) -> Bool[np.ndarray, "H W"]:
    """The mask without its 4-connected parts below a share of the frame."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    large: np.ndarray = np.asarray(stats)[:, cv2.CC_STAT_AREA] >= min_area * mask.size
    large[0] = False  # what is not in the mask
    return large[np.asarray(parts, dtype=np.int64)]


def best(instances: FrameInstances, most: int) -> FrameInstances:
    """At most so many instances, those that score highest, in their own order."""
    if len(instances) <= most:
        return instances
    order = np.argsort(-instances.scores, kind="stable")[:most]
    return subset(instances, sorted(order.tolist()))
