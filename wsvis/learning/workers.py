"""Several processes that train one network together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Group:
    """The workers that train one network together; alone by default."""

    worker: int = 0
    workers: int = 1
    wrap: Callable[[Any], Any] | None = None
    """Makes a network data-parallel."""
    sum_over_workers: Callable[[Any], Any] = lambda values: values
    """Adds a tensor up over them."""


ALONE = Group()
