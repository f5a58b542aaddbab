"""The whole training objective: IRN's losses and the flow-boundary loss, as means over pairs.

Legend: B images, h w cells of the grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wsvis.flow.gradient import GradientForm, flow_gradient
from wsvis.irn.affinity import affinity
from wsvis.irn.batches import IrnBatch
from wsvis.irn.flow_boundary_loss import (
    flow_boundary_loss,
    flow_gradient_difference,
    separable_share,
    valid_pairs,
)
from wsvis.irn.losses import (
    EPSILON,
    background_displacement_loss,
    foreground_displacement_loss,
    negative_affinity_loss,
    pair_kinds,
    positive_affinity_loss,
)

TERMS = (
    "affinity_background",
    "affinity_foreground",
    "affinity_negative",
    "displacement_foreground",
    "displacement_background",
    "flow_boundary",
)


@dataclass(frozen=True)
class PairSums:
    """One batch, or one worker's share of it: what the losses sum to, and over how many pairs."""

    sums: Float[Tensor, " 6"]
    """In the order of ``TERMS``; with gradient."""
    counts: Float[Tensor, " 6"]
    """Numbers that were summed (twice the pairs for displacement: two axes)."""
    separable: Float[Tensor, ""]
    """Share of valid pairs that Eq. 3 pushes apart; 0 without flow."""


def pair_sums(
    boundary: Float[Tensor, "b h w"],
    displacement: Float[Tensor, "b 2 h w"],
    batch: IrnBatch,
    *,
    radius: int,
    regularization: float,
    gradient: GradientForm,
    with_flow: bool,
) -> PairSums:
    """All six losses of a batch as sums over its pairs.

    Args:
        boundary: likelihood in [0, 1].
        displacement: in cells.
        batch: on the same device.
        radius: of the pairs.
        regularization: lambda of Eq. 3.
        gradient: which derivatives make F' of Eq. 3.
        with_flow: whether Eq. 3 takes part.
    """
    kinds = pair_kinds(batch.labels, radius)
    alpha = affinity(boundary, radius)
    sums = [
        positive_affinity_loss(alpha, kinds.background),
        positive_affinity_loss(alpha, kinds.foreground),
        negative_affinity_loss(alpha, kinds.negative),
        foreground_displacement_loss(displacement, kinds.foreground, radius),
        background_displacement_loss(displacement, kinds.background, radius),
    ]
    # count_nonzero: several times faster than the sum of a mask
    background, foreground = kinds.background.count_nonzero(), kinds.foreground.count_nonzero()
    negative = kinds.negative.count_nonzero()
    counts = [background, foreground, negative, 2 * foreground, 2 * background]
    separable = boundary.new_zeros(())
    if with_flow:
        if batch.flow is None:
            raise ValueError("the flow-boundary loss needs the flow of every frame of the batch")
        with torch.no_grad():
            known = batch.flow.isfinite().all(-1)
            field = flow_gradient(batch.flow.nan_to_num(), stride=1, form=gradient)
            difference = flow_gradient_difference(field, radius)
            valid = valid_pairs(batch.inside & known, radius)
            separable = separable_share(difference, valid, regularization)
        sums.append(flow_boundary_loss(alpha, difference, valid, regularization))
        counts.append(valid.count_nonzero())
    else:
        sums.append(boundary.new_zeros(()))
        counts.append(background.new_zeros(()))
    return PairSums(torch.stack(sums), torch.stack(counts).to(boundary), separable)


def total_loss(
    pairs: PairSums,
    flow_boundary_weight: float,
    sum_over_workers: Callable[[Tensor], Tensor] = lambda counts: counts,
) -> tuple[Float[Tensor, ""], Float[Tensor, " 6"]]:
    """(L_pos + L_neg) / 2 + (L_dp_fg + L_dp_bg) / 2 + w L_flow, each a mean over its pairs.

    Ahn et al. 2019 (IRN), with L_pos the mean of its background and foreground means;
    Liu et al. 2021, Sec. 3.2: "the above loss and the original losses in IRN" (no weight given).

    The means are over the pairs of the whole batch of all workers: each worker divides its own sum
    by everyone's count, so the workers' losses add up to the loss of one machine, and so do their
    gradients.

    Args:
        pairs: of this worker.
        flow_boundary_weight: w.
        sum_over_workers: adds a tensor up over all workers.

    Returns:
        This worker's part of the loss, and its six means in the order of ``TERMS`` (no gradient).
    """
    weights = pairs.sums.new_tensor([0.25, 0.25, 0.5, 0.5, 0.5, flow_boundary_weight])
    means = pairs.sums / (sum_over_workers(pairs.counts.clone()) + EPSILON)
    return (weights * means).sum(), means.detach()
