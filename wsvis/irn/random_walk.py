"""Random walk that spreads instance seeds along affinities (IRN's synthesis step).

Legend: F frames, K seed channels, h w cells of the grid (n = h w), P offsets.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from wsvis.irn.affinity import affinity
from wsvis.irn.paths import pair_offsets

_OFFSET = 1e-20
"""Added to the seeds and taken away again: the walk leaves a constant as it is, and with it far-off
cells do not fall into denormal numbers, which cost a processor three times the time."""


def random_walk(
    seeds: Float[Tensor, "f k h w"],
    boundary: Float[Tensor, "f h w"],
    *,
    radius: int = 5,
    beta: float = 10.0,
    steps: int = 256,
    tolerance: float = 1e-7,
) -> Float[Tensor, "f k h w"]:
    """Seeds after ``steps`` steps of the walk whose steps prefer high affinity.

    Source: Ahn et al. 2019, Sec. 5.2, Eq. 12-13; Liu et al. 2021, Sec. 3.1 uses it unchanged.
    x = (M (1 - B)) T^t with T = A^beta D^-1 (element-wise power, D its column sums, A_ii = 1), so
    every cell becomes a weighted mean of its neighbourhood: a constant stays what it is. Symbols:
    M -> ``seeds``, B -> ``boundary``, A -> Eq. 1 with everything outside the grid taken as
    boundary, t -> ``steps``.

    Computed as M' D^1/2 S^t D^-1/2 with S = D^-1/2 A^beta D^-1/2 symmetric, and S^t in Chebyshev
    polynomials of S: 84 products with a sparse matrix for 256 steps. Degrees are summed in float64;
    in float32 alone they drift. Memory is about 16 P bytes per cell; no n x n array exists.

    Args:
        seeds: non-negative, of order 1 (class activations cut out by instance).
        boundary: likelihood in [0, 1] at the same cells.
        radius: neighbours strictly closer than this many cells.
        beta: exponent of the affinity, > 0.
        steps: number of steps, >= 0 (IRN: 2^8).
        tolerance: share of S^t that may be left out.

    Returns:
        The smoothed seeds, same type and size; within 1e-4 of their peak of the exact walk.
    """
    if beta <= 0:
        raise ValueError(f"beta is {beta}; it must be positive")
    frames, channels, height, width = seeds.shape
    result = torch.zeros_like(seeds)
    if seeds.numel() == 0:
        return result
    coefficients = chebyshev_coefficients(steps, tolerance)
    # One frame at a time stays in a processor's cache; an accelerator takes what int32 can count.
    entries = (2 * len(pair_offsets(radius)) + 1) * height * width
    group = 1 if seeds.device.type == "cpu" else max((2**31 - 1) // entries, 1)
    for start in range(0, frames, group):
        some = slice(start, start + group)
        edges = boundary[some].float()
        planes, root = _symmetric_planes(edges, radius, beta)
        x = (seeds[some] * (1 - edges).unsqueeze(1)).flatten(2)
        alive = x.flatten(2).amax(2) > 0
        x = ((x + _OFFSET).double() * root.unsqueeze(1)).float()
        walked = _power(planes, x, coefficients, width, radius).double() / root.unsqueeze(1)
        walked = (walked - _OFFSET).clamp_min(0) * alive.unsqueeze(2)
        result[some] = walked.view(-1, channels, height, width).to(seeds.dtype)
    return result


@lru_cache
def chebyshev_coefficients(steps: int, tolerance: float = 0.0) -> tuple[float, ...]:
    """c_0, c_1, ... with x^steps = sum over k of c_k T_k(x) on [-1, 1].

    c_k = 2^(1 - t) binomial(t, (t - k) / 2) for k of the parity of t, half of it for k = 0. All are
    positive and they sum to 1; the last ones, summing to at most ``tolerance``, are left out.
    """
    if steps < 0:
        raise ValueError(f"a walk of {steps} steps; it must be 0 or more")
    exact = [0.0] * (steps + 1)
    for k in range(steps % 2, steps + 1, 2):
        exact[k] = math.comb(steps, (steps - k) // 2) / 2**steps * (2 if k else 1)
    tail = 0.0
    while len(exact) > 1 and tail + exact[-1] <= tolerance:
        tail += exact.pop()
    return tuple(exact)


def _symmetric_planes(boundary: Tensor, radius: int, beta: float) -> tuple[Tensor, Tensor]:
    """Entries of S by offset, float32 [f, 2 p + 1, n], and D^1/2, float64 [f, n].

    Plane 0..p-1 link a cell to the one at minus the offset, from the last offset to the first,
    plane p is the diagonal, planes p+1.. link it to the one at plus the offset: the columns of a
    row in ascending order.
    """
    frames, height, width = boundary.shape
    rim = radius - 1
    padded = functional.pad(boundary, (rim, rim, 0, rim), value=1.0)
    weights = affinity(padded, radius).pow_(beta).flatten(2)
    shifts, cells = _shifts(radius, width), height * width
    # A link that leaves the grid has weight 0, so on the flattened grid it may point anywhere.
    degree = torch.ones((frames, cells), dtype=torch.float64, device=boundary.device)
    degree += weights.sum(1, dtype=torch.float64)
    for plane, shift in enumerate(shifts):
        degree[:, shift:] += weights[:, plane, : max(cells - shift, 0)]
    root = degree.sqrt()
    planes = weights.new_zeros((frames, 2 * len(shifts) + 1, cells))
    planes[:, len(shifts)] = 1 / degree
    inverse = 1 / root
    for plane, shift in enumerate(shifts):
        source, target = slice(0, max(cells - shift, 0)), slice(shift, None)
        link = weights[:, plane, source].double() * inverse[:, source] * inverse[:, target]
        planes[:, len(shifts) + 1 + plane, source] = link.float()
        planes[:, len(shifts) - 1 - plane, target] = link.float()
    return planes, root


def _shifts(radius: int, width: int) -> list[int]:
    return [dy * width + dx for dy, dx in pair_offsets(radius)]


def _power(
    planes: Tensor, x: Tensor, coefficients: tuple[float, ...], width: int, radius: int
) -> Tensor:
    """Sum over k of c_k T_k(S) x for x [f, k, n]."""
    frames, channels, cells = x.shape
    if x.device.type == "cpu" and not torch.backends.mkl.is_available():
        return _recurrence(_ShiftedProduct(planes, _shifts(radius, width)), x, coefficients)
    # Frames are the blocks of one sparse matrix; rows of 4 k numbers suit the vector units.
    rows = x.new_zeros((frames, cells, -(-channels // 4) * 4))
    rows[..., :channels] = x.transpose(1, 2)
    matrix = _sparse_matrix(planes, width, radius)
    rows = _recurrence(_SparseProduct(matrix), rows.flatten(0, 1), coefficients)
    return rows.view(frames, cells, -1)[..., :channels].transpose(1, 2)


def _recurrence(
    product: _SparseProduct | _ShiftedProduct, x: Tensor, coefficients: tuple[float, ...]
) -> Tensor:
    """T_k+1 = 2 S T_k - T_k-1, summed up; ``product(y, x)`` puts 2 S x - y into y."""
    total = coefficients[0] * x
    if len(coefficients) == 1:
        return total
    before = torch.zeros_like(x)
    now = product(before, x).div_(2)
    before = x.clone()
    total.add_(now, alpha=coefficients[1])
    for coefficient in coefficients[2:]:
        before, now = now, product(before, now)
        if coefficient:
            total.add_(now, alpha=coefficient)
    return total


class _SparseProduct:
    """2 S x - y by the library's compressed sparse rows."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def __call__(self, y: Tensor, x: Tensor) -> Tensor:
        return torch.addmm(y, self.matrix, x, beta=-1, alpha=2, out=y)


