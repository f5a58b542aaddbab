"""The stage that trains flowIRN, alone or over several workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from wsvis.cam.classifier import classifier_from_payload
from wsvis.cam.stages import initial_backbone, input_form
from wsvis.config import Config
from wsvis.device import default_device
from wsvis.errors import InputError
from wsvis.irn.batches import IrnBatch, IrnBatches, IrnSample
from wsvis.irn.checkpoint import irn_to_payload
from wsvis.irn.frames import IrnFrames
from wsvis.irn.network import Irn
from wsvis.irn.stages import folded
from wsvis.irn.tap_memory import TapMemory
from wsvis.irn.train import TAP_BYTES, set_mean_displacement, train_irn
from wsvis.learning.curve import Curve
from wsvis.learning.length import bounded_steps
from wsvis.learning.share import Share
from wsvis.learning.workers import ALONE, Group
from wsvis.payload import Payload
from wsvis.seeds import stage_seed
from wsvis.stage import Inputs
from wsvis.types import Dataset


def train(settings: Config, dataset: Dataset, inputs: Inputs, share: Share) -> Payload:
    """Train flowIRN on the data set's frames (IRN where flow_boundary.weight is 0)."""
    chosen, eq3, group = settings.irn, settings.flow_boundary, share.group
    frames = training_frames(settings, dataset, inputs)
    count = training_steps(settings, len(frames), group.workers)
    model = initial_irn(settings, dataset, inputs).to(default_device())
    curve = Curve(share, count)
    # a frozen backbone without its BatchNorm layers gives the same, faster
    memory = TapMemory(folded(model), TAP_BYTES) if model.frozen else None
    stream = _Stream(settings, frames, share)
    scores = train_irn(
        model,
        stream.training,
        count,
        memory=memory,
        radius=chosen.radius_train,
        optimiser=chosen.optimiser,
        learning_rate=chosen.learning_rate,
        displacement_rate_factor=chosen.displacement_rate_factor,
        backbone_rate_factor=chosen.backbone_rate_factor,
        momentum=chosen.momentum,
        weight_decay=chosen.weight_decay,
        flow_boundary_weight=eq3.weight,
        regularization=eq3.regularization,
        gradient=eq3.gradient,
        group=group,
        report=curve.report,
        checkpoint=curve.checkpoint,
        checkpoint_every=share.checkpoint_every,
        resume=share.resume,
    )
    as_they_are = mean_batches(settings, frames, group)
    set_mean_displacement(
        model,
        stream.mean(as_they_are),
        as_they_are.steps_per_epoch,
        group.sum_over_workers,
        memory,
    )
    about = {"initial": chosen.initial, "training": scores, "curve": curve.rows}
    return irn_to_payload(model, about)


def check(settings: Config, dataset: Dataset, workers: int) -> None:
    """Each batch must split evenly, or the number of workers would change the result."""
    batch = min(settings.irn.batch_size, _length(dataset))
    if batch % workers or not batch:
        raise InputError(
            f"--train-workers {workers}: a batch of {batch} frames does not split evenly; choose "
            "another number, or irn.batch_size as a multiple of it"
        )


def steps(settings: Config, dataset: Dataset, workers: int) -> int:
    """Updates in all."""
    return training_steps(settings, _length(dataset), workers)


class IrnRows:
    """The batches of a worker as payloads: those of the training, then those of the mean."""

    def __init__(self, settings: Config, frames: Sequence[IrnSample], group: Group) -> None:
        self.steps = training_steps(settings, len(frames), group.workers)
        self.training = training_batches(settings, frames, group)
        self.mean = mean_batches(settings, frames, group)

    def __len__(self) -> int:
        return self.steps + self.mean.steps_per_epoch

    def payload(self, number: int) -> Payload:
        """One batch, ready to travel."""
        if number < self.steps:
            return batch_to_payload(self.training.batch(number))
        return batch_to_payload(self.mean.batch(number - self.steps))


def batches(
    settings: Config, dataset: Dataset, inputs: Inputs, worker: int, workers: int
) -> IrnRows:
    """A worker's batches, for other processes to make."""
    frames = training_frames(settings, dataset, inputs)
    return IrnRows(settings, frames, Group(worker, workers))


