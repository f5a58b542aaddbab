"""Training pairs: two frames of a video, their labels and the flow between, augmented as one.

H W pixels of a frame or of the network's input, h w cells of the flow's grid. Flow is
(u = x, v = y).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from wsvis.flow.field import regrid_flow
from wsvis.instances import InstanceTensors, from_masks
from wsvis.masks import decode_masks
from wsvis.systems.config import DetectorConfig
from wsvis.types import FrameInstances


@dataclass(frozen=True)
class PairSample:
    """What is known of the frames t and t + delta of a video."""

    frames: tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W 3"]]
    labels: tuple[FrameInstances, FrameInstances]
    flow: tuple[Float32[np.ndarray, "h w 2"], Float32[np.ndarray, "h w 2"]]
    """From the first to the second and back, on any grid over the frame, in pixels of the frame."""
    background: tuple[bool, bool] = (False, False)
    """Frames that are known to show no class."""


@dataclass(frozen=True)
class TrainingPair:
    """Tensors of one pair, as the network reads them."""

    images: tuple[Float[Tensor, "3 H W"], Float[Tensor, "3 H W"]]
    """RGB in 0..1."""
    targets: tuple[InstanceTensors, InstanceTensors]
    flow_ab: Float[Tensor, "H W 2"]
    flow_ba: Float[Tensor, "H W 2"]
    seed: int
    """Of everything random in the step on this pair."""
    background: tuple[bool, bool] = (False, False)
    """Frames that are known to show no class."""


def frame_pairs(length: int, delta: int) -> tuple[tuple[int, int], ...]:
    """All (t, t + delta) of a video of ``length`` frames.

    A frame near the end is the second of a pair (t - delta, t). Videos of delta frames or fewer
    have no pair, and neither have frames that lie less than delta from both ends.
    """
    return tuple((t, t + delta) for t in range(length - delta))


def make_pair(sample: PairSample, *, short_side: int, mirrored: bool, seed: int) -> TrainingPair:
    """One resize and one mirroring for both frames, their labels and their flow.

    Liu et al. 2021 is silent on augmentation: both frames share it, or the flow would not fit.
    Mirroring negates u; resizing scales the vectors. Labels without a pixel left are dropped.

    Args:
        sample: the pair.
        short_side: pixels of the shorter side; 0 = as it is.
        mirrored: left to right.
        seed: handed on.
    """
    height, width = sample.frames[0].shape[:2]
    rows, columns = resized(height, width, short_side)
    return TrainingPair(
        images=(
            as_image(resize_frame(sample.frames[0], rows, columns), mirrored),
            as_image(resize_frame(sample.frames[1], rows, columns), mirrored),
        ),
        targets=(
            _targets(sample.labels[0], (height, width), (rows, columns), mirrored),
            _targets(sample.labels[1], (height, width), (rows, columns), mirrored),
        ),
        flow_ab=_flow(sample.flow[0], (height, width), (rows, columns), mirrored),
        flow_ba=_flow(sample.flow[1], (height, width), (rows, columns), mirrored),
        seed=seed,
        background=sample.background,
    )


def resized(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Rows and columns when the shorter side gets ``short_side`` pixels (0 = unchanged)."""
    scale = short_side / min(height, width) if short_side else 1.0
    return max(round(height * scale), 1), max(round(width * scale), 1)


def resize_frame(frame: UInt8[np.ndarray, "H W 3"], rows: int, columns: int) -> np.ndarray:
    """Bilinear; area means where it shrinks."""
    if frame.shape[:2] == (rows, columns):
        return frame
    shrinks = rows < frame.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(frame, (columns, rows), interpolation=how)


def as_image(frame: UInt8[np.ndarray, "H W 3"], mirrored: bool = False) -> Float[Tensor, "3 H W"]:
    """Channels first, 0..1."""
    frame = frame[:, ::-1] if mirrored else frame
    return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1))).float() / 255


def _targets(
    labels: FrameInstances, old: tuple[int, int], new: tuple[int, int], mirrored: bool
) -> InstanceTensors:
    masks = decode_masks(labels.masks, *old)
    if old != new and len(masks):
        masks = np.stack(
            [
                # not INTER_NEAREST, which reads up to a pixel off the frame's own grid
                cv2.resize(m.astype(np.uint8), new[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
                for m in masks
            ]
        ).astype(bool)
    masks = masks[..., ::-1] if mirrored else masks
    masks = np.ascontiguousarray(masks).reshape(len(masks), *new)
    left = masks.any((1, 2))
    return from_masks(
        torch.from_numpy(masks[left]),
        torch.from_numpy(np.asarray(labels.labels, dtype=np.int64)[left]),
        torch.from_numpy(np.asarray(labels.scores, dtype=np.float32)[left]),
    )


def _flow(flow: np.ndarray, old: tuple[int, int], new: tuple[int, int], mirrored: bool) -> Tensor:
    scale = np.array([new[1] / old[1], new[0] / old[0]], dtype=np.float32)
    dense = regrid_flow(np.asarray(flow, dtype=np.float32), *new) * scale
    if mirrored:
        dense = dense[:, ::-1] * np.array([-1, 1], dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(dense))


class PairBatches:
    """Pairs of a data set, as a function of the seed and the step alone.

    Every epoch visits the pairs in a new random order and drops its incomplete last batch (of the
    whole group of workers; each worker makes its own equal share of every batch).

    Args:
        samples: index -> pair; may decode on demand. Pairs without a label in either frame teach
            nothing and are better left out.
        pairs: per step, of all workers together; a multiple of ``workers``.
        seed: of order and augmentation.
        short_sides: range of the shorter side; (0, 0) = frames as they are.
        mirror: mirror half of the pairs.
        worker: number of this worker.
        workers: how many there are.
    """

    def __init__(
        self,
        samples: Sequence[PairSample],
        *,
        pairs: int = DetectorConfig.pairs,
        seed: int = 0,
        short_sides: tuple[int, int] = (0, 0),
        mirror: bool = DetectorConfig.mirror,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        self.samples, self.seed = samples, seed
        self.pairs = min(pairs, len(samples)) // workers * workers
        if not self.pairs:
            raise ValueError(f"{pairs} of {len(samples)} pairs give no step for {workers} workers")
        self.short_sides, self.mirror = short_sides, mirror
        self.worker, self.workers = worker, workers

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the pairs."""
        return len(self.samples) // self.pairs

    def __call__(self, start: int) -> Iterator[list[TrainingPair]]:
        """Batches from step ``start`` on, without end."""
        step = start
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> list[TrainingPair]:
        """The pairs of one step (this worker's share)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.samples))
        pairs = []
        for i in range(self.worker, self.pairs, self.workers):
            random = np.random.default_rng([self.seed, 1, step, i])
            short_side = int(random.integers(self.short_sides[0], self.short_sides[1] + 1))
            mirrored = bool(random.random() < 0.5) and self.mirror
            chosen = int(order[place * self.pairs + i])
            pairs.append(
                make_pair(
                    self.samples[chosen],
                    short_side=short_side,
                    mirrored=mirrored,
                    seed=int(random.integers(2**63)),
                )
            )
        return pairs