class _ShiftedProduct:
    """2 S x - y by shifted slices, for processors without a sparse library."""

    def __init__(self, planes: Tensor, shifts: list[int]) -> None:
        centre = len(shifts)
        self.diagonal = planes[:, centre : centre + 1] * 2
        self.links = [
            (shift, planes[:, centre + 1 + p, None, : planes.shape[2] - shift] * 2)
            for p, shift in enumerate(shifts)
            if shift < planes.shape[2]
        ]

    def __call__(self, y: Tensor, x: Tensor) -> Tensor:
        y.neg_().addcmul_(x, self.diagonal)
        cells = x.shape[2]
        for shift, weight in self.links:
            y[..., : cells - shift].addcmul_(x[..., shift:], weight)
            y[..., shift:].addcmul_(x[..., : cells - shift], weight)
        return y


def _sparse_matrix(planes: Tensor, width: int, radius: int) -> Tensor:
    """Block-diagonal S in compressed sparse rows, one block per frame."""
    frames, links, cells = planes.shape
    device = planes.device
    shifts = torch.tensor(_shifts(radius, width), dtype=torch.int32, device=device)
    shifts = torch.cat([-shifts.flip(0), shifts.new_zeros(1), shifts])
    inside = torch.arange(cells, dtype=torch.int32, device=device)[:, None] + shifts
    first = torch.arange(frames, dtype=torch.int32, device=device).view(-1, 1, 1) * cells
    columns = inside.clamp_(0, cells - 1) + first
    starts = torch.arange(0, frames * cells * links + 1, links, dtype=torch.int32, device=device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            starts,
            columns.flatten(),
            planes.transpose(1, 2).flatten(),
            size=(frames * cells, frames * cells),
            check_invariants=False,
        )
