"""flowIRN over several workers; Ray Data makes their batches."""

from __future__ import annotations

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.irn.stages import initial_irn, train, training_frames, training_steps
from wsvis.payload import Payload
from wsvis.types import Dataset
from wsvis_platform.training.job import Share, Training
from wsvis_platform.training.stream import BatchStream


def train_share(share: Share) -> Payload:
    """What one worker does."""
    source, group = share.source, share.group
    inputs = source.inputs()
    stream = BatchStream(
        source,
        group.worker,
        group.workers,
        readers=share.readers,
        cpus_per_reader=share.cpus_per_reader,
    )
    return train(
        source.config,
        initial_irn(source.config, source.dataset, inputs),
        stream.training,
        training_frames(source.config, source.dataset, inputs),
        share.report,
        group=group,
        checkpoint=share.checkpoint,
        checkpoint_every=share.checkpoint_every,
        resume=share.resume,
        mean_stream=stream.mean,
    )


def check_batch(config: Config, dataset: Dataset, workers: int) -> None:
    """Each batch must split evenly, or the number of workers would change the result."""
    batch = min(config.irn.batch_size, _frames(dataset))
    if batch % workers or not batch:
        raise InputError(
            f"--train-workers {workers}: a batch of {batch} frames does not split evenly; choose "
            "another number, or irn.batch_size as a multiple of it"
        )


def _steps(config: Config, dataset: Dataset, workers: int) -> int:
    return training_steps(config, _frames(dataset), workers)


def _frames(dataset: Dataset) -> int:
    return sum(video.length for video in dataset.videos)


IRN = Training(train_share, check_batch, _steps, readers=1)
