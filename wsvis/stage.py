"""What a stage is: a name, what it reads, what it depends on, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from wsvis.config import Config
from wsvis.payload import Payload
from wsvis.types import Dataset, Report, Video

Process = Callable[[Video, Mapping[str, Payload]], Payload]
"""One video and its inputs by stage name -> the stage's result for that video."""


@runtime_checkable
class Inputs(Protocol):
    """How a stage over the whole data set reads the stages before it."""

    def whole(self, stage: str) -> Payload:
        """Result of a whole-data-set stage."""
        ...

    def video(self, stage: str, video_id: str) -> Payload | None:
        """Result of a per-video stage; ``None`` where that video is quarantined."""
        ...


@dataclass(frozen=True)
class Stage:
    """One step. Exactly one of ``per_video`` and ``whole`` is given."""

    name: str
    version: int
    """Raised by hand whenever the same inputs would give another result."""
    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    """Dotted names (a leaf or a group) the result depends on."""
    seeded: bool = False
    sees_truth: bool = False
    """The annotated masks are there too: it measures, or is an upper bound."""
    per_video: Callable[[Config, Mapping[str, Payload]], Process] | None = None
    """Called once per worker with the whole-data-set inputs (a network is loaded once)."""
    whole: Callable[[Config, Dataset, Inputs, Report | None], Payload] | None = None

    def shown(self, dataset: Dataset) -> Dataset:
        """The videos as this stage may see them: methods never see the annotated masks."""
        if self.sees_truth:
            return dataset
        blind = tuple(replace(video, instances=None) for video in dataset.videos)
        return replace(dataset, videos=blind)


def later(module: str, name: str) -> Callable[..., Any]:
    """A function imported at its first call: workers that need no network load no torch."""

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **named)

    return call
