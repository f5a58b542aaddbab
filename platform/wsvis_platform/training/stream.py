"""flowIRN's training batches by Ray Data: actors decode and augment them, away from the networks.

A batch is a function of (seed, step, worker) and nothing else. Each training worker therefore owns
a stream of its own, one row per step in order, read by actors of its own: no row has to be dealt
out, a resumed worker begins at its checkpoint's step, and a killed worker takes its readers with
it. Every row holds one batch as a safetensors file, since batches differ in shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from wsvis.errors import InputError
from wsvis.irn.batches import IrnBatch
from wsvis.irn.stages import (
    mean_batches,
    training_batches,
    training_frames,
    training_steps,
)
from wsvis.learning.workers import Group
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis_platform.store.extract import limit_threads, quiet_context
from wsvis_platform.store.store import CorruptEntryError
from wsvis_platform.training.job import Source, trouble_error, trouble_text

_MOST_BLOCKS = 1000
"""Ray Data keeps books per block, so a long training puts several steps into one."""


class _BatchReader:
    """What lives in each reading actor: rows are numbers of training steps, then of mean steps."""

    def __init__(self, source: Source, worker: int, workers: int) -> None:
        self.config = source.config
        frames = training_frames(source.config, source.dataset, source.inputs())
        group = Group(worker, workers)
        self.steps = training_steps(source.config, len(frames), workers)
        self.training = training_batches(source.config, frames, group)
        self.mean = mean_batches(source.config, frames, group)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        limit_threads(1)
        number = int(row["item"])
        try:
            if number < self.steps:
                batch = self.training.batch(number)
            else:
                batch = self.mean.batch(number - self.steps)
        except (InputError, CorruptEntryError) as error:
            return {"batch": b"", "trouble": trouble_text(error)}
        return {"batch": to_bytes(batch_to_payload(batch)), "trouble": ""}


class BatchStream:
    """One worker's batches: training steps from any step on, then one pass for the mean.

    Args:
        source: configuration, videos and stored stages.
        worker: number of the training worker.
        workers: how many train together.
        readers: actors that decode for this worker.
        cpus_per_reader: CPUs each of them holds.
    """

    def __init__(
        self,
        source: Source,
        worker: int,
        workers: int,
        *,
        readers: int = 1,
        cpus_per_reader: float = 1.0,
    ) -> None:
        self.source, self.group = source, (worker, workers)
        self.readers, self.cpus_per_reader = readers, cpus_per_reader
        self._batches: Iterator[IrnBatch] | None = None

    def training(self, start: int) -> Iterator[IrnBatch]:
        """Batches from step ``start`` on."""
        self._batches = self._read(start)
        return self._batches

    def mean(self, start: int) -> Iterator[IrnBatch]:
        """Batches for the mean displacement; they follow those of the training."""
        if self._batches is None or start:
            raise ValueError("the mean's batches come once, after the training's")
        return self._batches

    def _read(self, start: int) -> Iterator[IrnBatch]:
        import ray.data
        from ray.data import ActorPoolStrategy

        quiet_context()
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        config, frames = self.source.config, sum(v.length for v in self.source.dataset.videos)
        workers = self.group[1]
        batch = min(config.irn.batch_size, frames) // workers * workers
        last = training_steps(config, frames, workers) + frames // batch
        rows = ray.data.from_items(
            list(range(start, last)), override_num_blocks=min(last - start, _MOST_BLOCKS)
        ).map(
            _BatchReader,  # pyright: ignore[reportArgumentType]
            fn_constructor_args=(self.source, *self.group),
            compute=ActorPoolStrategy(size=self.readers),
            num_cpus=self.cpus_per_reader,
        )
        for row in rows.iter_rows():
            if row["trouble"]:
                raise trouble_error(row["trouble"])
            yield payload_to_batch(from_bytes(row["batch"]))


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
