"""Masks: run-length encoding, boxes, pairwise IoU and IoM.

N, M instances; H, W pixels. Encoded masks are compressed RLE dicts ``{size: [H, W], counts: str}``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from pycocotools import mask as _coco_mask

from wsvis.errors import InputError, shown_value
from wsvis.types import Rle

coco_mask: Any = _coco_mask  # its stubs know only one of the forms that it takes and gives
MAX_PIXELS = 1 << 28
"""No mask may claim more pixels than this: a hostile size must not allocate memory."""
MAX_DIGITS = 7
"""Base-32 digits of a number in ``counts``: with its sign, MAX_PIXELS needs 6."""
POLYGON_REACH = 4
"""A polygon may leave the frame by this many times its longer side."""
MAX_OUTLINE = 1 << 21
"""Pixels along all polygons of a mask: the rasteriser takes some 100 bytes for each."""


def encode_masks(masks: Bool[np.ndarray, "N H W"]) -> list[Rle]:
    """Compressed RLE of each mask."""
    if len(masks) == 0:
        return []
    stacked = np.asfortranarray(np.moveaxis(masks, 0, -1).astype(np.uint8))
    return [
        {"size": [int(rle["size"][0]), int(rle["size"][1])], "counts": rle["counts"].decode()}
        for rle in coco_mask.encode(stacked)
    ]


def decode_masks(rles: Sequence[Rle], height: int, width: int) -> Bool[np.ndarray, "N H W"]:
    """Bool masks of RLEs that all have the given size."""
    if not rles:
        return np.zeros((0, height, width), dtype=bool)
    return np.moveaxis(coco_mask.decode(list(rles)), -1, 0).astype(bool)


def run_lengths(counts: str | bytes) -> np.ndarray:
    """The runs behind a compressed ``counts`` string (int64 [R]); raises on a malformed string."""
    return _runs_of_all([counts])[0]


def run_lengths_of(counts: Sequence[str | bytes]) -> list[np.ndarray]:
    """:func:`run_lengths` of several strings, in one pass."""
    if not counts:
        return []
    runs, first = _runs_of_all(counts)
    return np.split(runs, first[1:])


def rles_are_sound(counts: Sequence[Any], height: int, width: int) -> bool:
    """Whether every compressed ``counts`` string is well formed and sums to height * width.

    One pass over all strings together, for data sets with hundreds of thousands of masks;
    ``checked_rle`` then names what is wrong with which.
    """
    if not all(isinstance(string, str | bytes) and string for string in counts):
        return False
    if not counts:
        return True
    try:
        runs, first = _runs_of_all(counts)
    except ValueError:
        return False
    return bool((np.add.reduceat(runs, first) == height * width).all())


def _runs_of_all(counts: Sequence[str | bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The runs of several strings one after the other, and where those of each string begin.

    A number is written in base 32, lowest digit first, one character (code + 48) per digit; bit 5
    says that more digits follow, bit 4 of the last digit that the number is negative. From the
    fourth number on, the difference to the number two before is written.
    """
    strings = [string.encode() if isinstance(string, str) else string for string in counts]
    string_ends = np.cumsum([len(string) for string in strings])
    codes = np.frombuffer(b"".join(strings), dtype=np.uint8) - np.uint8(48)
    if len(codes) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(len(strings), dtype=np.int64)
    if codes.max() > 63:  # characters below code 48 have wrapped around
        raise ValueError("counts hold a character that RLE does not use")
    if (codes[string_ends[string_ends > 0] - 1] >= 32).any():
        raise ValueError("counts end in the middle of a number")
    last = np.flatnonzero(codes < 32)  # where the last digit of each number is
    digits = np.diff(last, prepend=-1)
    most = int(digits.max())
    if most > MAX_DIGITS:
        raise ValueError("counts hold a number that is too large")

    runs = (codes[last - digits + 1] & 31).astype(np.int64)
    for place in range(1, most):  # numbers with many digits are few: each round handles fewer
        longer = np.flatnonzero(digits > place)
        digit = codes[last[longer] - digits[longer] + 1 + place] & 31
        runs[longer] += digit.astype(np.int64) << (5 * place)
    negative = np.flatnonzero(codes[last] & 16)
    runs[negative] -= np.int64(1) << (5 * digits[negative])

    first = np.searchsorted(last, np.concatenate([[0], string_ends[:-1]]))
    for begin, end in zip(first.tolist(), [*first[1:].tolist(), len(runs)], strict=True):
        for start in (begin + 1, begin + 2):  # undo the differences to the number two before
            np.cumsum(runs[start:end:2], out=runs[start:end:2])
    if runs.min() < 0:
        raise ValueError("counts hold a negative run")
    return runs, first


