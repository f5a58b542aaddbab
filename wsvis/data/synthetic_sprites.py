"""Objects and distractors of the synthetic data set, drawn once per clip as RGBA sprites.

An object is an ellipse with a disc overlapping one end. The disc, its head, carries the glyph and
the hue of the class; the body's texture and hue belong to a pair of classes and are sometimes
replaced. Sprites are drawn ``SUPERSAMPLING`` times finer than the frame, so that sampling them at a
sub-pixel position comes close to evaluating a continuous picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from numpy.random import Generator

from wsvis.data.synthetic_parameters import CLASSES, GeneratorParameters
from wsvis.data.synthetic_textures import TEXTURES, grey_pattern, rgb, split_uniform

SUPERSAMPLING = 2
BODY_HUES = (0.02, 0.27, 0.52, 0.77)
"""One per pair of classes."""
HEAD_HUES = (0.11, 0.61, 0.36, 0.86, 0.67, 0.17, 0.92, 0.42)
"""One per class; near neighbours are classes of different pairs."""
HUE_JITTER = 0.02


@dataclass(frozen=True)
class Sprite:
    """A picture of one thing, centred on its canvas."""

    image: np.ndarray
    """float32 [S, S, 4]: premultiplied red, green, blue, then coverage, in 0..1."""
    head: np.ndarray
    """float32 [S, S]: coverage of the head alone (zero for a distractor)."""


def object_sprite(
    rng: Generator, label: int, length: float, parameters: GeneratorParameters, is_val: bool
) -> Sprite:
    """An object of class ``label``, ``length`` pixels long, its looks drawn at random."""
    unit = parameters.height / 128
    x, y = _canvas(length)
    body_a = parameters.body_half_length * length
    body_b = rng.uniform(*parameters.body_half_height) * length
    radius = rng.uniform(*parameters.head_radius) * length
    # Body and head together span `length`, centred on the canvas.
    body_x, head_x = length / 2 - body_a, -length / 2 + radius
    head_y = rng.uniform(-0.35, 0.35) * body_b
    stretch = np.sqrt(((x - body_x) / body_a) ** 2 + (y / body_b) ** 2)
    body = _coverage((stretch - 1) * min(body_a, body_b))
    head = _coverage(np.hypot(x - head_x, y - head_y) - radius)

    pair = label // 2
    texture, hue = TEXTURES[pair], BODY_HUES[pair] + rng.uniform(-HUE_JITTER, HUE_JITTER)
    if rng.random() < parameters.body_replaced:
        texture, hue = TEXTURES[int(rng.integers(len(TEXTURES)))], float(rng.random())
    colour = _coat(rng, texture, hue, x, y, unit, is_val)
    face = _face(rng, label, (x - head_x) / radius, (y - head_y) / radius)
    colour = colour * (1 - head[..., None]) + face * head[..., None]
    return _finish(rng, colour, np.maximum(body, head), head)


def distractor_sprite(rng: Generator, size: float, unit: float, is_val: bool) -> Sprite:
    """A headless box, triangle or blob in an object's colours, of no class."""
    x, y = _canvas(1.5 * size)
    half_x, half_y = 0.5 * size, 0.5 * size * rng.uniform(0.5, 1.0)
    kind = rng.integers(3)
    if kind == 0:
        distance = np.maximum(np.abs(x) - half_x, np.abs(y) - half_y)
    elif kind == 1:
        slanted = (np.abs(x) * 2 * half_y + y * half_x - half_x * half_y) / np.hypot(
            2 * half_y, half_x
        )
        distance = np.maximum(slanted, -y - half_y)
    else:
        around = np.arctan2(y, x)
        wave = 1 + 0.18 * np.sin(int(rng.integers(3, 6)) * around + rng.uniform(0, 6))
        distance = np.hypot(x, y * half_x / half_y) - half_x * wave * 0.85
    texture = TEXTURES[int(rng.integers(len(TEXTURES)))]
    colour = _coat(rng, texture, float(rng.random()), x, y, unit, is_val)
    coverage = _coverage(distance)
    return _finish(rng, colour, coverage, np.zeros_like(coverage))


