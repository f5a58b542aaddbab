"""Flow fields, pixel by pixel: loops straight from the definitions."""

from __future__ import annotations

import math


def magnitude(flow):
    return [[math.sqrt(u * u + v * v) for u, v in row] for row in flow]


def area_mean(flow, stride):
    height, width = len(flow), len(flow[0])
    out = []
    for top in range(0, height, stride):
        row = []
        for left in range(0, width, stride):
            cells = [
                flow[y][x]
                for y in range(top, min(top + stride, height))
                for x in range(left, min(left + stride, width))
            ]
            row.append([sum(cell[c] for cell in cells) / len(cells) for c in (0, 1)])
        out.append(row)
    return out


def gradient(flow, stride, form):
    """[c][h][w] as nested lists."""
    coarse = area_mean(flow, stride)
    u = [[cell[0] for cell in row] for row in coarse]
    v = [[cell[1] for cell in row] for row in coarse]
    length = magnitude(coarse)
    wanted = {
        "jacobian": [(u, "x"), (u, "y"), (v, "x"), (v, "y")],
        "diagonal": [(u, "x"), (v, "y")],
        "magnitude": [(length, "x"), (length, "y")],
    }[form]
    return [_derivative(plane, axis) for plane, axis in wanted]


def _derivative(plane, axis):
    height, width = len(plane), len(plane[0])
    out = [[0.0] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            if axis == "x":
                after, before = plane[y][min(x + 1, width - 1)], plane[y][max(x - 1, 0)]
            else:
                after, before = plane[min(y + 1, height - 1)][x], plane[max(y - 1, 0)][x]
            out[y][x] = (after - before) / 2
    return out


def frame_flow(forward, backward, length):
    """Which field each frame gets: ("forward", p), ("backward", p) or None."""
    gap = length - len(forward)
    chosen = []
    for t in range(length):
        if t < len(forward):
            chosen.append(("forward", t))
        elif t - gap >= 0 and t - gap < len(backward):
            chosen.append(("backward", t - gap))
        else:
            chosen.append(None)
    return chosen
