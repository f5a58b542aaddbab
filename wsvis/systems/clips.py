"""Training clips: one or more frames of a video, labels and the flow between, augmented as one.

T frames of a clip, H W pixels of a frame or of the network's input, h w cells of the flow's grid.
Flow is (u = x, v = y).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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

BothWays = tuple[Float32[np.ndarray, "h w 2"], Float32[np.ndarray, "h w 2"]]


@dataclass(frozen=True)
class ClipSample:
    """What is known of some frames of a video, in their order."""

    frames: tuple[UInt8[np.ndarray, "H W 3"], ...]
    labels: tuple[FrameInstances, ...]
    flow: tuple[BothWays, ...] = ()
    """From each frame to the next and back, on any grid over the frame, in pixels of the frame."""
    background: tuple[bool, ...] = ()
    """Frames that are known to show no class; empty: none is."""


@dataclass(frozen=True)
class Clip:
    """Tensors of a sample, as the network reads them."""

    images: tuple[Float[Tensor, "3 H W"], ...]
    """RGB in 0..1."""
    targets: tuple[InstanceTensors, ...]
    flow: tuple[tuple[Float[Tensor, "H W 2"], Float[Tensor, "H W 2"]], ...]
    """From each frame to the next, and back."""
    seed: int
    """Of everything random in the step on this clip."""
    background: tuple[bool, ...]
    """Frames that are known to show no class."""

    def to(self, device: torch.device) -> Clip:
        """The same on another device."""
        if self.images[0].device == device:
            return self

        def sent(values: Tensor) -> Tensor:
            return values.to(device, non_blocking=True)

        def moved(each: InstanceTensors) -> InstanceTensors:
            return InstanceTensors(*map(sent, (each.boxes, each.labels, each.masks, each.scores)))

        return replace(
            self,
            images=tuple(map(sent, self.images)),
            targets=tuple(map(moved, self.targets)),
            flow=tuple((sent(forward), sent(backward)) for forward, backward in self.flow),
        )


def frame_clips(length: int, frames: int, delta: int) -> tuple[tuple[int, ...], ...]:
    """All (t, t + delta, ...) of ``frames`` frames in a video of ``length``.

    Videos that are too short have none, and neither have frames that lie too near to both ends.
    """
    return tuple(
        tuple(range(t, t + (frames - 1) * delta + 1, delta))
        for t in range(length - (frames - 1) * delta)
    )


def make_clip(
    sample: ClipSample, *, short_side: int, mirrored: bool, seed: int, masks: bool = True
) -> Clip:
    """One resize and one mirroring for all frames, their labels and their flow.

    Liu et al. 2021 is silent on augmentation: both frames of a pair share it, or the flow would not
    fit. Mirroring negates u; resizing scales the vectors. Labels without a pixel left are dropped.

    Args:
        sample: the clip.
        short_side: pixels of the shorter side; 0 = as it is.
        mirrored: left to right.
        seed: handed on.
        masks: False takes the masks away once their boxes are known: targets then have masks of no
            pixel, [N, 0, 0].
    """
    height, width = sample.frames[0].shape[:2]
    old, new = (height, width), resized(height, width, short_side)
    targets = [_targets(labels, old, new, mirrored) for labels in sample.labels]
    if not masks:
        targets = [replace(each, masks=each.masks[:, :0, :0]) for each in targets]
    return Clip(
        images=tuple(as_image(resize_frame(frame, *new), mirrored) for frame in sample.frames),
        targets=tuple(targets),
        flow=tuple(
            (_flow(forward, old, new, mirrored), _flow(backward, old, new, mirrored))
            for forward, backward in sample.flow
        ),
        seed=seed,
        background=sample.background or (False,) * len(sample.frames),
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


class ClipBatches:
    """Clips of a data set, as a function of the seed and the step alone.

    Every epoch visits the clips in a new random order and drops its incomplete last batch (of the
    whole group of workers; each worker makes its own equal share of every batch).

    Args:
        samples: index -> clip; may decode on demand. Clips without any label teach nothing and are
            better left out.
        batch_size: clips per step, of all workers together; a multiple of ``workers``.
        seed: of order and augmentation.
        short_sides: range of the shorter side; (0, 0) = frames as they are.
        mirror: mirror half of the clips.
        masks: whether labels keep their masks, or boxes and classes only.
        worker: number of this worker.
        workers: how many there are.
    """

    def __init__(
        self,
        samples: Sequence[ClipSample],
        *,
        batch_size: int = DetectorConfig.batch_size,
        seed: int = 0,
        short_sides: tuple[int, int] = (0, 0),
        mirror: bool = DetectorConfig.mirror,
        masks: bool = True,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        self.samples, self.seed = samples, seed
        self.batch_size = min(batch_size, len(samples)) // workers * workers
        if not self.batch_size:
            raise ValueError(
                f"{batch_size} of {len(samples)} clips give no step for {workers} workers"
            )
        self.short_sides, self.mirror, self.masks = short_sides, mirror, masks
        self.worker, self.workers = worker, workers

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the clips."""
        return len(self.samples) // self.batch_size

    def __call__(self, start: int) -> Iterator[list[Clip]]:
        """Batches from step ``start`` on, without end."""
        step = start
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> list[Clip]:
        """The clips of one step (this worker's share)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.samples))
        clips = []
        for i in range(self.worker, self.batch_size, self.workers):
            random = np.random.default_rng([self.seed, 1, step, i])
            short_side = int(random.integers(self.short_sides[0], self.short_sides[1] + 1))
            mirrored = bool(random.random() < 0.5) and self.mirror
            chosen = int(order[place * self.batch_size + i])
            clips.append(
                make_clip(
                    self.samples[chosen],
                    short_side=short_side,
                    mirrored=mirrored,
                    seed=int(random.integers(2**63)),
                    masks=self.masks,
                )
            )
        return clips
