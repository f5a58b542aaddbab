"""Backward warping and the forward-backward check, pixel by pixel."""

from __future__ import annotations


def _clamped(plane, y, x):
    height, width = len(plane), len(plane[0])
    return plane[min(max(y, 0), height - 1)][min(max(x, 0), width - 1)]


def sample(plane, y, x):
    """Bilinear between the four pixel centres around (y, x), the border repeated."""
    y0, x0 = int(y // 1), int(x // 1)
    fy, fx = y - y0, x - x0
    return (
        _clamped(plane, y0, x0) * (1 - fy) * (1 - fx)
        + _clamped(plane, y0, x0 + 1) * (1 - fy) * fx
        + _clamped(plane, y0 + 1, x0) * fy * (1 - fx)
        + _clamped(plane, y0 + 1, x0 + 1) * fy * fx
    )


def backward_warp(plane, flow):
    height, width = len(plane), len(plane[0])
    warped = [[0.0] * width for _ in range(height)]
    valid = [[False] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            at_x, at_y = x + flow[y][x][0], y + flow[y][x][1]
            valid[y][x] = -0.5 <= at_x <= width - 0.5 and -0.5 <= at_y <= height - 0.5
            if valid[y][x]:
                warped[y][x] = sample(plane, at_y, at_x)
    return warped, valid


def occluded(forward, backward, relative, absolute):
    planes = [[[cell[c] for cell in row] for row in backward] for c in (0, 1)]
    back_u, inside = backward_warp(planes[0], forward)
    back_v, _ = backward_warp(planes[1], forward)
    out = []
    for y, row in enumerate(forward):
        line = []
        for x, (u, v) in enumerate(row):
            bu, bv = back_u[y][x], back_v[y][x]
            gap = (u + bu) ** 2 + (v + bv) ** 2
            bound = relative * (u * u + v * v + bu * bu + bv * bv) + absolute
            line.append(not (inside[y][x] and gap < bound))
        out.append(line)
    return out
