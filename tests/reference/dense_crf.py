"""Mean field of a fully connected CRF, every pair of pixels on its own."""

from __future__ import annotations

import math

Pixel = tuple[int, int]


def kernel_values(pixels: list[Pixel], value) -> dict[tuple[Pixel, Pixel], float]:
    """k(i, j) / sqrt(row sum i * row sum j), with j = i counted."""
    raw = {(i, j): value(i, j) for i in pixels for j in pixels}
    sums = {i: sum(raw[i, j] for j in pixels) for i in pixels}
    return {(i, j): k / math.sqrt(sums[i] * sums[j]) for (i, j), k in raw.items()}


def mean_field(
    image: list[list[list[float]]],
    labels: list[list[int]],
    count: int,
    *,
    certainty: float,
    smoothness_sigma: float,
    smoothness_weight: float,
    appearance_sigma: float,
    colour_sigma: float,
    appearance_weight: float,
    iterations: int,
) -> dict[tuple[Pixel, int], float]:
    """(pixel, label) -> Q."""
    pixels = [(y, x) for y in range(len(labels)) for x in range(len(labels[0]))]

    def near(i: Pixel, j: Pixel, sigma: float) -> float:
        return math.exp(-((i[0] - j[0]) ** 2 + (i[1] - j[1]) ** 2) / (2 * sigma**2))

    def alike(i: Pixel, j: Pixel) -> float:
        a, b = image[i[0]][i[1]], image[j[0]][j[1]]
        return math.exp(-sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / 2 / colour_sigma**2)

    smooth = kernel_values(pixels, lambda i, j: near(i, j, smoothness_sigma))
    appearance = kernel_values(pixels, lambda i, j: near(i, j, appearance_sigma) * alike(i, j))
    unary = {
        (i, c): -math.log(certainty if labels[i[0]][i[1]] == c else (1 - certainty) / (count - 1))
        for i in pixels
        for c in range(count)
    }
    q = _normalised({key: -value for key, value in unary.items()}, pixels, count)
    for _ in range(iterations):
        exponent = {}
        for i in pixels:
            for c in range(count):
                s = sum(smooth[i, j] * q[j, c] for j in pixels)
                a = sum(appearance[i, j] * q[j, c] for j in pixels)
                exponent[i, c] = smoothness_weight * s + appearance_weight * a - unary[i, c]
        q = _normalised(exponent, pixels, count)
    return q


def _normalised(exponent, pixels, count):
    result = {}
    for i in pixels:
        total = sum(math.exp(exponent[i, c]) for c in range(count))
        for c in range(count):
            result[i, c] = math.exp(exponent[i, c]) / total
    return result
