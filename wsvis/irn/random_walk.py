"""Random walk that spreads instance seeds along affinities (IRN's synthesis step).

Legend: F frames, K seed channels, h w cells of the grid (n = h w), P offsets.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from wsvis.irn.affinity import affinity
from wsvis.irn.config import WalkConfig
from wsvis.irn.paths import pair_offsets
from wsvis.stencil import Stencil, frames_at_once, link_degrees

_OFFSET = 1e-20
"""Added to the seeds and taken away again: the walk leaves a constant as it is, and with it far-off
cells do not fall into denormal numbers, which cost a processor three times the time."""


def random_walk(
    seeds: Float[Tensor, "f k h w"],
    boundary: Float[Tensor, "f h w"],
    *,
    radius: int = WalkConfig.radius,
    beta: float = WalkConfig.beta,
    steps: int = WalkConfig.steps,
    tolerance: float = 1e-7,
) -> Float[Tensor, "f k h w"]:
    """Seeds after ``steps`` steps of the walk whose steps prefer high affinity.

    Source: Ahn et al. 2019 (IRN); Liu et al. 2021, Sec. 3.1 uses it unchanged.
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
    group = frames_at_once(seeds.device, len(pair_offsets(radius)), height * width)
    for start in range(0, frames, group):
        some = slice(start, start + group)
        edges = boundary[some].float()
        matrix, root = _symmetric_transitions(edges, radius, beta)
        x = (seeds[some] * (1 - edges).unsqueeze(1)).flatten(2)
        alive = x.amax(2) > 0
        x = matrix.pack(((x + _OFFSET).double() * root.unsqueeze(1)).float())
        walked = matrix.unpack(_power(matrix, x, coefficients), channels)
        walked = (walked.double() / root.unsqueeze(1) - _OFFSET).clamp_min(0) * alive.unsqueeze(2)
        result[some] = walked.reshape(-1, channels, height, width).to(seeds.dtype)
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


def _symmetric_transitions(boundary: Tensor, radius: int, beta: float) -> tuple[Stencil, Tensor]:
    """S, float32, and D^1/2, float64 [f, n]."""
    (_, height, width), rim = boundary.shape, radius - 1
    padded = functional.pad(boundary, (rim, rim, 0, rim), value=1.0)
    # Outside is boundary, so a link that leaves the grid has affinity 0.
    links = affinity(padded, radius).pow_(beta).flatten(2)
    fits = [dy < height and abs(dx) < width for dy, dx in pair_offsets(radius)]
    links = links if all(fits) else links[:, fits]
    shifts = [
        dy * width + dx for (dy, dx), ok in zip(pair_offsets(radius), fits, strict=True) if ok
    ]
    degree = link_degrees(links, shifts) + 1
    inverse = degree.rsqrt()
    for p, shift in enumerate(shifts):
        end = links.shape[2] - shift
        link = links[:, p, :end]
        link.copy_(link.double() * inverse[:, :end] * inverse[:, shift:])
    return Stencil((1 / degree).float(), links, shifts), degree.sqrt()


def _power(matrix: Stencil, x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Sum over k of c_k T_k(S) x, with T_k+1 = 2 S T_k - T_k-1."""
    total = coefficients[0] * x
    if len(coefficients) == 1:
        return total
    before, now = x, matrix.multiply(torch.zeros_like(x), x, beta=0, alpha=1)
    total.add_(now, alpha=coefficients[1])
    for coefficient in coefficients[2:]:
        before, now = now, matrix.multiply(before, now, beta=-1, alpha=2)
        if coefficient:
            total.add_(now, alpha=coefficient)
    return total
