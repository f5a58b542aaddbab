"""Affinity of pixel pairs from boundary likelihood (Eq. 1).

Legend: B images, h w cells of the grid, P offsets, m n rows and columns of the source window
(see :mod:`wsvis.irn.paths`).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable

from wsvis.irn.paths import pair_offsets, union_plan, window_size


def affinity(boundary: Float[Tensor, "b h w"], radius: int) -> Float[Tensor, "b p m n"]:
    """How likely two pixels belong together: alpha_ij = 1 - max over k in Pi_ij of B(k).

    Source: Liu et al. 2021, Sec. 3.1, Eq. 1 (from IRN, Ahn et al. 2019). Symbols: B ->
    ``boundary``, Pi_ij -> :func:`wsvis.irn.paths.line_cells`.

    Args:
        boundary: likelihood that a cell lies on an object's boundary, in [0, 1].
        radius: pairs strictly closer than this many cells (10 in training, 5 at inference).

    Returns:
        alpha in [0, 1] for every offset and source cell. The gradient of a pair goes to the
        strongest cell of its line, to the first in reading order where several are equal.
    """
    if torch.is_grad_enabled() and boundary.requires_grad:
        strongest: Any = _LineMaximum.apply(boundary, radius)
        return 1 - strongest
    return 1 - line_maximum(boundary, radius)


def line_maximum(values: Shaped[Tensor, "b h w"], radius: int) -> Shaped[Tensor, "b p m n"]:
    """Maximum over the cells of each pair's line, by unions of shared parts (no path table)."""
    images, height, width = values.shape
    rows, columns = window_size(height, width, radius)
    maxima = values.new_empty((images, len(pair_offsets(radius)), rows, columns))
    # One image at a time stays in a processor's cache; an accelerator wants few, large kernels.
    group = 1 if values.device.type == "cpu" else max(images, 1)
    for start in range(0, images, group):
        some = slice(start, start + group)
        _fill_line_maximum(values[some].reshape(-1, height * width), width, radius, maxima[some])
    return maxima


def _fill_line_maximum(flat: Tensor, width: int, radius: int, out: Tensor) -> None:
    """Flattened grids [b, h w] -> ``out`` [b, p, m, n].

    On a flattened grid a move is a shift, so every union is one maximum of two contiguous runs.
    Cells whose shape wraps around the side of the grid hold nonsense; no source cell reads them.
    """
    plan = union_plan(radius)
    maps = [flat]
    for shape, parts in zip(plan.shapes[1:], plan.parts[1:], strict=True):
        length = flat.shape[1] - max(y * width + x for y, x in shape)
        runs = []
        for index, (y, x) in parts:
            shift = y * width + x
            runs.append(maps[index][:, shift : shift + length])
        union = torch.maximum(runs[0], runs[1])
        for run in runs[2:]:
            torch.maximum(union, run, out=union)
        maps.append(union)
    rows, columns = out.shape[-2:]
    for position, (index, (y, x)) in enumerate(plan.lines):
        known = maps[index]
        window = known.as_strided(
            (len(known), rows, columns),
            (known.stride(0), width, 1),
            known.storage_offset() + y * width + x + radius - 1,
        )
        out[:, position].copy_(window)


def _rank(values: Tensor) -> tuple[Tensor, Tensor]:
    """Ranks of the cells of each image, int32 [b, h w], and the sorted values.

    A higher rank is a larger value, or an equal value earlier in reading order. A maximum of ranks
    therefore is the maximum of the values and its position in one integer.
    """
    ascending, order = torch.sort(values.flip(1), dim=1, stable=True)
    positions = torch.arange(values.shape[1], device=values.device).expand_as(order)
    ranks = torch.empty_like(order).scatter_(1, order, positions)
    return ranks.flip(1).to(torch.int32), ascending


class _LineMaximum(torch.autograd.Function):
    """:func:`line_maximum` with its gradient.

    The forward pass takes the maxima of ranks, which say both how large and where; the backward
    pass adds each pair's gradient to that rank, and reads the ranks back as cells.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, radius: int) -> Tensor:
        images, height, width = values.shape
        ranks, ascending = _rank(values.reshape(images, -1))
        strongest = line_maximum(ranks.view(images, height, width), radius)
        # Ranks of all images in one row, so that one gather and one scatter serve the batch.
        first = torch.arange(images, device=values.device, dtype=torch.int32) * (height * width)
        strongest += first.view(-1, 1, 1, 1)
        ctx.save_for_backward(strongest, ranks)
        ctx.size = (height, width)
        return ascending.view(-1).index_select(0, strongest.view(-1)).view(strongest.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        strongest, ranks = ctx.saved_tensors
        by_rank = torch.zeros(ranks.numel(), dtype=gradient.dtype, device=gradient.device)
        by_rank.index_add_(0, strongest.view(-1), gradient.reshape(-1))
        by_cell = by_rank.view(ranks.shape).gather(1, ranks.long())
        return by_cell.view(len(ranks), *ctx.size), None
