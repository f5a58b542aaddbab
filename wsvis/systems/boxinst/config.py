"""Configuration of BoxInst and CondInst; see :mod:`wsvis.config`.

"BoxInst" is Tian et al., CVPR 2021; "CondInst" is Tian et al., ECCV 2020; values are those of the
papers and of the settings published with them.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsvis.settings import check_range


@dataclass(frozen=True, kw_only=True)
class BoxInstConfig:
    """CondInst's heads, and the losses by which BoxInst learns masks from boxes."""

    mask_channels: int = 16
    """Of the mask branch, which all objects of a frame share (BoxInst: 16, CondInst: 8)."""
    centre_radius: float = 1.5
    """Locations this many strides from a box's middle learn it."""
    positives: int = 64
    """Locations per frame whose masks are learnt, the best of each object."""
    pairwise: float = 1.0
    """Weight of the pairwise loss, BoxInst only; 0 = projection alone."""
    colour_threshold: float = 0.3
    """Neighbours of at least this colour similarity (0..1) are taken for one object or none."""
    dilation: int = 2
    """Pixels of the mask grid from a pixel to its neighbours."""
    pairwise_warm_up: int = 10_000
    """Steps over which the pairwise loss rises to its weight; a ninth of the steps at most."""

    def __post_init__(self) -> None:
        check_range("boxinst.mask_channels", self.mask_channels, 1, 256)
        check_range("boxinst.centre_radius", self.centre_radius, 0.1, 100)
        check_range("boxinst.positives", self.positives, 1, 10_000)
        check_range("boxinst.pairwise", self.pairwise, 0, 1000)
        check_range("boxinst.colour_threshold", self.colour_threshold, 0, 1)
        check_range("boxinst.dilation", self.dilation, 1, 64)
        check_range("boxinst.pairwise_warm_up", self.pairwise_warm_up, 0, 100_000_000)
