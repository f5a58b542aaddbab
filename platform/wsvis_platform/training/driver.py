"""Training of a network over several processes by Ray Train.

Every worker holds the same network and its share of every batch; gradients are summed, so several
workers do what one does with the whole batch. Worker 0 hands a training state to Ray Train every
few steps. When a worker dies, Ray Train ends the group and starts it again from the last state, and
since batches follow from the step alone, the result is that of a training nobody disturbed. A
driver that was stopped goes on from the same state when it asks for the same result again.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchTrainer

from wsvis.plan import Plan, Step
from wsvis.types import Dataset, Report
from wsvis_platform.cluster.ray_process import environment
from wsvis_platform.store.materialise import Trainer
from wsvis_platform.store.store import Store
from wsvis_platform.training.job import Job, trouble_error
from wsvis_platform.training.rendezvous import NodeTorchConfig
from wsvis_platform.training.worker import Board, Start, train_worker

READERS = 1
"""Actors that make batches for each worker, where the stage lets others make them."""


class _StopOnTrouble(ray.train.UserCallback):
    """Ends a training that would fail again: dead workers are replaced, bad settings are not."""

    def __init__(self, board: Any) -> None:
        self.board = board

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raising here ends the whole training, without another attempt."""
        if ray.get(self.board.failed.remote()):
            raise RuntimeError("no attempt can succeed")


def train_distributed(
    step: Step,
    dataset: Dataset,
    store: Store,
    report: Report | None = None,
    *,
    workers: int,
    gpus_per_worker: float = 0.0,
    cpus: float = 0.0,
    checkpoint_every: int = 0,
    max_failures: int = 3,
    started: Callable[[Start], None] | None = None,
) -> None:
    """Train a step's network over several workers and stage what one process would give.

    Ray must be running; the inputs must be complete in the store.

    Args:
        step: of a stage that several workers can train.
        dataset: the training videos.
        store: on a file system that all machines share.
        report: called with worker 0's numbers, in this process.
        workers: processes that train together.
        gpus_per_worker: GPUs each holds; 0 trains on CPUs. Below 1 several share one.
        cpus: CPUs to take in all; 0 = all of the cluster. Each process gets at most one.
        checkpoint_every: steps between training states; 0 = :func:`steps_between_states`.
        max_failures: how often dead workers may be replaced.
        started: called with each worker that begins, the first time and after a failure.

    Raises:
        InputError: settings or data with which no training is possible; one line.
        CorruptEntryError: a stored input differs from what was written.
    """
    stage = step.definition()
    training, settings = stage.training, stage.view(step.config)
    assert training is not None
    assert training.steps is not None
    blind = stage.shown(dataset)
    if training.check:
        training.check(settings, blind, workers)
    every = checkpoint_every or steps_between_states(training.steps(settings, blind, workers))
    room = cpus or ray.cluster_resources().get("CPU", 1.0)
    readers = READERS if training.batches else 0
    share = min(1.0, int(1000 * room / (workers * (1 + readers))) / 1000)  # Ray counts thousandths
    job = Job(step, blind, str(store.root), every, readers, share)
    folder = store.root / "training"
    # one that dies comes back empty: only numbers on the way are lost
    board: Any = Board.options(max_restarts=-1, max_task_retries=-1).remote()
    failed: list[BaseException] = []

    def fit() -> None:
        try:
            _fit(
                {"job": job, "board": board},
                workers=workers,
                cpus=share,
                gpus=gpus_per_worker,
                folder=folder,
                name=step.key,
                max_failures=max_failures,
            )
        except BaseException as error:
            failed.append(error)

    # In a thread of its own: this one stays free to report, and to be interrupted.
    fitting = threading.Thread(target=fit, daemon=True)
    fitting.start()
    try:
        trouble = ""
        while True:
            alive = fitting.is_alive()
            starts, numbers, trouble = ray.get(board.news.remote())
            for start in starts:
                if started:
                    started(start)
            for row in numbers:
                if report:
                    report(row)
            if not alive:
                break
            fitting.join(0.2)
    finally:
        ray.kill(board)  # workers that outlive an interrupted driver stop at their next report
    if trouble:
        shutil.rmtree(folder / step.key, ignore_errors=True)
        raise trouble_error(trouble)
    if failed:
        raise failed[0]
    shutil.rmtree(folder / step.key, ignore_errors=True)


def steps_between_states(steps: int) -> int:
    """About a hundred training states, at least 50 steps apart: a large one has 350 MB."""
    return max(50, steps // 100)


def ray_trainer(*, workers: int, gpus_per_worker: float = 0.0, cpus: float = 0.0) -> Trainer:
    """How to train over several workers, for a ``Materialiser``.

    Who holds CPUs itself (a trial) gives the rest as ``cpus``; else the workers wait for its own.
    """
    return partial(train_distributed, workers=workers, gpus_per_worker=gpus_per_worker, cpus=cpus)


def check_split(plan: Plan, store: Store, workers: int) -> None:
    """Refuse what does not split evenly over the workers, before hours of other work.

    Args:
        plan: its trainings may have more videos than will be usable.
        store: trainings whose result it holds are not asked.
        workers: processes that train together.

    Raises:
        InputError: one line.
    """
    for part in (plan, *plan.networks.values()):
        for step in part.steps:
            stage = step.definition()
            check = stage.training.check if stage.training else None
            if check and store.manifest(step.stage, step.key) is None:
                check(stage.view(step.config), part.dataset(step), workers)


def _fit(
    loop_config: dict[str, Any],
    *,
    workers: int,
    cpus: float,
    gpus: float,
    folder: Path,
    name: str,
    max_failures: int,
) -> None:
    resources = {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
    # NCCL refuses two workers on one GPU; gloo does not mind
    backend = "nccl" if gpus >= 1 else "gloo"
    # workers stay in the driver's folder, where relative paths of frames mean something
    with environment(RAY_CHDIR_TO_TRIAL_DIR="0"):
        trainer = TorchTrainer(
            train_worker,
            train_loop_config=loop_config,
            torch_config=NodeTorchConfig(backend=backend),
            scaling_config=ray.train.ScalingConfig(
                num_workers=workers, use_gpu=gpus > 0, resources_per_worker=resources
            ),
            run_config=ray.train.RunConfig(
                name=name,
                storage_path=str(folder),
                failure_config=ray.train.FailureConfig(max_failures=max_failures),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
                callbacks=[_StopOnTrouble(loop_config["board"])],
            ),
        )
        trainer.fit()
