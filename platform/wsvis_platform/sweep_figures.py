"""Two pictures of a sweep: the objective over two settings, and which settings mattered.

A trial is a flat mapping: dotted names are settings, ``<metric>_mean`` and ``<metric>_std`` its
scores over seeds (0..1; shown as points of 0..100).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

Row = Mapping[str, Any]

SYMBOLS = {
    "fcam.amplification": "A, amplification",
    "fcam.percentile": "T, flow percentile",
    "ir_labels.foreground_threshold": "foreground threshold",
    "fcam.compensation": "camera compensation",
    "flow_boundary.regularization": "lambda, flow-gradient difference",
    "flow_boundary.weight": "weight of f-Bound",
    "flow_boundary.gradient": "F'",
}
"""Axis names; other settings keep their dotted one."""

METRICS = {"ap50": "AP50", "ap25": "AP25", "miou": "mIoU"}

FEWEST_FOR_IMPORTANCE = 8
"""Below this a variance decomposition says nothing."""

_FEWEST_FOR_SURFACE = 10
_MARKERS = "oD^sPv*X"


def objective_figure(rows: Sequence[Row], axes: tuple[str, str], metric: str) -> Figure:
    """The objective of every trial over two settings; the best ringed with its mean and std.

    Args:
        rows: finished trials.
        axes: the settings on x and y.
        metric: ``<metric>_mean``.
    """
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    ax = figure.subplots()
    ax.set_xlabel(SYMBOLS.get(axes[0], axes[0]))
    ax.set_ylabel(SYMBOLS.get(axes[1], axes[1]))
    usable = [row for row in rows if axes[0] in row and axes[1] in row and metric in row]
    if not usable:
        return _empty(figure, ax, "no finished trial")
    x, y = (_positions(ax, usable, name, side) for name, side in zip(axes, "xy", strict=True))
    score = np.array([100 * float(row[metric]) for row in usable])
    finite = np.isfinite(score)
    low, high = (score[finite].min(), score[finite].max()) if finite.any() else (0.0, 1.0)
    _surface(ax, x[finite], y[finite], score[finite], low, high)

    split = _splitting(usable, axes)
    groups = sorted({str(row[split]) for row in usable}) if split else [""]
    drawn = None
    for group, marker in zip(groups, _MARKERS, strict=False):
        mine = finite & np.array([not split or str(row[split]) == group for row in usable])
        drawn = ax.scatter(
            x[mine],
            y[mine],
            c=score[mine],
            vmin=low,
            vmax=high,
            s=70,
            marker=marker,
            edgecolors="black",
            linewidths=0.6,
            zorder=3,
        )
    ax.set_xlim(_widened(x))
    ax.set_ylim(_widened(y))
    if not finite.all():
        ax.scatter(x[~finite], y[~finite], c="grey", marker="x", zorder=3)
    if finite.any() and drawn is not None:
        best = int(np.nanargmax(np.where(finite, score, np.nan)))
        _mark_best(ax, x, y, best, _mean_std(usable[best], metric))
        if high > low:
            figure.colorbar(drawn, ax=ax, label=f"{_metric_name(metric)}, mean over seeds")
    keys = [_key(group, m) for group, m in zip(groups, _MARKERS, strict=False)] if split else []
    keys += [] if finite.all() else [_key("failed", "x")]
    if keys:
        title = SYMBOLS.get(split, split) if split else None
        ax.legend(handles=keys, title=title, fontsize=8, title_fontsize=8, loc="best")
    ax.set_title(f"{_metric_name(metric)} of {_count(rows)}", loc="left", fontsize=11)
    return figure


def setting_importance(rows: Sequence[Row], metric: str, seed: int) -> dict[str, float]:
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
            found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return {name: float(found[name]) for name in sorted(found, key=lambda name: -found[name])}


def importance_figure(rows: Sequence[Row], metric: str, seed: int) -> Figure:
    """Bars of :func:`setting_importance`."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    ax = figure.subplots()
    found = setting_importance(rows, metric, seed)
    if not found:
        return _empty(figure, ax, f"{_count(rows)}: too few, or too alike, to tell settings apart")
    names = [SYMBOLS.get(name, name) for name in found]
    bars = ax.barh(names, list(found.values()), color="#3b6e8f")
    ax.bar_label(bars, [f"{value:.0%}" for value in found.values()], padding=3, fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(0, max(found.values()) * 1.15)
    ax.set_xlabel("share of the objective's variance (fANOVA)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(
        f"What {_metric_name(metric)} depended on, {_count(rows)}", loc="left", fontsize=11
    )
    return figure


def _positions(ax: Axes, rows: Sequence[Row], name: str, side: str) -> np.ndarray:
    """Numbers as they are; words by rank, with tick labels."""
    column = [row[name] for row in rows]
    if all(isinstance(value, int | float) for value in column):
        return np.array(column, float)
    words = sorted({str(value) for value in column})
    set_ticks = ax.set_xticks if side == "x" else ax.set_yticks
    set_ticks(range(len(words)), words)
    return np.array([words.index(str(value)) for value in column], float)


def _surface(
    ax: Axes, x: np.ndarray, y: np.ndarray, score: np.ndarray, low: float, high: float
) -> None:
    """Pale shading: the mean of the trials nearby (Gaussian, a sixth of each axis wide).

    A mean, because the settings not shown vary from point to point: a surface through the points
    would draw hills that are not there.
    """
    if len(score) < _FEWEST_FOR_SURFACE or high <= low or not (np.ptp(x) and np.ptp(y)):
        return
    left, right, bottom, top = (*_widened(x), *_widened(y))
    grid_x, grid_y = np.meshgrid(np.linspace(left, right, 60), np.linspace(bottom, top, 60))
    apart = ((grid_x[..., None] - x) / np.ptp(x)) ** 2 + ((grid_y[..., None] - y) / np.ptp(y)) ** 2
    weight = np.exp(-apart * 36 / 2) + 1e-12
    mean = (weight * score).sum(-1) / weight.sum(-1)
    ax.contourf(grid_x, grid_y, mean, levels=np.linspace(low, high, 14), alpha=0.3, zorder=1)


def _widened(values: np.ndarray) -> tuple[float, float]:
    """The range of the values and a margin, so that no marker is cut."""
    margin = 0.06 * float(np.ptp(values)) or 0.5
    return float(values.min()) - margin, float(values.max()) + margin


def _splitting(rows: Sequence[Row], axes: tuple[str, str]) -> str:
    """The first word-valued setting besides the axes that varies, or empty."""
    for name in rows[0]:
        if "." in name and name not in axes and isinstance(rows[0][name], str):
            values = {str(row.get(name)) for row in rows}
            if 1 < len(values) <= len(_MARKERS):
                return name
    return ""


def _mark_best(ax: Axes, x: np.ndarray, y: np.ndarray, best: int, text: str) -> None:
    ax.scatter(x[best], y[best], s=320, facecolors="none", edgecolors="crimson", lw=2, zorder=4)
    right = x[best] > (x.min() + x.max()) / 2
    above = y[best] > (y.min() + y.max()) / 2
    ax.annotate(
        f"best {text}",
        (x[best], y[best]),
        xytext=(-14 if right else 14, -14 if above else 14),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top" if above else "bottom",
        color="crimson",
        weight="bold",
        bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.8},
        zorder=5,
    )


def _key(label: str, marker: str) -> Line2D:
    return Line2D([], [], color="dimgrey", marker=marker, linestyle="none", label=label)


def _count(rows: Sequence[Row]) -> str:
    return "1 trial" if len(rows) == 1 else f"{len(rows)} trials"


def _mean_std(row: Row, metric: str) -> str:
    std = float(row.get(metric.removesuffix("_mean") + "_std", math.nan))
    text = f"{100 * float(row[metric]):.1f}"
    return text if math.isnan(std) else f"{text} ± {100 * std:.1f}"


def _metric_name(metric: str) -> str:
    name = metric.removesuffix("_mean")
    return METRICS.get(name, name)


def _empty(figure: Figure, ax: Axes, text: str) -> Figure:
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes)
    return figure
