"""Optuna's suggestions for a sweep, a batch at a time, from what is known and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from ray.tune.search.optuna import OptunaSearch

from wsvis.seeds import stage_seed
from wsvis_platform.options import SweepOptions
from wsvis_platform.study.trial_order import Known, Suggest

STARTUP = 6
"""Settings drawn at random before TPE learns from them."""


def suggestions(
    space: Mapping[str, Any], options: SweepOptions, first: Sequence[Mapping[str, Any]]
) -> Suggest:
    """A function that proposes batches.

    Each batch has a fresh study and a sampler with a seed of its own, so that it depends on its
    place and on what is known alone, not on what this process did before.

    Args:
        space: dotted name -> Tune domain.
        options: sampler and its seed.
        first: settings that come before the sampler's.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = OptunaSearch.convert_search_space(dict(space))

    def suggest(known: Sequence[Known], before: int, count: int) -> list[Mapping[str, Any]]:
        given = first[before : before + count]
        sampler = _sampler(options, stage_seed(options.sampler_seed, f"after {before} settings"))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for setting in known:
            if _within(setting.overrides, distributions):
                study.add_trial(_trial(setting, distributions))
        asked = [study.ask(distributions).params for _ in range(count - len(given))]
        return [*given, *asked]

    return suggest


def _sampler(options: SweepOptions, seed: int) -> optuna.samplers.BaseSampler:
    if options.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        seed=seed, multivariate=True, n_startup_trials=STARTUP, constant_liar=True
    )


def _within(overrides: Mapping[str, Any], distributions: Mapping[str, Any]) -> bool:
    """Whether a setting lies in the space: one that was given by hand need not."""
    return overrides.keys() == distributions.keys() and all(
        _contains(distribution, overrides[name]) for name, distribution in distributions.items()
    )


def _contains(distribution: Any, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:
        return False


def _trial(setting: Known, distributions: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
    # pruned: ranked below every setting that went on, whose score rests on more seeds
    state = optuna.trial.TrialState.PRUNED if setting.pruned else optuna.trial.TrialState.COMPLETE
    return optuna.trial.create_trial(
        state=state,
        params=dict(setting.overrides),
        distributions=dict(distributions),
        value=setting.score,
        intermediate_values={setting.rungs: setting.score},
    )