class _Stream:
    """Batches of this worker: made here, or by the share's stream in one go."""

    def __init__(self, settings: Config, frames: Sequence[IrnSample], share: Share) -> None:
        self.share = share
        self.here = training_batches(settings, frames, share.group)
        self.read: Iterator[IrnBatch] | None = None

    def training(self, start: int) -> Iterator[IrnBatch]:
        """Batches from step ``start`` on."""
        if self.share.stream is None:
            return self.here(start)
        self.read = map(payload_to_batch, self.share.stream(start))
        return self.read

    def mean(self, as_they_are: IrnBatches) -> Iterator[IrnBatch]:
        """Batches for the mean displacement; in a stream they follow those of the training."""
        return as_they_are(0) if self.read is None else self.read


def initial_irn(settings: Config, dataset: Dataset, inputs: Inputs) -> Irn:
    """The network as training finds it.

    Its backbone starts from ``classifier.weights`` (ImageNet, as IRN's) or from the trained
    classifier; what is random comes from the seed.
    """
    if settings.irn.initial == "classifier":
        start = classifier_from_payload(inputs.whole("classifier"))
        backbone, normalisation = start.backbone, start.normalisation
    else:
        backbone, normalisation = initial_backbone(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stage_seed(settings.seed, "irn"))
        return Irn(
            backbone,
            boundary_channels=settings.irn.boundary_channels,
            displacement_channels=settings.irn.displacement_channels,
            normalisation=normalisation,
            frozen=settings.irn.frozen,
        )


def training_frames(settings: Config, dataset: Dataset, inputs: Inputs) -> IrnFrames:
    """Every frame of the data set with its labels, and its flow where Eq. 3 takes part."""

    def read(role: str) -> Callable[[str], Payload]:
        def payload(video: str) -> Payload:
            stored = inputs.video(role, video)
            assert stored is not None  # videos without it are not in the data set given
            return stored

        return payload

    flow = read("flow") if settings.flow_boundary.weight > 0 else None
    return IrnFrames(dataset.videos, read("ir_labels"), flow)


def training_batches(
    settings: Config, frames: Sequence[IrnSample], group: Group = ALONE
) -> IrnBatches:
    """This worker's batches, a function of the seed and the step."""
    return _batches(settings, frames, group, settings.irn.scales, settings.irn.mirror)


def mean_batches(settings: Config, frames: Sequence[IrnSample], group: Group = ALONE) -> IrnBatches:
    """The frames as they are, for the mean displacement after training."""
    return _batches(settings, frames, group, (1.0, 1.0), False)


def _batches(
    settings: Config,
    frames: Sequence[IrnSample],
    group: Group,
    scales: tuple[float, float],
    mirror: bool,
) -> IrnBatches:
    return IrnBatches(
        frames,
        batch_size=settings.irn.batch_size,
        seed=stage_seed(settings.seed, "irn"),
        canvas=settings.irn.canvas,
        scales=scales,
        mirror=mirror,
        normalisation=input_form(settings.classifier)[0],
        worker=group.worker,
        workers=group.workers,
    )


def training_steps(settings: Config, frames: int, workers: int = 1) -> int:
    """Updates in all: whole batches per epoch, times epochs, within the bounds set."""
    batch = min(settings.irn.batch_size, frames) // workers * workers
    count = int(frames // max(batch, 1) * settings.irn.epochs)
    return bounded_steps(count, settings.irn.min_steps, settings.irn.max_steps)


def _length(dataset: Dataset) -> int:
    return sum(video.length for video in dataset.videos)


def batch_to_payload(batch: IrnBatch) -> Payload:
    """A batch as arrays."""
    arrays: dict[str, np.ndarray] = {
        "frames": batch.frames.numpy(),
        "labels": batch.labels.numpy(),
        "inside": batch.inside.numpy(),
    }
    if batch.flow is not None:
        arrays["flow"] = batch.flow.numpy()
    return Payload(arrays, {"keys": batch.keys})


def payload_to_batch(payload: Payload) -> IrnBatch:
    """The inverse of :func:`batch_to_payload`."""
    # copied, because what comes out of a file's bytes cannot be written to
    tensors = {name: torch.from_numpy(array.copy()) for name, array in payload.arrays.items()}
    keys = payload.data["keys"]
    return IrnBatch(
        frames=tensors["frames"],
        labels=tensors["labels"],
        inside=tensors["inside"],
        flow=tensors.get("flow"),
        keys=None if keys is None else tuple((int(i), bool(mirrored)) for i, mirrored in keys),
    )
