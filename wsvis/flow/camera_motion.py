"""Camera motion: what the background does, fitted robustly, and what is left when it is taken out.

Not in the paper, which thresholds the raw magnitude (compensation "none"). In clips whose camera
follows the object the largest flow is the background's; only the residual shows the object.

h w cells of the grid a field is stored on, n points of the sub-grid the fit looks at, S samples.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from wsvis.flow.field import flow_magnitude, frame_flow

Compensation = Literal["none", "median", "affine", "homography"]

FIT_ROWS, FIT_COLUMNS = 18, 24
"""The fit looks at no more points than this; a camera's field needs few."""
SAMPLES = 80
"""Minimal samples tried. With 40 % of the points on objects a sample of 4 is all background with
probability 0.6^4 = 0.13, so all 80 fail with probability 0.87^80 = 1.5e-5 (of 3 points: 4e-9)."""
REFINEMENTS = 4
WORST_CONDITION = 1e10
"""Of the normal equations; beyond it the points left in say too little and the last fit stays."""
TUKEY = 4.685
"""Points further than this many standard deviations have no weight (95 % efficiency)."""
SMALLEST_CUT = 0.2
"""Pixels; keeps the noise of the flow itself from starving a nearly perfect fit of points."""


def frame_motion(
    forward: Float32[np.ndarray, "P h w 2"],
    backward: Float32[np.ndarray, "P h w 2"],
    length: int,
    compensation: Compensation,
    spacing: float = 1.0,
    chained: bool = True,
) -> Float32[np.ndarray, "T h w"]:
    """How far each pixel of each frame moves once the camera's motion is taken out.

    Args:
        forward: flow of each pair, pixels of the frame.
        backward: flow of each pair back, pixels of the frame.
        length: frames T.
        compensation: camera model; "none" is the paper's literal ||F||.
        spacing: pixels of the frame between neighbouring cells (only a homography asks).
        chained: pairs end on frames of the video; see :func:`frame_flow`.

    Returns:
        Lengths in pixels of the frame.
    """
    fields = frame_flow(forward, backward, length, chained)
    for t in range(length):
        fields[t] = residual_flow(fields[t], compensation, spacing)
    return flow_magnitude(fields)


def residual_flow(
    flow: Float32[np.ndarray, "h w 2"], compensation: Compensation, spacing: float = 1.0
) -> Float32[np.ndarray, "h w 2"]:
    """The field with the camera's part subtracted: motion relative to the background.

    Raises:
        ValueError: an unknown model.
    """
    return flow - camera_flow(flow, compensation, spacing)


def camera_flow(
    flow: Float32[np.ndarray, "h w 2"], compensation: Compensation, spacing: float = 1.0
) -> Float32[np.ndarray, "h w 2"]:
    """The field a camera looking at a far or flat background would give, fitted to ``flow``.

    median: one vector, the median of each component. affine: u and v linear in x and y. homography:
    a plane seen from a moving camera. The last two start from the best of a fixed set of minimal
    samples (least median of residuals, so it holds while objects cover less than half of the
    points) and are refined by iteratively reweighted least squares with Tukey's weights. The same
    field always gives the same answer. A grid less than 2 cells high or wide gets the median.

    Args:
        flow: pixels of the frame.
        compensation: camera model.
        spacing: pixels of the frame between neighbouring cells.
    """
    if compensation == "none":
        return np.zeros_like(flow)
    if compensation == "median" or min(flow.shape[:2]) < 2:
        median = np.median(flow.reshape(-1, 2), axis=0).astype(np.float32)
        return np.broadcast_to(median, flow.shape)
    if compensation == "affine":
        return _affine_field(flow)
    if compensation == "homography":
        return _homography_field(flow, spacing)
    raise ValueError(f"compensation is {compensation!r}; none, median, affine or homography")


def _affine_field(flow: np.ndarray) -> np.ndarray:
    height, width = flow.shape[:2]
    rows, columns, points = _sub_grid(height, width)
    seen = flow[np.ix_(rows, columns)].reshape(-1, 2).astype(np.float64)
    model = _fit_affine(points, seen)
    x, y = _centred(width, height)
    along_x = np.outer(x, model[0])[None].astype(np.float32)
    along_y = (np.outer(y, model[1]) + model[2])[:, None].astype(np.float32)
    return along_x + along_y


