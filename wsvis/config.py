"""Configuration: one frozen dataclass per stage, the paper's YouTube-VIS values as defaults.

Every value has one dotted name (``fcam.amplification``), the same on the command line, in Ray Tune,
in Optuna and in MLflow. Ranges are checked when an object is made, so a sweep cannot run outside
them. "Paper" is Liu et al., CVPR 2021; "IRN" is Ahn et al., CVPR 2019. Where the paper is silent
the reason for a default is in docs/equations.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
from wsvis.irn.config import FlowBoundaryConfig, IrnConfig, WalkConfig
from wsvis.maskconsist.config import MaskConsistConfig
from wsvis.refinement.config import CrfConfig, MaskCrfConfig, MotionSplitConfig
from wsvis.settings import check_choices, check_range
from wsvis.systems import check_system
from wsvis.systems.boxinst.config import BoxInstConfig
from wsvis.systems.config import (
    DetectorConfig,
    InferenceConfig,
    LabelSource,
    PairsConfig,
    SelfTrainingConfig,
)
from wsvis.systems.mask_rcnn.config import MaskRcnnConfig
from wsvis.tracking.config import TrackingConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """One whole run."""

    seed: int = 0
    """Of every random number; each stage draws its own from it. Experiments take ``--seeds``."""
    labels: LabelSource = "pseudo_labels"
    """What the detector learns from: flowIRN's labels, those after a CRF, masks straight from f-CAM
    after it, what another detector finds (self-training), or the annotated masks (upper bound)."""
    system: str = "mask_rcnn"
    """Which detector learns from them: mask_rcnn (with MaskConsist, where that is on), boxinst
    (sees their boxes alone), or condinst (the same network on their masks)."""
    data: DataConfig = field(default_factory=DataConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    cam: CamConfig = field(default_factory=CamConfig)
    fcam: FCamConfig = field(default_factory=FCamConfig)
    ir_labels: IrLabelsConfig = field(default_factory=IrLabelsConfig)
    pseudo_masks: PseudoMasksConfig = field(default_factory=PseudoMasksConfig)
    crf: CrfConfig = field(default_factory=CrfConfig)
    motion_split: MotionSplitConfig = field(default_factory=MotionSplitConfig)
    mask_crf: MaskCrfConfig = field(default_factory=MaskCrfConfig)
    irn: IrnConfig = field(default_factory=IrnConfig)
    flow_boundary: FlowBoundaryConfig = field(default_factory=FlowBoundaryConfig)
    walk: WalkConfig = field(default_factory=WalkConfig)
    maskconsist: MaskConsistConfig = field(default_factory=MaskConsistConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    mask_rcnn: MaskRcnnConfig = field(default_factory=MaskRcnnConfig)
    boxinst: BoxInstConfig = field(default_factory=BoxInstConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    self_training: SelfTrainingConfig = field(default_factory=SelfTrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)

    def __post_init__(self) -> None:
        check_range("seed", self.seed, 0, 2**31 - 1)
        check_choices(self, "")
        check_system(self.system)
