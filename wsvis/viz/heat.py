"""Class activation maps as heat over a grey frame.

H W pixels of the frame, h w cells of the map, K classes.
"""

from __future__ import annotations

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8

COLORMAP = "inferno"
"""Perceptually uniform, and readable when printed in grey."""


def heat_over_frame(
    frame: UInt8[np.ndarray, "H W 3"],
    heat: Float[np.ndarray, "h w"],
    *,
    maximum: float = 1.0,
    threshold: float | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """The frame in grey with the map blended over it, hot where the map is high.

    Args:
        frame: RGB.
        heat: the map, resized to the frame (bilinear); values that are not finite count as 0.
        maximum: the value that gets the hottest colour; larger ones keep it. One value for all
            pictures that are to be compared.
        threshold: draw a thin line where the map crosses this value (of ``heat``, not of the
            normalised map).
    """
    height, width = frame.shape[:2]
    clean = np.nan_to_num(np.asarray(heat, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    full = cv2.resize(clean, (width, height), interpolation=cv2.INTER_LINEAR)
    share = np.clip(full / maximum if maximum > 0 else np.zeros_like(full), 0, 1)
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float64)
    # Grey is dimmed a little: the hottest colours are light and would drown in a bright frame.
    colour = 255.0 * matplotlib.colormaps[COLORMAP](share)[..., :3]
    # The map gets more opaque as it gets hotter: cold places show the frame, hot ones the heat.
    opacity = 0.1 + 0.65 * np.sqrt(share[..., None])
    out = np.round((1 - opacity) * 0.9 * grey + opacity * colour).astype(np.uint8)
    if threshold is not None:
        above = (full > threshold).astype(np.uint8)
        edges, _ = cv2.findContours(above, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, edges, -1, (255, 255, 255), max(1, height // 240), cv2.LINE_AA)
    return out


def heat_bar(width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    """The legend: cold on the left, hot on the right."""
    colours = matplotlib.colormaps[COLORMAP](np.linspace(0, 1, width))[:, :3]
    return np.repeat(np.round(255 * colours).astype(np.uint8)[None], height, axis=0)
