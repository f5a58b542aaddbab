"""What every sweep is held against: masks without the method, each at its own best setting."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray

from wsvis.config import Config
from wsvis.plan import make_plan
from wsvis.settings import with_overrides
from wsvis.types import Dataset
from wsvis_platform.results import Measurement, merged
from wsvis_platform.store.extract import limit_threads
from wsvis_platform.store.store import Store
from wsvis_platform.study.measure import measure


@dataclass(frozen=True)
class Baseline:
    """A simpler way to the same masks, with the settings it may choose among."""

    name: str
    target: str
    """Quality stage that measures it."""
    grid: Mapping[str, Sequence[Any]]
    """Dotted name -> values; the best combination by the sweep's objective is taken."""

    def settings(self) -> list[dict[str, Any]]:
        """Every combination of the grid."""
        names = list(self.grid)
        return [
            dict(zip(names, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]


@ray.remote(num_cpus=1, max_retries=3)
def _measure_remotely(
    base: Config,
    overrides: Mapping[str, Any],
    seeds: Sequence[int],
    dataset: Dataset,
    root: str,
    targets: Sequence[str],
    trained_on: Dataset | None,
) -> Measurement:
    limit_threads(1)
    return measure(base, overrides, seeds, dataset, Store(root), targets, trained_on=trained_on)


def measure_all(
    base: Config,
    settings: Sequence[tuple[Sequence[str], Mapping[str, Any]]],
    seeds: Sequence[int],
    dataset: Dataset,
    store: Store,
    *,
    trained_on: Dataset | None = None,
    gpus: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Measurement]:
    """Measure many (targets, overrides) at once, a seed of one per CPU, in the order given.

    Args:
        base: settings that the overrides are laid over.
        settings: quality stages and overrides of each measurement.
        seeds: one whole run each.
        dataset: the videos to measure on.
        store: shared results.
        trained_on: networks are taken that were trained on these videos.
        gpus: that a task holds which has a network to train or to run; others hold none.
        progress: called with (tasks done, tasks in all).
    """
    shared = ray.put(dataset)
    trained = ray.put(trained_on)

    def gpus_for(targets: Sequence[str], overrides: Mapping[str, Any], seed: int) -> float:
        config = with_overrides(replace(base, seed=seed), overrides)
        return (
            gpus if gpus and has_network_to_run(config, dataset, store, targets, trained_on) else 0
        )

    tasks = [
        _measure_remotely.options(num_gpus=gpus_for(t, o, seed)).remote(
            base, dict(o), (seed,), shared, str(store.root), tuple(t), trained
        )
        for t, o in settings
        for seed in seeds
    ]
    waiting = list(tasks)
    while waiting:
        _, waiting = ray.wait(waiting, timeout=0.5)
        if progress:
            progress(len(tasks) - len(waiting), len(tasks))
    results = ray.get(tasks)
    return [merged(results[i : i + len(seeds)]) for i in range(0, len(results), len(seeds))]


def has_network_to_run(
    config: Config,
    dataset: Dataset,
    store: Store,
    targets: Sequence[str],
    trained_on: Dataset | None = None,
) -> bool:
    """Whether what is missing in the store for the targets takes a network."""
    steps = make_plan(config, dataset, targets, trained_on).steps
    return any(
        stage.training is not None or stage.network(config)
        for step in steps
        for stage in (step.definition(),)
        if store.manifest(step.stage, step.key) is None
    )


def best_baselines(
    base: Config,
    baselines: Sequence[Baseline],
    seeds: Sequence[int],
    dataset: Dataset,
    store: Store,
    metric: str,
    *,
    gpus: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Measurement]:
    """Each baseline at the setting that serves it best on these videos."""
    rows = [(each, overrides) for each in baselines for overrides in each.settings()]
    results = measure_all(
        base,
        [((each.target,), o) for each, o in rows],
        seeds,
        dataset,
        store,
        gpus=gpus,
        progress=progress,
    )
    best: dict[str, Measurement] = {}
    for (each, _), measurement in zip(rows, results, strict=True):
        value = measurement.mean(metric)
        if value == value and (
            each.name not in best or value > best[each.name].mean(metric)
        ):  # NaN is never best
            best[each.name] = measurement
    return best
