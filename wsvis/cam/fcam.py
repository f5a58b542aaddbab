"""Flow-amplified class activation maps (f-CAM): the moving mask and Equation 2.

K classes of the frame, h w cells of a grid, H W pixels of the frame.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from wsvis.cam.config import FCamConfig


def flow_threshold(
    magnitude: Float[np.ndarray, "h w"], percentile: float, floor: float = FCamConfig.floor
) -> float:
    """T of Equation 2: a percentile of the frame's own flow magnitudes, not below ``floor``.

    Liu et al. 2021, Sec. 3.2 and 4.2. Linear between the two nearest order statistics.

    Differs from the paper: an absolute ``floor`` (0 = the paper's form), because a percentile
    always finds something moving, even in a still scene.

    Args:
        magnitude: ||F(x)||_2 of one frame.
        percentile: 0..1 (the paper's 80 is 0.8).
        floor: smallest T, in the unit of ``magnitude``.

    Returns:
        T in the unit of ``magnitude``.

    Raises:
        ValueError: ``percentile`` outside 0..1, or an empty grid.
    """
    if not 0 <= percentile <= 1:
        raise ValueError(f"percentile is {percentile}; it must lie from 0 to 1")
    if magnitude.size == 0:
        raise ValueError("a frame without a single flow vector has no percentile")
    position = percentile * (magnitude.size - 1)
    below = int(position)
    values = np.partition(magnitude.astype(np.float32, copy=False).ravel(), below)
    low = float(values[below])
    high = float(values[below + 1 :].min()) if below + 1 < len(values) else low
    return max(low + (high - low) * (position - below), floor)


def moving_mask(
    magnitude: Float[np.ndarray, "h w"], percentile: float, floor: float = FCamConfig.floor
) -> Bool[np.ndarray, "h w"]:
    """The indicator of Equation 2: I(||F(x)||_2 > T), on the grid of the flow.

    The comparison is strict, so that a frame where everything moves alike (or nothing moves) has no
    moving pixel.

    Args:
        magnitude: ||F(x)||_2 of one frame, after camera compensation if there is any.
        percentile: see :func:`flow_threshold`.
        floor: see :func:`flow_threshold`.
    """
    return magnitude > flow_threshold(magnitude, percentile, floor)


def fcam(
    cam: Float[np.ndarray, "*K h w"], moving: Bool[np.ndarray, "h w"], amplification: float
) -> Float32[np.ndarray, "*K h w"]:
    """f-CAM_c(x) = CAM_c(x) * A^I(||F(x)||_2 > T).

    Liu et al. 2021, Sec. 3.2, Eq. 2. Every class is amplified alike, so that the order of the
    classes at a pixel never changes.

    The paper is silent on when: here on maps already divided by their maximum. Before that
    division, a map whose peak moves would only have its still part lowered, the opposite of the
    aim.

    Args:
        cam: max-normalised CAM, 0..1, any number of classes.
        moving: I(||F(x)||_2 > T) on the same grid.
        amplification: A >= 1 (2 on YouTube-VIS, 5 on Cityscapes).

    Returns:
        Values 0..A; not clipped.

    Raises:
        ValueError: A below 1.
    """
    if amplification < 1:
        raise ValueError(f"amplification is {amplification}; it must be at least 1")
    factor = np.where(moving, np.float32(amplification), np.float32(1))
    return cam.astype(np.float32, copy=False) * factor


def saturate_jointly(maps: Float[np.ndarray, "K h w"]) -> Float32[np.ndarray, "K h w"]:
    """f_c / max(1, max_c f_c): no value above 1, ratios between the classes of a pixel kept.

    Not in the paper. For steps that compare pixels with each other (seeds of IRN's random walk,
    divided by their largest value), where unclipped values would push still objects under the
    background constant.

    Args:
        maps: f-CAM >= 0.
    """
    maps = maps.astype(np.float32, copy=False)
    if len(maps) == 0:
        return maps
    return maps / np.maximum(maps.max(axis=0), 1)


def upsample_maps(
    maps: Float[np.ndarray, "K h w"], height: int, width: int
) -> Float32[np.ndarray, "K H W"]:
    """CAM on the pixels of the frame: bilinear, corners of both grids coincide."""
    out = np.empty((len(maps), height, width), dtype=np.float32)
    for k, single in enumerate(maps):
        cv2.resize(single.astype(np.float32), (width, height), dst=out[k])
    return out


def upsample_mask(
    mask: Bool[np.ndarray, "h w"], height: int, width: int
) -> Bool[np.ndarray, "H W"]:
    """A mask on the pixels of the frame: each pixel takes the cell it lies in."""
    resized = cv2.resize(
        mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return resized.view(bool)


def frame_fcam(
    cam: Float[np.ndarray, "K h4 w4"],
    magnitude: Float[np.ndarray, "h2 w2"],
    height: int,
    width: int,
    amplification: float,
    percentile: float,
    floor: float = FCamConfig.floor,
) -> Float32[np.ndarray, "K H W"]:
    """f-CAM of one frame at full size, from a CAM and a magnitude on grids of their own.

    The CAM is upsampled bilinearly; the magnitude is thresholded on its own grid and the mask takes
    the nearest cell.

    Args:
        cam: max-normalised CAM of the frame's classes.
        magnitude: ||F(x)||_2, any unit (``floor`` has the same).
        height: rows of the frame.
        width: columns of the frame.
        amplification: A.
        percentile: T as a percentile, 0..1.
        floor: smallest T.
    """
    moving = upsample_mask(moving_mask(magnitude, percentile, floor), height, width)
    return fcam(upsample_maps(cam, height, width), moving, amplification)
