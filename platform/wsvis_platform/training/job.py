"""What a training over several workers is told, and how the code of one stage joins in.

A stage that several workers can train gives a :class:`Training`; all else (starting the workers,
training states, dead workers, troubles) is the same for all and knows no stage by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.learning.workers import Group
from wsvis.payload import Payload
from wsvis.types import Dataset, Report
from wsvis_platform.store.store import CorruptEntryError, Store
from wsvis_platform.store.video_worker import StoreInputs


@dataclass(frozen=True)
class Source:
    """Where a training reads from."""

    config: Config
    dataset: Dataset
    root: str
    """Of the store."""
    keys: Mapping[str, str]
    """Stage -> key, of the stages before and of the one that is trained."""

    def inputs(self) -> StoreInputs:
        """The stages before."""
        return StoreInputs(Store(self.root), self.keys)


@dataclass(frozen=True)
class Share:
    """One worker's part, as the code of a stage gets it."""

    source: Source
    group: Group
    report: Report
    """Hears every worker's numbers; only worker 0's go further."""
    checkpoint: Callable[[Payload], None]
    """Every worker calls it at the same steps."""
    checkpoint_every: int
    resume: Payload | None
    readers: int
    cpus_per_reader: float


@dataclass(frozen=True)
class Training:
    """How one stage is trained by several workers."""

    train: Callable[[Share], Payload]
    """Runs in every worker and gives the stage's result; a function that other processes find."""
    check: Callable[[Config, Dataset, int], None]
    """Settings, videos and number of workers: what does not split evenly is an ``InputError``."""
    steps: Callable[[Config, Dataset, int], int]
    """Settings, videos and number of workers -> updates in all."""
    readers: int = 0
    """Actors that make batches for each worker; 0: it makes them itself."""


@dataclass(frozen=True)
class Job:
    """What every worker is told."""

    stage: str
    train: Callable[[Share], Payload]
    source: Source
    checkpoint_every: int
    readers: int
    cpus: float
    """That a worker holds, and each of its readers."""


def trouble_text(error: InputError | CorruptEntryError) -> str:
    """An error that the driver has to hear of, as text that crosses processes."""
    if isinstance(error, InputError):
        return json.dumps({"input": str(error)})
    return json.dumps({"corrupt": [error.stage, error.key, error.item, error.reason]})


def trouble_error(text: str) -> InputError | CorruptEntryError:
    """The inverse of :func:`trouble_text`."""
    trouble = json.loads(text)
    return (
        InputError(trouble["input"])
        if "input" in trouble
        else CorruptEntryError(*trouble["corrupt"])
    )
