"""Optical flow as colour: hue is the direction, saturation the magnitude, white is rest.

H W pixels. Flow has u = x (right) and v = y (down) on its last axis, in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, UInt8

from wsvis.viz.text import text_size, write_text

# Baker et al., "A Database and Evaluation Methodology for Optical Flow" (2007): red, yellow, green,
# cyan, blue, magenta and back to red, with this many steps between them; people tell hues apart
# better in the long segments.
_CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0))
_STEPS = (15, 6, 4, 11, 13, 6)


def flow_to_colour(
    flow: Float[np.ndarray, "H W 2"], maximum: float | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """Colour of each flow vector on the Middlebury wheel (Baker et al. 2007).

    Args:
        flow: vectors in pixels. Vectors that are not finite are drawn black.
        maximum: the magnitude (pixels) at which colours are fully saturated; larger ones keep that
            colour. ``None``: the largest of this flow. Give one value for all frames of a clip
            (``clip_maximum``) so that colours can be compared.
    """
    finite = np.isfinite(flow).all(-1, keepdims=True)
    vectors = np.where(finite, flow, 0).astype(np.float64)
    magnitude = np.hypot(vectors[..., 0], vectors[..., 1])
    if maximum is None:
        maximum = float(magnitude.max(initial=0))
    saturation = np.minimum(magnitude / maximum, 1) if maximum > 0 else np.zeros_like(magnitude)
    # The angle in 0..1, 0 pointing right and growing clockwise on the picture (v points down).
    turn = np.arctan2(vectors[..., 1], vectors[..., 0]) / (2 * np.pi) % 1.0
    stops = np.concatenate([[0], np.cumsum(_STEPS)]) / sum(_STEPS)
    hue = np.stack([np.interp(turn, stops, channel) for channel in zip(*_CORNERS, strict=True)], -1)
    colour = 1 - saturation[..., None] * (1 - hue)
    return np.where(finite, np.round(255 * colour), 0).astype(np.uint8)


def clip_maximum(flows: Iterable[np.ndarray], percentile: float = 99.0) -> float:
    """One magnitude (pixels) to saturate at, for all flows of a clip.

    A percentile rather than the largest value: a few wild vectors would bleach the rest. The
    largest percentile over the frames, so that one fast frame is still told apart from a still one.
    """
    tops = [
        float(np.percentile(norms, percentile))
        for flow in flows
        if (norms := np.hypot(flow[..., 0], flow[..., 1])[np.isfinite(flow).all(-1)]).size
    ]
    return max(tops, default=0.0)


def flow_wheel(diameter: int) -> Float[np.ndarray, "D D 4"]:
    """The legend: every direction and magnitude as a disc, RGBA in 0..1 with a soft edge."""
    axis = (np.arange(diameter) + 0.5) / diameter * 2 - 1
    vectors = np.stack(np.meshgrid(axis, axis), -1)
    radius = np.hypot(vectors[..., 0], vectors[..., 1])
    alpha = np.clip((1 - radius) * diameter / 2, 0, 1)
    return np.concatenate([flow_to_colour(vectors, 1.0) / 255.0, alpha[..., None]], -1)


def add_flow_legend(
    picture: UInt8[np.ndarray, "H W 3"], maximum: float, *, diameter: int = 0
) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of a flow picture with the wheel and its radius in pixels in the lower right corner.

    Args:
        picture: from ``flow_to_colour``.
        maximum: the magnitude (pixels) that the rim of the wheel stands for.
        diameter: of the wheel; 0 = a quarter of the picture's shorter side.
    """
    out = picture.copy()
    height, width = out.shape[:2]
    diameter = diameter or max(12, min(height, width) // 4)
    size, margin = max(9, diameter // 4), max(2, diameter // 10)
    label = f"{maximum:.3g} px"
    label_width, label_height = text_size(label, size)
    box_width = max(diameter, label_width) + 2 * margin
    box_height = diameter + label_height + 2 * margin
    if box_height > height or box_width > width:
        return out
    # A white card under the wheel: on a still picture the wheel itself fades to white.
    card = out[height - box_height :, width - box_width :]
    card[:] = np.round(0.2 * card + 0.8 * 255)
    disc = flow_wheel(diameter)
    left = (box_width - diameter) // 2
    under = card[margin : margin + diameter, left : left + diameter]
    under[:] = np.round(255 * disc[..., 3:] * disc[..., :3] + (1 - disc[..., 3:]) * under)
    write_text(out, label, width - (box_width + label_width) // 2, height - label_height, size=size)
    return out
