"""Procedural stills of 80 classes, for pre-training the small backbone on class labels.

They stand in for ImageNet before the synthetic clips: things with a textured body and a marked head
on a busy ground. Nothing is shared with the clips of ``synthetic.py``: other textures, other hues,
letters for glyphs, angular bodies and heads for ellipses and discs, mosaics and gradients for 1/f
ground, polygons and arcs for clutter. No mask leaves this file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.random import Generator

from wsvis.data.synthetic_textures import rgb

SIDE = 96
TEXTURES = (
    "bricks",
    "circles",
    "cloth",
    "grain",
    "hexagons",
    "ladder",
    "mesh",
    "scales",
    "shards",
    "swirl",
)
HUES = (0.065, 0.22, 0.315, 0.47, 0.565, 0.72, 0.815, 0.97)
HUE_JITTER = 0.02
"""Between the hues of the benchmark's bodies and heads."""
LETTERS = "ABCEFGHJKLMNPQRSTUZ"
CLASS_COUNT = len(TEXTURES) * len(HUES)


@dataclass(frozen=True)
class Look:
    """What a class looks like."""

    texture: str
    hue: float
    letter: str
    head_hue: float


def class_look(label: int) -> Look:
    """The look of class ``label``: each texture and hue meet once, letters are spread."""
    return Look(
        texture=TEXTURES[label % len(TEXTURES)],
        hue=HUES[label // len(TEXTURES)],
        letter=LETTERS[(7 * label + label // len(LETTERS)) % len(LETTERS)],
        head_hue=HUES[(3 * label + 1) % len(HUES)],
    )


def stills(
    split: str, first: int, count: int
) -> tuple[UInt8[np.ndarray, "B S S 3"], Int[np.ndarray, " B"]]:
    """Stills ``first`` .. ``first + count - 1`` of a split, and their classes in turn."""
    labels = (np.arange(first, first + count) % CLASS_COUNT).astype(np.int64)
    images = [
        render_still(split, index, int(label))
        for index, label in enumerate(labels.tolist(), start=first)
    ]
    return np.stack(images), labels


def render_still(split: str, index: int, label: int) -> UInt8[np.ndarray, "S S 3"]:
    """One still: a ground, clutter, a thing of class ``label``, some clutter in front.

    So that every part is worth knowing, now and then the body is dressed as another class (the head
    decides), or the head wears another letter and hue (the body decides).
    """
    digest = hashlib.sha256(f"still/2/{split}/{index}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
    image = _ground(rng)
    for _ in range(int(rng.integers(2, 7))):
        _draw_clutter(rng, image)
    if rng.random() < 0.5:
        _draw_stray(rng, image)
    body = head = class_look(label)
    odd = rng.random()
    if odd < 0.15:
        body = class_look(int(rng.integers(CLASS_COUNT)))
    elif odd < 0.3:
        head = class_look(int(rng.integers(CLASS_COUNT)))
    _draw_thing(rng, image, body, head)
    if rng.random() < 0.3:
        _draw_clutter(rng, image)
    if rng.random() < 0.1:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 1.8))
    bright = rng.uniform(0.8, 1.2) * image + rng.uniform(-0.06, 0.06)
    return np.round(255 * np.clip(bright, 0, 1)).astype(np.uint8)


def grey_texture(
    rng: Generator, name: str, x: Float[np.ndarray, "S S"], y: Float[np.ndarray, "S S"]
) -> Float[np.ndarray, "S S"]:
    """One of ``TEXTURES`` at the points (x, y) in pixels, 0..1; scale, turn, phase random."""
    turn, period = rng.uniform(0, np.pi), rng.uniform(7, 13)
    u = (np.cos(turn) * x + np.sin(turn) * y) / period + rng.uniform(0, 9)
    v = (-np.sin(turn) * x + np.cos(turn) * y) / period + rng.uniform(0, 9)
    tau = 2 * np.pi
    if name == "bricks":
        shifted = u + 0.5 * (np.floor(2 * v) % 2)
        wave = np.minimum(_saw(shifted), _saw(2 * v)) - 0.2
    elif name == "circles":
        wave = np.sin(tau * np.hypot(u - u.mean(), v - v.mean()))
    elif name == "cloth":
        wave = np.where((np.floor(2 * u) + np.floor(2 * v)) % 2 > 0, np.sin(2 * tau * u), 0.4)
    elif name == "grain":
        wave = np.sin(tau * (u + 0.5 * np.sin(0.7 * v) + 0.25 * np.sin(tau * v * 0.4)))
    elif name == "hexagons":
        wave = sum(np.cos(tau * (u * np.cos(a) + v * np.sin(a))) for a in (0.0, 2.094, 4.189))
        wave = 0.4 - wave
    elif name == "ladder":
        wave = np.where(_saw(v) > 0.3, np.sin(2 * tau * u), -1.0)
    elif name == "mesh":
        wave = 0.55 - np.maximum(np.cos(tau * u), np.cos(tau * v))
    elif name == "scales":
        row = np.floor(2 * v)
        wave = np.sin(tau * (np.hypot((u + 0.5 * row) % 1 - 0.5, v - 0.5 * row) * 1.6))
    elif name == "shards":
        wave = np.sin(3 * np.sin(tau * 0.6 * u) + 3 * np.sin(tau * 0.43 * v + 2 * np.sin(u)))
    elif name == "swirl":
        du, dv = u - u.mean(), v - v.mean()
        wave = np.sin(tau * 0.8 * np.hypot(du, dv) + 3 * np.arctan2(dv, du))
    else:
        raise ValueError(f"no texture is called {name!r}")
    return (0.5 + 0.5 * np.tanh(2.5 * wave)).astype(np.float32)


def _saw(t: np.ndarray) -> np.ndarray:
    """Distance to the nearest whole number, 0..0.5, scaled to 0..1."""
    return 2 * np.abs(t - np.round(t))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    axis = np.arange(SIDE, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


def _ground(rng: Generator) -> np.ndarray:
    """A gradient, a mosaic, or a blend of both, with a little fine noise."""
    x, y = _grid()
    colours = [rgb(rng.random(), rng.uniform(0, 0.35), rng.uniform(0.2, 0.85)) for _ in range(8)]
    slope = rng.uniform(-1, 1, 2) / SIDE
    ramp = np.clip(0.5 + slope[0] * (x - SIDE / 2) + slope[1] * (y - SIDE / 2), 0, 1)[..., None]
    ground = colours[0] * ramp + colours[1] * (1 - ramp)
    if rng.random() < 0.7:
        sites = rng.uniform(0, SIDE, (int(rng.integers(4, 40)), 2)).astype(np.float32)
        apart = (x[..., None] - sites[:, 0]) ** 2 + (y[..., None] - sites[:, 1]) ** 2
        tiles = np.stack(colours)[apart.argmin(-1) % len(colours)]
        share = rng.uniform(0.2, 0.9)
        ground = (1 - share) * ground + share * tiles
    coarse = rng.standard_normal((SIDE // 2, SIDE // 2)).astype(np.float32)
    noise = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return (ground + rng.uniform(0.0, 0.06) * noise[..., None]).astype(np.float32)


def _polygon(
    rng: Generator, centre: np.ndarray, radii: tuple[float, float], corners: int, turn: float
) -> np.ndarray:
    """Corners on an ellipse, unevenly spaced."""
    angles = (np.arange(corners) + rng.uniform(-0.25, 0.25, corners)) * 2 * np.pi / corners
    local = np.stack([radii[0] * np.cos(angles), radii[1] * np.sin(angles)], axis=-1)
    c, s = np.cos(turn), np.sin(turn)
    return centre + local @ np.asarray([[c, s], [-s, c]])


def _stencil(polygon: np.ndarray) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.round(polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return (mask / 255).astype(np.float32)[..., None]


def _draw_clutter(rng: Generator, image: np.ndarray) -> None:
    colour = rgb(rng.random(), rng.uniform(0.05, 0.4), rng.uniform(0.15, 0.9))
    centre = rng.uniform(0, SIDE, 2)
    if rng.random() < 0.6:
        radii = (float(rng.uniform(4, 16)), float(rng.uniform(4, 16)))
        mask = _stencil(_polygon(rng, centre, radii, int(rng.integers(3, 6)), rng.uniform(0, 6)))
    else:
        arc = np.zeros((SIDE, SIDE), np.uint8)
        x, y, a, b = (int(n) for n in (*centre, *rng.uniform(8, 30, 2)))
        start, width = float(rng.uniform(0, 360)), int(rng.integers(1, 4))
        cv2.ellipse(arc, (x, y), (a, b), start, 0, 150, 255, width, cv2.LINE_AA)
        mask = (arc / 255).astype(np.float32)[..., None]
    image += rng.uniform(0.5, 0.9) * mask * (colour - image)


def _draw_stray(rng: Generator, image: np.ndarray) -> None:
    """A patch with the coat of some class but no head: it means nothing."""
    radii = (float(rng.uniform(8, 16)), float(rng.uniform(8, 16)))
    mask = _stencil(_polygon(rng, rng.uniform(0, SIDE, 2), radii, 3, rng.uniform(0, 6)))
    image += mask * (_coat(rng, class_look(int(rng.integers(CLASS_COUNT)))) - image)


def _coat(rng: Generator, look: Look) -> np.ndarray:
    pattern = grey_texture(rng, look.texture, *_grid())[..., None]
    hue, saturation = look.hue + rng.uniform(-HUE_JITTER, HUE_JITTER), rng.uniform(0.35, 0.7)
    dark = rgb(hue, saturation + 0.1, rng.uniform(0.25, 0.45))
    return dark * (1 - pattern) + rgb(hue, saturation, rng.uniform(0.65, 0.9)) * pattern


def _draw_thing(rng: Generator, image: np.ndarray, body: Look, head: Look) -> None:
    length = rng.uniform(40, 74)
    turn, side = rng.uniform(0, 2 * np.pi), rng.uniform(0.19, 0.23) * length
    along = np.asarray([np.cos(turn), np.sin(turn)])
    centre = SIDE / 2 + rng.uniform(-14, 14, 2)
    radii = (0.38 * length, float(rng.uniform(0.22, 0.30)) * length)
    shape = _polygon(rng, centre - 0.12 * length * along, radii, int(rng.integers(4, 8)), turn)
    mask = _stencil(shape)
    image += mask * (_coat(rng, body) - image)
    at = centre + 0.28 * length * along
    face = _stencil(_polygon(rng, at, (side, side), int(rng.integers(4, 7)), rng.uniform(0, 6)))
    hue = head.head_hue + rng.uniform(-HUE_JITTER, HUE_JITTER)
    skin = rgb(hue, rng.uniform(0.4, 0.7), rng.uniform(0.65, 0.9))
    ink = rgb(hue, rng.uniform(0.3, 0.7), rng.uniform(0.08, 0.25))
    image += face * (skin - image)
    image += face * _letter(rng, head.letter, at, side)[..., None] * (ink - image)


def _letter(rng: Generator, letter: str, at: np.ndarray, side: float) -> np.ndarray:
    """Coverage of a letter about 1.2 ``side`` high, centred at ``at``, slightly turned."""
    tile, thickness = np.zeros((48, 48), np.uint8), int(rng.integers(4, 7))
    (w, h), _ = cv2.getTextSize(letter, cv2.FONT_HERSHEY_SIMPLEX, 1.4, thickness)
    corner = ((48 - w) // 2, (48 + h) // 2)
    cv2.putText(tile, letter, corner, cv2.FONT_HERSHEY_SIMPLEX, 1.4, 255, thickness, cv2.LINE_AA)
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), float(rng.uniform(-30, 30)), 1.2 * side / h)
    matrix[:, 2] += at - 23.5
    seen = cv2.warpAffine(tile, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return (seen / 255).astype(np.float32)
