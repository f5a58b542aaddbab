"""Per-video stages over a cluster by Ray Data: one row per video, a pool of actors.

Each actor is set up once (a network is loaded once) and writes every result into the store itself;
what travels back is a short row. Work is idempotent: a result is renamed into place whole, so a
killed actor's video is simply tried again, nothing is lost and nothing doubled. A video that cannot
be processed is quarantined with its reason and the others go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy

from wsvis_platform.materialise import Runner
from wsvis_platform.store import Store
from wsvis_platform.video_worker import Row, Task, VideoWorkers

_GPU_STAGES = frozenset({"cam", "flow"})


class _ExtractionActor:
    """What lives in each actor of the pool."""

    def __init__(self, stage: str, root: str, threads: int) -> None:
        self.workers = VideoWorkers(stage, Store(Path(root)))
        self.threads = threads

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        task: Task = pickle.loads(row["task"])
        limit_threads(self.threads)  # one actor per core: threads inside would fight each other
        result = self.workers.run(task)
        corrupt = list(result.corrupt) if result.corrupt else ["", "", ""]
        return {**dataclasses.asdict(result), "corrupt": corrupt, "pid": os.getpid()}


def limit_threads(threads: int) -> None:
    """Bound the threads of the libraries this process uses, without importing torch for it."""
    import cv2

    cv2.setNumThreads(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def ray_data_runner(
    *, workers: int = 0, cpus_per_worker: float = 1, gpus_per_worker: float = 0
) -> Runner:
    """A runner for :class:`~wsvis_platform.materialise.Materialiser` that shards videos.

    Args:
        workers: actors in the pool; 0 = as many as the cluster has CPUs (or GPUs) for.
        cpus_per_worker: CPUs an actor holds; also its number of threads.
        gpus_per_worker: GPUs an actor of a network stage holds.
    """

    def run(stage: str, tasks: Sequence[Task], store: Store, told: Callable[[Row], None]) -> None:
        gpus = gpus_per_worker if stage in _GPU_STAGES else 0
        have = ray.cluster_resources()
        room = have.get("GPU", 0) / gpus if gpus else have.get("CPU", 1) / cpus_per_worker
        size = min(workers or max(int(room), 1), len(tasks))
        quiet_context()
        rows = ray.data.from_items(
            [{"task": pickle.dumps(task)} for task in tasks],
            override_num_blocks=len(tasks),
        ).map(
            _ExtractionActor,  # pyright: ignore[reportArgumentType]
            fn_constructor_kwargs={
                "stage": stage,
                "root": str(store.root),
                "threads": max(int(cpus_per_worker), 1),
            },
            compute=ActorPoolStrategy(min_size=1, max_size=size, initial_size=size),
            num_cpus=cpus_per_worker,
            num_gpus=gpus or None,
        )
        with _without_core_lines():
            for row in rows.iter_rows():
                corrupt = tuple(row["corrupt"])
                told(
                    Row(
                        row["video"],
                        row["status"],
                        row["detail"],
                        corrupt if row["status"] == "corrupt" else None,  # pyright: ignore
                    )
                )

    return run


@contextlib.contextmanager
def _without_core_lines() -> Iterator[None]:
    """Keep lines of Ray's C++ core off stderr; whatever else was written there follows afterwards.

    Ray Data's own way of starting actors makes the core print an "error" about restarts for every
    job. It concerns objects that Ray Data keeps alive, and would only frighten.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if "core_worker.cc" not in line:
                    print(line, file=sys.stderr)


def quiet_context() -> None:
    """Our own progress bar and log lines are the ones a user reads."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
