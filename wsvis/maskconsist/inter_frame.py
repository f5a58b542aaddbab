"""Inter-frame matching: which candidate of one frame is which of the other, if any.

Frames a and b of a pair, with A and B candidates; H W pixels. Flow in pixels of these frames,
(u = x, v = y); F_ba maps a pixel of b to a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from wsvis.flow.warp import warp_masks
from wsvis.instances import InstanceTensors, pairwise_iou

MATCHED_PIXELS = 10_000
"""Masks of two frames are compared on a grid of at most about this many pixels."""


@dataclass(frozen=True)
class Matching:
    """Pairs (i of a, j of b), by i."""

    first: Int64[Tensor, " M"]
    second: Int64[Tensor, " M"]
    weights: Float[Tensor, " M"]
    """e_ij, in (0, 1]."""


def inter_frame_matching(
    a: InstanceTensors,
    b: InstanceTensors,
    flow_ba: Float[Tensor, "H W 2"],
    *,
    min_match_iou: float,
    max_pixels: int = MATCHED_PIXELS,
) -> Matching:
    """One-to-one matching of greatest total weight between the candidates of two frames.

    Liu et al. 2021, Sec. 3.3: e_ij = [c_i = c_j] IoU(W_ab(m_i), m_j), solved by the Hungarian
    algorithm.

    The paper is silent: on the least weight (pairs of weight 0 are no pairs; nothing else is
    dropped unless ``min_match_iou`` is set), and on how the masks are compared: large frames are
    compared on every n-th pixel, which changes an IoU a little and the cost a lot. An object
    narrower than n pixels may fall between them and have no pair; at 480 x 864 n is 7.

    Args:
        a: candidates of the frame that is carried over.
        b: candidates of the other.
        flow_ba: flow from b to a, by which masks of a are looked up.
        min_match_iou: pairs need more than this.
        max_pixels: masks are compared on a grid of at most about this many pixels; 0 = all.
    """
    weights = match_weights(a, b, flow_ba, max_pixels=max_pixels)
    on_host = weights.cpu().numpy()
    rows, columns = linear_sum_assignment(on_host, maximize=True)
    kept = on_host[rows, columns] > min_match_iou
    first, second = (
        torch.from_numpy(np.asarray(index[kept], dtype=np.int64)).to(weights.device)
        for index in (rows, columns)
    )
    return Matching(first, second, weights[first, second])


def match_weights(
    a: InstanceTensors,
    b: InstanceTensors,
    flow_ba: Float[Tensor, "H W 2"],
    *,
    max_pixels: int = MATCHED_PIXELS,
) -> Float[Tensor, "A B"]:
    """e_ij = [c_i = c_j] IoU(W_ab(m_i), m_j) of all pairs; see :func:`inter_frame_matching`."""
    height, width = flow_ba.shape[:2]
    every = math.ceil(math.sqrt(height * width / max_pixels)) if max_pixels else 1
    if every == 1:
        carried, target = warp_masks(a.masks, flow_ba)[0], b.masks
    else:
        carried = warp_masks_on_grid(a.masks, flow_ba, every)
        target = _pick(b.masks, _grid(height, width, every, flow_ba.device))
    return pairwise_iou(carried, target) * (a.labels[:, None] == b.labels[None])


def warp_masks_on_grid(
    masks: Bool[Tensor, "N H W"], flow: Float[Tensor, "H W 2"], every: int
) -> Bool[Tensor, "N cells"]:
    """m(x + F(x)) at every n-th pixel x of every n-th row, read at the nearest pixel.

    On a grid of several pixels a fraction of one does not count, and looking up bits is many times
    cheaper than resampling whole masks (:func:`wsvis.flow.warp.warp_masks`, which it equals where
    the flow is in whole pixels).
    """
    height, width = flow.shape[:2]
    cells = _grid(height, width, every, flow.device)
    moves = flow.reshape(-1, 2)[cells]
    x, y = cells % width + moves[:, 0], cells.div(width, rounding_mode="floor") + moves[:, 1]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    columns = (x + 0.5).floor().clamp(0, width - 1).long()
    rows = (y + 0.5).floor().clamp(0, height - 1).long()
    return _pick(masks, rows * width + columns) & inside


def _grid(height: int, width: int, every: int, device: torch.device) -> Int64[Tensor, " cells"]:
    """Numbers of the pixels that take part, starting half a step from the corner."""
    rows, columns = (
        torch.arange(min(every // 2, side - 1), side, every, device=device)
        for side in (height, width)
    )
    return (rows[:, None] * width + columns).flatten()


def _pick(masks: Bool[Tensor, "N H W"], cells: Int64[Tensor, " cells"]) -> Tensor:
    # gather, not index_select: on a CPU it is three times as fast
    return masks.flatten(1).gather(1, cells.expand(len(masks), -1))
