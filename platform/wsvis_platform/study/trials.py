"""A sweep: Ray Tune + Optuna over dotted settings, every setting over several seeds.

The stages that no swept setting changes are prepared once, sharded over the cluster; a trial then
recomputes only what its settings change, in its own process, and finds the rest in the store. Tune
runs the jobs; which ones there are, :mod:`wsvis_platform.study.trial_order` decides.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune

from wsvis.config import Config
from wsvis.errors import one_line
from wsvis.passing_faults import is_passing
from wsvis.plan import affected, make_plan
from wsvis.types import Dataset
from wsvis_platform.options import SweepOptions
from wsvis_platform.results import Trial, merged
from wsvis_platform.store.extract import limit_threads
from wsvis_platform.store.store import Store
from wsvis_platform.study.measure import measure
from wsvis_platform.study.suggestions import suggestions
from wsvis_platform.study.trial_order import Setting, TrialOrder, rungs, survivors
from wsvis_platform.study.tune_jobs import EndOnTrouble, Jobs, Listener, plain_measurement


def _run_job(
    job: dict[str, Any],
    *,
    base: Config,
    dataset: Dataset,
    root: str,
    target: str,
    metric: str,
) -> None:
    """What runs in a trial's process: one setting with some seeds.

    A fault of the setting is the job's result, since another attempt would end the same; one of the
    machine is raised, and Tune tries the job again, as it does when the process dies.
    """
    limit_threads(1)
    try:
        measurement = measure(base, job["overrides"], job["seeds"], dataset, Store(root), [target])
        if math.isnan(measurement.mean(metric)):
            raise ValueError(f"{metric} is not a number for seeds {measurement.seeds}")
    except Exception as error:
        if is_passing(error):
            raise
        tune.report({"error": one_line(str(error)) or type(error).__name__})
    else:
        tune.report({"measurement": json.dumps(plain_measurement(measurement))})


def run_trials(
    base: Config,
    space: Mapping[str, Any],
    dataset: Dataset,
    store: Store,
    options: SweepOptions,
    *,
    folder: Path,
    first: Sequence[Mapping[str, Any]] = (),
    on_trial: Callable[[Trial], None],
) -> list[Trial]:
    """Try ``options.num_samples`` settings; a failed trial is recorded and does not stop the rest.

    Args:
        base: settings the sweep varies.
        space: dotted name -> Tune domain (``tune.uniform(...)``, ``tune.choice([...])``).
        dataset: the videos.
        store: shared results.
        options: samples, seeds, objective, sampler, pruning.
        folder: where Tune keeps its state.
        first: settings tried before the sampler proposes any.
        on_trial: called with each finished trial, in this process, as they finish.

    Returns:
        All trials, in the order of their numbers.
    """
    if options.num_samples == 0:
        return []
    order = TrialOrder(
        total=options.num_samples,
        batch=options.batch,
        segments=rungs(options.seeds, options.prune),
        metric=options.metric,
        goes_on=survivors(options.prune),
        suggest=suggestions(space, options, first),
        on_settled=lambda setting: on_trial(_trial(setting)),
    )
    jobs = Jobs(order)
    workers = options.workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # our own lines are the ones a user reads
    trainable = tune.with_parameters(
        _run_job,
        base=base,
        dataset=dataset,
        root=str(store.root),
        target=options.target,
        metric=options.metric,
    )
    resources = {"cpu": 1.0}
    if options.gpus_per_worker and _trains(base, dataset, options.target, space):
        resources["gpu"] = options.gpus_per_worker
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=jobs,
            num_samples=-1,  # until the order has no more jobs
            max_concurrent_trials=workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=2),
            callbacks=[Listener(jobs)],
            stop=EndOnTrouble(jobs),
        ),
    )
    tuner.fit()
    if jobs.trouble:
        raise jobs.trouble
    return [_trial(setting) for setting in order.settings]


def _trains(base: Config, dataset: Dataset, target: str, space: Iterable[str]) -> bool:
    """Whether a setting of the sweep changes a network that has to be trained."""
    plan = make_plan(base, dataset, [target])
    changing = affected(plan, space)
    return any(step.definition().training for step in plan.steps if step.key in changing)


def _trial(setting: Setting) -> Trial:
    measurement = merged(setting.parts) if setting.parts and not setting.error else None
    return Trial(
        setting.number,
        setting.overrides,
        measurement,
        setting.seconds,
        setting.error,
        setting.pruned,
    )


def best_of(trials: Sequence[Trial], metric: str) -> Trial | None:
    """The finished trial with the highest objective; one that is not a number is never best."""
    usable = [trial for trial in trials if not math.isnan(trial.objective(metric))]
    return max(usable, key=lambda trial: trial.objective(metric), default=None)
