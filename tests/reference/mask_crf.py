"""Instances painted and cut apart again, pixel by pixel."""

from __future__ import annotations

Mask = list[list[bool]]


def painted(masks: list[Mask], scores: list[float], height: int, width: int) -> list[list[int]]:
    """At each pixel 1 + the instance with the best score there, the first of equals."""
    labels = [[0] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            there = [n for n in range(len(masks)) if masks[n][y][x]]
            if there:
                best = max(scores[n] for n in there)
                labels[y][x] = 1 + min(n for n in there if scores[n] == best)
    return labels


def large_parts(mask: Mask, least: float) -> Mask:
    """Pixels whose 4-connected part has at least so many pixels."""
    height, width = len(mask), len(mask[0])
    kept = [[False] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            if not mask[y][x]:
                continue
            part, waiting = {(y, x)}, [(y, x)]
            while waiting:
                a, b = waiting.pop()
                for c, d in ((a - 1, b), (a + 1, b), (a, b - 1), (a, b + 1)):
                    inside = 0 <= c < height and 0 <= d < width
                    if inside and mask[c][d] and (c, d) not in part:
                        part.add((c, d))
                        waiting.append((c, d))
            kept[y][x] = len(part) >= least
    return kept
