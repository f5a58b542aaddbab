"""From displacements to instances: where every cell ends up, and which cells end up together.

Legend: F frames, h w cells of the grid.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from wsvis.irn.config import WalkConfig


@torch.no_grad()
def centroids(
    displacement: Float[Tensor, "f 2 h w"], refinements: int = WalkConfig.refinements
) -> Int64[Tensor, "f 2 h w"]:
    """The cell that each cell's displacements lead to: c <- clip(c + D(c)), again and again.

    Ahn et al. 2019 (IRN), refinement of the displacement field as released. Every cell
    starts at itself; D between cells is bilinear; in the end c is rounded (halves to even).

    Args:
        displacement: D = centre - cell, in cells; channel 0 dy, channel 1 dx.
        refinements: how often (IRN's code: 300).

    Returns:
        (y, x) of a cell of the grid, for every cell.
    """
    frames, _, height, width = displacement.shape
    if frames == 0:
        return displacement.long()
    device, dtype = displacement.device, displacement.dtype
    y, x = torch.meshgrid(
        torch.arange(height, dtype=dtype, device=device),
        torch.arange(width, dtype=dtype, device=device),
        indexing="ij",
    )
    limits = torch.tensor([width - 1, height - 1], dtype=dtype, device=device)
    # In the units of grid_sample, -1 is the first and 1 the last cell of an axis.
    units = 2 / limits.clamp_min(1)
    where = (torch.stack([x, y], -1) * units - 1).expand(frames, -1, -1, -1).contiguous()
    steps = displacement.flip(1) * units.view(1, 2, 1, 1)
    for _ in range(refinements):
        moved = functional.grid_sample(steps, where, align_corners=True)
        where.add_(moved.permute(0, 2, 3, 1)).clamp_(-1, 1)
    cells = ((where + 1) / units).round_().clamp_min(0).minimum(limits)
    return cells.flip(-1).permute(0, 3, 1, 2).long()


def instance_map(
    displacement: Float[np.ndarray, "2 h w"],
    centroid: Int64[np.ndarray, "2 h w"],
    cluster_threshold: float = WalkConfig.cluster_threshold,
) -> Int64[np.ndarray, "h w"]:
    """Which instance each cell belongs to, 0..I-1.

    Ahn et al. 2019 (IRN): cells with a small displacement are near a centre; their 4-connected
    components are the instances, and every cell belongs to the component at its centroid. Cells
    whose centroid has a large displacement share one more instance. Background is still in it.

    Args:
        displacement: D, in cells.
        centroid: of :func:`centroids`.
        cluster_threshold: cells with |D| below this many cells are near a centre (IRN's code: 2.5;
            small frames need less).
    """
    near = np.hypot(displacement[0], displacement[1]) < cluster_threshold
    _, clusters = cv2.connectedComponents(near.astype(np.uint8), connectivity=4)
    reached = clusters[centroid[0], centroid[1]]
    return np.unique(reached, return_inverse=True)[1].reshape(reached.shape).astype(np.int64)
