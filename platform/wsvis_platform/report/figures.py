"""The objective of a sweep over every pair of settings.

A trial is a flat mapping: dotted names are settings, ``<metric>`` and ``<metric>_std`` the mean and
standard deviation of its scores over seeds (0..1; shown as points of 0..100).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wsvis.evaluation.metrics import heading

Numbers = Mapping[str, Any]

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

_FEWEST_FOR_SURFACE = 10
_MARKERS = "oD^sPv*X"


def objective_figure(rows: Sequence[Numbers], axes: tuple[str, str], metric: str) -> Figure:
    """The objective of every trial, a panel per pair of settings; the best ringed with mean, std.

    A row with ``pruned`` true is drawn hollow: its mean is over fewer seeds, so it is no rival.

    Args:
        rows: trials.
        axes: the settings on x and y of the first panel.
        metric: its name.
    """
    pairs = [axes, *_other_pairs(rows, axes)]
    columns = 1 if len(pairs) == 1 else 2 if len(pairs) <= 4 else 3
    height = -(-len(pairs) // columns)
    figure = Figure(
        figsize=(
            7.5 if columns == 1 else 5.5 * columns,
            5.5 * height if columns == 1 else 4.4 * height,
        ),
        layout="constrained",
    )
    grid = np.atleast_1d(figure.subplots(height, columns)).ravel()
    for ax in grid[len(pairs) :]:
        ax.set_axis_off()
    low, high, drawn = 0.0, 0.0, None
    for ax, pair in zip(grid, pairs, strict=False):
        low, high, points = _panel(ax, rows, pair, metric)
        drawn = points or drawn
    if drawn is not None and high > low:
        label = f"{heading(metric)}, mean over seeds"
        figure.colorbar(drawn, ax=list(grid[: len(pairs)]), label=label)
    first = grid[0]
    first.set_title(f"{heading(metric)} of {count_text(rows)}", loc="left", fontsize=11)
    return figure


def _panel(
    ax: Axes, rows: Sequence[Numbers], axes: tuple[str, str], metric: str
) -> tuple[float, float, Any]:
    """One pair of settings; the range of scores, and what a colour bar needs."""
    ax.set_xlabel(SYMBOLS.get(axes[0], axes[0]))
    ax.set_ylabel(SYMBOLS.get(axes[1], axes[1]))
    usable = [row for row in rows if axes[0] in row and axes[1] in row and metric in row]
    if not usable:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no finished trial", ha="center", va="center", transform=ax.transAxes)
        return 0.0, 0.0, None
    x, y = (_positions(ax, usable, name, side) for name, side in zip(axes, "xy", strict=True))
    score = np.array([100 * float(row[metric]) for row in usable])
    hollow = np.array([bool(row.get("pruned")) for row in usable])
    finite = np.isfinite(score)
    whole = finite & ~hollow
    low, high = (score[finite].min(), score[finite].max()) if finite.any() else (0.0, 1.0)
    _surface(ax, x[whole], y[whole], score[whole], low, high)

    split = _splitting(usable, axes)
    groups = sorted({str(row[split]) for row in usable}) if split else [""]
    drawn, colours = None, colormaps["viridis"]
    for group, marker in zip(groups, _MARKERS, strict=False):
        in_group = np.array([not split or str(row[split]) == group for row in usable])
        points, open_points = whole & in_group, finite & hollow & in_group
        drawn = ax.scatter(
            x[points],
            y[points],
            c=score[points],
            cmap=colours,
            vmin=low,
            vmax=high,
            s=70,
            marker=marker,
            edgecolors="black",
            linewidths=0.6,
            zorder=3,
        )
        if open_points.any():
            shade = (score[open_points] - low) / ((high - low) or 1.0)
            ax.scatter(
                x[open_points],
                y[open_points],
                s=70,
                marker=marker,
                facecolors="white",
                edgecolors=list(colours(shade)),
                linewidths=2.0,
                zorder=3,
            )
    ax.set_xlim(_widened(x))
    ax.set_ylim(_widened(y))
    if not finite.all():
        ax.scatter(x[~finite], y[~finite], c="grey", marker="x", zorder=3)
    if whole.any():
        best = int(np.nanargmax(np.where(whole, score, np.nan)))
        _mark_best(ax, x, y, best, _mean_std(usable[best], metric))
    keys = [_key(group, m) for group, m in zip(groups, _MARKERS, strict=False)] if split else []
    keys += [_key("pruned", "o", hollow=True)] if (finite & hollow).any() else []
    keys += [] if finite.all() else [_key("failed", "x")]
    if keys:
        title = SYMBOLS.get(split, split) if split else None
        ax.legend(handles=keys, title=title, fontsize=8, title_fontsize=8, loc="best")
    return low, high, drawn


def _other_pairs(rows: Sequence[Numbers], axes: tuple[str, str]) -> list[tuple[str, str]]:
    """Every other pair of settings that vary, at most five: with the first they fill a page."""
    names = [
        name
        for name in dict.fromkeys(name for row in rows for name in row if "." in name)
        if len({str(row.get(name)) for row in rows}) > 1
    ]
    pairs = [pair for pair in combinations(names, 2) if set(pair) != set(axes)]
    return pairs[:5]


def _positions(ax: Axes, rows: Sequence[Numbers], name: str, side: str) -> np.ndarray:
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


def _splitting(rows: Sequence[Numbers], axes: tuple[str, str]) -> str:
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


def _key(label: str, marker: str, *, hollow: bool = False) -> Line2D:
    fill = "white" if hollow else "dimgrey"
    return Line2D([], [], color="dimgrey", mfc=fill, marker=marker, linestyle="none", label=label)


def count_text(rows: Sequence[Numbers]) -> str:
    """``1 trial``, ``12 trials``."""
    return "1 trial" if len(rows) == 1 else f"{len(rows)} trials"


def _mean_std(row: Numbers, metric: str) -> str:
    std = float(row.get(f"{metric}_std", math.nan))
    text = f"{100 * float(row[metric]):.1f}"
    return text if math.isnan(std) else f"{text} ± {100 * std:.1f}"
