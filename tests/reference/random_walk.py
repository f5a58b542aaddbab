"""IRN's random walk by its definition: a dense transition matrix, applied step by step."""

from __future__ import annotations

import numpy as np

from reference.affinity import on_line


def transition_matrix(boundary: np.ndarray, radius: int, beta: float) -> np.ndarray:
    """T [n, n] in float64, columns summing to 1, from every pair of cells on its own."""
    height, width = boundary.shape
    weights = np.zeros((height * width, height * width))
    cells = [(y, x) for y in range(height) for x in range(width)]
    for i, (yi, xi) in enumerate(cells):
        for j, (yj, xj) in enumerate(cells):
            dy, dx = yj - yi, xj - xi
            if i == j:
                weights[i, j] = 1.0
            elif dy * dy + dx * dx < radius * radius:
                line = [boundary[y, x] for y, x in cells if on_line(y - yi, x - xi, dy, dx)]
                weights[i, j] = (1 - max(line)) ** beta
    return weights / weights.sum(axis=0)


def random_walk(
    seeds: np.ndarray, boundary: np.ndarray, radius: int, beta: float, steps: int
) -> np.ndarray:
    """Seeds [k, h, w] after ``steps`` multiplications."""
    transition = transition_matrix(boundary.astype(np.float64), radius, beta)
    x = (seeds * (1 - boundary)).reshape(len(seeds), -1).astype(np.float64)
    for _ in range(steps):
        x = x @ transition
    return x.reshape(seeds.shape)
