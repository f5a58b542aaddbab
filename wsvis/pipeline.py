"""The way of the data, as a list of stages; a newcomer who reads this file knows the project.

    frames ─┬─ classifier ── cam ──┬─ pseudo_masks ── fcam_labels          ┐
            └─ flow ── motion ─────┴─ ir_labels ── irn ── pseudo_labels ───┤ labels: the setting
                                      pseudo_labels ── refined_labels      │ ``labels`` chooses
                      (annotated masks) truth_labels, (a teacher) self_labels ┘
    labels ── system ── predictions ──┬─ prediction_quality, consistency
             pair_flow ┘              └─ tracks ── track_quality      (step_flow: along which)

A stage names its inputs by role, the settings it is handed (whole groups, or single ones of a group
that several stages share), whether it trains, draws random numbers, loads a network or sees the
annotated masks; and its function. From that follows its key: two runs that agree on all of it share
one result. ``system`` trains the detector that the setting ``system`` names, on the labels that the
setting ``labels`` names. ``wsvis/plan.py`` makes the graph of a run from this list.
"""

from __future__ import annotations

from collections.abc import Mapping

from wsvis.cam import mask_stages as masks
from wsvis.config import Config
from wsvis.data import stages as data
from wsvis.evaluation import stages as quality
from wsvis.flow import stages as flow
from wsvis.later import later, later_all
from wsvis.learning.share import Training
from wsvis.stage import Stage, always
from wsvis.systems import SYSTEMS

CAM, IRN, LABELS = "wsvis.cam.stages", "wsvis.irn.stages", "wsvis.systems.labels"
SYSTEM, REFINE, TRACKS = "system", "wsvis.refinement.stages", "wsvis.tracking.stages"
TRAIN, IRN_TRAIN, STAGES_OF = "wsvis.systems.train", "wsvis.irn.train_stage", "wsvis.systems.stages"

LABEL_SOURCES = ("pseudo_labels", "refined_labels", "fcam_labels", "self_labels", "truth_labels")
"""Stages whose instances a detector can learn from."""
_BACKBONE = tuple(
    f"classifier.{name}" for name in ("backbone", "weights", "normalisation", "stride_two_padding")
)
_THRESHOLD = "ir_labels.foreground_threshold"
_KERNELS = tuple(
    f"crf.{name}"
    for name in (
        *("certainty", "smoothness_sigma", "smoothness_weight", "appearance_sigma"),
        *("colour_sigma", "appearance_weight", "iterations", "stride", "neighbours"),
    )
)


def _fcam(config: Config) -> tuple[str, ...]:
    """Settings of Eq. 2; with A = 1 it changes nothing, whatever T is."""
    names = ("fcam.amplification", "fcam.percentile", "fcam.floor")
    return names if config.fcam.amplification > 1 else names[:1]


def _roles(*names: str, **more: str) -> dict[str, str]:
    return {name: name for name in names} | more


def _maps(config: Config) -> Mapping[str, str]:
    """Class maps, and motion where Eq. 2 uses it."""
    return _roles("cam", "motion") if config.fcam.amplification > 1 else _roles("cam")


def _irn_reads(config: Config) -> Mapping[str, str]:
    first = ("classifier",) if config.irn.initial == "classifier" else ()
    eq3 = ("flow",) if config.flow_boundary.weight > 0 else ()
    return _roles("frames", "ir_labels", *first, *eq3)


def _walk_reads(config: Config) -> Mapping[str, str]:
    plain = _roles("cam") if config.walk.seeds == "cam" else _maps(config)
    return {**plain, "irn": "irn"}


def _system_reads(config: Config) -> Mapping[str, str]:
    first = ("classifier",) if config.detector.weights == "classifier" else ()
    return _roles("frames", *first, *SYSTEMS[config.system].reads, labels=config.labels)


def _system_settings(config: Config) -> tuple[str, ...]:
    system = SYSTEMS[config.system]
    pairs = ("pairs",) if system.clip > 1 else ()
    return ("system", "labels", "detector", *pairs, *system.settings, *_BACKBONE)