def checked_rle(segmentation: Any, height: int, width: int, where: str) -> Rle:
    """Any of the three annotation forms as compressed RLE, checked before anything is decoded.

    Args:
        segmentation: list of polygons, uncompressed RLE (``counts`` a list) or compressed RLE.
        height: rows of the video.
        width: columns of the video.
        where: what to name in the error, e.g. ``"instances.json: annotation 7, frame 3"``.

    Raises:
        InputError: the size differs from the video's, or the runs do not sum to height * width.
    """
    if height * width > MAX_PIXELS:
        raise InputError(f"{where}: {height}x{width} pixels is more than a mask may have")
    if isinstance(segmentation, list):
        return _polygons_to_rle(segmentation, height, width, where)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= set(segmentation):
        raise InputError(f"{where}: a segmentation is a list of polygons or {{size, counts}}")
    size, counts = segmentation["size"], segmentation["counts"]
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        raise InputError(
            f"{where}: RLE size {shown_value(size)} is not the video's [{height}, {width}]"
        )
    if not isinstance(counts, list | str | bytes):
        raise InputError(f"{where}: RLE counts are neither text nor a list; export the mask again")
    try:
        runs = _whole_numbers(counts) if isinstance(counts, list) else run_lengths(counts)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: RLE cannot be read ({error}); export the mask again") from None
    if int(runs.sum()) != height * width:
        raise InputError(
            f"{where}: RLE counts sum to {int(runs.sum())}, not {height} x {width} = "
            f"{height * width}; export the mask again"
        )
    if isinstance(counts, list):
        return _encoded_runs(runs.tolist(), height, width)
    return {
        "size": [height, width],
        "counts": counts if isinstance(counts, str) else counts.decode(),
    }


def _whole_numbers(counts: list[Any]) -> np.ndarray:
    # before NumPy sees them: one long text among a million numbers would make it take terabytes
    if not all(type(run) is int for run in counts):
        raise ValueError("counts are not a list of whole numbers")
    if min(counts, default=0) < 0:
        raise ValueError("counts hold a negative run")
    if max(counts, default=0) > MAX_PIXELS:
        raise ValueError("counts hold a number that is too large")
    return np.array(counts if counts else [0], dtype=np.int64)


def _polygons_to_rle(polygons: list[Any], height: int, width: int, where: str) -> Rle:
    reach = POLYGON_REACH * max(height, width)  # the rasteriser's memory grows with the outline
    outline = 0.0
    for polygon in polygons:
        numbers = isinstance(polygon, list) and all(
            type(x) in (int, float) and abs(x) < math.inf for x in polygon
        )
        if not numbers or len(polygon) < 6 or len(polygon) % 2:
            raise InputError(f"{where}: a polygon is a flat list of at least 3 finite x, y pairs")
        if not -reach <= min(polygon) <= max(polygon) <= reach:
            raise InputError(f"{where}: a polygon lies far outside the frame; export it again")
        points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
        outline += float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())
    if outline > MAX_OUTLINE:
        raise InputError(f"{where}: the outlines are {outline:.3g} pixels long; export them again")
    if not polygons:
        return _encoded_runs([height * width], height, width)
    merged = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return {"size": [height, width], "counts": merged["counts"].decode()}


def _encoded_runs(runs: list[int], height: int, width: int) -> Rle:
    plain = {"size": [height, width], "counts": runs}
    encoded = coco_mask.frPyObjects(plain, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode()}


def rle_areas(rles: Sequence[Rle]) -> np.ndarray:
    """Pixels in each mask, int64 [N]."""
    parts = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(rles), 255):  # with numpy 2 the COCO tool fails on more at once
        areas = coco_mask.area(list(rles[start : start + 255]))
        parts.append(np.atleast_1d(areas).astype(np.int64))
    return np.concatenate(parts)


def rle_iou(a: Sequence[Rle], b: Sequence[Rle]) -> Float[np.ndarray, "N M"]:
    """Mask IoU of every pair, straight from RLE (0 for two empty masks)."""
    if not a or not b:
        return np.zeros((len(a), len(b)))
    return np.asarray(coco_mask.iou(list(a), list(b), [0] * len(b)), dtype=np.float64)


def rle_intersections(a: Sequence[Rle], b: Sequence[Rle]) -> Float[np.ndarray, "N M"]:
    """Shared pixels of every pair, straight from RLE.

    The COCO tool returns intersection / area(a) for a "crowd" b; times area(a) and rounded, that is
    the exact count.
    """
    if not a or not b:
        return np.zeros((len(a), len(b)))
    over_a = np.asarray(coco_mask.iou(list(a), list(b), [1] * len(b)), dtype=np.float64)
    return np.round(over_a * rle_areas(a)[:, None])


def pairwise_iou(
    a: Bool[np.ndarray, "N H W"], b: Bool[np.ndarray, "M H W"]
) -> Float[np.ndarray, "N M"]:
    """Intersection over union of every pair; 0 where the union is empty."""
    inter, area_a, area_b = _overlaps(a, b)
    union = area_a[:, None] + area_b[None, :] - inter
    return inter / np.maximum(union, 1)


def pairwise_iom(
    a: Bool[np.ndarray, "N H W"], b: Bool[np.ndarray, "M H W"]
) -> Float[np.ndarray, "N M"]:
    """Intersection over the smaller mask of every pair; 0 where that mask is empty."""
    inter, area_a, area_b = _overlaps(a, b)
    return inter / np.maximum(np.minimum(area_a[:, None], area_b[None, :]), 1)


def _overlaps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    flat_a = a.reshape(len(a), -1).astype(np.float64)
    flat_b = b.reshape(len(b), -1).astype(np.float64)
    return flat_a @ flat_b.T, flat_a.sum(1), flat_b.sum(1)


def boxes_from_masks(masks: Bool[np.ndarray, "N H W"]) -> Float[np.ndarray, "N 4"]:
    """Tight xyxy boxes, right and bottom exclusive; zeros for an empty mask."""
    boxes = np.zeros((len(masks), 4))
    for n, mask in enumerate(masks):
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(ys):
            boxes[n] = xs[0], ys[0], xs[-1] + 1, ys[-1] + 1
    return boxes
