"""Frozen parameters of the synthetic data set, each with its reason.

They were chosen once, by looking at baselines only (docs/synthetic.md tells how and with which
figures), and are part of the data fingerprint. A change is a new ``VERSION`` and an entry in
docs/LOG.md; it is never a way to improve a table. Lengths are pixels of a frame 128 pixels high and
grow in proportion with other heights; speeds are pixels per frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from wsvis.errors import InputError

VERSION = "2"

CLASSES = ("cross", "ring", "triangle", "bars", "crescent", "star", "checker", "spots")
"""Named after the glyph on the head. Classes 2k and 2k + 1 share the look of their bodies."""


@dataclass(frozen=True, kw_only=True)
class GeneratorParameters:
    """Everything about the data set that is a number."""

    height: int = 128
    width: int = 192
    frames: int = 11

    object_length: tuple[float, float] = (42.0, 76.0)
    """Head to tail. Smaller objects cover too few cells of a stride-8 map for masks to be good."""
    body_half_length: float = 0.36
    """Of the ellipse, as a share of ``object_length``."""
    body_half_height: tuple[float, float] = (0.21, 0.25)
    head_radius: tuple[float, float] = (0.205, 0.215)
    """Gives the head 36-42 % of the area: a classifier that fires on it alone misses AP50 but not
    AP25."""
    body_replaced: float = 0.1
    """Probability that a body wears a random texture and hue: how much weaker the body tells the
    class than the head. The dial of difficulty: 0 too easy for CAM, 1 hopeless for IRN."""

    instances: tuple[float, float, float] = (0.40, 0.40, 0.20)
    """Shares of clips with one, two, three objects."""
    same_class: float = 0.6
    """Probability that a second or third object is of the first one's class and touches it."""
    touching: tuple[float, float] = (0.45, 0.70)
    """Distance between neighbours' centres, as a share of the mean of their lengths."""
    neighbour_velocity: tuple[float, float] = (1.2, 2.8)
    """Speed of a neighbour relative to the object it touches."""

    static_every: int = 5
    """One clip in so many has objects that do not move in the world."""
    cameras: tuple[float, float, float] = (0.35, 0.40, 0.25)
    """Shares of clips whose camera stands still, pans, follows the first object."""
    object_speed: tuple[float, float] = (1.0, 4.0)
    pan_speed: tuple[float, float] = (1.0, 3.5)
    zoom_rate: float = 0.004
    """Largest relative zoom per frame of a moving camera."""
    roll_rate: float = 0.25
    """Largest rotation of a moving camera, degrees per frame."""
    spin_rate: float = 2.0
    """Largest rotation of a moving object, degrees per frame."""
    growth_rate: float = 0.006
    """Largest relative change of a moving object's size per frame."""

    distractors: tuple[float, float, float] = (0.35, 0.45, 0.20)
    """Shares of clips with no, one, two moving things that belong to no class."""
    distractor_size: tuple[float, float] = (22.0, 46.0)

    degraded: float = 0.4
    """Share of clips in which one or two frames are blurred or lose contrast."""
    blur_sigma: tuple[float, float] = (1.4, 2.4)
    contrast_left: tuple[float, float] = (0.25, 0.45)

    min_visible: int = 64
    """An object with fewer visible pixels in a frame is neither annotated nor labelled there."""


def with_size(overrides: Mapping[str, float | int]) -> GeneratorParameters:
    """The frozen parameters with another ``height``, ``width`` or ``frames``."""
    limits = {"height": (32, 4096), "width": (32, 4096), "frames": (1, 1000)}
    for name, value in overrides.items():
        if name not in limits:
            raise InputError(
                f"the synthetic generator's {name!r} is frozen; only height, width and frames "
                "may differ"
            )
        low, high = limits[name]
        if not isinstance(value, int) or not low <= value <= high:
            raise InputError(
                f"synthetic {name} is {value!r}; it must be a whole number {low}..{high}"
            )
    return dataclasses.replace(GeneratorParameters(), **{k: int(v) for k, v in overrides.items()})