# fmt: off
STAGES: tuple[Stage, ...] = (
    # every frame decodes at the size the data set says; a video that fails is out from here on
    Stage("frames", 1, (), (), per_video=data.check_frames),
    Stage("flow", 2, ("frames",), ("flow",), network=flow.has_network, per_video=flow.flow),
    # how far each pixel moves once the camera's motion is taken out
    Stage("motion", 1, ("flow",), ("fcam.compensation",), per_video=flow.motion),
    Stage("classifier", 1, ("frames",), ("classifier",), seed="classifier",
          training=Training(later(CAM, "train_stage"))),
    Stage("classifier_quality", 1, ("frames", "classifier"), (),
          whole=later(CAM, "classifier_quality")),
    Stage("cam", 1, ("frames", "classifier"), ("cam",), network=always,
          per_video=later(CAM, "cam")),
    # Eq. 2 and the masks it gives
    Stage("pseudo_masks", 2, _maps, lambda c: (*_fcam(c), _THRESHOLD, "pseudo_masks"),
          per_video=masks.pseudo_masks),
    # where each frame is surely which class; then Eq. 1 and 3
    Stage("ir_labels", 2, _maps, lambda c: (*_fcam(c), "ir_labels", "crf"), gpu=True,
          per_video=later(IRN, "ir_labels")),
    Stage("irn", 1, _irn_reads, ("irn", "flow_boundary", *_BACKBONE), seed="irn",
          training=Training(*later_all(IRN_TRAIN, "train", "check", "steps", "batches"))),
    Stage("pseudo_labels", 2, _walk_reads,
          lambda c: ("walk", "irn.canvas", *(() if c.walk.seeds == "cam" else _fcam(c))),
          network=always, per_video=later(IRN, "pseudo_labels")),
    # the two baselines every sweep is held against
    Stage("cam_masks", 1, ("cam",), (_THRESHOLD, "pseudo_masks"), per_video=masks.cam_masks),
    Stage("motion_masks", 1, ("motion",), ("fcam.percentile", "fcam.floor", "pseudo_masks"),
          per_video=masks.motion_masks),

    # what a detector can learn from, beside pseudo_labels: masks after a CRF, ...
    Stage("refined_labels", 1, lambda c: _roles("frames", labels="pseudo_labels"),
          lambda c: ("mask_crf", *(_KERNELS if c.mask_crf.enabled else ())), gpu=True,
          per_video=later(REFINE, "refined")),
    Stage("fcam_labels", 1, lambda c: _roles("frames", labels="pseudo_masks"),
          lambda c: ("mask_crf", *(_KERNELS if c.mask_crf.enabled else ())), gpu=True,
          per_video=later(REFINE, "refined")),
    # ... what another detector finds, and the annotated masks
    Stage("self_labels", 1, lambda c: _roles(predictions="teacher:predictions"),
          ("self_training.score", "self_training.frame_classes"),
          per_video=later(LABELS, "self_labels")),
    Stage("truth_labels", 1, ("frames",), (), sees_truth=True,
          per_video=later(LABELS, "truth_labels")),

    # any detector, on any of these labels
    Stage("pair_flow", 1, ("frames",), ("flow", "pairs"), network=flow.has_network,
          per_video=flow.pair_flow),
    Stage("system", 1, _system_reads, _system_settings, seed="detector",
          training=Training(*later_all(TRAIN, "train", "check", "steps"))),
    Stage("predictions", 1, ("frames", "system"), ("inference",), network=always,
          per_video=later(STAGES_OF, "predictions")),
    # along which masks are followed from one listed frame to the next
    Stage("step_flow", 1, ("frames", "flow"), ("flow",), network=flow.has_network,
          per_video=flow.step_flow),
    Stage("tracks", 1, ("predictions", "step_flow"), ("tracking",),
          per_video=later(TRACKS, "tracks")),

    *(Stage(f"{name}_quality", 2, (lambda c, masks=masks_of: {"masks": masks}), (),
            sees_truth=True, whole=quality.quality)
      for name, masks_of in (
          ("cam", "cam_masks"), ("motion", "motion_masks"), ("pseudo_mask", "pseudo_masks"),
          ("pseudo_label", "pseudo_labels"), ("refined_label", "refined_labels"),
          ("fcam_label", "fcam_labels"), ("prediction", "predictions"))),
    Stage("track_quality", 1, ("tracks",), (), sees_truth=True, whole=quality.track_quality),
    Stage("consistency", 1, lambda c: _roles("step_flow", masks="predictions"), ("consistency",),
          whole=quality.consistency),
)
# fmt: on
BY_NAME = {stage.name: stage for stage in STAGES}


def shown_stage(target: str) -> str:
    """The stage whose instances a quality stage measures; of tracks what they join."""
    return BY_NAME[target].roles(Config()).get("masks", "predictions")
