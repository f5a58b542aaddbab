"""Configuration of MaskConsist; see :mod:`wsvis.config`.

"Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wsvis.settings import check_choices, check_range


@dataclass(frozen=True, kw_only=True)
class MaskConsistConfig:
    """Labels carried between the two frames of a training pair (paper Sec. 3.3)."""

    enabled: bool = True
    """False: plain Mask R-CNN on the same pairs (first row of Table 5)."""
    box_iou_threshold: float = 0.5
    """Of intra-frame matching and of Algorithm 1 (paper: 0.5)."""
    iom_threshold: float = 0.5
    """Of IoM-NMS (paper: 0.5)."""
    intra: bool = True
    """Intra-frame matching (Table 5)."""
    inter: bool = True
    """Inter-frame matching (Table 5)."""
    iom_nms: bool = True
    """IoM-NMS (Table 5)."""
    overlap: Literal["box", "mask"] = "box"
    """What ``box_iou_threshold`` compares: boxes (Algorithm 1) or masks (the text of Sec. 3.3)."""
    labels_first: bool = True
    """IoM-NMS asks pseudo-labels before what was carried over: objects without a label are added,
    but none that has one grows. False: the largest mask first, the closer reading of the paper's
    text, with which labels grew without end on both data sets tried (docs/LOG.md)."""
    min_match_iou: float = 0.0
    """Matched pairs need more than this; the paper names no such bound."""
    start_step: int = 0
    """Before this step labels are used as they are."""
    predictions: int = 100
    """Per frame (paper: top 100)."""
    prediction_score: float = 0.05
    """The paper is silent; its inference uses 0.05."""

    def in_effect(self) -> MaskConsistConfig:
        """Where it is off nothing else of it counts."""
        return self if self.enabled else MaskConsistConfig(enabled=False)

    def __post_init__(self) -> None:
        check_choices(self, "maskconsist")
        check_range("maskconsist.box_iou_threshold", self.box_iou_threshold, 0, 1)
        check_range("maskconsist.iom_threshold", self.iom_threshold, 0, 1)
        check_range("maskconsist.min_match_iou", self.min_match_iou, 0, 1)
        check_range("maskconsist.start_step", self.start_step, 0, 100_000_000)
        check_range("maskconsist.predictions", self.predictions, 1, 10_000)
        check_range("maskconsist.prediction_score", self.prediction_score, 0, 1)
