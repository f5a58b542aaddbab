"""Configuration of temporal consistency; see :mod:`wsvis.config`.

"Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsvis.settings import check_range


@dataclass(frozen=True, kw_only=True)
class ConsistencyConfig:
    """Temporal consistency, TC (paper Sec. 4.5, which names none of these)."""

    truth_score: float = 0.5
    """Least score of a prediction that, carried along the flow, serves as ground truth."""
    symmetric: bool = False
    """Carry in both directions and give the mean."""

    def __post_init__(self) -> None:
        check_range("consistency.truth_score", self.truth_score, 0, 1)
