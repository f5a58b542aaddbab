"""The way of the data, as a list of stages; a newcomer who reads this file knows the project.

    frames ─┬─ classifier ── cam ──┬─ pseudo_masks ── pseudo_mask_quality
            └─ flow ── motion ─────┴─ ir_labels ── irn ── pseudo_labels ── pseudo_label_quality

    frames ── delta_flow ──┐
    pseudo_labels ─────────┴─ detector ── predictions ── prediction_quality

A stage says which stages it reads, which settings it depends on and whether it draws random
numbers. From that follows its key: two runs that agree on all of it share one result, so a sweep
recomputes only what its parameters change. The same stages run here in a plain loop
(:func:`run_pipeline`) and sharded over machines in ``wsvis_platform``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from wsvis.cam import mask_stages
from wsvis.config import Config
from wsvis.config_checks import config_slice
from wsvis.data import stages as data_stages
from wsvis.errors import InputError
from wsvis.evaluation import stages as evaluation_stages
from wsvis.flow import stages as flow_stages
from wsvis.payload import Payload
from wsvis.seeds import stage_seed
from wsvis.stage import Stage, later
from wsvis.types import Dataset, Report

_CAM, _IRN, _DETECTORS = "wsvis.cam.stages", "wsvis.irn.stages", "wsvis.detectors.stages"
_FCAM = ("fcam.amplification", "fcam.percentile", "fcam.floor")

STAGES: tuple[Stage, ...] = (
    # every frame decodes at the size the data set says; a video that fails is out from here on
    Stage("frames", 1, (), (), per_video=data_stages.check_frames),
    Stage("flow", 1, ("frames",), ("flow",), per_video=flow_stages.flow),
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
        ),
        per_video=later(_IRN, "pseudo_labels"),
    ),
    # Mask R-CNN on frame pairs, its labels made consistent along the flow between (MaskConsist)
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
    Stage(
        "detector",
        1,
        ("frames", "classifier", "pseudo_labels", "delta_flow"),
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
            "classifier.normalisation",
            "classifier.stride_two_padding",
        ),
        seeded=True,
        whole=later(_DETECTORS, "detector"),
    ),
    Stage(
        "predictions",
        1,
        ("frames", "detector"),
        (
            "detector.infer_short_side",
            "detector.score_threshold",
            "detector.nms_threshold",
            "detector.detections",
        ),
        per_video=later(_DETECTORS, "predictions"),
    ),
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
        1,
        ("pseudo_labels",),
        (),
        whole=evaluation_stages.quality_of("pseudo_labels"),
    ),
    Stage(
        "prediction_quality",
        1,
        ("predictions",),
        (),
        whole=evaluation_stages.quality_of("predictions"),
    ),
    Stage(
        "pseudo_mask_quality",
        1,
        ("pseudo_masks",),
        (),
        whole=evaluation_stages.quality_of("pseudo_masks"),
    ),
    Stage("cam_quality", 1, ("cam_masks",), (), whole=evaluation_stages.quality_of("cam_masks")),
    Stage(
        "motion_quality",
        1,
        ("motion_masks",),
        (),
        whole=evaluation_stages.quality_of("motion_masks"),
    ),
)
BY_NAME = {stage.name: stage for stage in STAGES}
_TRAINED = frozenset({"classifier", "irn", "detector"})


def needed(targets: Iterable[str], given: Iterable[str] = ()) -> list[Stage]:
    """The stages that the targets need, inputs first; a given stage's own inputs are not needed."""
    wanted, stopped = set(targets), set(given)
    for stage in reversed(STAGES):
        if stage.name in wanted and stage.name not in stopped:
            wanted.update(stage.inputs)
    return [stage for stage in STAGES if stage.name in wanted and stage.name not in stopped]


def stage_keys(
    config: Config, dataset: Dataset, targets: Iterable[str], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Stage name -> content-addressed key, for all stages the targets need.

    Args:
        config: the whole run's settings; each stage sees only its slice.
        dataset: gives the data fingerprint.
        targets: names of the stages wanted.
        given: keys taken as they are, for instance a classifier trained on another split.
    """
    keys: dict[str, str] = dict(given or {})
    for stage in needed(targets, keys):
        identity: dict[str, Any] = {
            "stage": stage.name,
            "version": stage.version,
            "settings": config_slice(config, stage.settings),
            "inputs": {name: keys[name] for name in stage.inputs},
            "data": dataset.fingerprint,
        }
        if stage.seeded:
            identity["seed"] = stage_seed(config.seed, stage.name)
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        keys[stage.name] = hashlib.sha256(text.encode()).hexdigest()[:32]
    return keys


def trained_networks(
    config: Config, targets: Iterable[str], trained_on: Dataset | None
) -> dict[str, str]:
    """Keys of the networks the targets rest on, trained on other videos; nothing without those.

    To measure on held-out videos: what is trained comes from the training videos.
    """
    if trained_on is None:
        return {}
    trained = [stage.name for stage in needed(targets) if stage.name in _TRAINED]
    keys = stage_keys(config, trained_on, trained)
    return {name: keys[name] for name in trained}


def check_settings(config: Config, dataset: Dataset, targets: Iterable[str] = ()) -> None:
    """Try what would otherwise fail minutes into a run: weights files and flow providers.

    Args:
        config: the whole run's settings.
        dataset: gives the class names.
        targets: what will be asked for; a detector is only tried where one is needed.

    Raises:
        InputError: a file is absent or of another architecture.
    """
    flow_stages.flow(config, {})
    later(_CAM, "initial_classifier")(config, dataset)
    if any(stage.name == "detector" for stage in needed(targets)):
        later(_DETECTORS, "check_initial")(config, dataset)


class _InMemory:
    """Results of a run that keeps everything in memory."""

    def __init__(self) -> None:
        self.wholes: dict[str, Payload] = {}
        self.videos: dict[str, dict[str, Payload]] = {}

    def whole(self, stage: str) -> Payload:
        return self.wholes[stage]

    def video(self, stage: str, video_id: str) -> Payload | None:
        return self.videos[stage].get(video_id)


def run_pipeline(
    config: Config, dataset: Dataset, targets: Iterable[str], report: Report | None = None
) -> Mapping[str, Payload | dict[str, Payload]]:
    """All stages in this process, results in memory: for small data, notebooks and tests.

    Returns:
        Stage name -> payload, or -> {video id: payload}. A video that cannot be read is left out.
    """
    memory = _InMemory()
    for stage in needed(targets):
        if stage.whole is not None:
            memory.wholes[stage.name] = stage.whole(config, dataset, memory, report)
            continue
        assert stage.per_video is not None
        process = stage.per_video(
            config, {name: memory.wholes[name] for name in stage.inputs if name in memory.wholes}
        )
        done: dict[str, Payload] = {}
        for video in dataset.videos:
            inputs = {
                name: memory.video(name, video.id)
                for name in stage.inputs
                if BY_NAME[name].per_video
            }
            if any(payload is None for payload in inputs.values()):
                continue
            try:
                done[video.id] = process(video, inputs)  # pyright: ignore[reportArgumentType]
            except InputError:
                continue
        memory.videos[stage.name] = done
    return {**memory.wholes, **memory.videos}
