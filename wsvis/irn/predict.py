"""Pseudo-labels of a video: network, instances, random walk, components.

T frames, K classes of a frame, h w cells of the stride-4 grid, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from wsvis.irn.batches import IrnSample, make_batch
from wsvis.irn.centroids import centroids, instance_map
from wsvis.irn.config import IrnConfig, WalkConfig
from wsvis.irn.instances import (
    Seeds,
    detections,
    instance_seeds,
    upsample_scores,
)
from wsvis.irn.network import GRID, Irn
from wsvis.irn.placement import Placement, canvas_size, fitted_size
from wsvis.irn.random_walk import random_walk
from wsvis.types import FrameInstances


@torch.no_grad()
def boundary_and_displacement(
    model: Irn, frames: UInt8[np.ndarray, "T H W 3"], canvas: tuple[int, int]
) -> tuple[Float[Tensor, "T h w"], Float[Tensor, "T 2 h w"]]:
    """Boundary likelihood from a frame and its mirror image, displacement from the frame.

    Ahn et al. 2019, released code: sigmoid of the mean logit of both. The frame lies at the top
    left of the canvas; a larger one is shrunk to it.

    Returns:
        On ceil(H' / 4) x ceil(W' / 4) cells of the frame as it lies on the canvas (H' x W').
    """
    height, width = frames.shape[1:3]
    tall, wide = fitted_size(height, width, canvas)
    whole = canvas_size(height, width, canvas)
    rows, columns = -(-tall // GRID), -(-wide // GRID)
    nothing = np.zeros((height, width), dtype=np.uint8)
    samples = [IrnSample(frame, nothing, None) for frame in frames]
    device = model.mean_displacement.device
    logits: list[Tensor] = []
    displacement = torch.empty(0)
    for mirrored in (True, False):
        placement = Placement(tall, wide, 0, 0, mirrored)
        batch = make_batch(samples, [placement] * len(samples), whole, model.normalisation)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            taps = model.taps(batch.frames.to(device))
            logit = model.boundary(taps)
            if not mirrored:
                displacement = model.centred_displacement(taps)
        logit = logit.float()[:, :rows, :columns]
        logits.append(logit.flip(2) if mirrored else logit)
    boundary = ((logits[0] + logits[1]) / 2).sigmoid()
    return boundary, displacement.float()[:, :, :rows, :columns]


def pseudo_labels(
    model: Irn,
    frames: UInt8[np.ndarray, "T H W 3"],
    activations: Sequence[Float[np.ndarray, "_ _ _"]],
    class_ids: Sequence[Sequence[int]],
    *,
    canvas: tuple[int, int] = IrnConfig.canvas,
    radius: int = WalkConfig.radius,
    beta: float = WalkConfig.beta,
    walk_steps: int = WalkConfig.steps,
    refinements: int = WalkConfig.refinements,
    cluster_threshold: float = WalkConfig.cluster_threshold,
    background: float = 0.25,
    min_area: float = WalkConfig.min_area,
    scores: str = WalkConfig.scores,
    batch_size: int = 8,
) -> list[FrameInstances]:
    """Instances of every frame of a video: seeds, walked along the affinities, cut apart.

    Ahn et al. 2019 (IRN); Liu et al. 2021, Sec. 3.2 replaces the CAM by f-CAM.

    Args:
        model: trained, with its mean displacement set.
        frames: RGB.
        activations: per frame [K, h, w] >= 0, CAM or (saturated) f-CAM on the frame's own stride-4
            grid; K may be 0.
        class_ids: per frame the classes of its maps.
        canvas: rows and columns the network reads, as in training; 0 = the frame's own.
        radius: of the pairs of the walk, in cells.
        beta: exponent of the affinity.
        walk_steps: steps of the walk.
        refinements: see :func:`wsvis.irn.centroids.centroids`.
        cluster_threshold: see :func:`wsvis.irn.centroids.instance_map`.
        background: see :func:`wsvis.irn.instances.detections`.
        min_area: see :func:`wsvis.irn.instances.detections`.
        scores: see :func:`wsvis.irn.instances.detections`.
        batch_size: frames per forward pass.
    """
    if not len(frames) == len(activations) == len(class_ids):
        raise ValueError(f"{len(frames)} frames, {len(activations)} activations")
    height, width = frames.shape[1:3]
    fitted = fitted_size(height, width, canvas)
    labels: list[FrameInstances] = []
    for start in range(0, len(frames), batch_size):
        some = slice(start, start + batch_size)
        boundary, displacement = boundary_and_displacement(model, frames[some], canvas)
        seeds = _seeds(
            displacement, activations[some], class_ids[some], refinements, cluster_threshold
        )
        walked = _walk(seeds, boundary, radius, beta, walk_steps)
        for maps, seed in zip(walked, seeds, strict=True):
            strengths = upsample_scores(maps, fitted, (height, width)).cpu().numpy()
            labels.append(detections(strengths, seed.labels, background, min_area, scores))
    return labels


def _seeds(
    displacement: Tensor,
    activations: Sequence[np.ndarray],
    class_ids: Sequence[Sequence[int]],
    refinements: int,
    cluster_threshold: float,
) -> list[Seeds]:
    ends = centroids(displacement, refinements).cpu().numpy()
    fields = displacement.cpu().numpy()
    seeds = []
    for field, end, activation, ids in zip(fields, ends, activations, class_ids, strict=True):
        rows, columns = field.shape[1:]
        on_grid = [cv2.resize(single.astype(np.float32), (columns, rows)) for single in activation]
        maps = np.stack(on_grid) if on_grid else np.zeros((0, rows, columns), dtype=np.float32)
        instances = instance_map(field, end, cluster_threshold)
        seeds.append(instance_seeds(maps, np.array(ids, dtype=np.int64), instances))
    return seeds


def _walk(
    seeds: Sequence[Seeds], boundary: Tensor, radius: int, beta: float, steps: int
) -> list[Tensor]:
    """Each frame's seeds after the walk; on an accelerator all frames at once."""
    device = boundary.device
    if device.type == "cpu":
        return [
            random_walk(
                torch.from_numpy(seed.maps)[None],
                edges[None],
                radius=radius,
                beta=beta,
                steps=steps,
            )[0]
            for seed, edges in zip(seeds, boundary, strict=True)
        ]
    most = max((len(seed.maps) for seed in seeds), default=0)
    stacked = torch.zeros((len(seeds), most, *boundary.shape[1:]), device=device)
    for target, seed in zip(stacked, seeds, strict=True):
        target[: len(seed.maps)] = torch.from_numpy(seed.maps)
    walked = random_walk(stacked, boundary, radius=radius, beta=beta, steps=steps)
    return [maps[: len(seed.maps)] for maps, seed in zip(walked, seeds, strict=True)]
