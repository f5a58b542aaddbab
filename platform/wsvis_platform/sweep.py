"""A sweep: Ray Tune + Optuna over dotted settings, every setting over several seeds.

The stages that no swept setting changes are prepared once, sharded over the cluster; a trial then
recomputes only what its settings change, in its own process, and finds the rest in the store.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)
from ray.tune.search.optuna import OptunaSearch

from wsvis.config import Config
from wsvis.types import Dataset
from wsvis_platform.extract import limit_threads
from wsvis_platform.measure import Measurement, measure
from wsvis_platform.options import SweepOptions
from wsvis_platform.store import Store


@dataclass(frozen=True)
class Trial:
    """One finished trial."""

    id: str
    measurement: Measurement | None
    seconds: float
    error: str = ""
    pruned: bool = False
    """Stopped before its last seed because others were ahead."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Running metrics after each seed."""

    def objective(self, metric: str) -> float:
        """Mean of the metric over seeds; NaN for a trial that failed or was pruned."""
        if self.measurement is None or self.pruned:
            return math.nan
        return self.measurement.mean(metric)


def _run_trial(
    overrides: dict[str, Any],
    *,
    base: Config,
    dataset: Dataset,
    root: str,
    seeds: Sequence[int],
    target: str,
    metric: str,
) -> None:
    """What runs in a trial's process: one setting, seed after seed, told to Tune as it goes."""
    limit_threads(1)

    def tell(so_far: Measurement) -> None:
        value = so_far.mean(metric)
        if math.isnan(value):
            raise ValueError(f"{metric} is not a number for seed {so_far.seeds[-1]}")
        tune.report(
            {
                "objective": value,
                **so_far.summary(),
                "seeds_done": len(so_far.seeds),
                "measurement": json.dumps(_plain(so_far)),
            }
        )

    measure(base, overrides, seeds, dataset, Store(root), [target], tell=tell)


class _Listener(tune.Callback):
    """Turns Tune's events into :class:`Trial` records for one function to hear."""

    def __init__(self, hear: Callable[[Trial], None] | None, seeds: int) -> None:
        self.hear, self.seeds = hear, seeds
        self.history: dict[str, list[dict[str, float]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune saves its callbacks; who listens in this process has no place in a file
        return {"hear": None, "seeds": self.seeds, "history": self.history}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        numbers = {
            name: float(value)
            for name, value in result.items()
            if name.endswith(("_mean", "_std")) or name == "objective"
        }
        self.history.setdefault(trial.trial_id, []).append(numbers)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._tell(trial, "")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        lines = str(trial.get_error() or "failed").strip().splitlines()
        self._tell(trial, lines[-1].strip())

    def _tell(self, trial: Any, error: str) -> None:
        if self.hear is None:
            return
        result = trial.last_result or {}
        found = None if error else _measurement(result.get("measurement"))
        self.hear(
            Trial(
                id=trial.trial_id,
                measurement=found,
                seconds=float(result.get("time_total_s", 0.0)),
                error=error or ("" if found else "reported nothing"),
                pruned=found is not None and len(found.seeds) < self.seeds,
                history=self.history.get(trial.trial_id, []),
            )
        )


def run_trials(
    base: Config,
    space: Mapping[str, Any],
    dataset: Dataset,
    store: Store,
    options: SweepOptions,
    *,
    folder: Path,
    first: Sequence[Mapping[str, Any]] = (),
    hear: Callable[[Trial], None],
) -> list[Trial]:
    """Try ``options.num_samples`` settings; a failed trial is recorded and does not stop the rest.

    Args:
        base: settings the sweep varies.
        space: dotted name -> Tune domain (``tune.uniform(...)``, ``tune.choice([...])``).
        dataset: the videos.
        store: shared results.
        options: samples, seeds, objective, sampler.
        folder: where Tune keeps its state.
        first: settings tried before the sampler proposes any.
        hear: told about each finished trial, in this process.
    """
    if options.num_samples == 0:
        return []
    finished: list[Trial] = []

    def collect(trial: Trial) -> None:
        finished.append(trial)
        hear(trial)

    sampler: optuna.samplers.BaseSampler
    if options.sampler == "tpe":
        sampler = optuna.samplers.TPESampler(
            seed=options.sampler_seed, multivariate=True, n_startup_trials=6, constant_liar=True
        )
    else:
        sampler = optuna.samplers.RandomSampler(seed=options.sampler_seed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = OptunaSearch(
        dict(space),
        metric="objective",
        mode="max",
        points_to_evaluate=[dict(point) for point in first][: options.num_samples],
        sampler=sampler,
    )
    workers = options.workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # our own lines are the ones a user reads
    trainable = tune.with_parameters(
        _run_trial,
        base=base,
        dataset=dataset,
        root=str(store.root),
        seeds=options.seeds,
        target=options.target,
        metric=options.metric,
    )
    resources = {"cpu": 1.0}
    if options.gpus_per_worker and options.target in ("pseudo_label_quality", "prediction_quality"):
        resources["gpu"] = options.gpus_per_worker
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            metric="objective",
            mode="max",
            search_alg=search,
            scheduler=_scheduler(options),
            num_samples=options.num_samples,
            max_concurrent_trials=workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=2),
            callbacks=[_Listener(collect, len(options.seeds))],
        ),
    )
    tuner.fit()
    return finished


def _scheduler(options: SweepOptions) -> TrialScheduler:
    """What stops settings that are behind; every setting begins with the same seed."""
    if options.prune == "asha" and len(options.seeds) > 1:
        return ASHAScheduler(
            time_attr="seeds_done",
            grace_period=1,
            max_t=len(options.seeds),
            reduction_factor=4,
        )
    if options.prune == "median":
        return MedianStoppingRule(time_attr="seeds_done", grace_period=0, min_samples_required=3)
    return FIFOScheduler()


def best_of(trials: Sequence[Trial], metric: str) -> Trial | None:
    """The finished trial with the highest objective; one that is not a number is never best."""
    usable = [trial for trial in trials if not math.isnan(trial.objective(metric))]
    return max(usable, key=lambda trial: trial.objective(metric), default=None)


def _plain(measurement: Measurement) -> dict[str, Any]:
    return {
        "overrides": measurement.overrides,
        "seeds": list(measurement.seeds),
        "per_seed": measurement.per_seed,
        "keys": measurement.keys,
        "computed": list(measurement.computed),
        "reused": list(measurement.reused),
        "coverage": measurement.coverage,
    }


def _measurement(text: str | None) -> Measurement | None:
    if not text:
        return None
    plain = json.loads(text)
    return Measurement(
        plain["overrides"],
        tuple(plain["seeds"]),
        plain["per_seed"],
        plain["keys"],
        tuple(plain["computed"]),
        tuple(plain["reused"]),
        plain["coverage"],
    )
