"""Instance pseudo-labels of a frame from its seeds after the random walk.

Legend: K classes of the frame, S seeds (one per class and instance), h w cells of the stride-4
grid, H W pixels of the frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, Int64
from torch import Tensor
from torch.nn import functional

from wsvis.irn.config import WalkConfig
from wsvis.masks import encode_masks
from wsvis.types import FrameInstances

GRID = 4


@dataclass(frozen=True)
class Seeds:
    """Class activation cut out by instance."""

    maps: Float32[np.ndarray, "S h w"]
    labels: Int64[np.ndarray, " S"]
    """Class of each, 0..C-1."""


def instance_seeds(
    activation: Float[np.ndarray, "K h w"],
    class_ids: Int[np.ndarray, " K"],
    instances: Int64[np.ndarray, "h w"],
) -> Seeds:
    """Each class's activation in each instance; those that are zero everywhere are left out.

    Ahn et al. 2019 (IRN).

    Args:
        activation: CAM or f-CAM >= 0 on the grid of the instances, of order 1 (f-CAM saturated by
            :func:`wsvis.cam.fcam.saturate_jointly`, else still objects fall under the background
            constant beside moving ones).
        class_ids: class of each map.
        instances: of :func:`wsvis.irn.centroids.instance_map`.
    """
    maps: list[np.ndarray] = []
    labels: list[int] = []
    for single, class_id in zip(activation, class_ids.tolist(), strict=True):
        for instance in np.unique(instances[single > 0]):
            maps.append(np.where(instances == instance, single, 0))
            labels.append(class_id)
    stacked = np.stack(maps) if maps else np.zeros((0, *instances.shape))
    return Seeds(stacked.astype(np.float32), np.array(labels, dtype=np.int64))


def upsample_scores(
    walked: Float[Tensor, "s h w"], fitted: tuple[int, int], size: tuple[int, int]
) -> Float[Tensor, "s H W"]:
    """Scores on the pixels of the frame: bilinear x4, cut to the frame, and its largest value 1.

    Ahn et al. 2019, released code: divided by the largest value over all seeds, so weak seeds are
    judged against the strongest one. Nothing but zeros stays zeros.

    Args:
        walked: of :func:`wsvis.irn.random_walk.random_walk`.
        fitted: rows and columns of the frame as the network saw it.
        size: rows and columns of the frame itself.
    """
    if len(walked) == 0:
        return walked.new_zeros((0, *size))
    fine = functional.interpolate(
        walked[None], scale_factor=GRID, mode="bilinear", align_corners=False
    )[..., : fitted[0], : fitted[1]]
    if fitted != size:
        fine = functional.interpolate(fine, size, mode="bilinear", align_corners=False)
    peak = fine.max()
    return fine[0] / peak if peak > 0 else fine[0]


def detections(
    scores: Float[np.ndarray, "S H W"],
    labels: Int64[np.ndarray, " S"],
    background: float = 0.25,
    min_area: float = WalkConfig.min_area,
    scored_by: str = "peak",
) -> FrameInstances:
    """Components of the pixels that each seed wins.

    Ahn et al. 2019, released code: argmax over [background; scores]; every 4-connected component of
    a seed's pixels is a detection, scored with the largest value in it. No suppression follows.

    Differs from IRN: components below ``min_area`` are dropped at once (there they get score 0 and
    are dropped later), and a frame may have no detection at all.

    Args:
        scores: of :func:`upsample_scores`.
        labels: class of each seed.
        background: constant score of the background.
        min_area: share of the frame's pixels.
        scored_by: ``peak``, or ``mass``: the root of the strengths' sum over the frame's pixels, as
            masks straight from class maps are scored. The peak is 1 for the best detection of
            nearly every frame, so that frames cannot be told apart by it.
    """
    height, width = scores.shape[1:]
    masks: list[np.ndarray] = []
    owners: list[int] = []
    peaks: list[float] = []
    winner, strength = _winners(scores, background)
    for seed in np.unique(winner[winner >= 0]).tolist():
        region = (winner == seed).astype(np.uint8)
        _, components = cv2.connectedComponents(region, connectivity=4)
        sizes = np.bincount(components.ravel())
        for component in np.flatnonzero(sizes >= min_area * height * width).tolist():
            if component:
                mask = components == component
                masks.append(mask)
                owners.append(int(labels[seed]))
                inside = strength[mask]
                peaks.append(
                    math.sqrt(float(inside.sum()) / mask.size)
                    if scored_by == "mass"
                    else float(inside.max())
                )
    order = np.argsort(-np.array(peaks), kind="stable")
    stacked = np.stack(masks)[order] if masks else np.zeros((0, height, width), dtype=bool)
    return FrameInstances(
        labels=np.array(owners, dtype=np.int64)[order],
        scores=np.array(peaks, dtype=np.float32)[order],
        masks=tuple(encode_masks(stacked)),
    )


def _winners(scores: np.ndarray, background: float) -> tuple[np.ndarray, np.ndarray]:
    """Index of the largest score at each pixel, -1 for background, and that score."""
    if len(scores) == 0:
        return np.full(scores.shape[1:], -1), np.full(scores.shape[1:], background)
    winner = scores.argmax(0)
    strength = np.take_along_axis(scores, winner[None], 0)[0]
    return np.where(strength > background, winner, -1), strength
