"""What a stage is: a name, what it reads, what it depends on, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from wsvis.config import Config
from wsvis.learning.share import Training
from wsvis.payload import Payload
from wsvis.setting_views import only
from wsvis.types import Dataset, Report, Video

Process = Callable[[Video, Mapping[str, Payload]], Payload]
"""One video and its inputs by role -> the stage's result for that video."""
Roles = tuple[str, ...] | Callable[[Config], Mapping[str, str]]
"""Inputs: stages, each in the role of its name, or a function of the settings to {role: stage}. A
stage ``teacher:predictions`` is that of the run that gives self-training its labels."""


@runtime_checkable
class Inputs(Protocol):
    """How a stage over the whole data set reads the stages before it, by role."""

    def whole(self, role: str) -> Payload:
        """Result of a whole-data-set stage."""
        ...

    def video(self, role: str, video_id: str) -> Payload | None:
        """Result of a per-video stage; ``None`` where that video is quarantined."""
        ...


def never(config: Config) -> bool:
    """The stage loads no network, whatever the settings."""
    return False


def always(config: Config) -> bool:
    """The stage loads a network, whatever the settings."""
    return True


@dataclass(frozen=True)
class Stage:
    """One step of the way. Exactly one of ``per_video``, ``whole`` and ``training`` is given.

    Each gets a view of the settings that has those named here and no others.
    """

    name: str
    version: int
    """Raised by hand whenever the same inputs would give another result."""
    inputs: Roles
    settings: tuple[str, ...] | Callable[[Config], tuple[str, ...]]
    """Dotted names (a leaf or a group) the result depends on."""
    seed: str = ""
    """The word by which its random numbers are split from others'; empty: it draws none."""
    sees_truth: bool = False
    """The annotated masks are there too: it measures, or is an upper bound."""
    network: Callable[[Config], bool] = never
    """Whether it loads a network: it then runs on a GPU where there is one."""
    gpu: bool = False
    """It runs on a GPU where there is one although it loads no network."""
    per_video: Callable[[Config, Mapping[str, Payload]], Process] | None = None
    """Called once per worker with the whole-data-set inputs (a network is loaded once)."""
    whole: Callable[[Config, Dataset, Inputs, Report | None], Payload] | None = None
    training: Training | None = None
    """How it trains a network on the whole data set, alone or over several workers."""

    @property
    def over_data(self) -> bool:
        """Whether it gives one result for the whole data set, not one per video."""
        return self.per_video is None

    def roles(self, config: Config) -> dict[str, str]:
        """Role -> stage of every input under these settings."""
        if callable(self.inputs):
            return dict(self.inputs(config))
        return {name: name for name in self.inputs}

    def depends_on(self, config: Config) -> tuple[str, ...]:
        """Dotted names of the settings that count under these settings."""
        names = self.settings(config) if callable(self.settings) else self.settings
        return (*names, "seed") if self.seed else names

    def view(self, config: Config) -> Config:
        """The settings as the stage is handed them."""
        return only(config, self.depends_on(config))

    def shown(self, dataset: Dataset) -> Dataset:
        """The videos as this stage may see them: methods never see the annotated masks."""
        if self.sees_truth:
            return dataset
        blind = tuple(replace(video, instances=None) for video in dataset.videos)
        return replace(dataset, videos=blind)
