"""What a learning system is to the rest of the project: one folder that says this much.

A new system is a folder ``systems/<name>`` with ``config``, ``network``, ``losses`` and ``system``,
one line in ``systems/__init__.py``, and its group of settings in ``wsvis/config.py``. Neither the
training loop nor the platform nor another system is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


def nothing_to_check(settings: Any) -> None:
    """It can be built wherever the project runs."""


def nothing_more(network: Any) -> dict[str, Any]:
    """All detectors of the system differ in nothing but what all systems store."""
    return {}


@dataclass(frozen=True, kw_only=True)
class System:
    """How a detector is built, trained and asked. Functions are imported at their first call."""

    settings: tuple[str, ...]
    """Groups of settings that are its own; how a training goes is in ``detector``."""
    reads: tuple[str, ...] = ()
    """Stages it learns from beside frames and labels: ``pair_flow``."""
    supervision: Literal["masks", "boxes", "classes"] = "masks"
    """What of the labels it may see; the rest is taken away before a clip reaches it."""
    clip: int = 1
    """Frames of a sample: 2 for pairs; ``pairs.delta`` listed frames lie between neighbours."""
    check: Callable[[Any], None] = nothing_to_check
    """(settings): an ``InputError`` where it cannot be built here (a library is absent)."""
    build: Callable[..., Any]
    """(settings, backbone, number of classes, normalisation) -> a network; the random numbers it
    starts from are set. It has ``system``, ``backbone``, ``classes`` and ``normalisation``, and
    ``run``: see :class:`wsvis.systems.predict.Detector`."""
    learner: Callable[..., Any]
    """(settings, network, group, wrapped) -> :class:`wsvis.learning.loop.Learner`."""
    describe: Callable[[Any], dict[str, Any]] = nothing_more
    """Of a network, what ``rebuild`` needs beside what all detectors store."""
    texts: tuple[str, ...] = ()
    """Names in that description whose values are texts, checked when a file is read."""
    rebuild: Callable[..., Any]
    """(description, backbone, number of classes, normalisation) -> the network, for its weights."""
