"""What a frame goes through before the classifier learns from it.

B frames, H W pixels. Random numbers are drawn per frame from a generator of its own, so that a
frame's fate depends on nothing but the seed, the step and its place in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from wsvis.backbones.normalise import normalise_frames


@dataclass(frozen=True)
class Augmentation:
    """One frame's draw."""

    long_side: int
    """Pixels of the longer side after the resize; 0 = as it is."""
    flip: bool
    row: float
    column: float
    """Where the crop lies in a larger frame, or a smaller frame on the canvas: 0 first, 1 last."""


def draw_augmentation(
    random: np.random.Generator, resize_long_side: tuple[int, int]
) -> Augmentation:
    """Long side uniform over the whole numbers of the range, mirrored half the time (IRN)."""
    low, high = resize_long_side
    drawn = int(random.integers(low, high + 1)) if high else 0
    flip, row, column = random.random(3)
    return Augmentation(
        long_side=drawn, flip=bool(flip < 0.5), row=float(row), column=float(column)
    )


def apply_augmentation(
    frame: np.ndarray, drawn: Augmentation, normalisation: str, device: torch.device
) -> Float[Tensor, "3 H W"]:
    """Resize (bicubic, antialiased, to bytes again), normalise, mirror."""
    height, width = frame.shape[:2]
    x = torch.from_numpy(np.ascontiguousarray(frame)).to(device)[None]
    if drawn.long_side and drawn.long_side != max(height, width):
        factor = drawn.long_side / max(height, width)
        size = [max(1, round(height * factor)), max(1, round(width * factor))]
        channels_first = x.permute(0, 3, 1, 2).float()
        resized = functional.interpolate(channels_first, size, mode="bicubic", antialias=True)
        x = resized.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    normalised = normalise_frames(x, normalisation)[0]
    return normalised.flip(-1) if drawn.flip else normalised


def place_on_canvas(
    frames: Sequence[Float[Tensor, "3 _ _"]], draws: Sequence[Augmentation], crop: int
) -> Float[Tensor, "B 3 H W"]:
    """Frames cut or zero-padded to one size.

    Zero after normalisation is the mean colour. A side longer than the canvas is cut at a random
    place, a shorter one is put at a random place (IRN).

    Args:
        frames: normalised frames.
        draws: their draws, which hold the places.
        crop: side of the square canvas in pixels; 0 = the batch's largest height and width.
    """
    height = crop or max(frame.shape[-2] for frame in frames)
    width = crop or max(frame.shape[-1] for frame in frames)
    canvas = frames[0].new_zeros(len(frames), 3, height, width)
    for target, frame, drawn in zip(canvas, frames, draws, strict=True):
        to_rows, from_rows = _overlap(height, frame.shape[-2], drawn.row)
        to_columns, from_columns = _overlap(width, frame.shape[-1], drawn.column)
        target[:, to_rows, to_columns] = frame[:, from_rows, from_columns]
    return canvas


def _overlap(canvas: int, length: int, place: float) -> tuple[slice, slice]:
    """Slices of the canvas and of the frame along one axis."""
    free = abs(canvas - length)
    start = min(int(place * (free + 1)), free)
    kept = min(canvas, length)
    if length > canvas:
        return slice(0, kept), slice(start, start + kept)
    return slice(start, start + kept), slice(0, kept)
