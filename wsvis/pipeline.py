"""The way of the data, as a list of stages; a newcomer who reads this file knows the project.

    frames ─┬─ classifier ── cam ──┬─ pseudo_masks ── pseudo_mask_quality
            └─ flow ── motion ─────┴─ ir_labels ── irn ── pseudo_labels ── pseudo_label_quality

    frames ── delta_flow ──┐
    pseudo_labels ─────────┴─ detector ── predictions ──┬─ prediction_quality, consistency
                                flow ── step_flow ──────┴─ tracks ── track_quality

    pseudo_masks ── fcam_labels ── fcam_label_quality          (a CRF on the final masks)
    pseudo_labels ── refined_labels ── refined_label_quality

The two lines of the detector are there five times: on flowIRN's pseudo-labels, on what that
detector finds (``self_``: self_labels, self_detector, ...), on the annotated masks
(``supervised_``: truth_labels, supervised_detector, ...), the upper bound, on flowIRN's labels
after a CRF (``refined_``), and on masks straight from f-CAM after it (``fcam_``).

A stage says which stages it reads, which settings it depends on and whether it draws random
numbers. From that follows its key: two runs that agree on all of it share one result, so a sweep
recomputes only what its parameters change. The same stages run in a plain loop
(``wsvis/one_machine.py``) and sharded over machines in ``wsvis_platform``.
"""

from __future__ import annotations

from functools import partial

from wsvis.cam import mask_stages
from wsvis.data import stages as data_stages
from wsvis.evaluation import stages as evaluation_stages
from wsvis.flow import stages as flow_stages
from wsvis.stage import Stage, later

_CAM, _IRN, _DETECTORS = "wsvis.cam.stages", "wsvis.irn.stages", "wsvis.systems.stages"
_LABELS, _TRACKS = "wsvis.systems.labels", "wsvis.tracking.stages"
_REFINEMENT = "wsvis.refinement.stages"
_FCAM = ("fcam.amplification", "fcam.percentile", "fcam.floor")


DETECTOR_LABELS = {
    "": "pseudo_labels",
    "self_": "self_labels",
    "supervised_": "truth_labels",
    "refined_": "refined_labels",
    "fcam_": "fcam_labels",
}
"""What the names of a detector's stages begin with -> the stage it learns from."""


def _detected(prefix: str) -> tuple[Stage, ...]:
    """A detector trained on the labels of a stage, what it finds, and how good that is."""
    labels = DETECTOR_LABELS[prefix]
    detector, predictions, tracks = (f"{prefix}{n}" for n in ("detector", "predictions", "tracks"))
    return (
        # Mask R-CNN on frame pairs, labels made consistent along the flow between (MaskConsist)
        Stage(
            detector,
            1,
            ("frames", "classifier", labels, "delta_flow"),
            (
                "maskconsist",
                "detector.backend",
                "detector.backbone",
                "detector.weights",
                "detector.frozen_stages",
                "detector.steps",
                "detector.pairs",
                "detector.optimiser",
                "detector.learning_rate",
                "detector.backbone_rate_factor",
                "detector.momentum",
                "detector.weight_decay",
                "detector.schedule",
                "detector.warm_up",
                "detector.clip_norm",
                "detector.short_sides",
                "detector.mirror",
                "detector.label_score",
                "detector.empty_as_background",
                "detector.background_frames",
                "classifier.normalisation",
                "classifier.stride_two_padding",
            ),
            seeded=True,
            whole=partial(later(_DETECTORS, "detector"), labels=labels),
        ),
        Stage(
            predictions,
            1,
            ("frames", detector),
            (
                "detector.infer_short_side",
                "detector.score_threshold",
                "detector.nms_threshold",
                "detector.detections",
            ),
            per_video=partial(later(_DETECTORS, "predictions"), detector=detector),
        ),
        Stage(
            f"{prefix}prediction_quality",
            2,
            (predictions,),
            (),
            sees_truth=True,
            whole=evaluation_stages.quality_of(predictions),
        ),
        Stage(
            tracks,
            1,
            (predictions, "step_flow"),
            ("tracking",),
            per_video=partial(later(_TRACKS, "tracks"), detections=predictions),
        ),
        Stage(
            f"{prefix}track_quality",
            1,
            (tracks,),
            (),
            sees_truth=True,
            whole=evaluation_stages.track_quality_of(tracks),
        ),
        Stage(
            f"{prefix}consistency",
            1,
            (predictions, "step_flow"),
            ("consistency",),
            whole=evaluation_stages.consistency_of(predictions),
        ),
    )


def _refined(labels: str, prefix: str) -> tuple[Stage, Stage]:
    """The masks of a stage after a CRF, and how good they are."""
    name = DETECTOR_LABELS[prefix]
    return (
        Stage(
            name,
            1,
            ("frames", labels),
            ("mask_crf", "crf"),
            per_video=partial(later(_REFINEMENT, "refined"), labels=labels),
        ),
        Stage(
            f"{prefix}label_quality",
            2,
            (name,),
            (),
            sees_truth=True,
            whole=evaluation_stages.quality_of(name),
        ),
    )


