"""Per-video stages over a cluster by Ray Data: one row per video, a pool of workers.

A worker is set up once (a network is loaded once) and writes every result into the store itself;
what travels back is a short row. Work is idempotent: a result is renamed into place whole, so a
killed worker's videos are simply tried again, nothing is lost and nothing doubled. A video that
cannot be processed is quarantined with its reason and the others go on; so is one at which workers
die, after it was tried alone (lone_video.py): Ray itself would try its block again without end.

Stages with a network run in a pool of actors, which take the network with them when they end. All
others run in Ray's own worker processes, which stay from stage to stage: starting actors for each
stage takes seconds of every core, more than some stages take themselves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import ray
import ray.data
from ray.data import ActorPoolStrategy, TaskPoolStrategy
from ray.exceptions import OutOfMemoryError as RayOutOfMemory
from ray.exceptions import RayActorError, WorkerCrashedError

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.pipeline import BY_NAME
from wsvis_platform.store.lone_video import set_aside_dead, try_alone
from wsvis_platform.store.materialise import Runner
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import OnVideo, Task, VideoOutcome, VideoWorkers

LOST = (RayActorError, WorkerCrashedError, RayOutOfMemory)
LARGEST_BLOCK = 16
"""Videos that travel together. A worker waits some 0.15 s for its next block (with blocks of 4 that
took flow extraction from 88 to 81 % of what the cores can do); progress is seen block by block, so
that a network's videos, which take seconds each, travel alone."""


class _ExtractionActor:
    """What lives in each actor of the pool."""

    def __init__(self, stage: str, root: str, threads: int) -> None:
        self.workers = VideoWorkers(stage, Store(Path(root)))
        self.threads = threads

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return _run(self.workers, row, self.threads)


def _in_warm_worker(row: dict[str, Any], stage: str, root: str, threads: int) -> dict[str, Any]:
    """One video in a process that has perhaps done others of this stage, in this job or another."""
    return _run(_warm_workers(stage, root), row, threads)


@functools.lru_cache(maxsize=1)  # the next stage lets go of what this one has loaded
def _warm_workers(stage: str, root: str) -> VideoWorkers:
    return VideoWorkers(stage, Store(Path(root)))


def _run(workers: VideoWorkers, row: dict[str, Any], threads: int) -> dict[str, Any]:
    task: Task = pickle.loads(row["task"])
    limit_threads(threads)  # one worker per core: threads inside would fight each other
    result = workers.run(task)
    corrupt = list(result.corrupt) if result.corrupt else ["", "", ""]
    return {**dataclasses.asdict(result), "corrupt": corrupt}


def limit_threads(threads: int) -> None:
    """Bound the threads of the libraries this process uses, without importing torch for it."""
    import cv2

    cv2.setNumThreads(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def ray_data_runner(
    *, workers: int = 0, cpus_per_worker: float = 1, gpus_per_worker: float = 0
) -> Runner:
    """A runner for :class:`~wsvis_platform.store.materialise.Materialiser` that shards videos.

    Args:
        workers: size of the pool; 0 = as many as the cluster has CPUs (or GPUs) for.
        cpus_per_worker: CPUs a worker holds; also its number of threads.
        gpus_per_worker: GPUs a worker of a stage with a network holds.
    """

    def run(stage: str, tasks: Sequence[Task], store: Store, on_row: OnVideo) -> None:
        network = wants_actors(stage, tasks[0].step.config, gpus_per_worker > 0)
        gpus = gpus_per_worker if network else 0
        have = ray.cluster_resources()
        room = have.get("GPU", 0) / gpus if gpus else have.get("CPU", 1) / cpus_per_worker
        size = min(workers or max(int(room), 1), len(tasks))
        quiet_context()
        about = {
            "stage": stage,
            "root": str(store.root),
            "threads": max(int(cpus_per_worker), 1),
        }
        videos = ray.data.from_arrow(_blocks(tasks, size, 1 if network else LARGEST_BLOCK))
        if network:
            rows = videos.map(
                _ExtractionActor,  # pyright: ignore[reportArgumentType]
                fn_constructor_kwargs=about,
                compute=ActorPoolStrategy(min_size=1, max_size=size, initial_size=size),
                num_cpus=cpus_per_worker,
                num_gpus=gpus or None,
            )
        else:
            rows = videos.map(
                _in_warm_worker,  # pyright: ignore[reportArgumentType]
                fn_kwargs=about,
                compute=TaskPoolStrategy(size),
                num_cpus=cpus_per_worker,
            )
        suspects: set[tuple[str, str]] = set()
        try:
            with without_core_lines():
                for plain in rows.iter_rows():
                    row = _row(plain)
                    if row.status == "suspect":
                        suspects.add((row.detail, row.video))
                    else:
                        on_row(row)
        except LOST as error:
            raise workers_die(stage, error) from error
        if suspects:
            alone = [task for task in tasks if (task.step.key, task.video.id) in suspects]
            _alone(stage, alone, store, on_row, gpus)

    return run


def workers_die(what: str, error: BaseException) -> InputError:
    """The line for workers that die faster than their videos can be told from each other."""
    text = " ".join(str(error).split())[:200]
    return InputError(
        f"{what}: worker processes die again and again ({text}); give them more memory or "
        "fewer --workers, and run the same command again"
    )


def _row(plain: dict[str, Any]) -> VideoOutcome:
    corrupt = tuple(plain["corrupt"]) if plain["status"] == "corrupt" else None
    return VideoOutcome(plain["video"], plain["status"], plain["detail"], corrupt)


@ray.remote(num_cpus=1, max_retries=0)
def _watch_alone(stage: str, root: str, task: Task) -> VideoOutcome:
    return try_alone(stage, task, Store(root))


def _alone(
    stage: str,
    tasks: Sequence[Task],
    store: Store,
    on_row: OnVideo,
    gpus: float,
) -> None:
    """One after the other, with the whole cluster to itself, the videos at which workers died."""
    for task in tasks:
        watcher = _watch_alone.options(num_gpus=gpus)
        try:
            on_row(ray.get(watcher.remote(stage, str(store.root), task)))
        except (RayOutOfMemory, WorkerCrashedError) as error:
            # Ray's own watch over memory ends the watcher, and the video's process with it
            why = "for want of memory" if isinstance(error, RayOutOfMemory) else "with its watcher"
            on_row(set_aside_dead(stage, task, store, why))


def wants_actors(stage: str, config: Config, with_gpus: bool) -> bool:
    """Whether a stage runs in a pool of actors, with GPUs where asked for.

    It does where it loads a network, and on GPUs also where it computes on one without.
    """
    definition = BY_NAME[stage]
    return definition.network(config) or (with_gpus and definition.gpu)


def block_sizes(videos: int, workers: int, largest: int = LARGEST_BLOCK) -> list[int]:
    """How many videos travel together: few blocks at first, single videos towards the end.

    No block is more than half of what is left for a worker, so that all end together.

    Args:
        videos: in all.
        workers: that share them.
        largest: block.
    """
    sizes: list[int] = []
    while videos:
        sizes.append(max(1, min(largest, videos // (2 * workers))))
        videos -= sizes[-1]
    return sizes


def _blocks(tasks: Sequence[Task], workers: int, largest: int) -> list[pyarrow.Table]:
    rest = iter(tasks)
    return [
        pyarrow.table({"task": [pickle.dumps(next(rest)) for _ in range(size)]})
        for size in block_sizes(len(tasks), workers, largest)
    ]


@contextlib.contextmanager
def without_core_lines() -> Iterator[None]:
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
