"""The way of the data, as a list of stages; a newcomer who reads this file knows the project.

    frames ─┬─ classifier ── cam ──┬─ pseudo_masks ── fcam_labels          ┐
            └─ flow ── motion ─────┴─ ir_labels ── irn ── pseudo_labels ───┤ labels: the setting
                                      pseudo_labels ── refined_labels      │ ``labels`` chooses
                      (annotated masks) truth_labels, (a teacher) self_labels ┘
    labels ── system ── predictions ──┬─ prediction_quality, consistency
             pair_flow ┘              └─ tracks ── track_quality      (step_flow: along which)

A stage names its inputs by role, the settings it is handed (whole groups, or single ones of a group
that several stages share), whether it trains, draws random numbers, loads a network or sees the
annotated masks; and its function. Two runs that agree on all of it share one result. ``system``
trains the detector that the setting ``system`` names. ``wsvis/plan.py`` makes a run's graph of it.
"""

from __future__ import annotations

from typing import get_args

from wsvis.cam import mask_stages as masks
from wsvis.data import stages as data
from wsvis.evaluation import stages as quality
from wsvis.flow import stages as flow
from wsvis.later import later, later_all
from wsvis.learning.share import Training
from wsvis.stage import Stage, always
from wsvis.stage_inputs import (
    fcam_settings,
    irn_reads,
    irn_settings,
    map_reads,
    refinement_reads,
    refinement_settings,
    roles,
    system_reads,
    system_settings,
    walk_reads,
)
from wsvis.systems.config import LabelSource

CAM, IRN, IRN_TRAIN = "wsvis.cam.stages", "wsvis.irn.stages", "wsvis.irn.train_stage"
LABELS, TRAIN, PREDICT = (f"wsvis.systems.{name}" for name in ("labels", "train", "stages"))
SYSTEM, REFINE, TRACKS = "system", "wsvis.refinement.stages", "wsvis.tracking.stages"
LABEL_SOURCES: tuple[str, ...] = get_args(LabelSource)
"""Stages whose instances a detector can learn from."""
_THRESHOLD = "ir_labels.foreground_threshold"

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
    Stage("pseudo_masks", 2, map_reads, lambda c: (*fcam_settings(c), _THRESHOLD, "pseudo_masks"),
          per_video=masks.pseudo_masks),
    # where each frame is surely which class; then Eq. 1 and 3
    Stage("ir_labels", 2, map_reads, lambda c: (*fcam_settings(c), "ir_labels", "crf"), gpu=True,
          per_video=later(IRN, "ir_labels")),
    Stage("irn", 1, irn_reads, irn_settings, seed="irn",
          training=Training(*later_all(IRN_TRAIN, "train", "check", "steps", "batches"))),
    Stage("pseudo_labels", 2, walk_reads,
          lambda c: ("walk", "irn.canvas", *(() if c.walk.seeds == "cam" else fcam_settings(c))),
          network=always, per_video=later(IRN, "pseudo_labels")),
    # the two baselines every sweep is held against
    Stage("cam_masks", 1, ("cam",), (_THRESHOLD, "pseudo_masks"), per_video=masks.cam_masks),
    Stage("motion_masks", 1, ("motion",), ("fcam.percentile", "fcam.floor", "pseudo_masks"),
          per_video=masks.motion_masks),

    # what a detector can learn from, beside pseudo_labels: masks made to fit, ...
    Stage("refined_labels", 1, refinement_reads("pseudo_labels"), refinement_settings,
          gpu=True, per_video=later(REFINE, "refined")),
    Stage("fcam_labels", 1, refinement_reads("pseudo_masks"), refinement_settings,
          gpu=True, per_video=later(REFINE, "refined")),
    # ... what another detector finds, and the annotated masks
    Stage("self_labels", 1, lambda c: roles(predictions="teacher:predictions"),
          ("self_training.score", "self_training.frame_classes"),
          per_video=later(LABELS, "self_labels")),
    Stage("truth_labels", 1, ("frames",), (), sees_truth=True,
          per_video=later(LABELS, "truth_labels")),
    # any detector, on any of these labels
    Stage("pair_flow", 1, ("frames",), ("flow", "pairs"), network=flow.has_network,
          per_video=flow.pair_flow),
    Stage("system", 1, system_reads, system_settings, seed="detector",
          training=Training(*later_all(TRAIN, "train", "check", "steps"))),
    Stage("predictions", 1, ("frames", "system"), ("inference",), network=always,
          per_video=later(PREDICT, "predictions")),
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
    Stage("consistency", 1, lambda c: roles("step_flow", masks="predictions"), ("consistency",),
          whole=quality.consistency),
)
# fmt: on
BY_NAME = {stage.name: stage for stage in STAGES}
