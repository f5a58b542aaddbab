"""The stages of the detector: training on stored labels, and what it finds in each video."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from statistics import median

from torch import nn

from wsvis.cam.stages import input_form
from wsvis.config import Config
from wsvis.data.frames import read_frames
from wsvis.device import default_device
from wsvis.errors import InputError
from wsvis.learning.workers import ALONE, Group
from wsvis.maskconsist.refine import refine
from wsvis.payload import Payload, instances_to_payload
from wsvis.seeds import stage_seed
from wsvis.settings import config_slice
from wsvis.stage import Inputs, Process
from wsvis.systems.batches import PairBatches, TrainingPair
from wsvis.systems.mask_rcnn.backend import Selection
from wsvis.systems.mask_rcnn.build import build_detector
from wsvis.systems.mask_rcnn.checkpoint import detector_from_payload, detector_to_payload
from wsvis.systems.mask_rcnn.learner import RefinePair, train_detector
from wsvis.systems.pairs import StoredPairs
from wsvis.systems.predict import predict_frames
from wsvis.types import Dataset, Report, Video

Stream = Callable[[int], Iterator[list[TrainingPair]]]
"""Step -> batches from that step on."""


def detector(
    config: Config,
    dataset: Dataset,
    inputs: Inputs,
    report: Report | None,
    *,
    labels: str = "pseudo_labels",
) -> Payload:
    """Train Mask R-CNN on the labels of a stage, or MaskConsist where ``maskconsist.enabled``."""
    classifier = inputs.whole("classifier") if config.detector.weights == "classifier" else None
    model = initial_detector(config, dataset, classifier)
    stream = training_batches(config, training_pairs(config, dataset, inputs, labels))
    return train(config, dataset, model, stream, report)


def initial_detector(
    config: Config, dataset: Dataset, classifier: Payload | None = None
) -> nn.Module:
    """The network as training finds it; what is random comes from the seed.

    Detectors on other labels start and go on from the same random numbers: their differences are
    those of the labels.

    Args:
        config: the whole run's settings.
        dataset: gives the number of classes.
        classifier: the trained one, where ``detector.weights`` is ``classifier``.

    Raises:
        InputError: weights absent or of another architecture; the backend is not installed.
    """
    settings = config.detector
    normalisation, padding = input_form(config.classifier)
    return build_detector(
        len(dataset.classes),
        backend=settings.backend,
        backbone=settings.backbone,
        weights=settings.weights,
        classifier=classifier,
        frozen_stages=settings.frozen_stages,
        normalisation=normalisation,
        stride_two_padding=padding,
        seed=stage_seed(config.seed, "detector"),
    )


def check_initial(config: Config, dataset: Dataset) -> None:
    """Try to build the network, long before its labels are there.

    Raises:
        InputError: as :func:`initial_detector`, or the classifier has another backbone, or there is
            no pair of frames.
    """
    delta, longest = config.maskconsist.delta, max((v.length for v in dataset.videos), default=0)
    if longest <= delta:
        raise InputError(
            f"{dataset.name}: no video has two frames {delta} apart (the longest has {longest}); "
            "lower maskconsist.delta"
        )
    settings, backbone = config.detector, config.classifier.backbone
    if settings.weights != "classifier":
        initial_detector(config, dataset)
    elif settings.backbone != backbone:
        raise InputError(
            f"detector.weights is classifier, whose backbone is {backbone}; set detector.backbone "
            f"to {backbone}, not {settings.backbone}, or name other weights"
        )


def training_pairs(
    config: Config, dataset: Dataset, inputs: Inputs, labels: str = "pseudo_labels"
) -> StoredPairs:
    """Every pair of frames with a label (of the stage ``labels``) in at least one of them.

    Raises:
        InputError: there is none.
    """

    def read(stage: str) -> Callable[[str], Payload]:
        def payload(video: str) -> Payload:
            stored = inputs.video(stage, video)
            assert stored is not None  # videos without it are not in the list given
            return stored

        return payload

    pairs = StoredPairs(
        [v for v in dataset.videos if inputs.video(labels, v.id) is not None],
        read(labels),
        read("delta_flow"),
        delta=config.maskconsist.delta,
        min_score=config.detector.label_score,
        background=config.detector.background_frames,
    )
    if not len(pairs):
        raise InputError(
            f"{dataset.name}: no two frames {config.maskconsist.delta} apart have a label; "
            f"lower {', '.join(_floors(labels))}"
        )
    return pairs


def _floors(labels: str) -> list[str]:
    """Settings by which pairs are lost."""
    own = ["self_training.score"] if labels == "self_labels" else []
    return ["maskconsist.delta", *own, "detector.label_score"]


def training_batches(
    config: Config, pairs: StoredPairs, worker: int = 0, workers: int = 1
) -> PairBatches:
    """This worker's batches, a function of the seed and the step."""
    settings = config.detector
    return PairBatches(
        pairs,
        pairs=settings.pairs,
        seed=stage_seed(config.seed, "detector"),
        short_sides=settings.short_sides,
        mirror=settings.mirror,
        worker=worker,
        workers=workers,
    )


