"""IRN's losses and Eq. 3, pair by pair. Grids are nested lists; pairs as in reference.affinity."""

from __future__ import annotations

import math

from reference.affinity import affinity, offsets, sources

EPSILON = 1e-5
UNSURE = 255


def pairs(height, width, radius):
    """(i, j, offset)."""
    for y, x in sources(height, width, radius):
        for dy, dx in offsets(radius):
            yield (y, x), (y + dy, x + dx), (dy, dx)


def at(grid, cell):
    return grid[cell[0]][cell[1]]


def kind(labels, i, j):
    a, b = at(labels, i), at(labels, j)
    if a == UNSURE or b == UNSURE:
        return "unsure"
    if a != b:
        return "negative"
    return "background" if a == 0 else "foreground"


def irn_sums(boundary, displacement, labels, radius):
    """name -> (sum, count) of each of IRN's five means; displacement is [dy grid, dx grid]."""
    alphas = affinity(boundary, radius)
    names = ("affinity_background", "affinity_foreground", "affinity_negative")
    result = {n: [0.0, 0] for n in (*names, "displacement_foreground", "displacement_background")}
    for i, j, offset in pairs(len(labels), len(labels[0]), radius):
        which = kind(labels, i, j)
        if which == "unsure":
            continue
        alpha, _ = alphas[i, offset]
        likely = 1 + EPSILON - alpha if which == "negative" else alpha + EPSILON
        result[f"affinity_{which}"][0] -= math.log(likely)
        result[f"affinity_{which}"][1] += 1
        for axis in range(2):
            if which == "negative":
                break
            difference = at(displacement[axis], i) - at(displacement[axis], j)
            wanted = offset[axis] if which == "foreground" else 0
            result[f"displacement_{which}"][0] += abs(difference - wanted)
            result[f"displacement_{which}"][1] += 1
    return result


def irn_loss(boundary, displacement, labels, radius):
    mean = {
        name: total / (count + EPSILON)
        for name, (total, count) in irn_sums(boundary, displacement, labels, radius).items()
    }
    positive = (mean["affinity_background"] + mean["affinity_foreground"]) / 2
    affinity_part = (positive + mean["affinity_negative"]) / 2
    return affinity_part + (mean["displacement_foreground"] + mean["displacement_background"]) / 2


def flow_boundary(boundary, gradient, inside, radius, regularization):
    """(sum, count) of Eq. 3; gradient is a list of grids, one per component."""
    alphas = affinity(boundary, radius)
    total, count = 0.0, 0
    for i, j, offset in pairs(len(inside), len(inside[0]), radius):
        if not (at(inside, i) and at(inside, j)):
            continue
        difference = math.sqrt(sum((at(g, i) - at(g, j)) ** 2 for g in gradient))
        alpha, _ = alphas[i, offset]
        total += difference * alpha + regularization * abs(1 - alpha)
        count += 1
    return total, count
