"""Configuration: one frozen dataclass per stage, the paper's YouTube-VIS values as defaults.

Every value has one dotted name (``fcam.amplification``), the same on the command line, in Ray Tune,
in Optuna and in MLflow. Ranges are checked when an object is made, so a sweep cannot run outside
them. "Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019. Where the paper is silent
the reason for a default is in docs/equations.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from wsvis.config_checks import check_choices, check_range
from wsvis.detector_config import DetectorConfig, MaskConsistConfig, SelfTrainingConfig
from wsvis.measure_config import ConsistencyConfig, TrackingConfig

BackboneName = Literal["small", "resnet18", "resnet50", "mobilenet_v2"]
FlowProviderName = Literal[
    "dis-ultrafast", "dis-fast", "dis-medium", "farneback", "raft-small", "raft-large"
]
Compensation = Literal["none", "median", "affine", "homography"]
FlowGradient = Literal["jacobian", "diagonal", "magnitude"]


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
    videos: int = 0
    """Use only the first n videos; 0 = all."""
    synthetic_videos: int = 60
    """Clips of the synthetic train split (its validation split has a third as many)."""

    def __post_init__(self) -> None:
        check_choices(self, "data")
        check_range("data.held_out_per_class", self.held_out_per_class, 1, 10_000)
        check_range("data.split_seed", self.split_seed, 0, 2**31 - 1)
        check_range("data.frame_step", self.frame_step, 1, 1000)
        check_range("data.videos", self.videos, 0, 10_000_000)
        check_range("data.synthetic_videos", self.synthetic_videos, 3, 100_000)


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Optical flow between consecutive frames (paper Sec. 4.2 uses DDFlow; any provider serves)."""

    provider: FlowProviderName = "dis-medium"
    weights: str = ""
    """RAFT only: a local file, or the name of torchvision's weights (for example ``C_T_V2``)."""
    gap: int = 1
    """Frames between the two ends of a pair: 1 for f-CAM and f-Bound, delta for MaskConsist."""
    long_side: int = 0
    """Frames whose longer side is greater are shrunk to it before flow is computed; 0 = never."""
    stored_stride: int = 2
    """Flow is stored on a grid this many pixels apart (vectors stay in pixels of the frame)."""

    def __post_init__(self) -> None:
        check_choices(self, "flow")
        check_range("flow.gap", self.gap, 1, 1000)
        check_range("flow.long_side", self.long_side, 0, 100_000)
        check_range("flow.stored_stride", self.stored_stride, 1, 16)


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """The frame classifier behind the CAMs (IRN Sec. 3.1 as its authors ran it)."""

    backbone: BackboneName = "resnet50"
    weights: str = "IMAGENET1K_V1"
    """Initial weights: torchvision's name, a local .safetensors / .pth file, ``standin`` for the
    shipped stand-in (backbone ``small`` only), or ``none``."""
    normalisation: Literal["imagenet", "half"] = "imagenet"
    """imagenet: ImageNet mean and std; half: (x - 0.5) / 0.5."""
    stride_two_padding: Literal["symmetric", "same"] = "symmetric"
    """same: pad right and bottom in stride-2 convolutions, as weights from TensorFlow expect."""
    pooling: Literal["average", "lse"] = "average"
    """lse: log-sum-exp pooling with sharpness ``lse_sharpness``."""
    lse_sharpness: float = 4.0
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    """Of the backbone; the head learns ``head_rate_factor`` times faster."""
    head_rate_factor: float = 10.0
    momentum: float = 0.0
    """IRN's released code runs at momentum 0 in effect, not the 0.9 it seems to say."""
    weight_decay: float = 1e-4
    epochs: float = 5.0
    batch_size: int = 16
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
        check_range("classifier.batch_size", self.batch_size, 1, 65_536)
        check_range("classifier.crop", self.crop, 0, 4096)


@dataclass(frozen=True, kw_only=True)
class CamConfig:
    """Class activation maps (IRN): summed over scales and flips, max-normalised per class."""

    scales: tuple[float, ...] = (1.0, 0.5, 1.5, 2.0)
    flip: bool = True
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
    background_threshold: float = 0.05

    def __post_init__(self) -> None:
        check_range("ir_labels.foreground_threshold", self.foreground_threshold, 0, 1e6)
        check_range("ir_labels.background_threshold", self.background_threshold, 0, 1e6)


@dataclass(frozen=True, kw_only=True)
class PseudoMasksConfig:
    """Instance masks straight from f-CAM: threshold, connected components, score.

    The threshold is ``ir_labels.foreground_threshold``: one value decides what is foreground.
    """

    source: Literal["fcam", "cam", "motion"] = "fcam"
    """fcam: Eq. 2; cam: plain CAM; motion: the moving mask alone with the frame's classes."""
    min_area: float = 0.01
    """Components smaller than this share of the frame are dropped (IRN)."""

    def __post_init__(self) -> None:
        check_choices(self, "pseudo_masks")
        check_range("pseudo_masks.min_area", self.min_area, 0, 1)


