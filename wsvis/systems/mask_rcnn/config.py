"""Configuration of Mask R-CNN; see :mod:`wsvis.config`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wsvis.settings import check_choices


@dataclass(frozen=True, kw_only=True)
class MaskRcnnConfig:
    """Mask R-CNN (He et al. 2017), which MaskConsist trains."""

    backend: Literal["torchvision", "detectron2"] = "torchvision"
    """The library that has it; detectron2 must be installed by you."""

    def __post_init__(self) -> None:
        check_choices(self, "mask_rcnn")
