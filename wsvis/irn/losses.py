"""IRN's losses: affinity of pairs and displacement towards a common centre.

Every loss is a mean over pairs of the whole batch (not of means per image). The functions here
return sums; :func:`pair_counts` counts, so that workers that each hold a part of the batch can add
up their counts before they divide.

Legend: B images, h w cells of the grid, P offsets, m n rows and columns of the source window
(see :mod:`wsvis.irn.paths`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from wsvis.irn.paths import pair_offsets, pair_sources, pair_targets

EPSILON = 1e-5
"""Keeps logarithms and divisions finite (IRN's released code)."""
UNSURE = 255


@dataclass(frozen=True)
class PairKinds:
    """What the labels say about each pair; a pair with an unsure end is in none of the three."""

    background: Bool[Tensor, "b p m n"]
    """Both ends are background."""
    foreground: Bool[Tensor, "b p m n"]
    """Both ends are of one class."""
    negative: Bool[Tensor, "b p m n"]
    """The ends differ: class against background, or against another class."""


def pair_kinds(labels: UInt8[Tensor, "b h w"], radius: int) -> PairKinds:
    """Positive and negative pairs of IR labels (P+ and P- of IRN).

    Args:
        labels: 0 background, c + 1 class, 255 unsure, on the grid of the boundary map.
        radius: see :func:`wsvis.irn.paths.pair_offsets`.
    """
    source, target = pair_sources(labels, radius), pair_targets(labels, radius)
    same = source == target
    background = source == 0
    sure = source != UNSURE
    return PairKinds(
        background=same & background,
        foreground=same & (sure & ~background),
        negative=(target != UNSURE) & sure & ~same,
    )


def positive_affinity_loss(
    affinity: Float[Tensor, "b p m n"], positive: Bool[Tensor, "b p m n"]
) -> Float[Tensor, ""]:
    """Sum over positive pairs of -log(alpha + epsilon).

    Ahn et al. 2019 (IRN), the terms of P+ (background and foreground pairs are averaged
    apart). Symbols: alpha -> ``affinity``.
    """
    return -_sum_over(torch.log(affinity + EPSILON), positive)


def negative_affinity_loss(
    affinity: Float[Tensor, "b p m n"], negative: Bool[Tensor, "b p m n"]
) -> Float[Tensor, ""]:
    """Sum over negative pairs of -log(1 + epsilon - alpha).

    Ahn et al. 2019 (IRN), the term of P-. Symbols: alpha -> ``affinity``.
    """
    return -_sum_over(torch.log(1 + EPSILON - affinity), negative)


def foreground_displacement_loss(
    displacement: Float[Tensor, "b 2 h w"], foreground: Bool[Tensor, "b p m n"], radius: int
) -> Float[Tensor, ""]:
    """Sum over foreground pairs and both axes of |D(i) - D(j) - (j - i)|.

    Ahn et al. 2019 (IRN): two cells of one object point at the same centre,
    i + D(i) = j + D(j).

    Args:
        displacement: D, in cells of the grid; channel 0 is dy, channel 1 is dx, centre - cell.
        foreground: pairs of one class.
        radius: of the pairs.
    """
    difference = _displacement_difference(displacement, radius)
    offsets = torch.tensor(
        pair_offsets(radius), dtype=displacement.dtype, device=displacement.device
    )
    expected = offsets.T.reshape(1, 2, -1, 1, 1)
    return _sum_over(_city_block(difference - expected), foreground)


def background_displacement_loss(
    displacement: Float[Tensor, "b 2 h w"], background: Bool[Tensor, "b p m n"], radius: int
) -> Float[Tensor, ""]:
    """Sum over background pairs and both axes of |D(i) - D(j)|.

    Ahn et al. 2019 (IRN): background has no centre, so its displacement is constant.
    """
    difference = _displacement_difference(displacement, radius)
    return _sum_over(_city_block(difference), background)


def _sum_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Sum of the finite values at the chosen pairs (a dot product: one pass, and one back)."""
    return torch.dot(values.flatten(), chosen.flatten().to(values.dtype))


def _displacement_difference(displacement: Tensor, radius: int) -> Tensor:
    """D(i) - D(j) for every pair, [b, 2, p, m, n]."""
    return pair_sources(displacement, radius) - pair_targets(displacement, radius)


def _city_block(vectors: Tensor) -> Tensor:
    """|dy| + |dx|; twice as fast as a sum over the axis."""
    return vectors[:, 0].abs() + vectors[:, 1].abs()
