"""Where each layer of a synthetic clip is in each frame, and the optical flow that follows.

A pose is a 2x3 matrix that takes a point of a layer's own canvas to a point of the frame (x to the
right, y downwards, pixel centres at whole numbers). All motion is rigid up to scale, so the flow of
a pixel is exact: take it back to its layer's canvas with one pose, out again with another.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int


def similarity(scale: float, angle: float, x: float, y: float) -> Float[np.ndarray, "2 3"]:
    """Scale and rotate about the origin, then move by (x, y); the angle in radians."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.asarray([[c, -s, x], [s, c, y]], dtype=np.float64)


def compose(
    outer: Float[np.ndarray, "2 3"], inner: Float[np.ndarray, "2 3"]
) -> Float[np.ndarray, "2 3"]:
    """The map that applies ``inner`` first."""
    linear = outer[:, :2] @ inner
    linear[:, 2] += outer[:, 2]
    return linear


def inverse(pose: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """The map back."""
    linear = np.linalg.inv(pose[:, :2])
    return np.column_stack([linear, -linear @ pose[:, 2]])


def render_layer(
    image: np.ndarray, pose: Float[np.ndarray, "2 3"], height: int, width: int, fill: bool
) -> np.ndarray:
    """The canvas ``image`` seen through ``pose``; outside it, its reflection (fill) or zero."""
    border = cv2.BORDER_REFLECT_101 if fill else cv2.BORDER_CONSTANT
    return cv2.warpAffine(
        image,
        inverse(pose),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
    )


def rigid_flow(
    visible: Int[np.ndarray, "H W"],
    from_poses: Float[np.ndarray, "L 2 3"],
    to_poses: Float[np.ndarray, "L 2 3"],
) -> Float[np.ndarray, "H W 2"]:
    """Motion of each pixel's visible layer from one frame to another, in pixels.

    Args:
        visible: index of the layer each pixel of the first frame shows.
        from_poses: pose of every layer in the first frame.
        to_poses: pose of every layer in the second frame.

    Returns:
        (u, v): the pixel at x shows a point that is (or hides) at x + flow in the second frame.
    """
    height, width = visible.shape
    flow = np.zeros((height, width, 2))
    for layer in np.unique(visible):
        if np.array_equal(from_poses[layer], to_poses[layer]):
            continue  # at rest the flow is zero, not 1e-15
        ys, xs = np.nonzero(visible == layer)
        move = compose(to_poses[layer], inverse(from_poses[layer]))
        points = np.stack([xs, ys, np.ones_like(xs)]).astype(np.float64)
        flow[ys, xs] = (move @ points).T - points[:2].T
    return flow


def rigid_occlusion(
    visible: Int[np.ndarray, "H W"],
    coverages: Sequence[Float[np.ndarray, "_ _"]],
    from_poses: Float[np.ndarray, "L 2 3"],
    to_poses: Float[np.ndarray, "L 2 3"],
) -> Bool[np.ndarray, "H W"]:
    """Pixels of the first frame whose point the second frame does not show.

    It lies outside the frame, or a layer in front covers it by half or more.

    Args:
        visible: index of the layer each pixel of the first frame shows; greater is nearer.
        coverages: each layer's coverage (0..1) on its own canvas.
        from_poses: pose of every layer in the first frame.
        to_poses: pose of every layer in the second frame.
    """
    height, width = visible.shape
    target = rigid_flow(visible, from_poses, to_poses) + np.dstack(
        np.meshgrid(np.arange(width), np.arange(height))
    )
    hidden = (target < 0).any(-1) | (target[..., 0] > width - 1) | (target[..., 1] > height - 1)
    for layer in np.unique(visible):
        in_layer = visible == layer
        move = compose(to_poses[layer], inverse(from_poses[layer]))
        for front in range(int(layer) + 1, len(coverages)):
            # pose of the covering layer's canvas as seen from the first frame along `move`
            seen = compose(inverse(move), to_poses[front])
            cover = render_layer(coverages[front], seen, height, width, fill=False)
            hidden |= in_layer & (cover >= 0.5)
    return hidden
