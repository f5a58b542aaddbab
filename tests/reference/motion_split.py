"""f-Split for one cut, with loops over pixels: slow and plain."""

from __future__ import annotations

import numpy as np


def affine(points, values):
    """Least squares, through numpy's own solver."""
    return np.linalg.lstsq(np.array(points), np.array(values), rcond=None)[0]


def distance(point, value, motion):
    return float(np.linalg.norm(np.array(value) - np.array(point) @ motion))


def first_sides(values):
    """Lloyd's rounds from both sides of the mean along the widest axis."""
    values = np.array(values) - np.mean(values, axis=0)
    axis = np.linalg.eigh(sum(np.outer(v, v) for v in values))[1][:, -1]
    axis = axis if axis[np.abs(axis).argmax()] > 0 else -axis
    sides = [bool(v @ axis > 0) for v in values]
    for _ in range(10):
        if len(set(sides)) < 2:
            break
        groups = [[v for v, s in zip(values, sides, strict=True) if s is k] for k in (False, True)]
        means = [np.mean(group, 0) for group in groups]
        now = [bool(((v - means[1]) ** 2).sum() < ((v - means[0]) ** 2).sum()) for v in values]
        if now == sides:
            break
        sides = now
    return sides


def two_motions(points, values, rounds=8):
    """Both motions, the median distance from the nearer one, and that from one motion alone."""
    sides = first_sides(values)
    motions = None
    for _ in range(rounds):
        parts = [[n for n, s in enumerate(sides) if s is k] for k in (False, True)]
        if min(map(len, parts)) < 6:
            return None
        motions = [affine([points[n] for n in part], [values[n] for n in part]) for part in parts]
        now = [
            distance(p, v, motions[1]) < distance(p, v, motions[0])
            for p, v in zip(points, values, strict=True)
        ]
        if now == sides:
            break
        sides = now
    nearer = [min(distance(p, v, m) for m in motions) for p, v in zip(points, values, strict=True)]
    one = affine(points, values)
    alone = [distance(p, v, one) for p, v in zip(points, values, strict=True)]
    return motions, float(np.median(nearer)), float(np.median(alone))
