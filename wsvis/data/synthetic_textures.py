"""Textures and backgrounds of the synthetic data set.

Grey patterns are functions of the plane, so they can be drawn at any scale; the numbers that shape
them come from ``split_uniform``, which keeps training and validation apart for good: each range is
cut into strips and the two splits draw from alternate ones.
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
from jaxtyping import Float
from numpy.random import Generator

STRIPS = 6
"""Strips per range; even ones belong to training, odd ones to validation."""

TEXTURES = ("stripes", "checks", "dots", "zigzag")


def split_uniform(rng: Generator, low: float, high: float, is_val: bool) -> float:
    """A number from the strips of [low, high) that belong to the split."""
    strip = 2 * int(rng.integers(STRIPS // 2)) + int(is_val)
    return low + (high - low) * (strip + rng.random()) / STRIPS


def rgb(hue: float, saturation: float, value: float) -> Float[np.ndarray, " 3"]:
    """Red, green, blue in 0..1; the hue wraps around."""
    clipped = (min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return np.asarray(colorsys.hsv_to_rgb(hue % 1.0, *clipped), dtype=np.float32)


def grey_pattern(
    name: str,
    x: Float[np.ndarray, "H W"],
    y: Float[np.ndarray, "H W"],
    period: float,
    angle: float,
    phase: tuple[float, float],
) -> Float[np.ndarray, "H W"]:
    """One of ``TEXTURES`` at the points (x, y), in 0..1 with soft edges.

    Args:
        name: stripes, checks, dots or zigzag.
        x: coordinates to the right, pixels.
        y: coordinates downwards, pixels.
        period: length after which the pattern repeats, pixels.
        angle: of the pattern, radians.
        phase: shift along both axes of the pattern, radians.
    """
    k = 2 * np.pi / period
    u = k * (np.cos(angle) * x + np.sin(angle) * y) + phase[0]
    v = k * (-np.sin(angle) * x + np.cos(angle) * y) + phase[1]
    if name == "stripes":
        wave = np.sin(u)
    elif name == "checks":
        wave = 1.4 * np.sin(u) * np.sin(v)
    elif name == "dots":
        wave = np.cos(u) + np.cos(v) - 0.6
    elif name == "zigzag":
        wave = np.sin(v + 2.0 * np.arcsin(0.98 * np.sin(0.5 * u)))
    else:
        raise ValueError(f"no texture is called {name!r}")
    return (0.5 + 0.5 * np.tanh(2.0 * wave)).astype(np.float32)


def power_law_noise(
    rng: Generator, height: int, width: int, exponent: float
) -> Float[np.ndarray, "{height} {width}"]:
    """Noise whose amplitude falls as 1 / frequency ** exponent; mean 0, deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    fy = np.fft.fftfreq(height)[:, None] * height
    fx = np.fft.rfftfreq(width)[None, :] * width
    radius = np.hypot(fy, fx)
    radius[0, 0] = 1.0
    spectrum /= radius**exponent
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=(height, width))
    return (field / max(float(field.std()), 1e-12)).astype(np.float32)


def background_image(
    rng: Generator, height: int, width: int, unit: float, is_val: bool
) -> Float[np.ndarray, "{height} {width} 3"]:
    """A low-saturation scene: two 1/f surfaces, then blobs, boxes and lines on them.

    Args:
        rng: source of every choice.
        height: rows.
        width: columns.
        unit: pixels that one pixel of a 128-pixel-high frame takes here.
        is_val: which split's strips to draw from.
    """
    surfaces = [_surface(rng, height, width, is_val) for _ in range(2)]
    border = power_law_noise(rng, height, width, 2.0)
    share = np.clip(0.5 + border / 0.15, 0, 1)[..., None]
    image = surfaces[0] * share + surfaces[1] * (1 - share)
    for _ in range(int(rng.integers(8, 17))):
        _draw_clutter(rng, image, unit, is_val)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 0.6 * unit), 0, 1)


def _surface(rng: Generator, height: int, width: int, is_val: bool) -> np.ndarray:
    noise = power_law_noise(rng, height, width, split_uniform(rng, 0.9, 1.5, is_val))
    hue = split_uniform(rng, 0.0, 1.0, is_val)
    colour = rgb(hue, rng.uniform(0.05, 0.25), rng.uniform(0.3, 0.7))
    return colour + rng.uniform(0.05, 0.10) * noise[..., None] * np.ones(3, np.float32)


def _draw_clutter(rng: Generator, image: np.ndarray, unit: float, is_val: bool) -> None:
    height, width = image.shape[:2]
    hue = split_uniform(rng, 0.0, 1.0, is_val)
    colour = rgb(hue, rng.uniform(0.05, 0.3), rng.uniform(0.2, 0.85)).tolist()
    centre = int(rng.integers(width)), int(rng.integers(height))
    first, second = (max(1, int(unit * rng.uniform(4, 22))) for _ in range(2))
    angle = float(rng.uniform(0, 180))
    drawn = image.copy()
    kind = rng.integers(3)
    if kind == 0:
        cv2.ellipse(drawn, centre, (first, second), angle, 0, 360, colour, -1, cv2.LINE_AA)
    elif kind == 1:
        corners = cv2.boxPoints((centre, (2.0 * first, 2.0 * second), angle))
        cv2.fillConvexPoly(drawn, np.round(corners).astype(np.int32), colour, cv2.LINE_AA)
    else:
        reach = 3.0 * unit * rng.uniform(5, 25)
        end = (
            int(centre[0] + reach * np.cos(np.radians(angle))),
            int(centre[1] + reach * np.sin(np.radians(angle))),
        )
        cv2.line(drawn, centre, end, colour, max(1, int(unit * rng.uniform(1, 4))), cv2.LINE_AA)
    opacity = float(rng.uniform(0.5, 0.9))
    cv2.addWeighted(drawn, opacity, image, 1 - opacity, 0, dst=image)
