"""Configuration of flowIRN: the network, the walk; see :mod:`wsvis.config`.

"Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wsvis.settings import check_choices, check_range, check_steps

FlowGradient = Literal["jacobian", "diagonal", "magnitude"]


@dataclass(frozen=True, kw_only=True)
class IrnConfig:
    """Training of the inter-pixel relation network (IRN as its authors ran it)."""

    initial: Literal["imagenet", "classifier"] = "imagenet"
    """The backbone starts from ``classifier.weights`` as IRN's does, or from the trained
    classifier's backbone."""
    frozen: bool = True
    """Only the two branches learn (IRN); else the backbone too, ``backbone_rate_factor`` slower."""
    boundary_channels: int = 32
    """Width of the branch for class boundaries (IRN: 32)."""
    displacement_channels: int = 256
    """Width of the branch for displacements (IRN: 256)."""
    canvas: tuple[int, int] = (512, 512)
    """Rows and columns the network reads, in training and after; larger frames are shrunk to it.
    0 = the frame's own size."""
    scales: tuple[float, float] = (0.5, 1.5)
    """Range of the random resize in training; (1, 1) = none."""
    mirror: bool = True
    """Mirror half of the training frames."""
    radius_train: int = 10
    """Pairs strictly closer than this many cells of 4 pixels are compared."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """Stochastic gradient descent (IRN) or AdamW."""
    learning_rate: float = 0.1
    """Of the boundary branch at the start; it falls as (1 - step / steps)^0.9."""
    displacement_rate_factor: float = 10.0
    """How many times faster the displacement branch learns than the boundary branch
    (IRN: 10)."""
    backbone_rate_factor: float = 0.1
    """How many times faster the backbone learns, where it is not frozen."""
    momentum: float = 0.0
    """IRN's released code runs at momentum 0 in effect."""
    weight_decay: float = 1e-4
    """Of the optimiser, per unit of the learning rate."""
    epochs: float = 6.0
    """Paper: 6 (IRN: 3)."""
    min_steps: int = 0
    """Updates at least, however few the frames."""
    max_steps: int = 0
    """Updates at most, however many the frames; 0 = any number."""
    batch_size: int = 32
    """Of all workers together."""

    def __post_init__(self) -> None:
        check_choices(self, "irn")
        check_range("irn.boundary_channels", self.boundary_channels, 1, 4096)
        check_range("irn.displacement_channels", self.displacement_channels, 4, 4096)
        for side in self.canvas:
            check_range("irn.canvas", side, 0, 8192)
        for scale in self.scales:
            check_range("irn.scales", scale, 0.1, 8)
        check_range("irn.radius_train", self.radius_train, 2, 64)
        check_range("irn.learning_rate", self.learning_rate, 0, 100)
        check_range("irn.displacement_rate_factor", self.displacement_rate_factor, 0, 1000)
        check_range("irn.backbone_rate_factor", self.backbone_rate_factor, 0, 1000)
        check_range("irn.momentum", self.momentum, 0, 1)
        check_range("irn.weight_decay", self.weight_decay, 0, 1)
        check_range("irn.epochs", self.epochs, 0, 10_000)
        check_steps("irn", self.min_steps, self.max_steps)
        check_range("irn.batch_size", self.batch_size, 1, 65_536)


@dataclass(frozen=True, kw_only=True)
class FlowBoundaryConfig:
    """Flow-boundary loss (paper Eq. 3)."""

    weight: float = 1.0
    """Beside IRN's losses; 0 = plain IRN. The paper names none."""
    regularization: float = 2.0
    """lambda (paper: 2), pixels of the network's input per cell of 4 pixels: pairs whose flow
    gradients differ by more are pushed apart."""
    gradient: FlowGradient = "jacobian"
    """Which derivatives make F': all four, (du/dx, dv/dy), or those of the speed."""

    def in_effect(self) -> FlowBoundaryConfig:
        """Without weight, plain IRN: lambda and F' do not count."""
        return self if self.weight else FlowBoundaryConfig(weight=0.0)

    def __post_init__(self) -> None:
        check_choices(self, "flow_boundary")
        check_range("flow_boundary.weight", self.weight, 0, 1e6)
        check_range("flow_boundary.regularization", self.regularization, 0, 1e6)


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """The random walk from seeds to instance pseudo-labels (IRN as its authors ran it)."""

    seeds: Literal["saturated", "literal", "cam"] = "saturated"
    """Seeds of the walk: f-CAM with no value above 1, f-CAM as it is, or plain CAM. Literal f-CAM
    pushes still objects under the background constant beside moving ones."""
    radius: int = 5
    """Neighbours of the random walk, in cells."""
    beta: float = 10.0
    """Exponent of the affinity in the walk."""
    steps: int = 256
    """Steps of the random walk (IRN: 256)."""
    refinements: int = 300
    """Steps of the centroids."""
    cluster_threshold: float = 2.5
    """Cells with a displacement below this many cells are near a centre; small frames need less."""
    background_threshold: float = 0.25
    """Constant score of the background after the walk."""
    min_area: float = 0.01
    """Components smaller than this share of the frame are dropped."""
    scores: Literal["peak", "mass"] = "peak"
    """Of a pseudo-label. peak: the largest value in it (IRN), which is 1 for the best of nearly
    every frame; mass: the root of its values' sum over the frame's area, which tells frames
    apart."""

    def __post_init__(self) -> None:
        check_choices(self, "walk")
        check_range("walk.radius", self.radius, 2, 64)
        check_range("walk.beta", self.beta, 0.01, 1000)
        check_range("walk.steps", self.steps, 0, 1_000_000)
        check_range("walk.refinements", self.refinements, 0, 1_000_000)
        check_range("walk.cluster_threshold", self.cluster_threshold, 0, 1e6)
        check_range("walk.background_threshold", self.background_threshold, 0, 1)
        check_range("walk.min_area", self.min_area, 0, 1)
