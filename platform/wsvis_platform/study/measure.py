"""One setting, measured over several seeds: the unit of every sweep and table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wsvis.config import Config
from wsvis.plan import make_plan
from wsvis.settings import with_overrides
from wsvis.types import Dataset
from wsvis_platform.results import Measurement
from wsvis_platform.store.materialise import Materialiser
from wsvis_platform.store.store import Store

_COUNTS = frozenset({"frames", "videos", "pairs"})
"""Numbers of a quality stage that say how much was measured, not how good it is."""


def measure(
    base: Config,
    overrides: Mapping[str, Any],
    seeds: Sequence[int],
    dataset: Dataset,
    store: Store,
    targets: Sequence[str],
    *,
    trained_on: Dataset | None = None,
    on_seed: Callable[[Measurement], None] | None = None,
) -> Measurement:
    """Bring ``targets`` (quality stages) into the store for every seed and read their scores.

    Args:
        base: settings; ``overrides`` (dotted names) are laid over them.
        overrides: what this setting changes.
        seeds: one whole run each.
        dataset: the videos to measure on.
        store: where results are shared.
        targets: stages whose results hold the metrics; no two of one name.
        trained_on: take the networks trained on these videos instead of training on ``dataset``.
        on_seed: called with the measurement so far after each seed.
    """
    done: list[dict[str, float]] = []
    keys: list[dict[str, str]] = []
    computed: dict[str, None] = {}
    reused: dict[str, None] = {}
    coverage = 1.0
    result = Measurement(dict(overrides), (), [])
    for seed in seeds:
        config = with_overrides(replace(base, seed=seed), overrides)
        materialiser, plan = Materialiser(store), make_plan(config, dataset, targets, trained_on)
        outcomes = materialiser.carry_out(plan)
        scores: dict[str, float] = {}
        for target in targets:
            data = materialiser.result(target, plan).data
            scores.update({k: _number(v) for k, v in data.items() if k not in _COUNTS})
            coverage = min(coverage, data["videos"] / max(len(dataset.videos), 1))
        done.append(scores)
        keys.append(plan.keys())
        for outcome in outcomes:
            (computed if outcome.status == "computed" else reused)[outcome.stage] = None
        result = Measurement(
            dict(overrides),
            tuple(seeds[: len(done)]),
            list(done),
            list(keys),
            tuple(computed),
            tuple(name for name in reused if name not in computed),
            coverage,
        )
        if on_seed:
            on_seed(result)
    return result


def _number(value: float | None) -> float:
    # JSON has no NaN: a metric that is undefined is stored as null
    return math.nan if value is None else float(value)
