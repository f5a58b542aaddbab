"""Configuration: one frozen dataclass per stage, the paper's YouTube-VIS values as defaults.

Every value has one dotted name (``fcam.amplification``), the same on the command line, in Ray Tune,
in Optuna and in MLflow. Ranges are checked when an object is made, so a sweep cannot run outside
them. "Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019. Where the paper is silent
the reason for a default is in docs/equations.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

from wsvis.cam.config import (
    CamConfig,
    ClassifierConfig,
    FCamConfig,
    IrLabelsConfig,
    PseudoMasksConfig,
)
from wsvis.data.config import DataConfig
from wsvis.evaluation.config import ConsistencyConfig
from wsvis.flow.config import FlowConfig
from wsvis.irn.config import FlowBoundaryConfig, IrnConfig
from wsvis.maskconsist.config import MaskConsistConfig
from wsvis.refinement.config import CrfConfig, MaskCrfConfig
from wsvis.settings import check_range
from wsvis.systems.config import DetectorConfig, SelfTrainingConfig
from wsvis.tracking.config import TrackingConfig


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
