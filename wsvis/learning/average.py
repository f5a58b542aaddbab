"""A running mean of a network's weights (EMA, mean teacher)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of weights, as a network of its own.

    Tarvainen & Valpola 2017 ("Mean teachers"), Sec. 2: after each update
    theta' = a theta' + (1 - a) theta. Early on a is at most (1 + n) / (10 + n) after n updates, so
    that the random start is forgotten.

    Differs from the paper: that bound on the decay is TensorFlow's; buffers (BatchNorm's
    statistics) are copied, not averaged.

    Args:
        network: to follow; the average starts as a copy of it.
        decay: a, in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; it must lie in [0, 1)")
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step towards the weights as they are now."""
        share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mean, now in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(now, share)
        for mean, now in zip(self.network.buffers(), network.buffers(), strict=True):
            mean.copy_(now)
        self.updates += 1

    def copy_to(self, network: nn.Module) -> None:
        """Give a network the averaged weights."""
        network.load_state_dict(self.network.state_dict())

    def state(self) -> Mapping[str, Tensor]:
        """The averaged weights by name."""
        return self.network.state_dict()

    def restore(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Go on from stored weights after so many updates."""
        self.network.load_state_dict(weights)
        self.updates = updates
