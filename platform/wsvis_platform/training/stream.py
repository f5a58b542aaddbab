"""Training batches by Ray Data: actors decode and augment them, away from the networks.

A batch is a function of (seed, step, worker) and nothing else. Each training worker therefore owns
a stream of its own, one row per step in order, read by actors of its own: no row has to be dealt
out, a resumed worker begins at its checkpoint's step, and a killed worker takes its readers with
it. Every row holds one batch as a safetensors file, since batches differ in shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wsvis.errors import InputError
from wsvis.learning.share import Batches
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis_platform.store.extract import limit_threads, quiet_context
from wsvis_platform.store.store import CorruptEntryError
from wsvis_platform.training.job import Job, trouble_error, trouble_text

_MOST_BLOCKS = 1000
"""Ray Data keeps books per block, so a long training puts several steps into one."""


def batches_of(job: Job, worker: int, workers: int) -> Batches:
    """A worker's batches, as the stage makes them."""
    stage = job.step.definition()
    assert stage.training is not None
    assert stage.training.batches is not None
    settings = stage.view(job.step.config)
    return stage.training.batches(settings, job.dataset, job.inputs(), worker, workers)


class _BatchReader:
    """What lives in each reading actor: rows are numbers of batches."""

    def __init__(self, job: Job, worker: int, workers: int) -> None:
        self.batches = batches_of(job, worker, workers)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        limit_threads(1)
        try:
            batch = self.batches.payload(int(row["item"]))
        except (InputError, CorruptEntryError) as error:
            return {"batch": b"", "trouble": trouble_text(error)}
        return {"batch": to_bytes(batch), "trouble": ""}


class BatchStream:
    """One worker's batches from any of them on.

    Args:
        job: what is trained.
        worker: number of the training worker.
        workers: how many train together.
    """

    def __init__(self, job: Job, worker: int, workers: int) -> None:
        self.job, self.group = job, (worker, workers)

    def __call__(self, start: int) -> Iterator[Payload]:
        """Batches from number ``start`` on."""
        import ray.data
        from ray.data import ActorPoolStrategy

        quiet_context()
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        last = len(batches_of(self.job, *self.group))
        rows = ray.data.from_items(
            list(range(start, last)), override_num_blocks=min(last - start, _MOST_BLOCKS)
        ).map(
            _BatchReader,  # pyright: ignore[reportArgumentType]
            fn_constructor_args=(self.job, *self.group),
            compute=ActorPoolStrategy(size=self.job.readers),
            num_cpus=self.job.cpus,
        )
        for row in rows.iter_rows():
            if row["trouble"]:
                raise trouble_error(row["trouble"])
            yield from_bytes(row["batch"])
