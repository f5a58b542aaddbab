"""Areas of many RLE masks at once, with proof that each mask is well formed.

The COCO tools loop without end on runs that do not add up to the picture, and their own area
function fails on more than 255 masks with numpy 2. This reads the strings once, all together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

from wsvis.errors import InputError
from wsvis.masks import checked_rle
from wsvis.types import Rle

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
    if not counts:
        return np.zeros(0, dtype=np.int64), None
    broken = np.array([not text.isascii() for text in counts])
    if broken.any():
        return np.zeros(len(counts), dtype=np.int64), int(np.argmax(broken))
    codes = np.frombuffer("".join(counts).encode("ascii"), dtype=np.uint8) - np.uint8(48)
    ends = np.cumsum([len(text) for text in counts])
    starts = ends - [len(text) for text in counts]
    broken = starts == ends
    foreign = np.flatnonzero(codes > 63)  # characters below code 48 have wrapped around
    broken[np.searchsorted(ends, foreign, side="right")] = True
    broken[~broken] |= codes[ends[~broken] - 1] >= 32
    if broken.any():
        return np.zeros(len(counts), dtype=np.int64), int(np.argmax(broken))
    last = np.flatnonzero(codes < 32)
    numbers, too_long = _numbers(codes, last)
    first = np.searchsorted(last, starts)
    broken[np.searchsorted(first, too_long, side="right") - 1] = True
    background, area, smallest = _sums_of_runs(numbers, first)
    broken |= (smallest < 0) | (background + area != height * width)
    return area, int(np.argmax(broken)) if broken.any() else None


def _numbers(codes: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers whose last digits are at ``last``, and the indices of those with too many digits.

    Digits of base 32, lowest first; the last digit's bit 4 is the sign. Nearly all numbers have one
    digit, so the rest are taken digit by digit from the end.
    """
    numbers = (((codes[last] & 31) ^ 16).astype(np.int64)) - 16
    begins = np.empty_like(last)
    begins[0], begins[1:] = 0, last[:-1] + 1
    longer = np.flatnonzero(last > begins)
    for back in range(1, _LONGEST):
        longer = longer[last[longer] - back >= begins[longer]]
        if not len(longer):
            break
        numbers[longer] = (numbers[longer] << 5) | (codes[last[longer] - back] & 31)
    return numbers, np.flatnonzero(last - begins >= _LONGEST)


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
