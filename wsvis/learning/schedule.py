"""The optimiser of a training, and how its rate falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch.optim import SGD, AdamW, Optimizer


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How the weights of a network are updated."""

    optimiser: str
    """``sgd`` or ``adamw``."""
    learning_rate: float
    """At the height of the schedule; the learner's groups have multiples of it."""
    momentum: float
    """SGD only."""
    weight_decay: float
    """Of all that learns."""
    schedule: str
    """``poly``, ``steps`` or ``cosine``: see :func:`rate_factor`."""
    warm_up: int = 0
    """Steps of a rising rate."""
    clip_norm: float = 0.0
    """Greatest length of the gradient; 0 = any."""
    fused: bool = False
    """torch's fused updates: faster, equal but for the last digits."""

    def text(self) -> str:
        """One phrase that tells it from others."""
        return f"{self.optimiser} {self.learning_rate:g} {self.schedule}"


def rate_factor(step: int, steps: int, schedule: str, warm_up: int = 0) -> float:
    """Rate at a step over the given one.

    ``poly``: (1 - step / steps)^0.9 (Ahn et al. 2019's code). ``steps``: x 0.1 at 75 % and again at
    88 % of the steps (Liu et al. 2021, Sec. 4.2). ``cosine``: half a cosine. The warm-up rises in a
    straight line, over a tenth of the steps at most.
    """
    rise = min(warm_up, steps // 10)
    risen = min((step + 1) / rise, 1.0) if rise else 1.0
    if schedule == "poly":
        return risen * (1 - step / steps) ** 0.9
    if schedule == "steps":
        return risen * 0.1 ** ((step >= 0.75 * steps) + (step >= 0.88 * steps))
    if schedule == "cosine":
        return risen * 0.5 * (1 + math.cos(math.pi * step / steps))
    raise ValueError(f"schedule {schedule!r} is neither poly, steps nor cosine")


def build_optimiser(groups: list[dict[str, Any]], chosen: Optimisation) -> Optimizer:
    """The optimiser of these groups of parameters, each with its ``lr``."""
    rate, decay, fused = chosen.learning_rate, chosen.weight_decay, chosen.fused or None
    if chosen.optimiser == "sgd":
        return SGD(groups, lr=rate, momentum=chosen.momentum, weight_decay=decay, fused=fused)
    if chosen.optimiser == "adamw":
        return AdamW(groups, lr=rate, weight_decay=decay, fused=fused)
    raise ValueError(f"optimiser {chosen.optimiser!r} is neither sgd nor adamw")
