"""How a stage trains a network, and one worker's part of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from wsvis.learning.workers import ALONE, Group
from wsvis.payload import Payload
from wsvis.types import Report


class Batches(Protocol):
    """Batches that other processes can make: number -> payload."""

    def __len__(self) -> int:
        """How many a whole training takes."""
        ...

    def payload(self, number: int) -> Payload:
        """One batch, ready to travel."""
        ...


@dataclass(frozen=True)
class Share:
    """One worker's part of a training; alone by default."""

    group: Group = ALONE
    report: Report | None = None
    """Hears every worker's numbers; only worker 0's go further."""
    checkpoint: Callable[[Payload], None] | None = None
    """Every worker calls it at the same steps."""
    checkpoint_every: int = 0
    resume: Payload | None = None
    stream: Callable[[int], Iterator[Payload]] | None = None
    """Batches from a number on, made elsewhere; ``None``: the stage makes them itself."""


@dataclass(frozen=True)
class Training:
    """How one stage is trained. Settings are views; inputs are read by role.

    ``train`` is called with (settings, videos, inputs, share). What is ``None`` cannot be shared
    between workers.
    """

    train: Callable[..., Payload]
    check: Callable[..., None] | None = None
    """(settings, videos, workers): what does not split evenly is an ``InputError``."""
    steps: Callable[..., int] | None = None
    """(settings, videos, workers) -> updates in all."""
    batches: Callable[..., Batches] | None = None
    """(settings, videos, inputs, worker, workers) -> batches that other processes make for a
    worker; ``None``: it makes them itself, the next while the network is busy."""
