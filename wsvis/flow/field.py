"""Flow fields as arrays: length of the vectors, change of grid, one field per frame.

T frames, P pixel pairs of frames, H W pixels, h w cells of the grid a field is stored on. The last
axis of a field is (u = x, v = y). Unless said otherwise vectors are in pixels of the full frame
whatever the grid, and F_ab(x) maps a pixel of a to b.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32


def flow_magnitude(flow: Float[np.ndarray, "... h w 2"]) -> Float32[np.ndarray, "... h w"]:
    """Length of each flow vector.

    Liu et al. 2021, Eq. 2: ||F(x)||_2.

    Args:
        flow: F, in any unit of length.

    Returns:
        Lengths >= 0 in the same unit.
    """
    u, v = flow[..., 0].astype(np.float32), flow[..., 1].astype(np.float32)
    return np.sqrt(u * u + v * v)


def area_mean(flow: Float32[np.ndarray, "H W 2"], stride: int) -> Float32[np.ndarray, "h w 2"]:
    """Mean over blocks of ``stride`` x ``stride`` cells; vectors keep their unit.

    Cell (i, j) of the result covers rows i*stride.. and columns j*stride..; blocks that stick out
    at the bottom or right average the pixels they have, so the grid is ceil(H / stride) by
    ceil(W / stride) and no cell is stretched.

    Raises:
        ValueError: ``stride`` below 1.
    """
    if stride < 1:
        raise ValueError(f"stride is {stride}; it must be at least 1")
    if stride == 1:
        return flow
    height, width = flow.shape[:2]
    grid = np.empty((-(-height // stride), -(-width // stride), 2), dtype=np.float32)
    for (top, bottom), (row, rows) in _blocks(height, stride):
        for (left, right), (column, columns) in _blocks(width, stride):
            # integer ratios in both directions, where INTER_AREA is the exact block mean
            grid[row : row + rows, column : column + columns] = cv2.resize(
                flow[top:bottom, left:right], (columns, rows), interpolation=cv2.INTER_AREA
            )
    return grid


def _blocks(size: int, stride: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """(pixels from, to), (first cell, number of cells): the whole blocks, then the partial one."""
    whole = size // stride
    parts = [((0, whole * stride), (0, whole))] if whole else []
    if size % stride:
        parts.append(((whole * stride, size), (whole, 1)))
    return parts


def regrid_flow(
    flow: Float[np.ndarray, "h w 2"], height: int, width: int
) -> Float32[np.ndarray, "H W 2"]:
    """The same field on another grid over the same image; vectors keep their unit.

    Bilinear with cell centres as sample points (the corners of both grids coincide). To make a grid
    coarser by a whole number use :func:`area_mean`.
    """
    if flow.shape[:2] == (height, width):
        return flow.astype(np.float32, copy=False)
    return cv2.resize(
        np.ascontiguousarray(flow, dtype=np.float32),
        (width, height),
        interpolation=cv2.INTER_LINEAR,
    )


def frame_flow(
    forward: Float32[np.ndarray, "P h w 2"],
    backward: Float32[np.ndarray, "P h w 2"],
    length: int,
    chained: bool = True,
) -> Float32[np.ndarray, "T h w 2"]:
    """One field per frame, where pairs are fewer than frames.

    Pair p joins frames p and p + gap, gap = length - P. A frame that begins a pair has that pair's
    forward flow; the last frames, which begin none, take the flow measured back to frame t - gap
    with its sign changed (the motion that brought them there, on their own pixels). A frame in no
    pair at all (a single frame, or gap > length / 2) has zero flow.

    Pairs that end on raw frames between the listed ones are not chained: the flow back then lies on
    pixels of another moment, so that a last frame without a successor has zero flow.

    The paper is silent on the last frame.

    Args:
        forward: F_{p -> p+gap}.
        backward: F_{p+gap -> p}.
        length: frames T of the video; equal to P where every frame has a successor of its own.
        chained: pair p ends on frame p + gap.

    Raises:
        ValueError: the two differ in shape, or there are more pairs than frames.
    """
    pairs = len(forward)
    if forward.shape != backward.shape or pairs > length:
        raise ValueError(
            f"forward {forward.shape} and backward {backward.shape} do not fit {length} frames"
        )
    fields = np.zeros((length, *forward.shape[1:]), dtype=np.float32)
    fields[:pairs] = forward
    if not chained:
        return fields
    gap = length - pairs
    for t in range(max(pairs, gap), length):
        fields[t] = -backward[t - gap]
    return fields
