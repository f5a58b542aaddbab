"""The stages of flowIRN: its labels, its training, and the instance pseudo-labels it gives."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch

from wsvis.cam.cam import fold_in_place
from wsvis.cam.classifier import classifier_from_payload
from wsvis.cam.fcam import fcam, frame_fcam, moving_mask, saturate_jointly, upsample_mask
from wsvis.cam.ir_labels import combine_labels, label_map
from wsvis.cam.mask_stages import frame_maps
from wsvis.cam.stages import initial_classifier, input_form
from wsvis.config import Config
from wsvis.data.frames import read_frames
from wsvis.device import default_device
from wsvis.irn.batches import IrnBatch, IrnBatches, IrnSample
from wsvis.irn.checkpoint import irn_from_payload, irn_to_payload
from wsvis.irn.frames import IrnFrames, labels_to_payload
from wsvis.irn.labels import refined_ir_labels
from wsvis.irn.network import Irn
from wsvis.irn.predict import pseudo_labels as labels_of_frames
from wsvis.irn.tap_memory import TapMemory
from wsvis.irn.train import TAP_BYTES, set_mean_displacement, train_irn
from wsvis.learning.length import bounded_steps
from wsvis.learning.workers import ALONE, Group
from wsvis.payload import Payload, instances_to_payload
from wsvis.seeds import stage_seed
from wsvis.stage import Inputs, Process
from wsvis.types import Dataset, Report, Video

Stream = Callable[[int], Iterator[IrnBatch]]
"""Step -> batches from that step on."""


def ir_labels(config: Config, wholes: Mapping[str, Payload]) -> Process:
    """Where each frame is surely which class, surely background, or unsure: f-CAM, then a CRF."""
    thresholds = config.ir_labels.foreground_threshold, config.ir_labels.background_threshold
    crf = config.crf

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        classes: list[np.ndarray] = []
        strict = np.zeros((video.length, video.height, video.width), dtype=np.uint8)
        lenient = np.zeros_like(strict)
        for frame in range(video.length):
            cam, labels = frame_maps(inputs["cam"], frame)
            maps = frame_fcam(
                cam,
                _magnitude(inputs["motion"], frame),
                video.height,
                video.width,
                amplification=config.fcam.amplification,
                percentile=config.fcam.percentile,
                floor=config.fcam.floor,
            )
            strict[frame], lenient[frame] = (label_map(maps, labels, t) for t in thresholds)
            classes.append(labels)
        if not crf.enabled:
            combined = [combine_labels(a, b) for a, b in zip(strict, lenient, strict=True)]
            return labels_to_payload(np.stack(combined) if combined else strict)
        return labels_to_payload(
            refined_ir_labels(
                read_frames(video),
                strict,
                lenient,
                classes,
                device=default_device(),
                certainty=crf.certainty,
                smoothness_sigma=crf.smoothness_sigma,
                smoothness_weight=crf.smoothness_weight,
                appearance_sigma=crf.appearance_sigma,
                colour_sigma=crf.colour_sigma,
                appearance_weight=crf.appearance_weight,
                iterations=crf.iterations,
                stride=crf.stride,
                neighbours=crf.neighbours,
            )
        )

    return process


def irn(config: Config, dataset: Dataset, inputs: Inputs, report: Report | None) -> Payload:
    """Train flowIRN on the data set's frames (IRN where flow_boundary.weight is 0)."""
    frames = training_frames(config, dataset, inputs)
    stream = training_batches(config, frames)
    return train(config, initial_irn(config, dataset, inputs), stream, frames, report)


def initial_irn(config: Config, dataset: Dataset, inputs: Inputs) -> Irn:
    """The network as training finds it.

    Its backbone starts from ``classifier.weights`` (ImageNet, as IRN's) or from the trained
    classifier; what is random comes from the seed.
    """
    if config.irn.initial == "classifier":
        start = classifier_from_payload(inputs.whole("classifier"))
    else:
        start = initial_classifier(config, dataset)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stage_seed(config.seed, "irn"))
        return Irn(
            start.backbone,
            boundary_channels=config.irn.boundary_channels,
            displacement_channels=config.irn.displacement_channels,
            normalisation=start.normalisation,
            frozen=config.irn.frozen,
        )


def training_frames(config: Config, dataset: Dataset, inputs: Inputs) -> IrnFrames:
    """Every frame of the data set with its labels, and its flow where Eq. 3 takes part."""

    def read(stage: str) -> Callable[[str], Payload]:
        def payload(video: str) -> Payload:
            stored = inputs.video(stage, video)
            assert stored is not None  # videos without it are not in the data set given
            return stored

        return payload

    flow = read("flow") if config.flow_boundary.weight > 0 else None
    return IrnFrames(dataset.videos, read("ir_labels"), flow)


def training_batches(
    config: Config, frames: Sequence[IrnSample], group: Group = ALONE
) -> IrnBatches:
    """This worker's batches, a function of the seed and the step."""
    settings = config.irn
    return IrnBatches(
        frames,
        batch_size=settings.batch_size,
        seed=stage_seed(config.seed, "irn"),
        canvas=settings.canvas,
        scales=settings.scales,
        mirror=settings.mirror,
        normalisation=input_form(config.classifier)[0],
        worker=group.worker,
        workers=group.workers,
    )


