"""Eq. 1 and its pairs, straight from the definition, one pair and one cell at a time."""

from __future__ import annotations

import math


def offsets(radius: int) -> list[tuple[int, int]]:
    """Every unordered pair once: down, or to the right in the same row, closer than the radius."""
    found = []
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            below = dy > 0 or (dy == 0 and dx > 0)
            if below and math.sqrt(dy * dy + dx * dx) < radius:
                found.append((dy, dx))
    return found


def on_line(y: int, x: int, dy: int, dx: int) -> bool:
    """Inside the box of both ends and less than one cell from the line through them."""
    inside = min(0, dy) <= y <= max(0, dy) and min(0, dx) <= x <= max(0, dx)
    return inside and abs(y * dx - x * dy) / math.sqrt(dy * dy + dx * dx) < 1 - 1e-12


def sources(height: int, width: int, radius: int) -> list[tuple[int, int]]:
    """Cells whose every offset stays on the grid."""
    reach = radius - 1
    return [(y, x) for y in range(height - reach) for x in range(reach, width - reach)]


def affinity(boundary: list[list[float]], radius: int) -> dict[tuple, tuple[float, tuple]]:
    """(source, offset) -> (alpha, the cell with the strongest boundary, the first of equals)."""
    height, width = len(boundary), len(boundary[0])
    result = {}
    for y, x in sources(height, width, radius):
        for dy, dx in offsets(radius):
            strongest, where = -math.inf, (-1, -1)
            for ky in range(height):
                for kx in range(width):
                    if on_line(ky - y, kx - x, dy, dx) and boundary[ky][kx] > strongest:
                        strongest, where = boundary[ky][kx], (ky, kx)
            result[(y, x), (dy, dx)] = (1 - strongest, where)
    return result
