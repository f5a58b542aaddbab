"""Several processes that train one network together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Group:
    """The workers that train one network together; alone by default."""

    worker: int = 0
    workers: int = 1
    wrap: Callable[[nn.Module], nn.Module] | None = None
    """Makes a network data-parallel."""
    sum_over_workers: Callable[[Tensor], Tensor] = lambda values: values


ALONE = Group()
