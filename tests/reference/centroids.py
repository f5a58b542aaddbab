"""Refinement of centroids, one cell and one step at a time."""

from __future__ import annotations

import math


def bilinear(grid, y, x):
    top, left = min(int(y), len(grid) - 1), min(int(x), len(grid[0]) - 1)
    bottom, right = min(top + 1, len(grid) - 1), min(left + 1, len(grid[0]) - 1)
    fy, fx = y - top, x - left
    upper = grid[top][left] * (1 - fx) + grid[top][right] * fx
    lower = grid[bottom][left] * (1 - fx) + grid[bottom][right] * fx
    return upper * (1 - fy) + lower * fy


def centroids(displacement, refinements):
    """displacement: [dy grid, dx grid]. Cell -> (y, x), not rounded."""
    height, width = len(displacement[0]), len(displacement[0][0])
    result = {}
    for y in range(height):
        for x in range(width):
            cy, cx = float(y), float(x)
            for _ in range(refinements):
                dy, dx = bilinear(displacement[0], cy, cx), bilinear(displacement[1], cy, cx)
                cy = min(max(cy + dy, 0.0), height - 1.0)
                cx = min(max(cx + dx, 0.0), width - 1.0)
            result[y, x] = (cy, cx)
    return result


def instances(displacement, ends, threshold):
    """Cell -> a key: the component of small displacement at the cell's centroid, or ``None``."""
    height, width = len(displacement[0]), len(displacement[0][0])
    near = {
        (y, x)
        for y in range(height)
        for x in range(width)
        if math.hypot(displacement[0][y][x], displacement[1][y][x]) < threshold
    }
    component = {}
    for start in sorted(near):
        if start in component:
            continue
        todo = [start]
        while todo:
            y, x = todo.pop()
            if (y, x) in component:
                continue
            component[y, x] = start
            todo += [c for c in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)) if c in near]
    return {cell: component.get((round(cy), round(cx))) for cell, (cy, cx) in ends.items()}