def _fit_affine(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """[3, 2] with seen ~ points @ model; points [n, 3] are (x, y, 1)."""
    chosen, inverses = _affine_samples(len(points), points.tobytes())
    models = inverses @ seen[chosen]
    # u and v apart: sums over an axis of two are slow
    squared = np.square(points @ models[..., 0].T - seen[:, :1])
    squared += np.square(points @ models[..., 1].T - seen[:, 1:])
    model = models[_least_median(squared)]
    for _ in range(REFINEMENTS):
        weights = tukey_weights(np.hypot(*(points @ model - seen).T))
        weighted = points * weights[:, None]
        normal = weighted.T @ points
        if np.linalg.cond(normal) > WORST_CONDITION:
            break
        model = np.linalg.solve(normal, weighted.T @ seen)
    return model


def _homography_field(flow: np.ndarray, spacing: float) -> np.ndarray:
    height, width = flow.shape[:2]
    rows, columns, points = _sub_grid(height, width)
    # one unit of the points is this many pixels, the same along x and y
    unit = spacing * max(height, width) / 2
    seen = flow[np.ix_(rows, columns)].reshape(-1, 2) / unit + points[:, :2]
    model = _fit_homography(points, seen.astype(np.float64), SMALLEST_CUT / unit)
    x, y = _centred(width, height)
    grid = np.stack(np.broadcast_arrays(x[None], y[:, None], np.ones((1, 1))), axis=-1)
    mapped = grid @ model.T
    return ((mapped[..., :2] / mapped[..., 2:] - grid[..., :2]) * unit).astype(np.float32)


def _fit_homography(points: np.ndarray, seen: np.ndarray, smallest_cut: float) -> np.ndarray:
    """[3, 3] with seen ~ the projection of model @ (x, y, 1) and model[2, 2] = 1."""
    count = len(points)
    equations, values = _homography_equations(points, seen)
    chosen = _homography_samples(count)
    # the two equations of a point stand count rows apart
    both = np.concatenate([chosen, chosen + count], axis=1)
    systems, targets = equations[both], values[both][..., None]
    solvable = np.abs(np.linalg.det(systems)) > 1e-6
    solutions = np.linalg.solve(systems[solvable], targets[solvable])[..., 0]
    affine = _fit_affine(points, seen)
    # the affine fit is one more hypothesis, and the only one if no sample could be solved
    solutions = np.concatenate([solutions, [[*affine[:, 0], *affine[:, 1], 0.0, 0.0]]])
    models = np.concatenate([solutions, np.ones((len(solutions), 1))], axis=1).reshape(-1, 3, 3)
    model = models[_least_median(_projection_errors(models, points, seen))]
    for _ in range(REFINEMENTS):
        errors = _projection_errors(model[None], points, seen)[:, 0]
        weights = tukey_weights(np.sqrt(errors), smallest_cut)
        # dividing by the depth turns the algebraic error of a row into the distance on the image
        weighted = equations * np.tile(weights / np.square(points @ model[2]), 2)[:, None]
        normal = weighted.T @ equations
        if np.linalg.cond(normal) > WORST_CONDITION:
            break
        model = np.append(np.linalg.solve(normal, weighted.T @ values), 1.0).reshape(3, 3)
    return model


def _homography_equations(points: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear equations [2n, 8] x = [2n] of the first eight entries: all of x', then all of y'."""
    zeros = np.zeros_like(points)
    rows_x = np.concatenate([points, zeros, -seen[:, :1] * points[:, :2]], axis=1)
    rows_y = np.concatenate([zeros, points, -seen[:, 1:] * points[:, :2]], axis=1)
    return np.concatenate([rows_x, rows_y]), np.concatenate([seen[:, 0], seen[:, 1]])


def _projection_errors(models: np.ndarray, points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Squared distance [n, S] of each point, mapped by each model [S, 3, 3], from where it went."""
    # [n, 3] @ [3, 3S] in one product
    mapped = (points @ models.reshape(-1, 3).T).reshape(len(points), -1, 3)
    depth = mapped[..., 2]
    in_front = depth > 1e-3
    scale = 1 / np.where(in_front, depth, 1)
    off_x = mapped[..., 0] * scale - seen[:, :1]
    off_y = mapped[..., 1] * scale - seen[:, 1:]
    # a plane that turns its back on part of the image cannot be the background
    return np.where(in_front, off_x * off_x + off_y * off_y, 1e6)


def tukey_weights(
    residuals: Float[np.ndarray, " n"], smallest_cut: float = SMALLEST_CUT
) -> Float[np.ndarray, " n"]:
    """Tukey's biweight (1 - (r/c)^2)^2 inside c, 0 outside; c from the median residual.

    Residuals are lengths of two-dimensional errors: for Gaussian errors of standard deviation s
    their median is 1.1774 s, and c = 4.685 s.
    """
    cut = max(TUKEY * float(np.median(residuals)) / 1.1774, smallest_cut)
    return np.square(np.maximum(1 - np.square(residuals / cut), 0))


def _least_median(squared: np.ndarray) -> int:
    """Index of the sample whose median squared residual over the points (axis 0) is least."""
    middle = squared.shape[0] // 2
    return int(np.argmin(np.partition(squared, middle, axis=0)[middle]))


def _centred(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell centres along x and y; the longer side spans -1..1."""
    half = max(width, height) / 2
    return (np.arange(width) + 0.5 - width / 2) / half, (
        np.arange(height) + 0.5 - height / 2
    ) / half


@lru_cache(maxsize=16)
def _sub_grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and points (x, y, 1) [n, 3] the fit looks at."""
    rows = np.linspace(0, height - 1, min(height, FIT_ROWS)).round().astype(int)
    columns = np.linspace(0, width - 1, min(width, FIT_COLUMNS)).round().astype(int)
    x, y = _centred(width, height)
    points = np.stack(np.broadcast_arrays(x[columns], y[rows][:, None], 1.0), axis=-1)
    return rows, columns, points.reshape(-1, 3)


@lru_cache(maxsize=16)
def _affine_samples(count: int, points: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Triples of points [S, 3] that span a fair triangle, and the inverses [S, 3, 3] of their rows.

    The points of a grid never change, so that the 96 small systems are solved once and for all.
    """
    rows = np.frombuffer(points).reshape(count, 3)
    chosen = np.random.default_rng(0).integers(0, count, (SAMPLES * 8, 3))
    area = np.abs(np.linalg.det(rows[chosen]))
    best = area >= np.quantile(area, 0.5)  # thin triangles magnify noise
    chosen = chosen[best & (area > 0)][:SAMPLES]
    return chosen, np.linalg.inv(rows[chosen])


@lru_cache(maxsize=16)
def _homography_samples(count: int) -> np.ndarray:
    """Quadruples of points [S, 4]."""
    return np.random.default_rng(0).integers(0, count, (SAMPLES, 4))
