"""Scores of a setting over its seeds, and the trials of a sweep: what every table is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsvis.evaluation.metrics import METRICS, SHOWN


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
        for metric in dict.fromkeys((*SHOWN, *(name for row in self.per_seed for name in row))):
            out[metric], out[f"{metric}_std"] = self.mean(metric), self.std(metric)
        return out


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


@dataclass(frozen=True)
class Row:
    """One row of a table: a named setting and its scores on both sides."""

    name: str
    measurement: Measurement
    """On the clips of the training."""
    held_out: Measurement | None = None
    paper: Mapping[str, float] = field(default_factory=dict)
    """Column -> the paper's own number, in points."""
    against: str = ""
    """Name of the row that it is compared with; empty: the first."""
    target: str = ""
    """The quality stage that its pictures are of."""


@dataclass(frozen=True)
class Trial:
    """One setting and what became of it."""

    number: int
    """From 1 on, in the order of suggestion."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    measurement: Measurement | None = None
    """``None`` for a trial that failed."""
    seconds: float = 0.0
    error: str = ""
    pruned: bool = False
    """Stopped before its last seed because others were ahead."""

    @property
    def label(self) -> str:
        """Its number as it is shown everywhere: ``07``."""
        return f"{self.number:02d}"

    def objective(self, metric: str) -> float:
        """Mean of the metric over seeds; NaN for a trial that failed or was pruned."""
        if self.measurement is None or self.pruned:
            return math.nan
        return self.measurement.mean(metric)


def score_text(measurement: Measurement | None, metric: str) -> str:
    """Mean ± standard deviation of a metric as tables show it: in points of 0..100, or n/a."""
    if measurement is None or math.isnan(measurement.mean(metric)):
        return "n/a"
    share = metric not in METRICS or METRICS[metric].share
    scale, digits = (100, 1) if share else (1, 2)
    mean, std = scale * measurement.mean(metric), scale * measurement.std(metric)
    return f"{mean:.{digits}f}" + ("" if math.isnan(std) else f" ± {std:.{digits}f}")
