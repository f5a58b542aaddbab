"""Masks in plain loops, straight from the definitions."""

from __future__ import annotations


def run_lengths(counts: str) -> list[int]:
    """Read a compressed counts string one character at a time."""
    runs: list[int] = []
    position = 0
    while position < len(counts):
        value, shift = 0, 0
        while True:
            code = ord(counts[position]) - 48
            position += 1
            value += (code & 31) * 2**shift
            shift += 5
            if code & 32 == 0:
                if code & 16:
                    value -= 2**shift
                break
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
    return runs


def runs_of_mask(mask: list[list[bool]]) -> list[int]:
    """Runs down the columns, beginning with a (possibly empty) run of zeros."""
    height, width = len(mask), len(mask[0]) if mask else 0
    runs, current, length = [], False, 0
    for x in range(width):
        for y in range(height):
            if bool(mask[y][x]) != current:
                runs.append(length)
                current, length = bool(mask[y][x]), 0
            length += 1
    return [*runs, length]


def counts_string(runs: list[int]) -> str:
    """The compressed string of runs: the opposite of ``run_lengths``."""
    text = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            digit, value = value % 32, value // 32
            done = value == (-1 if digit & 16 else 0)
            text += chr(48 + digit + (0 if done else 32))
            if done:
                break
    return text


def overlap(a: list[list[bool]], b: list[list[bool]]) -> tuple[int, int, int]:
    """(pixels in both, pixels of a, pixels of b)."""
    both = only_a = only_b = 0
    for row_a, row_b in zip(a, b, strict=True):
        for in_a, in_b in zip(row_a, row_b, strict=True):
            both += bool(in_a and in_b)
            only_a += bool(in_a)
            only_b += bool(in_b)
    return both, only_a, only_b


def box(mask: list[list[bool]]) -> list[float]:
    """Tight xyxy box, right and bottom exclusive."""
    pixels = [(x, y) for y, row in enumerate(mask) for x, on in enumerate(row) if on]
    if not pixels:
        return [0.0, 0.0, 0.0, 0.0]
    xs, ys = [x for x, _ in pixels], [y for _, y in pixels]
    return [float(min(xs)), float(min(ys)), float(max(xs) + 1), float(max(ys) + 1)]
