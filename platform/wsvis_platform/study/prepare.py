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
from wsvis.stage_keys import needed, stage_keys, trained_networks
from wsvis.types import Dataset, Report
from wsvis_platform.store.extract import limit_threads, ray_data_runner
from wsvis_platform.store.materialise import Materialiser, Outcome, Progress, Trainer
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
def _ensure_whole(
    config: Config,
    dataset: Dataset,
    root: str,
    stage: str,
    trained_on: Dataset | None,
    name: str,
    board: Any,
    threads: int,
) -> list[Outcome]:
    """Bring one whole-data-set stage into the store, in a worker."""
    import torch  # before the limit is set: training uses it in any case

    torch.set_num_threads(threads)
    limit_threads(threads)
    last = 0.0

    def report(numbers: Mapping[str, float]) -> None:
        nonlocal last
        if time.monotonic() - last > 0.3:
            last = time.monotonic()
            board.write.remote(name, {key: float(value) for key, value in numbers.items()})

    return Materialiser(Store(root), report=report).ensure(config, dataset, [stage], trained_on)[1]


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
        train_workers: Ray Train workers that share each training of flowIRN or of a detector, one
            training after the other; 0 = one process per training, side by side.
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
    materialiser = Materialiser(store, runner, progress)
    givens = [trained_networks(each, targets, trained_on) for each in configs]
    trainers: Mapping[str, Trainer] = {}
    if train_workers:
        from wsvis_platform.training.driver import check_split, ray_train_trainers

        trainers = ray_train_trainers(workers=train_workers, gpus_per_worker=gpus_per_worker)
        for each, given in zip(configs, givens, strict=True):
            setting_keys = stage_keys(each, dataset, targets, given)
            missing = {name: key for name, key in setting_keys.items() if name not in given}
            check_split(each, dataset, store, missing, train_workers)
    for stage in needed(targets, givens[0]):
        # settings that do not reach this stage share its key: it is computed once
        runs: dict[str, tuple[Config, dict[str, str]]] = {}
        for each, given in zip(configs, givens, strict=True):
            keys = stage_keys(each, dataset, [stage.name], given)
            runs.setdefault(keys[stage.name], (each, keys))
        if stage.whole is None:
            together = [(each, dataset, keys) for each, keys in runs.values()]
            materialiser.stage_together(stage.name, together)
            for each, _ in runs.values():
                outcomes = materialiser.ensure(each, dataset, [stage.name], trained_on)[1]
                if on_outcome:
                    on_outcome(outcomes[-1])
            continue
        if stage.name in trainers:
            for key, (each, _) in runs.items():
                name = f"{stage.name} {key[:6]} seed {each.seed}"
                report = _named(name, training) if training else None
                one = Materialiser(store, report=report, trainers=trainers)
                outcomes = one.ensure(each, dataset, [stage.name], trained_on)[1]
                if on_outcome:
                    on_outcome(outcomes[-1])
            continue
        # Ray may end any process for want of memory; with this one only numbers on the way are lost
        board: Any = _Board.options(max_restarts=-1).remote()
        waiting = [
            _ensure_whole.options(
                num_cpus=training_cpus, num_gpus=gpus_per_worker, max_retries=_RETRIES
            ).remote(
                each,
                dataset,
                str(store.root),
                stage.name,
                trained_on,
                f"{stage.name} {key[:6]} seed {each.seed}",
                board,
                training_cpus,
            )
            for key, (each, _) in runs.items()
        ]
        while waiting:
            done, waiting = ray.wait(waiting, timeout=0.5)
            if training:
                with contextlib.suppress(RayError):
                    training(ray.get(board.read.remote()))
            for outcomes in _results(stage.name, done):
                if on_outcome:
                    on_outcome(outcomes[-1])


def _results(stage: str, done: Sequence[Any]) -> list[list[Outcome]]:
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
