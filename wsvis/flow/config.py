"""Configuration of optical flow; see :mod:`wsvis.config`.

"Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wsvis.settings import check_choices, check_range

FlowProviderName = Literal[
    "dis-ultrafast", "dis-fast", "dis-medium", "farneback", "raft-small", "raft-large"
]


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Optical flow between consecutive frames (paper Sec. 4.2 uses DDFlow; any provider serves)."""

    provider: FlowProviderName = "dis-medium"
    """Who computes it: OpenCV's DIS or Farneback on a CPU, RAFT (torchvision) with weights."""
    weights: str = ""
    """RAFT only: a local file, or the name of torchvision's weights (for example ``C_T_V2``)."""
    long_side: int = 0
    """Frames whose longer side is greater are shrunk to it before flow is computed; 0 = never."""
    stored_stride: int = 2
    """Flow is stored on a grid this many pixels apart (vectors stay in pixels of the frame)."""

    def __post_init__(self) -> None:
        check_choices(self, "flow")
        check_range("flow.long_side", self.long_side, 0, 100_000)
        check_range("flow.stored_stride", self.stored_stride, 1, 16)
