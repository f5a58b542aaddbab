"""Suppressing masks that lie inside others: NMS by intersection over the smaller mask."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from wsvis.instances import InstanceTensors, pairwise_iom


def iom_nms(
    instances: InstanceTensors,
    iom_threshold: float,
    *,
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
        first: this many of the first come before all others, the largest first in each part.
    """
    areas = instances.masks.flatten(1).sum(1)
    parts = [torch.argsort(v, descending=True, stable=True) for v in areas.tensor_split([first])]
    rank = torch.cat([parts[0], parts[1] + len(parts[0])])
    conflict = pairwise_iom(instances.masks, instances.masks) > iom_threshold
    conflict &= instances.labels[:, None] == instances.labels[None]
    # decisions depend on those before: on the host, with one transfer
    conflicts, ranks = conflict.cpu().numpy(), rank.tolist()
    kept: list[int] = []
    for number in ranks:
        if not conflicts[number, kept].any():
            kept.append(number)
    return torch.tensor(sorted(kept), dtype=torch.int64, device=instances.labels.device)
