"""Mask R-CNN with MaskConsist as a system: Liu et al. 2021, Sec. 3.3."""

from __future__ import annotations

from typing import Any

from wsvis.later import later
from wsvis.systems.base import System

_BUILD = "wsvis.systems.mask_rcnn.build"


def _describe(network: Any) -> dict[str, Any]:
    return {"backend": network.backend}


MASK_RCNN = System(
    settings=("mask_rcnn", "maskconsist", "pairs"),
    reads=("pair_flow",),
    supervision="masks",
    clip=2,
    check=later(_BUILD, "check"),
    build=later(_BUILD, "build"),
    learner=later("wsvis.systems.mask_rcnn.learner", "learner"),
    describe=_describe,
    texts=("backend",),
    rebuild=later(_BUILD, "rebuild"),
)
