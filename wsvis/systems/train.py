"""The stage that trains a detector, whichever system it is, on stored labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

from wsvis.config import Config
from wsvis.device import default_device
from wsvis.errors import InputError
from wsvis.learning.ahead import made_ahead
from wsvis.learning.average import WeightAverage
from wsvis.learning.curve import Curve
from wsvis.learning.loop import train as train_network
from wsvis.learning.schedule import Optimisation
from wsvis.learning.share import Share
from wsvis.learning.workers import ALONE, Group
from wsvis.payload import Payload
from wsvis.seeds import stage_seed
from wsvis.stage import Inputs
from wsvis.systems import SYSTEMS
from wsvis.systems.checkpoint import detector_to_payload
from wsvis.systems.clips import ClipBatches, ClipSample
from wsvis.systems.networks import initial_network
from wsvis.systems.stored_clips import StoredClips
from wsvis.types import Dataset


def train(settings: Config, dataset: Dataset, inputs: Inputs, share: Share) -> Payload:
    """Train a detector on the labels of the role ``labels``; its loss curve travels with it."""
    chosen, system = settings.detector, SYSTEMS[settings.system]
    from_classifier = chosen.weights == "classifier"
    model = initial_network(
        settings, dataset, inputs.whole("classifier") if from_classifier else None
    ).to(default_device())
    samples = training_clips(settings, dataset, inputs)
    group = share.group
    if len(samples) < chosen.batch_size:
        _check_split(len(samples), group.workers, "the data set's clips, all in one step,")
    batches = training_batches(settings, samples, group)
    wrapped = group.wrap(model) if group.wrap else None
    curve = Curve(share, chosen.steps)
    scores = train_network(
        system.learner(settings, model, group, wrapped),
        batches if group == ALONE else partial(made_ahead, batches.batch, steps=chosen.steps),
        chosen.steps,
        Optimisation(
            optimiser=chosen.optimiser,
            learning_rate=chosen.learning_rate,
            momentum=chosen.momentum,
            weight_decay=chosen.weight_decay,
            schedule=chosen.schedule,
            warm_up=chosen.warm_up,
            clip_norm=chosen.clip_norm,
            fused=True,
        ),
        wrapped=wrapped,
        group=group,
        average=WeightAverage(model, chosen.average) if chosen.average else None,
        report=curve.report,
        checkpoint=curve.checkpoint,
        checkpoint_every=share.checkpoint_every,
        resume=share.resume,
    )
    about = {
        "class_names": list(dataset.classes),
        "short_side": trained_short_side(settings, dataset),
        "training": scores,
        "curve": curve.rows,
    }
    return detector_to_payload(model, about)


def check(settings: Config, dataset: Dataset, workers: int) -> None:
    """Each step's clips must split evenly, or the number of workers would change the result."""
    _check_split(settings.detector.batch_size, workers, "the clips of a step")


def steps(settings: Config, dataset: Dataset, workers: int) -> int:
    """Updates in all."""
    return settings.detector.steps


def training_clips(settings: Config, dataset: Dataset, inputs: Inputs) -> StoredClips:
    """Every clip with a label in at least one of its frames.

    Raises:
        InputError: there is none.
    """

    def read(role: str) -> Callable[[str], Payload]:
        def payload(video: str) -> Payload:
            stored = inputs.video(role, video)
            assert stored is not None  # videos without it are not in the list given
            return stored

        return payload

    system = SYSTEMS[settings.system]
    delta = settings.pairs.delta if system.clip > 1 else 1
    clips = StoredClips(
        [v for v in dataset.videos if inputs.video("labels", v.id) is not None],
        read("labels"),
        read("pair_flow") if "pair_flow" in system.reads else None,
        frames=system.clip,
        delta=delta,
        min_score=settings.detector.label_score,
        background=settings.detector.background_frames,
    )
    if not len(clips):
        what = f"no two frames {delta} apart have" if system.clip > 1 else "no frame has"
        floors = ["pairs.delta"] if system.clip > 1 else []
        floors = " or ".join([*floors, "detector.label_score"])
        raise InputError(
            f"{dataset.name}: {what} a label; lower {floors}, or, where a detector finds the "
            "labels, self_training.score"
        )
    return clips


def training_batches(
    settings: Config, samples: StoredClips | list[ClipSample], group: Group = ALONE
) -> ClipBatches:
    """This worker's batches, a function of the seed and the step.

    What the system may not see of the labels is taken away here.
    """
    chosen = settings.detector
    return ClipBatches(
        samples,
        batch_size=chosen.batch_size,
        seed=stage_seed(settings.seed, "detector"),
        short_sides=chosen.short_sides,
        mirror=chosen.mirror,
        masks=SYSTEMS[settings.system].supervision == "masks",
        worker=group.worker,
        workers=group.workers,
    )


def trained_short_side(settings: Config, dataset: Dataset) -> int:
    """Pixels of the shorter side the network has seen: what foreign videos are best resized to."""
    low, high = settings.detector.short_sides
    if high:
        return (low + high) // 2
    return int(median(min(video.height, video.width) for video in dataset.videos))


def _check_split(clips: int, workers: int, what: str) -> None:
    if clips % workers:
        raise InputError(
            f"--train-workers {workers}: {what} ({clips}) do not split evenly; choose another "
            "number, or detector.batch_size as a multiple of it"
        )
