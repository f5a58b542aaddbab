"""A detector over several workers, each of which makes its own pairs.

Pairs do not come by Ray Data: two frames, their masks and the flow between are 20 MB at 480 x 853,
and to hand them from process to process costs as much as making them (docs/training.md). A thread
of the worker makes the next step's pairs while the network is busy with the present ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.payload import Payload
from wsvis.stage import Inputs
from wsvis.systems.batches import TrainingPair
from wsvis.systems.pairs import StoredPairs
from wsvis.systems.stages import initial_detector, train, training_batches, training_pairs
from wsvis.types import Dataset
from wsvis_platform.training.job import Share, Training

Pairs = Callable[[Config, Dataset, Inputs], StoredPairs]
"""Settings, videos, stored stages -> what to train on."""


def detector_training(pairs: Pairs = training_pairs) -> Training:
    """How a detector is trained on some pairs; stages differ in where labels come from."""
    return Training(partial(train_share, pairs=pairs), check_pairs, _steps)


def train_share(share: Share, *, pairs: Pairs = training_pairs) -> Payload:
    """What one worker does."""
    config, dataset, group = share.source.config, share.source.dataset, share.group
    inputs = share.source.inputs()
    classifier = inputs.whole("classifier") if config.detector.weights == "classifier" else None
    samples = pairs(config, dataset, inputs)
    if len(samples) < config.detector.pairs:
        _check_split(len(samples), group.workers, "the data set's frame pairs, all in one step")
    batches = training_batches(config, samples, group.worker, group.workers)
    return train(
        config,
        dataset,
        initial_detector(config, dataset, classifier),
        lambda start: made_ahead(batches.batch, start, config.detector.steps),
        share.report,
        group=group,
        checkpoint=share.checkpoint,
        checkpoint_every=share.checkpoint_every,
        resume=share.resume,
    )


def made_ahead(
    make: Callable[[int], list[TrainingPair]], start: int, steps: int
) -> Iterator[list[TrainingPair]]:
    """Batches of the steps ``start`` to ``steps``, each made while the one before is in use."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(make, start) if start < steps else None
        for step in range(start, steps):
            assert following is not None
            batch = following.result()
            following = thread.submit(make, step + 1) if step + 1 < steps else None
            yield batch


def check_pairs(config: Config, dataset: Dataset, workers: int) -> None:
    """Each step's pairs must split evenly, or the number of workers would change the result."""
    _check_split(config.detector.pairs, workers, "the frame pairs of a step")


def _check_split(pairs: int, workers: int, what: str) -> None:
    if pairs % workers:
        raise InputError(
            f"--train-workers {workers}: {what} ({pairs}) do not split evenly; choose another "
            "number, or detector.pairs as a multiple of it"
        )


def _steps(config: Config, dataset: Dataset, workers: int) -> int:
    return config.detector.steps
