"""Masks cut to their box, moved along a flow field and compared, without touching the whole frame.

A tracker moves and compares tens of thousands of masks, most of them small; working on the frame
would cost ten times as much. H W pixels, h w pixels of a cutout, N M instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from wsvis.masks import decode_masks
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
    """Where each pixel of a frame looks in the one before: x + F_ba(x), as corner and fraction."""

    x0: np.ndarray
    """int32 [H, W]: column of the upper left of the four pixels around that place."""
    y0: np.ndarray
    """int32 [H, W]: its row."""
    fraction_x: np.ndarray
    """float32 [H, W], 0..1: how far the place lies right of it."""
    fraction_y: np.ndarray
    """float32 [H, W], 0..1: how far below."""
    row_span: np.ndarray
    """int32 [2, H]: least and greatest ``y0`` in each row."""
    column_span: np.ndarray
    """int32 [2, W]: least and greatest ``x0`` in each column."""


def cutouts(masks: Sequence[Rle]) -> list[Cutout]:
    """Each mask cut to its tight box (0 x 0 for an empty mask)."""
    if not masks:
        return []
    height, width = masks[0]["size"]
    boxes = boxes_of(masks).astype(int)
    return [
        Cutout(y0, x0, np.ascontiguousarray(mask[y0:y1, x0:x1]))
        for mask, (x0, y0, x1, y1) in zip(
            decode_masks(masks, height, width), boxes.tolist(), strict=True
        )
    ]


def sampling_of(backward_flow: Float[np.ndarray, "H W 2"]) -> Sampling:
    """Turn a flow field into places to look, by the rules of ``wsvis.flow.warp``.

    Where the field is not finite, the place is off the frame.

    Args:
        backward_flow: F_ba, pixels: where a pixel of b was in a.
    """
    height, width = backward_flow.shape[:2]
    flow = np.asarray(backward_flow, dtype=np.float32)
    off = np.float32(-10)  # neither this place nor its neighbours are on the frame
    x = np.arange(width, dtype=np.float32)[None, :] + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    # A pixel reaches half a pixel beyond its centre; there the outermost pixel is repeated. Every
    # comparison with NaN is false.
    valid = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    x = np.where(valid, np.clip(x, 0, width - 1), off)
    y = np.where(valid, np.clip(y, 0, height - 1), off)
    floor_x, floor_y = np.floor(x), np.floor(y)
    x0, y0 = floor_x.astype(np.int32), floor_y.astype(np.int32)
    return Sampling(
        x0,
        y0,
        x - floor_x,
        y - floor_y,
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
    x0, y0 = sampling.x0[window], sampling.y0[window]
    near = (x0 >= low_x) & (x0 <= high_x) & (y0 >= low_y) & (y0 <= high_y)
    places = np.flatnonzero(near)
    x0, y0 = x0[near] - low_x, y0[near] - low_y
    # The four pixels around a place as one number: upper left 1, upper right 2, lower left 4, lower
    # right 8. Nearly all places see 0 or 15 and need no arithmetic.
    padded = np.zeros((height + 2, width + 2), dtype=np.uint8)
    padded[1:-1, 1:-1] = cutout.mask
    upper, lower = padded[:-1], padded[1:]
    corners = upper[:, :-1] | upper[:, 1:] << 1 | lower[:, :-1] << 2 | lower[:, 1:] << 3
    seen = corners[y0, x0]
    inside = seen == 15
    edge = np.flatnonzero(~inside & (seen > 0))
    bits = seen[edge]
    fx = sampling.fraction_x[window][near][edge]
    fy = sampling.fraction_y[window][near][edge]
    value = (1 - fy) * ((1 - fx) * (bits & 1) + fx * (bits >> 1 & 1))
    value += fy * ((1 - fx) * (bits >> 2 & 1) + fx * (bits >> 3))
    inside[edge] = value >= 0.5
    out = np.zeros(near.shape, dtype=bool)
    out.reshape(-1)[places] = inside
    return Cutout(top, left, out)


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
