"""Training batches: a frame, its IR labels and its flow, augmented together, on one canvas.

B frames, H W pixels of a frame or canvas, h w cells of the stride-4 grid. Flow is (u = x, v = y).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from wsvis.backbones.normalise import MEAN_STD
from wsvis.irn.config import IrnConfig
from wsvis.irn.network import GRID
from wsvis.irn.placement import Placement, canvas_size, draw_placement, overlap

UNSURE = 255


@dataclass(frozen=True)
class IrnSample:
    """What is known of one frame."""

    frame: UInt8[np.ndarray, "H W 3"]
    labels: UInt8[np.ndarray, "H W"]
    """IR labels: 0 background, c + 1 class, 255 unsure."""
    flow: Float32[np.ndarray, "hf wf 2"] | None
    """To the next frame, on any grid over the frame, in pixels of the frame; not a number where it
    is not known (a last frame that no pair reaches)."""


@dataclass(frozen=True)
class IrnBatch:
    """Tensors of one step."""

    frames: Float[Tensor, "B 3 H W"]
    """Normalised; 0 (the mean colour) around the frame."""
    labels: UInt8[Tensor, "B h w"]
    inside: Bool[Tensor, "B h w"]
    """Cells of the frame, not of the canvas around it."""
    flow: Float[Tensor, "B h w 2"] | None
    """Pixels of the canvas; the frame's rim is repeated around it; not a number where unknown."""
    keys: tuple[tuple[int, bool], ...] | None
    """(index, mirrored) of each frame where that says all about it, so that features can be kept
    between epochs; ``None`` where frames are resized or cut at random."""


def make_batch(
    samples: Sequence[IrnSample],
    placements: Sequence[Placement],
    canvas: tuple[int, int],
    normalisation: str,
    keys: tuple[tuple[int, bool], ...] | None = None,
) -> IrnBatch:
    """Put samples onto canvases (whole ``canvas`` as given by :func:`canvas_size`)."""
    placed = list(zip(samples, placements, strict=True))
    frames = np.stack([_place_frame(s.frame, p, canvas, normalisation) for s, p in placed])
    labels, inside = zip(*[_place_labels(s.labels, p, canvas) for s, p in placed], strict=True)
    flows = [
        _place_flow(s.flow, s.labels.shape, p, canvas) for s, p in placed if s.flow is not None
    ]
    return IrnBatch(
        frames=torch.from_numpy(frames),
        labels=torch.from_numpy(np.stack(labels)),
        inside=torch.from_numpy(np.stack(inside)),
        flow=torch.from_numpy(np.stack(flows)) if len(flows) == len(placed) else None,
        keys=keys,
    )


