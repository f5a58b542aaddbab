"""One setting, measured over several seeds: the unit of every sweep and table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from wsvis.config import Config
from wsvis.config_checks import with_overrides
from wsvis.types import Dataset
from wsvis_platform.materialise import Materialiser, Outcome
from wsvis_platform.store import Store

METRICS = ("ap50", "ap25", "miou")
"""What every sweep and table shows unless it says otherwise."""

_COUNTS = frozenset({"frames", "videos", "pairs"})
"""Numbers of a quality stage that say how much was measured, not how good it is."""


@dataclass(frozen=True)
class Measurement:
    """What a setting scored, seed by seed, and which stored results it rests on."""

    overrides: dict[str, Any]
    seeds: tuple[int, ...]
    per_seed: list[dict[str, float]]
    keys: list[dict[str, str]] = field(default_factory=list)
    """For each seed: stage -> key."""
    computed: tuple[str, ...] = ()
    """Stages that had to be computed, as 'stage' once each."""
    reused: tuple[str, ...] = ()
    coverage: float = 1.0
    """Share of the videos that were measured."""

    def mean(self, metric: str) -> float:
        """Mean over seeds; NaN when any seed has none."""
        values = [row.get(metric, math.nan) for row in self.per_seed]
        return float(np.mean(values)) if values else math.nan

    def std(self, metric: str) -> float:
        """Sample standard deviation over seeds; NaN with fewer than two."""
        if len(self.per_seed) < 2:
            return math.nan
        return float(np.std([row.get(metric, math.nan) for row in self.per_seed], ddof=1))

    def rank(self, metric: str) -> float:
        """The mean, with NaN below everything: by this the best is found."""
        value = self.mean(metric)
        return -math.inf if math.isnan(value) else value

    def summary(self) -> dict[str, float]:
        """``<metric>``, its mean over seeds, and ``<metric>_std`` of every metric."""
        out: dict[str, float] = {}
        for metric in dict.fromkeys((*METRICS, *(name for row in self.per_seed for name in row))):
            out[metric], out[f"{metric}_std"] = self.mean(metric), self.std(metric)
        return out


def measure(
    base: Config,
    overrides: Mapping[str, Any],
    seeds: Sequence[int],
    dataset: Dataset,
    store: Store,
    targets: Sequence[str],
    *,
    trained_on: Dataset | None = None,
    tell: Callable[[Measurement], None] | None = None,
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
        tell: hears the measurement so far after each seed.
    """
    done: list[dict[str, float]] = []
    keys: list[dict[str, str]] = []
    computed: dict[str, None] = {}
    reused: dict[str, None] = {}
    coverage = 1.0
    result = Measurement(dict(overrides), (), [])
    for seed in seeds:
        config = with_overrides(replace(base, seed=seed), overrides)
        outcomes: list[Outcome]
        here = Materialiser(store)
        these, outcomes = here.ensure(config, dataset, targets, trained_on)
        scores: dict[str, float] = {}
        for target in targets:
            data = here.result(target, these, config, dataset, trained_on).data
            scores.update({k: _number(v) for k, v in data.items() if k not in _COUNTS})
            coverage = min(coverage, data["videos"] / max(len(dataset.videos), 1))
        done.append(scores)
        keys.append(these)
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
        if tell:
            tell(result)
    return result


def merged(parts: Sequence[Measurement]) -> Measurement:
    """One measurement of a setting from those of its single seeds, in their order."""
    computed = dict.fromkeys(name for part in parts for name in part.computed)
    reused = dict.fromkeys(name for part in parts for name in part.reused)
    return Measurement(
        parts[0].overrides,
        tuple(seed for part in parts for seed in part.seeds),
        [row for part in parts for row in part.per_seed],
        [keys for part in parts for keys in part.keys],
        tuple(computed),
        tuple(name for name in reused if name not in computed),
        min(part.coverage for part in parts),
    )


def _number(value: float | None) -> float:
    # JSON has no NaN: a metric that is undefined is stored as null
    return math.nan if value is None else float(value)
