"""Configuration of the dense CRF; see :mod:`wsvis.config`.

"Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsvis.settings import check_range


@dataclass(frozen=True, kw_only=True)
class CrfConfig:
    """Dense CRF on the IR labels (IRN's code; Kraehenbuehl & Koltun 2011)."""

    enabled: bool = True
    """False: labels are used as they are."""
    certainty: float = 0.7
    """Probability that a given label is right."""
    smoothness_sigma: float = 3.0
    """Pixels of the frame."""
    smoothness_weight: float = 3.0
    """Of the kernel that looks at distance alone."""
    appearance_sigma: float = 50.0
    """Pixels of the frame, meant for a longer side of about 500: small frames need less."""
    colour_sigma: float = 5.0
    """Grey levels of 0..255."""
    appearance_weight: float = 10.0
    """Of the kernel that looks at distance and colour."""
    iterations: int = 10
    """Steps of the mean field."""
    stride: int = 2
    """Pixels per cell of the grid it runs on; IRN reads the result every fourth pixel."""
    neighbours: int = 64
    """Cells in each half plane that the appearance kernel sums over."""

    def in_effect(self) -> CrfConfig:
        """Where it is off nothing else of it counts."""
        return self if self.enabled else CrfConfig(enabled=False)

    def __post_init__(self) -> None:
        check_range("crf.certainty", self.certainty, 0.01, 0.999)
        check_range("crf.smoothness_sigma", self.smoothness_sigma, 0.1, 1000)
        check_range("crf.smoothness_weight", self.smoothness_weight, 0, 1000)
        check_range("crf.appearance_sigma", self.appearance_sigma, 0.1, 10_000)
        check_range("crf.colour_sigma", self.colour_sigma, 0.1, 1000)
        check_range("crf.appearance_weight", self.appearance_weight, 0, 1000)
        check_range("crf.iterations", self.iterations, 0, 1000)
        check_range("crf.stride", self.stride, 1, 16)
        check_range("crf.neighbours", self.neighbours, 1, 100_000)


@dataclass(frozen=True, kw_only=True)
class MotionSplitConfig:
    """f-Split, not in the paper: masks that hold two motions are cut, before the CRF on masks."""

    enabled: bool = False
    """False: masks are used as they are."""
    ratio: float = 4.0
    """The two motions must differ by more than this many times what their fit leaves over."""
    floor: float = 0.5
    """Smallest difference of two motions, pixels of the frame."""
    share: float = 0.25
    """Each part has at least this share of the mask: a limb is no object."""
    better: float = 1.5
    """One motion alone must fit this many times worse than two, so that a body whose parts move is
    left whole; 1: it need not."""
    depth: int = 2
    """How often parts are cut again."""

    def in_effect(self) -> MotionSplitConfig:
        """Where it is off nothing else of it counts."""
        return self if self.enabled else MotionSplitConfig(enabled=False)

    def __post_init__(self) -> None:
        check_range("motion_split.ratio", self.ratio, 0, 1000)
        check_range("motion_split.floor", self.floor, 0, 1000)
        check_range("motion_split.share", self.share, 0, 0.5)
        check_range("motion_split.better", self.better, 1, 1000)
        check_range("motion_split.depth", self.depth, 1, 8)


@dataclass(frozen=True, kw_only=True)
class MaskCrfConfig:
    """Dense CRF on the final masks: their borders move to image edges (kernels: ``crf``)."""

    enabled: bool = False
    """False: masks are used as they are."""
    min_area: float = 0.01
    """Parts of a mask smaller than this share of the frame are dropped."""
    long_side: int = 0
    """Frames whose longer side (pixels) is greater are treated as if shrunk to it: kernels and grid
    grow with the frame; 0 = kernels in pixels of the frame whatever its size."""

    def in_effect(self) -> MaskCrfConfig:
        """Where it is off nothing else of it counts."""
        return self if self.enabled else MaskCrfConfig(enabled=False)

    def __post_init__(self) -> None:
        check_range("mask_crf.min_area", self.min_area, 0, 1)
        check_range("mask_crf.long_side", self.long_side, 0, 100_000)