def mean_batches(config: Config, frames: Sequence[IrnSample], group: Group = ALONE) -> IrnBatches:
    """The frames as they are, for the mean displacement after training."""
    settings = config.irn
    return IrnBatches(
        frames,
        batch_size=settings.batch_size,
        seed=stage_seed(config.seed, "irn"),
        canvas=settings.canvas,
        scales=(1.0, 1.0),
        mirror=False,
        normalisation=input_form(config.classifier)[0],
        worker=group.worker,
        workers=group.workers,
    )


def training_steps(config: Config, frames: int, workers: int = 1) -> int:
    """Updates in all: whole batches per epoch, times epochs, within the bounds set."""
    batch = min(config.irn.batch_size, frames) // workers * workers
    steps = int(frames // max(batch, 1) * config.irn.epochs)
    return bounded_steps(steps, config.irn.min_steps, config.irn.max_steps)


def train(
    config: Config,
    model: Irn,
    stream: Stream,
    frames: Sequence[IrnSample],
    report: Report | None = None,
    *,
    group: Group = ALONE,
    checkpoint: Callable[[Payload], None] | None = None,
    checkpoint_every: int = 0,
    resume: Payload | None = None,
    mean_stream: Stream | None = None,
) -> Payload:
    """Train a network in place; its payload holds the loss curve too.

    Args:
        config: the whole run's settings.
        model: from :func:`initial_irn`; every worker has the same.
        stream: this worker's training batches.
        frames: all frames, for the mean displacement.
        report: called with the loss and its parts.
        group: the workers that train together.
        checkpoint: gets a training state every ``checkpoint_every`` steps.
        checkpoint_every: 0 = never.
        resume: a training state to go on from.
        mean_stream: this worker's share of :func:`mean_batches`, where something else reads it.
    """
    settings, eq3 = config.irn, config.flow_boundary
    model = model.to(default_device())
    steps = training_steps(config, len(frames), group.workers)
    curve: list[dict[str, float]] = list(resume.data.get("curve", ())) if resume else []

    def note(numbers: Mapping[str, float]) -> None:
        curve.append({name: float(value) for name, value in numbers.items()})
        if report:
            report({**numbers, "steps": steps})

    def keep(state: Payload) -> None:
        assert checkpoint is not None
        checkpoint(Payload(state.arrays, {**state.data, "curve": list(curve)}))

    # a frozen backbone without its BatchNorm layers gives the same, faster
    memory = TapMemory(folded(model), TAP_BYTES) if model.frozen else None
    scores = train_irn(
        model,
        stream,
        steps,
        memory=memory,
        radius=settings.radius_train,
        optimiser=settings.optimiser,
        learning_rate=settings.learning_rate,
        displacement_rate_factor=settings.displacement_rate_factor,
        backbone_rate_factor=settings.backbone_rate_factor,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        flow_boundary_weight=eq3.weight,
        regularization=eq3.regularization,
        gradient=eq3.gradient,
        report=note,
        checkpoint=keep if checkpoint else None,
        checkpoint_every=checkpoint_every,
        resume=resume,
        group=group,
    )
    as_they_are = mean_batches(config, frames, group)
    set_mean_displacement(
        model,
        (mean_stream or as_they_are)(0),
        as_they_are.steps_per_epoch,
        group.sum_over_workers,
        memory,
    )
    return irn_to_payload(model, {"initial": settings.initial, "training": scores, "curve": curve})


def pseudo_labels(config: Config, wholes: Mapping[str, Payload]) -> Process:
    """Instances of every frame: seeds from f-CAM, walked along the affinities of flowIRN."""
    model = folded(irn_from_payload(wholes["irn"])).to(default_device())
    settings = config.irn

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        activations: list[np.ndarray] = []
        classes: list[list[int]] = []
        for frame in range(video.length):
            cam, labels = frame_maps(inputs["cam"], frame)
            activations.append(_seed_maps(config, cam, _magnitude(inputs["motion"], frame)))
            classes.append(labels.tolist())
        instances = labels_of_frames(
            model,
            read_frames(video),
            activations,
            classes,
            canvas=settings.canvas,
            radius=settings.radius_infer,
            beta=settings.beta,
            walk_steps=settings.walk_steps,
            refinements=settings.refinements,
            cluster_threshold=settings.cluster_threshold,
            background=settings.background_threshold,
            min_area=settings.min_area,
            scores=settings.scores,
        )
        return instances_to_payload(instances)

    return process


def folded(model: Irn) -> Irn:
    """A copy in evaluation mode whose backbone has every BatchNorm folded into its convolution."""
    copied = copy.deepcopy(model).eval()
    fold_in_place(copied.backbone)
    return copied


def _seed_maps(config: Config, cam: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    """f-CAM on the CAM's own grid, in the form ``irn.seeds`` says."""
    if config.irn.seeds == "cam" or len(cam) == 0:
        return cam
    moving = moving_mask(magnitude, config.fcam.percentile, config.fcam.floor)
    maps = fcam(cam, upsample_mask(moving, *cam.shape[1:]), config.fcam.amplification)
    return saturate_jointly(maps) if config.irn.seeds == "saturated" else maps


def _magnitude(payload: Payload, frame: int) -> np.ndarray:
    return payload.arrays["magnitude"][frame].astype(np.float32)
