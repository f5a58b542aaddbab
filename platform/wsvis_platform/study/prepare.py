"""Before a sweep: the stages that no trial changes go into the store, over the whole cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError, WorkerCrashedError

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.plan import Plan, Step, make_plan, merged
from wsvis.types import Dataset, Report
from wsvis_platform.store.extract import limit_threads, ray_data_runner
from wsvis_platform.store.materialise import Materialiser, Outcome, Progress
from wsvis_platform.store.store import Store

_RETRIES = 3
"""Of a training whose process died."""


@ray.remote(num_cpus=0)
class _Board:
    """Where training tasks write how far they are, for the driver to show."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}

    def write(self, name: str, numbers: dict[str, float]) -> None:
        self.rows[name] = numbers

    def read(self) -> dict[str, dict[str, float]]:
        return self.rows


@ray.remote
def _ensure_network(plan: Plan, root: str, name: str, board: Any, threads: int) -> Outcome:
    """Bring the last step of a plan into the store, in a worker."""
    import torch  # before the limit is set: training uses it in any case

    torch.set_num_threads(threads)
    limit_threads(threads)
    last = 0.0

    def report(numbers: Mapping[str, float]) -> None:
        nonlocal last
        if time.monotonic() - last > 0.3:
            last = time.monotonic()
            board.write.remote(name, {key: float(value) for key, value in numbers.items()})

    return Materialiser(Store(root), report=report).carry_out(plan)[-1]


def prepare(
    configs: Sequence[Config],
    dataset: Dataset,
    store: Store,
    targets: Sequence[str],
    *,
    workers: int = 0,
    gpus_per_worker: float = 0.0,
    train_workers: int = 0,
    training_cpus: int = 1,
    trained_on: Dataset | None = None,
    progress: Progress | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    training: Callable[[Mapping[str, Mapping[str, float]]], None] | None = None,
) -> None:
    """Ensure the targets of all settings: per-video stages by Ray Data, training as parallel tasks.

    Goes stage by stage over all settings at once, so that the machines are busy whatever their
    number; settings that share a result share its computation.

    Args:
        configs: whole settings, one seed each.
        dataset: the videos.
        store: shared results.
        targets: stages to bring into the store.
        workers: actors for per-video stages; 0 = one per CPU.
        gpus_per_worker: GPUs a network stage holds.
        train_workers: Ray Train workers that share each training that can be shared, one after the
            other; 0 = one process per training, side by side.
        training_cpus: cores that each of them takes. One by default, so that many trainings side by
            side, or one alone, give the same to the last digit.
        trained_on: take networks trained on these videos.
        progress: called with (stage, videos done, videos in all).
        on_outcome: called with the outcome of each stage.
        training: called with {task: its latest numbers} while training tasks run.

    Raises:
        InputError: a training does not split evenly over ``train_workers``; no video can be used.
    """
    runner = ray_data_runner(workers=workers, gpus_per_worker=gpus_per_worker)
    plan = merged([make_plan(each, dataset, targets, trained_on) for each in configs])
    trainer = None
    if train_workers:
        from wsvis_platform.training.driver import check_split, ray_trainer

        trainer = ray_trainer(workers=train_workers, gpus_per_worker=gpus_per_worker)
        check_split(plan, store, train_workers)
    materialiser = Materialiser(store, runner, progress)
    for network in plan.networks.values():
        last = network.steps[-1]
        if store.manifest(last.stage, last.key) is None:
            Materialiser(store, runner, progress, trainer=trainer).carry_out(network)
    for steps in plan.levels():
        stage = steps[0].definition()
        if not stage.over_data:
            materialiser.stage_together(steps, plan)
            for step in steps:
                outcome = materialiser.ensure_step(step, plan)
                if on_outcome:
                    on_outcome(outcome)
            continue
        if trainer and stage.training and stage.training.steps:
            for step in steps:
                report = _named(_title(step), training) if training else None
                one = Materialiser(store, report=report, trainer=trainer)
                outcome = one.ensure_step(step, plan)
                if on_outcome:
                    on_outcome(outcome)
            continue
        # Ray may end any process for want of memory; with this one only numbers on the way are lost
        board: Any = _Board.options(max_restarts=-1).remote()
        waiting = [
            _ensure_network.options(
                num_cpus=training_cpus, num_gpus=gpus_per_worker, max_retries=_RETRIES
            ).remote(plan.until(step), str(store.root), _title(step), board, training_cpus)
            for step in steps
        ]
        while waiting:
            done, waiting = ray.wait(waiting, timeout=0.5)
            if training:
                with contextlib.suppress(RayError):
                    training(ray.get(board.read.remote()))
            for outcome in _results(stage.name, done):
                if on_outcome:
                    on_outcome(outcome)


def _title(step: Step) -> str:
    """What the bar of a training is called."""
    return f"{step.name} {step.key[:6]} seed {step.config.seed}"


def _results(stage: str, done: Sequence[Any]) -> list[Outcome]:
    try:
        return ray.get(list(done))
    except (WorkerCrashedError, OutOfMemoryError) as error:
        raise InputError(
            f"{stage}: the process that computed it died {_RETRIES + 1} times "
            f"({' '.join(str(error).split())[:200]}); give it more memory or fewer --workers, and "
            "run the same command again"
        ) from error


def _named(name: str, training: Callable[[Mapping[str, Mapping[str, float]]], None]) -> Report:
    def report(numbers: Mapping[str, float]) -> None:
        training({name: {key: float(value) for key, value in numbers.items()}})

    return report