def _place_frame(
    frame: np.ndarray, placement: Placement, canvas: tuple[int, int], normalisation: str
) -> np.ndarray:
    if frame.shape[:2] != (placement.height, placement.width):
        shrinks = placement.height < frame.shape[0]
        frame = cv2.resize(
            frame,
            (placement.width, placement.height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
        )
    mean, std = (np.array(v, dtype=np.float32) for v in MEAN_STD[normalisation])
    if placement.mirrored:
        frame = frame[:, ::-1]
    result = np.zeros((*canvas, 3), dtype=np.float32)
    to, where = overlap(placement, canvas, 1)
    result[to] = (frame[where].astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(result.transpose(2, 0, 1))


def _place_labels(
    labels: np.ndarray, placement: Placement, canvas: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Each cell takes the label at its middle; unsure outside the frame."""
    height, width = labels.shape
    tall, wide = -(-placement.height // GRID), -(-placement.width // GRID)
    rows = np.minimum((np.arange(tall) * GRID + GRID / 2) * height / placement.height, height - 1)
    columns = np.minimum((np.arange(wide) * GRID + GRID / 2) * width / placement.width, width - 1)
    cells = labels[rows.astype(int)][:, columns.astype(int)]
    if placement.mirrored:
        cells = cells[:, ::-1]
    result = np.full((canvas[0] // GRID, canvas[1] // GRID), UNSURE, dtype=np.uint8)
    inside = np.zeros(result.shape, dtype=bool)
    to, where = overlap(placement, canvas, GRID)
    result[to], inside[to] = cells[where], True
    return result, inside


def _place_flow(
    flow: np.ndarray, frame: tuple[int, ...], placement: Placement, canvas: tuple[int, int]
) -> np.ndarray:
    """Mean flow of each cell, its vectors scaled and mirrored with the frame."""
    tall, wide = -(-placement.height // GRID), -(-placement.width // GRID)
    shrinks = tall < flow.shape[0] and wide < flow.shape[1]
    cells = cv2.resize(
        np.ascontiguousarray(flow, dtype=np.float32),
        (wide, tall),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    cells = cells * np.array(
        [placement.width / frame[1], placement.height / frame[0]], dtype=np.float32
    )
    if placement.mirrored:
        cells = cells[:, ::-1] * np.array([-1, 1], dtype=np.float32)
    to, where = overlap(placement, canvas, GRID)
    rows, columns = canvas[0] // GRID, canvas[1] // GRID
    return np.pad(
        cells[where],
        ((to[0].start, rows - to[0].stop), (to[1].start, columns - to[1].stop), (0, 0)),
        mode="edge",
    )


class IrnBatches:
    """Batches of a data set, as a function of the seed and the step alone.

    Every epoch visits the samples in a new random order and drops its incomplete last batch (of the
    whole group of workers; each worker makes its own equal share of every batch).

    Args:
        samples: index -> sample; may decode on demand.
        batch_size: of all workers together; a multiple of ``workers``.
        seed: of order and augmentation.
        canvas: rows and columns the network reads; 0 = those of the largest frame of the batch.
        scales: range of the random resize; (1, 1) = none.
        mirror: mirror half of the frames.
        normalisation: see :func:`wsvis.backbones.normalise.normalise_frames`.
        worker: number of this worker.
        workers: how many there are.
    """

    def __init__(
        self,
        samples: Sequence[IrnSample],
        *,
        batch_size: int,
        seed: int,
        canvas: tuple[int, int] = IrnConfig.canvas,
        scales: tuple[float, float] = IrnConfig.scales,
        mirror: bool = IrnConfig.mirror,
        normalisation: str = "imagenet",
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        self.samples, self.seed = samples, seed
        self.batch_size = min(batch_size, len(samples)) // workers * workers
        if not self.batch_size:
            raise ValueError(f"{len(samples)} samples give no batch for {workers} workers")
        self.canvas, self.scales, self.mirror = canvas, scales, mirror
        self.normalisation = normalisation
        self.worker, self.workers = worker, workers

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the samples."""
        return len(self.samples) // self.batch_size

    def __call__(self, start: int) -> Iterator[IrnBatch]:
        """Batches from step ``start`` on, without end."""
        step = start
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> IrnBatch:
        """The batch of one step (this worker's share)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.samples))
        chosen = order[place * self.batch_size : (place + 1) * self.batch_size]
        share = range(self.worker, self.batch_size, self.workers)
        samples = [self.samples[int(chosen[i])] for i in share]
        sizes = [(sample.frame.shape[0], sample.frame.shape[1]) for sample in samples]
        canvas = canvas_size(max(h for h, _ in sizes), max(w for _, w in sizes), self.canvas)
        placements = [
            draw_placement(
                np.random.default_rng([self.seed, 1, step, i]),
                height,
                width,
                canvas,
                self.scales,
                self.mirror,
            )
            for i, (height, width) in zip(share, sizes, strict=True)
        ]
        keys = None
        whole = self.scales == (1, 1)
        if whole and all(canvas_size(h, w, self.canvas) == canvas for h, w in sizes):
            keys = tuple(
                (int(chosen[i]), p.mirrored) for i, p in zip(share, placements, strict=True)
            )
        return make_batch(samples, placements, canvas, self.normalisation, keys)
