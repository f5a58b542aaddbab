"""Where the cells of a class map lie in the frame, and reading maps there.

H W pixels of the frame, n cells of a map along one axis, m positions. Lengths along one axis are
pixels of the frame unless said; a pixel with index p covers [p, p + 1), its centre is p + 0.5.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

CAM_STRIDE = 4
"""CAMs are kept on a grid this many pixels apart, as IRN does."""


def first_cell_centre(n: int, stride: int, stride_two_padding: str) -> int:
    """Index of the input pixel on which cell 0 of a stage is centred, along one axis.

    Symmetric padding centres the window of cell 0 on pixel 0 at every halving. 'SAME' padding does
    so for an odd length only; for an even one the window starts at 0 and its centre moves by one
    cell of the level it reads, which is 1, 2, 4, ... pixels.

    Args:
        n: input length in pixels.
        stride: of the stage, a power of two.
        stride_two_padding: ``symmetric`` or ``same``.
    """
    centre, pixels = 0, 1
    while pixels < stride:
        if stride_two_padding == "same" and n % 2 == 0:
            centre += pixels
        n, pixels = -(-n // 2), pixels * 2
    return centre


def grid_centres(length: int, stride: int = CAM_STRIDE) -> Float[Tensor, " m"]:
    """Centres of the cells [0, stride), [stride, 2 stride), ... that cover ``length`` pixels."""
    return (torch.arange(-(-length // stride)) + 0.5) * stride


def interpolation_matrix(positions: Float[Tensor, " m"], n: int) -> Float[Tensor, "m n"]:
    """Linear interpolation as a matrix: row i reads a length-n signal at ``positions[i]``.

    Positions are in cells (0 = the centre of the first cell); beyond the ends the end value holds.
    """
    clamped = positions.clamp(0, n - 1)
    cells = torch.arange(n, dtype=positions.dtype, device=positions.device)
    return (1 - (clamped[:, None] - cells).abs()).clamp(min=0)


def read_map_at(
    maps: Float[Tensor, "*K h w"], rows: Float[Tensor, " m"], columns: Float[Tensor, " k"]
) -> Float[Tensor, "*K m k"]:
    """Bilinear values of maps on a grid of positions (in cells, see interpolation_matrix)."""
    by_row = interpolation_matrix(rows.to(maps), maps.shape[-2])
    by_column = interpolation_matrix(columns.to(maps), maps.shape[-1])
    return by_row @ maps @ by_column.T
