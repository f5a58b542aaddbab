"""Configuration of the detector and of self-training; see :mod:`wsvis.config`.

"Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wsvis.errors import InputError
from wsvis.settings import check_choices, check_range

LabelSource = Literal[
    "pseudo_labels", "refined_labels", "fcam_labels", "self_labels", "truth_labels"
]
"""Stages whose instances a detector can learn from."""


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Training of the detector, whichever system it is (paper Sec. 4.2)."""

    backbone: Literal["small", "resnet18", "resnet50", "mobilenet_v2"] = "resnet50"
    """With a feature pyramid; detectron2's Mask R-CNN has resnet50 only."""
    weights: str = "IMAGENET1K_V1"
    """Initial weights of the backbone: torchvision's name, a local .safetensors / .pth file,
    ``standin`` (small only), ``classifier`` (this run's trained classifier), or ``none``."""
    frozen_stages: int = 2
    """First stages that do not learn; BatchNorm never does."""
    steps: int = 90_000
    """Paper: 90,000 on YouTube-VIS, 75,000 on Cityscapes."""
    batch_size: int = 1
    """Clips per step (frame pairs, where the system learns from pairs), of all workers together;
    the paper names no batch size."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """Stochastic gradient descent (paper) or AdamW."""
    learning_rate: float = 0.002
    """At the height of the schedule."""
    backbone_rate_factor: float = 1.0
    """How many times faster the backbone learns than the rest."""
    momentum: float = 0.9
    """Of stochastic gradient descent."""
    weight_decay: float = 1e-4
    """Of the optimiser, per unit of the learning rate."""
    schedule: Literal["steps", "cosine"] = "steps"
    """steps: a tenth from 75 %, a hundredth from 88 % of the steps on (paper)."""
    warm_up: int = 1000
    """Steps over which the rate rises from nothing; the paper names none."""
    clip_norm: float = 0.0
    """Greatest length of the gradient; 0 = any."""
    short_sides: tuple[int, int] = (480, 480)
    """Range of the shorter side in training; (0, 0) = frames as they are."""
    mirror: bool = True
    """Mirror half of the training clips."""
    average: float = 0.0
    """Decay of an average of the weights (EMA) that the detector ends with; 0 = none, the last
    weights (paper)."""
    label_score: float = 0.0
    """Pseudo-labels that score less are left out; the paper names no such floor."""
    empty_as_background: bool = False
    """A frame without any label is background; else it gives no loss."""
    background_frames: bool = False
    """Frames known to show no class are learnt as background, at most as many pairs of them as
    there are with labels; the paper has frames with classes only."""

    def __post_init__(self) -> None:
        check_choices(self, "detector")
        check_range("detector.frozen_stages", self.frozen_stages, 0, 5)
        check_range("detector.steps", self.steps, 0, 100_000_000)
        check_range("detector.batch_size", self.batch_size, 1, 65_536)
        check_range("detector.learning_rate", self.learning_rate, 0, 100)
        check_range("detector.backbone_rate_factor", self.backbone_rate_factor, 0, 1000)
        check_range("detector.momentum", self.momentum, 0, 1)
        check_range("detector.weight_decay", self.weight_decay, 0, 1)
        check_range("detector.warm_up", self.warm_up, 0, 100_000_000)
        check_range("detector.clip_norm", self.clip_norm, 0, 1e9)
        for side in self.short_sides:
            check_range("detector.short_sides", side, 0, 8192)
        low, high = self.short_sides
        if low > high or (low == 0 < high):
            raise InputError(
                f"detector.short_sides is {low} {high}; give the smaller side first, or 0 0 for "
                "frames as they are"
            )
        check_range("detector.average", self.average, 0, 0.999999)
        check_range("detector.label_score", self.label_score, 0, 1)


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """Which frames of a video a system that learns from several at once sees together."""

    delta: int = 5
    """Listed frames from one frame of a pair to the other. Paper: 5 raw frames on YouTube-VIS, 3 on
    Cityscapes; where the listed frames lie that far apart themselves, that is 1."""

    def __post_init__(self) -> None:
        check_range("pairs.delta", self.delta, 1, 1000)


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """What of a detector's predictions counts (paper Sec. 4.2)."""

    short_side: int = 480
    """Paper: 480; 0 = frames as they are."""
    score_threshold: float = 0.05
    """Detections that score less are left out (paper: 0.05)."""
    nms_threshold: float = 0.5
    """Of two boxes of one class with a larger IoU the better one stays."""
    detections: int = 100
    """Most per frame."""

    def __post_init__(self) -> None:
        check_range("inference.short_side", self.short_side, 0, 8192)
        check_range("inference.score_threshold", self.score_threshold, 0, 1)
        check_range("inference.nms_threshold", self.nms_threshold, 0, 1)
        check_range("inference.detections", self.detections, 1, 10_000)


@dataclass(frozen=True, kw_only=True)
class SelfTrainingConfig:
    """What a trained detector finds becomes the labels of the next one (paper Sec. 4.2)."""

    teacher: LabelSource = "pseudo_labels"
    """Labels that the first detector learns from, which finds those of the second."""
    score: float = 0.5
    """Detections of training frames that score less are no labels; the paper names no floor."""
    frame_classes: bool = True
    """Only detections of classes that the frame is labelled with; the paper does not say."""

    def __post_init__(self) -> None:
        check_choices(self, "self_training")
        if self.teacher == "self_labels":
            raise InputError(
                "self_training.teacher is self_labels: the first detector needs labels of its own"
            )
        check_range("self_training.score", self.score, 0, 1)
