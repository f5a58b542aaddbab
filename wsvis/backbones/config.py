"""Names of backbones; see :mod:`wsvis.config`."""

from __future__ import annotations

from typing import Literal

BackboneName = Literal["small", "resnet18", "resnet50", "mobilenet_v2"]