def glyph_coverage(
    label: int, x: Float[np.ndarray, "H W"], y: Float[np.ndarray, "H W"], softness: float
) -> Float[np.ndarray, "H W"]:
    """How much of each point the glyph of a class covers, 0..1.

    Args:
        label: class, 0..7.
        x: to the right, in radii of the head.
        y: downwards, in radii of the head.
        softness: width of the glyph's edge, in radii of the head.
    """
    r, around = np.hypot(x, y), np.arctan2(y, x)
    name = CLASSES[label]
    if name == "cross":
        d = np.minimum(np.abs(x), np.abs(y)) - 0.22
    elif name == "ring":
        d = np.abs(r - 0.5) - 0.18
    elif name == "triangle":
        d = np.maximum(0.866 * np.abs(x) + 0.5 * y, -y) - 0.36
    elif name == "bars":
        d = np.abs(np.abs(x) - 0.4) - 0.17
    elif name == "crescent":
        d = np.maximum(r - 0.72, 0.55 - np.hypot(x - 0.38, y))
    elif name == "star":
        d = r - 0.45 - 0.27 * np.cos(5 * around)
    elif name == "checker":
        d = -np.sign(x * y) * np.minimum(np.abs(x), np.abs(y))
    else:  # spots
        d = np.hypot(np.abs(x) - 0.42, np.abs(y) - 0.42) - 0.24
    return np.clip(0.5 - np.maximum(d, r - 0.8) / softness, 0, 1).astype(np.float32)


def _canvas(length: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in pixels of the frame, origin at the canvas centre."""
    side = 2 * int(np.ceil(SUPERSAMPLING * (length / 2 + 4))) + 1
    axis = (np.arange(side, dtype=np.float32) - side // 2) / SUPERSAMPLING
    x, y = np.meshgrid(axis, axis)
    return x, y


def _coverage(distance: np.ndarray) -> np.ndarray:
    """0..1 from a signed distance in pixels, one pixel wide at the outline."""
    return np.clip(0.5 - distance, 0, 1).astype(np.float32)


def _coat(
    rng: Generator,
    texture: str,
    hue: float,
    x: np.ndarray,
    y: np.ndarray,
    unit: float,
    is_val: bool,
) -> np.ndarray:
    pattern = grey_pattern(
        texture,
        x,
        y,
        period=unit * split_uniform(rng, 7.0, 12.0, is_val),
        angle=float(rng.uniform(0, np.pi)),
        phase=(float(rng.uniform(0, 6.28)), float(rng.uniform(0, 6.28))),
    )[..., None]
    saturation = rng.uniform(0.35, 0.65)
    dark = rgb(hue, saturation + 0.1, rng.uniform(0.3, 0.45))
    light = rgb(hue, saturation, rng.uniform(0.65, 0.85))
    return dark * (1 - pattern) + light * pattern


def _face(rng: Generator, label: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    turn = np.radians(rng.uniform(-25, 25))
    u, v = np.cos(turn) * x + np.sin(turn) * y, -np.sin(turn) * x + np.cos(turn) * y
    glyph = glyph_coverage(label, u, v, softness=0.12)[..., None]
    hue = HEAD_HUES[label] + rng.uniform(-HUE_JITTER, HUE_JITTER)
    skin = rgb(hue, rng.uniform(0.45, 0.7), rng.uniform(0.7, 0.9))
    ink = rgb(hue, rng.uniform(0.3, 0.7), rng.uniform(0.08, 0.22))
    return skin * (1 - glyph) + ink * glyph


def _finish(rng: Generator, colour: np.ndarray, coverage: np.ndarray, head: np.ndarray) -> Sprite:
    """Shade from above, soften to what the frame can show, premultiply."""
    side = colour.shape[0]
    shade = np.linspace(1.1, 0.9, side, dtype=np.float32)[:, None, None] * rng.uniform(0.9, 1.1)
    soft = cv2.GaussianBlur(np.clip(colour * shade, 0, 1), (0, 0), 0.55 * SUPERSAMPLING)
    image = np.dstack([soft * coverage[..., None], coverage]).astype(np.float32)
    return Sprite(image, head)
