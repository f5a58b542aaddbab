"""Areas of many RLE masks at once, with proof that each mask is well formed.

The COCO tools loop without end on runs that do not add up to the picture, and their own area
function fails on more than 255 masks with numpy 2. This reads the strings once, all together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from wsvis.errors import InputError
from wsvis.masks import checked_rle
from wsvis.types import Rle

_PART = 100_000  # characters handled at once: beyond that the arrays leave the processor's cache
_LONGEST = 7  # digits of base 32: enough for 2^28 pixels with sign, too few to overflow int64


def checked_areas(
    rles: Sequence[Rle], height: int, width: int, where: Callable[[int], str]
) -> Int[np.ndarray, " N"]:
    """Set pixels of each mask.

    Args:
        rles: compressed RLEs.
        height: rows they must have.
        width: columns they must have.
        where: what an error calls the n-th mask.

    Raises:
        InputError: a mask has another size or is not a sound RLE.
    """
    size = [height, width]
    for n, rle in enumerate(rles):
        if rle["size"] != size or type(rle["counts"]) is not str:
            checked_rle(rle, height, width, where(n))
            raise ValueError(f"{where(n)}: is no compressed RLE")
    areas, broken = sound_areas([rle["counts"] for rle in rles], height, width)
    if broken is not None:
        checked_rle(rles[broken], height, width, where(broken))  # says what is wrong
        raise InputError(f"{where(broken)}: RLE cannot be read; export the mask again")
    return areas


def sound_areas(
    counts: Sequence[str], height: int, width: int
) -> tuple[Int[np.ndarray, " N"], int | None]:
    """Set pixels of each compressed ``counts`` string, and the first string that is broken.

    A string is sound when it uses only RLE's characters, ends with a whole number, holds no
    negative run and its runs sum to height * width.

    Returns:
        Areas (meaningless where broken), and the index of the first broken string or ``None``.
    """
    areas = np.zeros(len(counts), dtype=np.int64)
    ends = np.cumsum(np.fromiter(map(len, counts), dtype=np.int64, count=len(counts)))
    cuts = np.searchsorted(ends, np.arange(_PART, ends[-1] if len(ends) else 0, _PART))
    for begin, end in pairwise(np.unique([0, *cuts, len(counts)]).tolist()):
        areas[begin:end], broken = _areas_of_part(counts[begin:end], height * width)
        if broken is not None:
            return areas, begin + broken
    return areas, None


def _areas_of_part(counts: Sequence[str], pixels: int) -> tuple[np.ndarray, int | None]:
    nothing = np.zeros(len(counts), dtype=np.int64)
    lengths = np.fromiter(map(len, counts), dtype=np.int64, count=len(counts))
    text = "".join(counts)
    broken = lengths == 0
    if not text.isascii():
        broken |= [not string.isascii() for string in counts]
    if not len(text) or broken.any():
        return nothing, int(np.argmax(broken)) if broken.any() else None
    codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8) - np.uint8(48)
    ends = np.cumsum(lengths)
    if codes.max() > 63:  # characters below code 48 have wrapped around
        broken[np.searchsorted(ends, np.flatnonzero(codes > 63), side="right")] = True
    broken |= codes[ends - 1] >= 32  # ends within a number
    if broken.any():
        return nothing, int(np.argmax(broken))
    goes_on = np.flatnonzero(codes >= 32)
    numbers, too_long = _numbers(codes, goes_on)
    starts = ends - lengths
    background, area, smallest = _sums_of_runs(numbers, starts - np.searchsorted(goes_on, starts))
    broken |= (smallest < 0) | (background + area != pixels)
    broken[np.searchsorted(ends, too_long, side="right")] = True
    return area, int(np.argmax(broken)) if broken.any() else None


_DIGITS = np.concatenate([np.arange(16), np.arange(-16, 0), np.arange(32)])
"""What a character stands for: -16..15 where it ends a number, 0..31 where the number goes on."""


def _numbers(codes: np.ndarray, goes_on: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that the characters spell, and where characters of too long a number are.

    Digits of base 32, lowest first; the last digit carries the sign. Nearly all numbers have one
    digit: the values of the others are gathered at their last character, digit by digit.
    """
    values = _DIGITS.take(codes)
    at = goes_on[codes[goes_on - 1] < 32]  # first digits (before character 0, the last one ends)
    gathered, shift = values[at], 5
    while len(at) and shift < 5 * _LONGEST:
        at = at + 1
        gathered = gathered + (values[at] << shift)
        ended = codes[at] < 32
        values[at[ended]] = gathered[ended]
        at, gathered, shift = at[~ended], gathered[~ended], shift + 5
    return values[codes < 32], at


def _sums_of_runs(
    numbers: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per string: sum of its runs 0, 2, 4, ..., sum of its runs 1, 3, 5, ..., and its smallest run.

    Run 0, 1 and 2 of a string are written as they are, run i as the difference to run i - 2. So
    the runs are running sums over every second number (run 0 apart), which here go on through all
    strings; what earlier strings leave in them is taken off per string, not per run.
    """
    run0 = numbers[first].copy()
    numbers = np.append(numbers, [0, 0])
    numbers[first] = 0
    bounds = np.append(first, len(numbers) - 2)
    sums, smallest = [], run0.copy()
    for parity in (0, 1):
        running = np.cumsum(numbers[parity::2])
        begin, end = (bounds[:-1] - parity + 1) // 2, (bounds[1:] - parity + 1) // 2
        left = np.where(begin > 0, running[begin - 1], 0)
        filled = end > begin
        total, least = np.zeros_like(run0), np.zeros_like(run0)
        if filled.any():
            # the strings without such a number are taken out: reduceat has no empty segments
            at = np.append(begin[filled], end[filled][-1])
            total[filled] = np.add.reduceat(running, at)[:-1]
            least[filled] = np.minimum.reduceat(running, at)[:-1]
        sums.append(np.where(filled, total - left * (end - begin), 0))
        smallest = np.minimum(smallest, np.where(filled, least - left, 0))
    even, odd = np.where(first % 2 == 0, sums[0], sums[1]), np.where(first % 2 == 0, *sums[::-1])
    return even + run0, odd, smallest
