"""How a frame comes onto the canvas that the network reads.

Frames larger than the canvas are shrunk to it, never silently cut; only training's random resize
cuts, as IRN's does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsvis.irn.network import GRID, MULTIPLE


@dataclass(frozen=True)
class Placement:
    """How one frame goes onto the canvas."""

    height: int
    width: int
    """Of the resized frame."""
    top: int
    left: int
    """Where the canvas begins in the resized frame; negative: the frame begins inside the canvas.
    Multiples of the grid."""
    mirrored: bool


def canvas_size(height: int, width: int, canvas: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns the network reads: ``canvas``, or the frame's own size where that is 0.

    Always whole multiples of 16.
    """
    rows, columns = canvas
    return (
        -(-(rows or height) // MULTIPLE) * MULTIPLE,
        -(-(columns or width) // MULTIPLE) * MULTIPLE,
    )


def fitted_size(height: int, width: int, canvas: tuple[int, int]) -> tuple[int, int]:
    """Size of a frame on the canvas: as it is where it fits, else shrunk, never cut."""
    rows, columns = canvas_size(height, width, canvas)
    scale = min(1.0, rows / height, columns / width)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def draw_placement(
    random: np.random.Generator,
    height: int,
    width: int,
    canvas: tuple[int, int],
    scales: tuple[float, float],
    mirror: bool,
) -> Placement:
    """Scale uniform in ``scales`` (times what fits the canvas), mirrored half the time.

    A larger frame is cut at a random place, a smaller one lies at a random place (IRN as released;
    here on multiples of 4 pixels, so that labels and flow need no second sampling). Without random
    scales it lies at the top left, as at inference.
    """
    fitted = fitted_size(height, width, canvas)
    rows, columns = canvas_size(height, width, canvas)
    scale, row, column, side = random.random(4)
    factor = scales[0] + (scales[1] - scales[0]) * scale
    tall, wide = max(round(fitted[0] * factor), 1), max(round(fitted[1] * factor), 1)
    return Placement(
        height=tall,
        width=wide,
        top=_place(tall - rows, row) if scales != (1, 1) else 0,
        left=_place(wide - columns, column) if scales != (1, 1) else 0,
        mirrored=bool(mirror and side < 0.5),
    )


def overlap(
    placement: Placement, canvas: tuple[int, int], unit: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where on the canvas and what of the resized frame, in units of so many pixels."""
    to, where = [], []
    lengths = (placement.height, placement.width)
    for start, length, size in zip((placement.top, placement.left), lengths, canvas, strict=True):
        start, length, size = start // unit, -(-length // unit), size // unit
        first, skipped = max(-start, 0), max(start, 0)
        kept = min(size - first, length - skipped)
        to.append(slice(first, first + kept))
        where.append(slice(skipped, skipped + kept))
    return (to[0], to[1]), (where[0], where[1])


def _place(free: int, position: float) -> int:
    """A multiple of the grid between 0 and ``free`` (of either sign)."""
    steps = abs(free) // GRID
    return GRID * min(int(position * (steps + 1)), steps) * (1 if free >= 0 else -1)
