"""Suppressing masks that lie inside others: NMS by intersection over the smaller mask."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from wsvis.maskconsist.instances import InstanceTensors, pairwise_iom


def iom_nms(
    instances: InstanceTensors,
    iom_threshold: float = 0.5,
    *,
    order: Literal["area", "score"] = "area",
    class_agnostic: bool = False,
    protected: int = 0,
    first: int = 0,
) -> Int64[Tensor, " K"]:
    """Numbers of the instances that stay, ascending.

    Liu et al. 2021, Sec. 3.3: IoM(m, n) = |m & n| / min(|m|, |n|); "suppress smaller masks that are
    contained within the others". From the largest down, an instance stays unless its IoM with one
    that stays exceeds the threshold.

    The paper is silent: on the order (largest first, since scores of pseudo-labels and detections
    do not compare; the earlier of equal ones first), and on classes (each by itself: a rider is no
    part of a horse).

    Args:
        instances: pseudo-labels first.
        iom_threshold: strictly exceeded by what goes (paper: 0.5).
        order: by area, or by score.
        class_agnostic: an instance may also suppress one of another class.
        protected: this many of the first are never suppressed (they may still suppress).
        first: this many of the first come before all others; ``order`` holds within each part.
    """
    values = instances.masks.flatten(1).sum(1) if order == "area" else instances.scores
    parts = [torch.argsort(v, descending=True, stable=True) for v in values.tensor_split([first])]
    rank = torch.cat([parts[0], parts[1] + len(parts[0])])
    conflict = pairwise_iom(instances.masks, instances.masks) > iom_threshold
    if not class_agnostic:
        conflict &= instances.labels[:, None] == instances.labels[None]
    # decisions depend on those before: on the host, with one transfer
    conflicts, ranks = conflict.cpu().numpy(), rank.tolist()
    kept: list[int] = []
    for number in ranks:
        if number < protected or not conflicts[number, kept].any():
            kept.append(number)
    return torch.tensor(sorted(kept), dtype=torch.int64, device=instances.labels.device)
