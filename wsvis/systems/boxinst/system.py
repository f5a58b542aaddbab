"""BoxInst and CondInst as systems: one network, two kinds of supervision."""

from __future__ import annotations

from typing import Any

from wsvis.later import later
from wsvis.systems.base import System

_NETWORK, _LEARNER = "wsvis.systems.boxinst.network", "wsvis.systems.boxinst.learner"


def _describe(network: Any) -> dict[str, Any]:
    return {"mask_channels": network.mask_channels}


BOXINST = System(
    settings=("boxinst",),
    supervision="boxes",
    build=later(_NETWORK, "build"),
    learner=later(_LEARNER, "learner"),
    describe=_describe,
    rebuild=later(_NETWORK, "rebuild"),
)
CONDINST = System(
    settings=("boxinst",),
    supervision="masks",
    build=later(_NETWORK, "build"),
    learner=later(_LEARNER, "learner"),
    describe=_describe,
    rebuild=later(_NETWORK, "rebuild"),
)
