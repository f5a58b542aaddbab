"""Exact flow and occlusion of layered rigid motion, a pixel at a time, straight from the poses."""

from __future__ import annotations

import math

import numpy as np


def to_canvas(pose: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """The canvas point that ``pose`` shows at (x, y), by Cramer's rule."""
    (a, b, tx), (c, d, ty) = pose.tolist()
    determinant = a * d - b * c
    dx, dy = x - tx, y - ty
    return (d * dx - b * dy) / determinant, (a * dy - c * dx) / determinant


def to_frame(pose: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """Where ``pose`` shows the canvas point (x, y)."""
    (a, b, tx), (c, d, ty) = pose.tolist()
    return a * x + b * y + tx, c * x + d * y + ty


def rigid_flow(visible: np.ndarray, from_poses: np.ndarray, to_poses: np.ndarray) -> np.ndarray:
    height, width = visible.shape
    flow = np.zeros((height, width, 2))
    for y in range(height):
        for x in range(width):
            layer = int(visible[y, x])
            there = to_frame(to_poses[layer], *to_canvas(from_poses[layer], x, y))
            flow[y, x] = there[0] - x, there[1] - y
    return flow


def bilinear(image: np.ndarray, x: float, y: float) -> float:
    """The image at (x, y), zero outside."""
    x0, y0 = math.floor(x), math.floor(y)
    total = 0.0
    for j, weight_y in ((y0, y0 + 1 - y), (y0 + 1, y - y0)):
        for i, weight_x in ((x0, x0 + 1 - x), (x0 + 1, x - x0)):
            if 0 <= j < image.shape[0] and 0 <= i < image.shape[1]:
                total += weight_x * weight_y * float(image[j, i])
    return total


def largest_cover(
    visible: np.ndarray, coverages: list[np.ndarray], from_poses: np.ndarray, to_poses: np.ndarray
) -> np.ndarray:
    """How much the layers in front cover each pixel's point in the second frame; inf outside it."""
    height, width = visible.shape
    cover = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            layer = int(visible[y, x])
            there = to_frame(to_poses[layer], *to_canvas(from_poses[layer], x, y))
            if not (0 <= there[0] <= width - 1 and 0 <= there[1] <= height - 1):
                cover[y, x] = math.inf
            for front in range(layer + 1, len(coverages)):
                point = to_canvas(to_poses[front], *there)
                cover[y, x] = max(cover[y, x], bilinear(coverages[front], *point))
    return cover
