"""Colours that stay with an id: seven hues colour-blind people can tell apart, in three shades.

The hues are those of Okabe and Ito's "Color Universal Design" (2008) without black, ordered so that
neighbours differ most. Ids past the last colour start again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

_HUES = np.array(
    [
        (86, 180, 233),  # sky blue
        (230, 159, 0),  # orange
        (0, 158, 115),  # bluish green
        (204, 121, 167),  # reddish purple
        (240, 228, 66),  # yellow
        (213, 94, 0),  # vermilion
        (0, 114, 178),  # blue
    ],
    dtype=np.float64,
)
_WHITE = np.full(3, 255.0)
_SHADES = np.concatenate([_HUES, 0.5 * _HUES + 0.5 * _WHITE, 0.6 * _HUES])
COLOURS = np.round(_SHADES).astype(np.uint8)
"""uint8 [21, 3] RGB."""


def colours_of(ids: Sequence[int] | np.ndarray) -> UInt8[np.ndarray, "N 3"]:
    """The RGB colour of each id (track, instance or class): the same id, the same colour."""
    return COLOURS[np.asarray(ids, dtype=np.int64).reshape(-1) % len(COLOURS)]


def ink_on(colour: np.ndarray) -> tuple[int, int, int]:
    """Black or white, whichever reads better on ``colour``.

    The border is where both have the same contrast by WCAG 2: (L + 0.05)^2 = 0.05 * 1.05, that is
    relative luminance L = 0.179.
    """
    share = np.asarray(colour, dtype=np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)
