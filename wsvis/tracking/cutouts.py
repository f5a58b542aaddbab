"""Masks cut to their box, moved along a flow field and compared, without touching the whole frame.

A tracker moves and compares tens of thousands of masks, most of them small; working on the frame
would cost ten times as much. H W pixels, h w pixels of a cutout, N M instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from wsvis.masks import run_lengths_of
from wsvis.tracking.boxes import boxes_of
from wsvis.types import Rle


@dataclass(frozen=True)
class Cutout:
    """The rectangle of a frame that holds a mask; outside it is background."""

    top: int
    left: int
    mask: np.ndarray
    """bool [h, w]."""


@dataclass(frozen=True)
class Sampling:
    """Where each pixel of a frame looks in the one before: x + F_ba(x)."""

    x: np.ndarray
    """float32 [H, W]: column of that place, 0..W-1."""
    y: np.ndarray
    """float32 [H, W]: its row, 0..H-1."""
    corner: np.ndarray
    """int32 [H, W]: floor(y) * W + floor(x); below 0 where the place is off the frame."""
    row_span: np.ndarray
    """int32 [2, H]: least and greatest floor(y) in each row."""
    column_span: np.ndarray
    """int32 [2, W]: least and greatest floor(x) in each column."""


OFF_FRAME = -(1 << 30)


def cutouts(masks: Sequence[Rle]) -> list[Cutout]:
    """Each mask cut to its tight box (0 x 0 for an empty mask)."""
    boxes = boxes_of(masks).astype(int).tolist()
    runs = run_lengths_of([rle["counts"] for rle in masks])
    out = []
    for rle, (x0, y0, x1, y1), lengths in zip(masks, boxes, runs, strict=True):
        # Runs go down the columns, so only those of the box are laid out.
        height = rle["size"][0]
        ends = np.clip(np.cumsum(lengths), x0 * height, x1 * height)
        ends[1:] -= ends[:-1].copy()
        ends[0] -= x0 * height
        pixels = np.repeat(np.arange(len(ends)) % 2 == 1, ends).reshape(x1 - x0, height)
        out.append(Cutout(y0, x0, np.ascontiguousarray(pixels[:, y0:y1].T)))
    return out


def sampling_of(backward_flow: Float[np.ndarray, "H W 2"] | Sampling) -> Sampling:
    """Turn a flow field into places to look, by the rules of ``wsvis.flow.warp``.

    Where the field is not finite, the place is off the frame.

    Args:
        backward_flow: F_ba, pixels: where a pixel of b was in a. A ``Sampling`` is given back as it
            is, so that one can be used many times.
    """
    if isinstance(backward_flow, Sampling):
        return backward_flow
    height, width = backward_flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None, :] + backward_flow[..., 0].astype(np.float32)
    y = np.arange(height, dtype=np.float32)[:, None] + backward_flow[..., 1].astype(np.float32)
    # A pixel reaches half a pixel beyond its centre; there the outermost pixel is repeated.
    # Comparisons with NaN are false.
    valid = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    if not np.isfinite(x.sum() + y.sum()):
        x[~valid], y[~valid] = 0, 0
    np.clip(x, 0, width - 1, out=x)
    np.clip(y, 0, height - 1, out=y)
    x0, y0 = x.astype(np.int32), y.astype(np.int32)
    corner = y0 * np.int32(width) + x0
    corner[~valid] = OFF_FRAME
    return Sampling(
        x,
        y,
        corner,
        np.stack([y0.min(1), y0.max(1)]),
        np.stack([x0.min(0), x0.max(0)]),
    )


def warp_cutout(cutout: Cutout, sampling: Sampling) -> Cutout:
    """The mask in the next frame: sampled backward, bilinear, 1 where at least 0.5.

    W_ab(m)(x) = [m(x + F_ba(x)) >= 0.5] with m = 0 off the frame (Liu et al. 2021, Sec. 3.3: "a
    bi-linear warping function"; the paper is silent on direction and threshold). The same masks as
    ``wsvis.flow.warp.warp_masks``, at a cost that goes with the mask's size, not the frame's.

    Args:
        cutout: the mask m in frame a.
        sampling: of the flow F_ba.

    Returns:
        The mask in frame b, cut to a rectangle that holds it (not always the tightest).
    """
    height, width = cutout.mask.shape
    if not height or not width:
        return cutout
    # A place touches the mask when its upper left pixel is at most one above or left of the box.
    low_y, high_y = cutout.top - 1, cutout.top + height - 1
    low_x, high_x = cutout.left - 1, cutout.left + width - 1
    rows = np.flatnonzero((sampling.row_span[0] <= high_y) & (sampling.row_span[1] >= low_y))
    columns = np.flatnonzero(
        (sampling.column_span[0] <= high_x) & (sampling.column_span[1] >= low_x)
    )
    if not len(rows) or not len(columns):
        return Cutout(0, 0, np.zeros((0, 0), dtype=bool))
    top, left = int(rows[0]), int(columns[0])
    window = (slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1))
    # The four pixels around a place as one number: upper left 1, upper right 2, lower left 4, lower
    # right 8. Nearly all places see 0 or 15 and need no arithmetic.
    padded = np.zeros((height + 2, width + 2), dtype=np.uint8)
    padded[1:-1, 1:-1] = cutout.mask
    upper, lower = padded[:-1], padded[1:]
    around = upper[:, :-1] | upper[:, 1:] << 1 | lower[:, :-1] << 2 | lower[:, 1:] << 3
    # They stand in a band of whole frame rows with an empty row above and below: places in other
    # rows, or off the frame, are clipped onto these. Column -1 is never looked up.
    first = max(low_x, 0)
    band = np.zeros((height + 3, sampling.x.shape[1]), dtype=np.uint8)
    band[1:-1, first : high_x + 1] = around[:, first - low_x :]
    offset = np.int32((low_y - 1) * band.shape[1])
    seen = np.take(band, sampling.corner[window] - offset, mode="clip")
    inside = seen == 15
    edge = np.nonzero((seen > 0) & ~inside)
    bits = seen[edge]
    fx, fy = sampling.x[window][edge] % 1, sampling.y[window][edge] % 1
    value = (1 - fy) * ((1 - fx) * (bits & 1) + fx * (bits >> 1 & 1))
    value += fy * ((1 - fx) * (bits >> 2 & 1) + fx * (bits >> 3))
    inside[edge] = value >= 0.5
    return Cutout(top, left, inside)


def warp_masks(
    masks: Bool[np.ndarray, "N H W"], backward_flow: Float[np.ndarray, "H W 2"]
) -> Bool[np.ndarray, "N H W"]:
    """:func:`warp_cutout` for masks of the size of the frame."""
    sampling = sampling_of(backward_flow)
    out = np.zeros_like(masks)
    for n, mask in enumerate(masks):
        warped = warp_cutout(Cutout(0, 0, mask), sampling)
        rows, columns = warped.mask.shape
        out[n, warped.top : warped.top + rows, warped.left : warped.left + columns] = warped.mask
    return out


def cutout_iou(a: Sequence[Cutout], b: Sequence[Cutout]) -> Float[np.ndarray, "N M"]:
    """Mask IoU of every pair; 0 for two empty masks."""
    areas_a = [np.count_nonzero(one.mask) for one in a]
    areas_b = [np.count_nonzero(one.mask) for one in b]
    iou = np.zeros((len(a), len(b)))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            shared = _shared_pixels(one, other)
            if shared:
                iou[i, j] = shared / (areas_a[i] + areas_b[j] - shared)
    return iou


def _shared_pixels(a: Cutout, b: Cutout) -> int:
    top, left = max(a.top, b.top), max(a.left, b.left)
    bottom = min(a.top + a.mask.shape[0], b.top + b.mask.shape[0])
    right = min(a.left + a.mask.shape[1], b.left + b.mask.shape[1])
    if bottom <= top or right <= left:
        return 0
    part_a = a.mask[top - a.top : bottom - a.top, left - a.left : right - a.left]
    part_b = b.mask[top - b.top : bottom - b.top, left - b.left : right - b.left]
    return int(np.count_nonzero(part_a & part_b))
