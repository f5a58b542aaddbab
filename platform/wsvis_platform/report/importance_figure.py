"""Which settings of a sweep mattered: shares of the objective's variance, or a slice for each."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from wsvis.evaluation.metrics import heading
from wsvis_platform.report.figures import SYMBOLS, Numbers, count_text

FEWEST_FOR_IMPORTANCE = 8
"""Below this a variance decomposition says nothing."""


def setting_importance(rows: Sequence[Numbers], metric: str, seed: int) -> dict[str, float]:
    """Share of the objective's variance each setting explains (fANOVA; sums to 1), largest first.

    Empty with fewer than ``FEWEST_FOR_IMPORTANCE`` finite trials, or where nothing varies.
    """
    usable = [row for row in rows if math.isfinite(float(row.get(metric, math.nan)))]
    names = sorted({name for row in usable for name in row if "." in name})
    shared = [name for name in names if all(name in row for row in usable)]
    values = {float(row[metric]) for row in usable}
    if len(usable) < FEWEST_FOR_IMPORTANCE or len(values) < 2:
        return {}
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
    )

    ranges: dict[str, BaseDistribution] = {}
    for name in shared:
        column = [row[name] for row in usable]
        if len(set(column)) < 2:
            continue
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in column):
            ranges[name] = FloatDistribution(float(min(column)), float(max(column)))
        else:
            ranges[name] = CategoricalDistribution(tuple(sorted({str(v) for v in column})))
    if not ranges:
        return {}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize")
        for row in usable:
            plain = {
                name: float(row[name]) if isinstance(kind, FloatDistribution) else str(row[name])
                for name, kind in ranges.items()
            }
            study.add_trial(
                optuna.trial.create_trial(
                    params=plain, distributions=ranges, value=float(row[metric])
                )
            )
        # named and seeded: Optuna's default evaluator changes between versions
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is experimental
            importance = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return {
        name: float(importance[name])
        for name in sorted(importance, key=lambda name: -importance[name])
    }


def importance_figure(rows: Sequence[Numbers], metric: str, seed: int) -> Figure:
    """Bars of :func:`setting_importance`; with too few trials the objective over each setting."""
    shares = setting_importance(rows, metric, seed)
    if not shares:
        return _slices(rows, metric)
    figure = Figure(figsize=(7, 3), layout="constrained")
    ax = figure.subplots()
    names = [SYMBOLS.get(name, name) for name in shares]
    bars = ax.barh(names, list(shares.values()), color="#3b6e8f")
    ax.bar_label(bars, [f"{value:.0%}" for value in shares.values()], padding=3, fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(0, max(shares.values()) * 1.15)
    ax.set_xlabel("share of the objective's variance (fANOVA)")
    ax.spines[["top", "right"]].set_visible(False)
    title = f"What {heading(metric)} depended on, {count_text(rows)}"
    ax.set_title(title, loc="left", fontsize=11)
    return figure


def _slices(rows: Sequence[Numbers], metric: str) -> Figure:
    """The objective over each setting, where shares of its variance would say nothing."""
    names = list(dict.fromkeys(name for row in rows for name in row if "." in name))
    figure = Figure(figsize=(3.2 * max(len(names), 2), 3.4), layout="constrained")
    grid = np.atleast_1d(figure.subplots(1, max(len(names), 1), sharey=True))
    for ax, name in zip(grid, names, strict=False):
        usable = [row for row in rows if name in row and metric in row]
        column = [row[name] for row in usable]
        numbers = all(isinstance(value, int | float) for value in column)
        ax.plot(
            column if numbers else [str(value) for value in column],
            [100 * float(row[metric]) for row in usable],
            "o",
            color="#3b6e8f",
        )
        ax.set_xlabel(SYMBOLS.get(name, name))
        ax.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel(heading(metric))
    figure.suptitle(
        f"{count_text(rows)}: too few, or too alike, to weigh the settings against each other",
        fontsize=11,
    )
    return figure