@dataclass(frozen=True, kw_only=True)
class CrfConfig:
    """Dense CRF on the IR labels (IRN's code; Kraehenbuehl & Koltun 2011)."""

    enabled: bool = True
    certainty: float = 0.7
    """Probability that a given label is right."""
    smoothness_sigma: float = 3.0
    """Pixels of the frame."""
    smoothness_weight: float = 3.0
    appearance_sigma: float = 50.0
    """Pixels of the frame, meant for a longer side of about 500: small frames need less."""
    colour_sigma: float = 5.0
    """Grey levels of 0..255."""
    appearance_weight: float = 10.0
    iterations: int = 10
    stride: int = 2
    """Pixels per cell of the grid it runs on; IRN reads the result every fourth pixel."""
    neighbours: int = 64
    """Cells in each half plane that the appearance kernel sums over."""

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
class IrnConfig:
    """Inter-pixel relation network: training and pseudo-labels (IRN as its authors ran it)."""

    initial: Literal["imagenet", "classifier"] = "imagenet"
    """The backbone starts from ``classifier.weights`` as IRN's does, or from the trained
    classifier's backbone."""
    frozen: bool = True
    """Only the two branches learn (IRN); else the backbone too, ``backbone_rate_factor`` slower."""
    boundary_channels: int = 32
    displacement_channels: int = 256
    canvas: tuple[int, int] = (512, 512)
    """Rows and columns the network reads, in training and after; larger frames are shrunk to it.
    0 = the frame's own size."""
    scales: tuple[float, float] = (0.5, 1.5)
    """Range of the random resize in training; (1, 1) = none."""
    mirror: bool = True
    radius_train: int = 10
    """Pairs strictly closer than this many cells of 4 pixels are compared."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    """Of the boundary branch at the start; it falls as (1 - step / steps)^0.9."""
    displacement_rate_factor: float = 10.0
    backbone_rate_factor: float = 0.1
    momentum: float = 0.0
    """IRN's released code runs at momentum 0 in effect."""
    weight_decay: float = 1e-4
    epochs: float = 6.0
    """Paper: 6 (IRN: 3)."""
    batch_size: int = 32
    """Of all workers together."""
    seeds: Literal["saturated", "literal", "cam"] = "saturated"
    """Seeds of the walk: f-CAM with no value above 1, f-CAM as it is, or plain CAM. Literal f-CAM
    pushes still objects under the background constant beside moving ones."""
    radius_infer: int = 5
    """Neighbours of the random walk, in cells."""
    beta: float = 10.0
    """Exponent of the affinity in the walk."""
    walk_steps: int = 256
    refinements: int = 300
    """Steps of the centroids."""
    cluster_threshold: float = 2.5
    """Cells with a displacement below this many cells are near a centre; small frames need less."""
    background_threshold: float = 0.25
    """Constant score of the background after the walk."""
    min_area: float = 0.01
    """Components smaller than this share of the frame are dropped."""

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
        check_range("irn.batch_size", self.batch_size, 1, 65_536)
        check_range("irn.radius_infer", self.radius_infer, 2, 64)
        check_range("irn.beta", self.beta, 0.01, 1000)
        check_range("irn.walk_steps", self.walk_steps, 0, 1_000_000)
        check_range("irn.refinements", self.refinements, 0, 1_000_000)
        check_range("irn.cluster_threshold", self.cluster_threshold, 0, 1e6)
        check_range("irn.background_threshold", self.background_threshold, 0, 1)
        check_range("irn.min_area", self.min_area, 0, 1)


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

    def __post_init__(self) -> None:
        check_choices(self, "flow_boundary")
        check_range("flow_boundary.weight", self.weight, 0, 1e6)
        check_range("flow_boundary.regularization", self.regularization, 0, 1e6)


@dataclass(frozen=True, kw_only=True)
class Config:
    """One whole run."""

    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    cam: CamConfig = field(default_factory=CamConfig)
    fcam: FCamConfig = field(default_factory=FCamConfig)
    ir_labels: IrLabelsConfig = field(default_factory=IrLabelsConfig)
    pseudo_masks: PseudoMasksConfig = field(default_factory=PseudoMasksConfig)
    crf: CrfConfig = field(default_factory=CrfConfig)
    irn: IrnConfig = field(default_factory=IrnConfig)
    flow_boundary: FlowBoundaryConfig = field(default_factory=FlowBoundaryConfig)
    maskconsist: MaskConsistConfig = field(default_factory=MaskConsistConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    self_training: SelfTrainingConfig = field(default_factory=SelfTrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)

    def __post_init__(self) -> None:
        check_range("seed", self.seed, 0, 2**31 - 1)