def refiner(config: Config) -> RefinePair | None:
    """MaskConsist with its thresholds and switches; ``None`` where labels are used as they are."""
    settings = config.maskconsist
    if not settings.enabled:
        return None
    return partial(
        refine,
        box_iou_threshold=settings.box_iou_threshold,
        iom_threshold=settings.iom_threshold if settings.iom_nms else None,
        intra=settings.intra,
        inter=settings.inter,
        overlap=settings.overlap,
        min_match_iou=settings.min_match_iou,
        labels_first=settings.labels_first,
    )


def train(
    config: Config,
    dataset: Dataset,
    model: nn.Module,
    stream: Stream,
    report: Report | None = None,
    *,
    group: Group = ALONE,
    checkpoint: Callable[[Payload], None] | None = None,
    checkpoint_every: int = 0,
    resume: Payload | None = None,
) -> Payload:
    """Train a network in place; its payload holds class names and the loss curve too.

    Args:
        config: the whole run's settings.
        dataset: gives the class names, and the size of frames where training keeps it.
        model: from :func:`initial_detector`.
        stream: from :func:`training_batches`.
        report: called with the loss, its parts, and how many labels went in and came out.
        group: the workers that train together.
        checkpoint: gets a training state every ``checkpoint_every`` steps.
        checkpoint_every: 0 = never.
        resume: a training state to go on from.
    """
    config = replace(config, maskconsist=config.maskconsist.in_effect())
    settings = config.detector
    curve: list[dict[str, float]] = list(resume.data.get("curve", ())) if resume else []

    def note(numbers: Mapping[str, float]) -> None:
        curve.append({name: float(value) for name, value in numbers.items()})
        if report:
            report({**numbers, "steps": settings.steps})

    def keep(state: Payload) -> None:
        assert checkpoint is not None
        checkpoint(Payload(state.arrays, {**state.data, "curve": list(curve)}))

    model = model.to(default_device())
    scores = train_detector(
        model,
        stream,
        settings.steps,
        refine=refiner(config),
        refine_from=config.maskconsist.start_step,
        selection=Selection(
            most=config.maskconsist.predictions,
            score=config.maskconsist.prediction_score,
            classes_per_box="best",
        ),
        empty_as_background=settings.empty_as_background,
        optimiser=settings.optimiser,
        learning_rate=settings.learning_rate,
        backbone_rate_factor=settings.backbone_rate_factor,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        warm_up=settings.warm_up,
        clip_norm=settings.clip_norm,
        settings=json.dumps(config_slice(config, ("maskconsist",)), sort_keys=True),
        report=note,
        checkpoint=keep if checkpoint else None,
        checkpoint_every=checkpoint_every,
        resume=resume,
        group=group,
    )
    about = {
        "class_names": list(dataset.classes),
        "short_side": trained_short_side(config, dataset),
        "maskconsist": config.maskconsist.enabled,
        "training": scores,
        "curve": curve,
    }
    return detector_to_payload(model, about)


def trained_short_side(config: Config, dataset: Dataset) -> int:
    """Pixels of the shorter side the network has seen: what foreign videos are best resized to."""
    low, high = config.detector.short_sides
    if high:
        return (low + high) // 2
    return int(median(min(video.height, video.width) for video in dataset.videos))


def predictions(
    config: Config, wholes: Mapping[str, Payload], *, detector: str = "detector"
) -> Process:
    """What the detector of a stage finds in every frame; no label of the video is looked at."""
    model = detector_from_payload(wholes[detector]).to(default_device())
    settings = config.detector

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        detections = predict_frames(
            model,
            list(read_frames(video)),
            short_side=settings.infer_short_side,
            score_threshold=settings.score_threshold,
            nms_threshold=settings.nms_threshold,
            detections=settings.detections,
        )
        return instances_to_payload(detections)

    return process
