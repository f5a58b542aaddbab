"""Configuration: one frozen dataclass per stage, the paper's YouTube-VIS values as defaults.

Every value has one dotted name (``fcam.amplification``), the same on the command line, in Ray Tune,
in Optuna and in MLflow. Ranges are checked when an object is made, so a sweep cannot run outside
them. "Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019. Where the paper is silent
the reason for a default is in docs/equations.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from wsvis.errors import InputError
from wsvis.evaluation.config import ConsistencyConfig, TrackingConfig
from wsvis.irn.config import CrfConfig, FlowBoundaryConfig, IrLabelsConfig, IrnConfig, MaskCrfConfig
from wsvis.settings import check_choices, check_range, check_steps
from wsvis.systems.config import DetectorConfig, MaskConsistConfig, SelfTrainingConfig

BackboneName = Literal["small", "resnet18", "resnet50", "mobilenet_v2"]
FlowProviderName = Literal[
    "dis-ultrafast", "dis-fast", "dis-medium", "farneback", "raft-small", "raft-large"
]
Compensation = Literal["none", "median", "affine", "homography"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which videos. ``kind`` decides how ``path`` is read."""

    kind: Literal["auto", "synthetic", "ytvis", "video-files", "davis", "cityscapes"] = "auto"
    """auto: told from what lies at ``path``, synthetic where there is none; synthetic: rendered
    from code; ytvis: a YouTube-VIS JSON; video-files: a folder of videos with labels.csv; davis:
    folders of frames and mask PNGs; cityscapes: its own folders."""
    path: str = ""
    """The JSON file (ytvis) or the folder; ``synthetic`` has none."""
    frames: str = ""
    """Folder of the frames a YouTube-VIS JSON names; empty: ``JPEGImages`` beside the JSON."""
    split: Literal["all", "train", "val"] = "train"
    """synthetic: its train or validation clips. Files: the held-out split of the paper (10 videos
    per class), ``all`` = no split."""
    held_out_per_class: int = 10
    """Videos per class in the validation split (paper Sec. 4.1)."""
    split_seed: int = 0
    """Which held-out split; not the run's seed, so that several seeds compare on one split."""
    split_file: str = ""
    """A split saved by ``wsvis data split``, used instead of drawing one."""
    frame_step: int = 1
    """Keep every n-th frame; flow is still taken to the next raw frame."""
    keep_readable: bool = False
    """Of a video file that breaks off, use the frames that can be read; else it is set aside."""
    frames_per_second: float = 0.0
    """Video files only: keep about so many frames per second, by each video's own frame rate; 0 =
    every ``frame_step``-th. Frames stored as images have no times: use ``frame_step``."""
    videos: int = 0
    """Use only the first n videos; 0 = all."""
    synthetic_videos: int = 60
    """Clips of the synthetic train split (its validation split has a third as many)."""

    def __post_init__(self) -> None:
        check_choices(self, "data")
        check_range("data.held_out_per_class", self.held_out_per_class, 1, 10_000)
        check_range("data.split_seed", self.split_seed, 0, 2**31 - 1)
        check_range("data.frame_step", self.frame_step, 1, 1000)
        check_range("data.frames_per_second", self.frames_per_second, 0, 240)
        if self.frames_per_second and self.frame_step > 1:
            raise InputError(
                f"data.frames_per_second is {self.frames_per_second:g} and data.frame_step "
                f"{self.frame_step}; give one of them"
            )
        check_range("data.videos", self.videos, 0, 10_000_000)
        check_range("data.synthetic_videos", self.synthetic_videos, 3, 100_000)


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
class PseudoMasksConfig:
    """Instance masks straight from f-CAM: threshold, connected components, score.

    The threshold is ``ir_labels.foreground_threshold``: one value decides what is foreground.
    """

    min_area: float = 0.01
    """Components smaller than this share of the frame are dropped (IRN)."""

    def __post_init__(self) -> None:
        check_choices(self, "pseudo_masks")
        check_range("pseudo_masks.min_area", self.min_area, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Config:
    """One whole run."""

    seed: int = 0
    """Of every random number; each stage draws its own from it. Experiments take ``--seeds``."""
    data: DataConfig = field(default_factory=DataConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    cam: CamConfig = field(default_factory=CamConfig)
    fcam: FCamConfig = field(default_factory=FCamConfig)
    ir_labels: IrLabelsConfig = field(default_factory=IrLabelsConfig)
    pseudo_masks: PseudoMasksConfig = field(default_factory=PseudoMasksConfig)
    crf: CrfConfig = field(default_factory=CrfConfig)
    mask_crf: MaskCrfConfig = field(default_factory=MaskCrfConfig)
    irn: IrnConfig = field(default_factory=IrnConfig)
    flow_boundary: FlowBoundaryConfig = field(default_factory=FlowBoundaryConfig)
    maskconsist: MaskConsistConfig = field(default_factory=MaskConsistConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    self_training: SelfTrainingConfig = field(default_factory=SelfTrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)

    def in_effect(self) -> Config:
        """The settings that count: a group whose switch is off is as it is off by default."""
        groups = {item.name: getattr(self, item.name) for item in fields(self)}
        changed = {n: g.in_effect() for n, g in groups.items() if hasattr(g, "in_effect")}
        return replace(self, **changed)

    def __post_init__(self) -> None:
        check_range("seed", self.seed, 0, 2**31 - 1)
