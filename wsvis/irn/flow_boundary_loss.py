"""Flow-boundary loss (Eq. 3): cells whose flow gradients differ should have low affinity.

Legend: B images, c components of F', h w cells of the grid, P offsets, m n rows and columns of the
source window (see :mod:`wsvis.irn.paths`).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsvis.irn.paths import pair_sources, pair_targets


def flow_gradient_difference(
    gradient: Float[Tensor, "b c h w"], radius: int
) -> Float[Tensor, "b p m n"]:
    """||F'(i) - F'(j)|| for every pair.

    Liu et al. 2021, Sec. 3.2, Eq. 3. Symbols: F' -> ``gradient``
    (:func:`wsvis.flow.gradient.flow_gradient` on the grid of the boundary map).

    Args:
        gradient: pixels of the network's input per cell of the grid.
        radius: see :func:`wsvis.irn.paths.pair_offsets`.

    Returns:
        Euclidean (for a Jacobian: Frobenius) norm of the difference, >= 0, in the unit of
        ``gradient``.
    """
    squared = torch.zeros((), dtype=gradient.dtype, device=gradient.device)
    for component in gradient.unbind(1):
        difference = pair_targets(component, radius) - pair_sources(component, radius)
        squared = torch.addcmul(squared, difference, difference)
    return squared.sqrt()


def valid_pairs(inside: Bool[Tensor, "b h w"], radius: int) -> Bool[Tensor, "b p m n"]:
    """Pairs with both ends inside the frame (flow is undefined in the canvas around it).

    Pairs with an unsure IR label stay: there flow adds what the labels do not know.
    """
    return pair_sources(inside, radius) & pair_targets(inside, radius)


def flow_boundary_loss(
    affinity: Float[Tensor, "b p m n"],
    difference: Float[Tensor, "b p m n"],
    valid: Bool[Tensor, "b p m n"],
    regularization: float,
) -> Float[Tensor, ""]:
    """Sum over valid pairs of ||F'(i) - F'(j)|| alpha_ij + lambda |1 - alpha_ij|.

    Liu et al. 2021, Sec. 3.2, Eq. 3. Symbols: alpha_ij -> ``affinity`` (Eq. 1),
    ||F'(i) - F'(j)|| -> ``difference``, lambda -> ``regularization``, N_i -> the pairs of Eq. 1.

    As alpha lies in [0, 1] a pair's loss is lambda + (difference - lambda) alpha: lambda is the
    difference above which a pair is pushed apart and below which it is pulled together, in the unit
    of the flow gradient. A boundary pays off as a whole only where a sharp flow step exceeds 7 to
    8 pixels with lambda 2 (tests/science/irn/test_irn_flow_boundary_loss.py): many pairs that a
    boundary cuts have both ends where the gradient is zero.

    The paper is silent on the normalisation: the mean over valid pairs (of the whole batch, taken
    by the caller, as for IRN's losses) and weight 1 beside them.
    """
    loss = difference * affinity + regularization * (1 - affinity).abs()
    return torch.dot(loss.flatten(), valid.flatten().to(loss.dtype))


def separable_share(
    difference: Float[Tensor, "b p m n"], valid: Bool[Tensor, "b p m n"], regularization: float
) -> Float[Tensor, ""]:
    """Share of valid pairs that Eq. 3 pushes apart: ||F'(i) - F'(j)|| > lambda.

    A diagnostic. Near 0 the loss can do nothing but erase boundaries: flow is too slow for this
    lambda, or in another unit.
    """
    apart = ((difference > regularization) & valid).count_nonzero()
    return apart / valid.count_nonzero().clamp_min(1)
