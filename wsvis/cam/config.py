"""Configuration of the classifier, its maps, and what is made of them; see :mod:`wsvis.config`.

"Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wsvis.backbones.config import BackboneName
from wsvis.errors import InputError
from wsvis.settings import check_choices, check_range, check_steps

Compensation = Literal["none", "median", "affine", "homography"]


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """The frame classifier behind the CAMs (IRN Sec. 3.1 as its authors ran it)."""

    backbone: BackboneName = "resnet50"
    """The network; ``small`` is our own of 0.4 M parameters for small frames."""
    weights: str = "IMAGENET1K_V1"
    """Initial weights: torchvision's name, a local .safetensors / .pth file, ``standin`` for the
    shipped stand-in (backbone ``small`` only), or ``none``."""
    head: Literal["trained", "imagenet"] = "trained"
    """What makes the class maps. trained: a head learnt on these videos; imagenet: the head that
    came with the weights, for classes that ImageNet has (docs/class_maps.md), the trained one for
    the others."""
    class_map: str = ""
    """imagenet head: a JSON or CSV file that says which ImageNet classes stand for a class, where
    the shipped table does not serve."""
    normalisation: Literal["imagenet", "half", "auto"] = "imagenet"
    """imagenet: ImageNet mean and std; half: (x - 0.5) / 0.5; auto: as the weights expect."""
    stride_two_padding: Literal["symmetric", "same", "auto"] = "symmetric"
    """same: pad right and bottom in stride-2 convolutions, as weights from TensorFlow expect;
    auto: as the weights expect."""
    pooling: Literal["average", "lse"] = "average"
    """lse: log-sum-exp pooling with sharpness ``lse_sharpness``."""
    lse_sharpness: float = 4.0
    """Of ``lse`` pooling: near 0 it is the average, large values take the maximum."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """Stochastic gradient descent (IRN) or AdamW."""
    learning_rate: float = 0.1
    """Of the backbone; the head learns ``head_rate_factor`` times faster."""
    head_rate_factor: float = 10.0
    """How many times faster the head learns than the backbone."""
    momentum: float = 0.0
    """IRN's released code runs at momentum 0 in effect, not the 0.9 it seems to say."""
    weight_decay: float = 1e-4
    """Of the optimiser, per unit of the learning rate."""
    epochs: float = 5.0
    """Passes over the listed frames (IRN: 5)."""
    min_steps: int = 0
    """Updates at least, however few the frames."""
    max_steps: int = 0
    """Updates at most, however many the frames; 0 = any number."""
    batch_size: int = 16
    """Frames per step."""
    crop: int = 512
    """Training crop in pixels, a multiple of 16; 0 = whole frames."""
    resize_long_side: tuple[int, int] = (320, 640)
    """Range of the longer side after the random resize in training; (0, 0) = no resize."""
    trainable: Literal["last-stages", "head", "all"] = "last-stages"
    """last-stages: stem and the first two stages stay frozen, as in IRN."""

    def __post_init__(self) -> None:
        check_choices(self, "classifier")
        check_range("classifier.lse_sharpness", self.lse_sharpness, 0.01, 100)
        check_range("classifier.learning_rate", self.learning_rate, 0, 100)
        check_range("classifier.head_rate_factor", self.head_rate_factor, 0, 1000)
        check_range("classifier.momentum", self.momentum, 0, 1)
        check_range("classifier.weight_decay", self.weight_decay, 0, 1)
        check_range("classifier.epochs", self.epochs, 0, 10_000)
        check_steps("classifier", self.min_steps, self.max_steps)
        if self.head == "imagenet" and self.trainable != "head":
            raise InputError(
                "classifier.head is imagenet, which needs the backbone as it came; set "
                f"classifier.trainable to head, not {self.trainable}"
            )
        check_range("classifier.batch_size", self.batch_size, 1, 65_536)
        check_range("classifier.crop", self.crop, 0, 4096)
        for side in self.resize_long_side:
            check_range("classifier.resize_long_side", side, 0, 8192)


@dataclass(frozen=True, kw_only=True)
class CamConfig:
    """Class activation maps (IRN): summed over scales and flips, max-normalised per class."""

    scales: tuple[float, ...] = (1.0, 0.5, 1.5, 2.0)
    """The frame is shown at these multiples of its size; the maps are summed (IRN)."""
    flip: bool = True
    """Also show the mirrored frame at every scale (IRN)."""
    long_side: int = 0
    """Frames whose longer side is greater are shrunk to it first; 0 = never."""

    def __post_init__(self) -> None:
        check_choices(self, "cam")
        if not self.scales:
            raise ValueError("cam.scales is empty; give at least one scale, such as 1.0")
        for scale in self.scales:
            check_range("cam.scales", scale, 0.05, 8)
        check_range("cam.long_side", self.long_side, 0, 100_000)


@dataclass(frozen=True, kw_only=True)
class FCamConfig:
    """Flow-amplified CAM (paper Eq. 2)."""

    amplification: float = 2.0
    """A >= 1. Paper: 2 on YouTube-VIS, 5 on Cityscapes."""
    percentile: float = 0.8
    """T as a percentile (0..1) of the frame's flow magnitudes. Paper: 0.8 and 0.5."""
    floor: float = 0.0
    """Smallest T in pixels of the frame; 0 = the paper's literal form."""
    compensation: Compensation = "none"
    """Camera motion taken out before the magnitude; none = the paper's literal form."""

    def __post_init__(self) -> None:
        check_choices(self, "fcam")
        check_range("fcam.amplification", self.amplification, 1, 1e6)
        check_range("fcam.percentile", self.percentile, 0, 1)
        check_range("fcam.floor", self.floor, 0, 1e6)


@dataclass(frozen=True, kw_only=True)
class IrLabelsConfig:
    """Confident foreground and background from f-CAM (IRN)."""

    foreground_threshold: float = 0.30
    """Pixels whose map is above this are surely their class, in units of the map (0..1; more where
    f-CAM is not saturated). IRN: 0.30."""
    background_threshold: float = 0.05
    """Pixels whose maps are all below this are surely background. IRN: 0.05."""

    def __post_init__(self) -> None:
        check_range("ir_labels.foreground_threshold", self.foreground_threshold, 0, 1e6)
        check_range("ir_labels.background_threshold", self.background_threshold, 0, 1e6)


@dataclass(frozen=True, kw_only=True)
class PseudoMasksConfig:
    """Instance masks straight from f-CAM: threshold, connected components, score.

    The threshold is ``ir_labels.foreground_threshold``: one value decides what is foreground.
    """

    min_area: float = 0.01
    """Components smaller than this share of the frame are dropped (IRN)."""

    def __post_init__(self) -> None:
        check_choices(self, "pseudo_masks")
        check_range("pseudo_masks.min_area", self.min_area, 0, 1)
