"""The optimiser of a detector's training, and how its rate falls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer


def rate_factor(step: int, steps: int, schedule: str, warm_up: int) -> float:
    """Rate at a step over the given one.

    Liu et al. 2021, Sec. 4.2: x 0.1 at 75 % and again at 88 % of the steps. The warm-up rises in a
    straight line, over a tenth of the steps at most.
    """
    rise = min(warm_up, steps // 10)
    risen = min((step + 1) / rise, 1.0) if rise else 1.0
    if schedule == "steps":
        return risen * 0.1 ** ((step >= 0.75 * steps) + (step >= 0.88 * steps))
    if schedule == "cosine":
        return risen * 0.5 * (1 + math.cos(math.pi * step / steps))
    raise ValueError(f"schedule {schedule!r} is neither steps nor cosine")


def build_optimiser(
    model: nn.Module,
    name: str,
    rate: float,
    backbone_factor: float,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    """Two groups: the backbone, and all else that learns."""
    trunk = {id(p) for p in model.get_submodule(BACKBONE).parameters()}
    learned = [p for p in model.parameters() if p.requires_grad]
    groups: Sequence[dict[str, Any]] = [
        {"params": [p for p in learned if id(p) in trunk], "lr": rate * backbone_factor},
        {"params": [p for p in learned if id(p) not in trunk], "lr": rate},
    ]
    if name == "sgd":
        return SGD(groups, lr=rate, momentum=momentum, weight_decay=weight_decay, fused=True)
    if name == "adamw":
        return AdamW(groups, lr=rate, weight_decay=weight_decay, fused=True)
    raise ValueError(f"optimiser {name!r} is neither sgd nor adamw")


BACKBONE = "net.backbone.backbone"
"""Where a detector keeps its pre-trained part."""
