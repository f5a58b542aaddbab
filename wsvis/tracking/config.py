"""Configuration of tracks; see :mod:`wsvis.config`.

"Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wsvis.settings import check_choices, check_range


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Frame predictions to tracks (paper Sec. 4.2 and 4.4)."""

    method: Literal["forest", "online", "iou"] = "forest"
    """forest: Forest Path Cutting, the paper's; online: MaskTrack R-CNN's association without its
    learned term; iou: box overlap alone."""
    class_mode: Literal["vote", "split", "per-class"] = "vote"
    """vote: classes play no part, then the class with the largest sum of scores; split: a track for
    each class that occurs; per-class: each class is tracked for itself. The paper names none."""
    scoring: Literal["sum", "mean"] = "sum"
    """sum: of the class's frame scores, over the video's length; mean: of all frame scores."""
    min_score: float = 0.05
    """Lower-scoring predictions do not enter (paper: 0.05)."""
    max_tracks: int = 20
    """Per video (per class if ``per-class``), as UnOVOST has it; 0 = all."""
    max_overlap: float = 0.2
    """forest: of two predictions of a frame with this mask IoU the better one stays (UnOVOST)."""
    min_link_overlap: float = 0.05
    """forest: IoU that a carried mask must exceed to be linked (UnOVOST)."""

    def __post_init__(self) -> None:
        check_choices(self, "tracking")
        check_range("tracking.min_score", self.min_score, 0, 1)
        check_range("tracking.max_tracks", self.max_tracks, 0, 100_000)
        check_range("tracking.max_overlap", self.max_overlap, 0, 2)
        check_range("tracking.min_link_overlap", self.min_link_overlap, 0, 1)