STAGES: tuple[Stage, ...] = (
    # every frame decodes at the size the data set says; a video that fails is out from here on
    Stage("frames", 1, (), (), per_video=data_stages.check_frames),
    Stage("flow", 2, ("frames",), ("flow",), per_video=flow_stages.flow),
    # how far each pixel moves once the camera's motion is taken out
    Stage("motion", 1, ("flow",), ("fcam.compensation",), per_video=flow_stages.motion),
    Stage(
        "classifier", 1, ("frames",), ("classifier",), seeded=True, whole=later(_CAM, "classifier")
    ),
    Stage(
        "classifier_quality",
        1,
        ("frames", "classifier"),
        (),
        whole=later(_CAM, "classifier_quality"),
    ),
    Stage("cam", 1, ("frames", "classifier"), ("cam",), per_video=later(_CAM, "cam")),
    # Eq. 2 and the masks it gives
    Stage(
        "pseudo_masks",
        1,
        ("cam", "motion"),
        (*_FCAM, "ir_labels.foreground_threshold", "pseudo_masks"),
        per_video=mask_stages.pseudo_masks,
    ),
    # where each frame is surely which class; then Eq. 1 and 3
    Stage(
        "ir_labels",
        1,
        ("cam", "motion"),
        (*_FCAM, "ir_labels", "crf"),
        per_video=later(_IRN, "ir_labels"),
    ),
    Stage(
        "irn",
        1,
        ("frames", "flow", "classifier", "ir_labels"),
        (
            "irn.initial",
            "irn.frozen",
            "irn.boundary_channels",
            "irn.displacement_channels",
            "irn.canvas",
            "irn.scales",
            "irn.mirror",
            "irn.radius_train",
            "irn.optimiser",
            "irn.learning_rate",
            "irn.displacement_rate_factor",
            "irn.backbone_rate_factor",
            "irn.momentum",
            "irn.weight_decay",
            "irn.epochs",
            "irn.min_steps",
            "irn.max_steps",
            "irn.batch_size",
            "flow_boundary",
            "classifier.backbone",
            "classifier.weights",
            "classifier.normalisation",
            "classifier.stride_two_padding",
        ),
        seeded=True,
        whole=later(_IRN, "irn"),
    ),
    Stage(
        "pseudo_labels",
        1,
        ("cam", "motion", "irn"),
        (
            *_FCAM,
            "irn.seeds",
            "irn.canvas",
            "irn.radius_infer",
            "irn.beta",
            "irn.walk_steps",
            "irn.refinements",
            "irn.cluster_threshold",
            "irn.background_threshold",
            "irn.min_area",
            "irn.scores",
        ),
        per_video=later(_IRN, "pseudo_labels"),
    ),
    # between the two frames of a pair that a detector learns from
    Stage(
        "delta_flow",
        1,
        ("frames",),
        (
            "flow.provider",
            "flow.weights",
            "flow.long_side",
            "flow.stored_stride",
            "maskconsist.delta",
        ),
        per_video=flow_stages.delta_flow,
    ),
    # along which masks are followed from one listed frame to the next
    Stage(
        "step_flow",
        1,
        ("frames", "flow"),
        ("flow.provider", "flow.weights", "flow.long_side", "flow.stored_stride"),
        per_video=flow_stages.step_flow,
    ),
    *_detected(""),
    Stage(
        "self_labels",
        1,
        ("predictions",),
        ("self_training",),
        per_video=later(_LABELS, "self_labels"),
    ),
    *_detected("self_"),
    Stage(
        "truth_labels",
        1,
        ("frames",),
        (),
        sees_truth=True,
        per_video=later(_LABELS, "truth_labels"),
    ),
    *_detected("supervised_"),
    *_refined("pseudo_labels", "refined_"),
    *_detected("refined_"),
    *_refined("pseudo_masks", "fcam_"),
    *_detected("fcam_"),
    # the two baselines every sweep is held against
    Stage(
        "cam_masks",
        1,
        ("cam",),
        ("ir_labels.foreground_threshold", "pseudo_masks"),
        per_video=mask_stages.cam_masks,
    ),
    Stage(
        "motion_masks",
        1,
        ("motion",),
        ("fcam.percentile", "fcam.floor", "pseudo_masks"),
        per_video=mask_stages.motion_masks,
    ),
    Stage(
        "pseudo_label_quality",
        2,
        ("pseudo_labels",),
        (),
        sees_truth=True,
        whole=evaluation_stages.quality_of("pseudo_labels"),
    ),
    Stage(
        "pseudo_mask_quality",
        2,
        ("pseudo_masks",),
        (),
        sees_truth=True,
        whole=evaluation_stages.quality_of("pseudo_masks"),
    ),
    Stage(
        "cam_quality",
        2,
        ("cam_masks",),
        (),
        sees_truth=True,
        whole=evaluation_stages.quality_of("cam_masks"),
    ),
    Stage(
        "motion_quality",
        2,
        ("motion_masks",),
        (),
        sees_truth=True,
        whole=evaluation_stages.quality_of("motion_masks"),
    ),
)
BY_NAME = {stage.name: stage for stage in STAGES}
DETECTORS = frozenset(f"{prefix}detector" for prefix in DETECTOR_LABELS)
"""The stages that train one."""
TRAINED = frozenset({"classifier", "irn"}) | DETECTORS
"""The stages that train a network."""
