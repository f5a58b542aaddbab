"""What a measure says, as charts: precision over recall, and one bar per class.

K IoU thresholds, R recall samples, C classes. Figures are matplotlib's, drawn without pyplot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsvis.viz.palette import COLOURS

_INK = "#333333"
_PALE = "#c8c8c8"


def pr_curves(
    precision: Float[np.ndarray, "K R C"],
    thresholds: Sequence[float],
    class_names: Sequence[str],
    *,
    title: str = "",
) -> Figure:
    """Precision over recall: the mean over classes by IoU threshold, and each class at the lowest.

    The area under a curve is its AP. At most six classes are named, the three best and the three
    worst; the others are drawn pale.

    Args:
        precision: interpolated precision at recalls 0..1 (``VideoAp.precision[area]``); NaN for a
            class without ground truth.
        thresholds: the K IoU thresholds, rising.
        class_names: of the C classes.
        title: above both.
    """
    recall = np.linspace(0, 1, precision.shape[1])
    figure = Figure(figsize=(11.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    measured = ~np.isnan(precision[0, 0])
    mean = precision[..., measured].mean(-1) if measured.any() else np.zeros(precision.shape[:2])
    for k, threshold in enumerate(thresholds):
        colour = matplotlib.colormaps["viridis"](0.9 * k / max(len(thresholds) - 1, 1))
        label = f"IoU {threshold:.2f}: AP {100 * mean[k].mean():.1f}"
        left.plot(recall, mean[k], color=colour, lw=1.8, label=label)
    left.set_title("mean over classes", fontsize=10, loc="left")
    left.set_ylabel("precision")
    _legend_beside(left)
    _curves_by_class(right, recall, precision[0], class_names)
    right.set_title(f"each class, IoU {thresholds[0]:.2f}", fontsize=10, loc="left")
    for axes in (left, right):
        axes.set_xlabel("recall")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        _plain(axes)
        axes.grid(color="#e6e6e6", lw=0.6)
    return figure


def class_bars(
    by_class: Mapping[str, Mapping[str, float]], *, title: str = "", names: Sequence[str] = ()
) -> Figure:
    """One row per class, the best on top: a bar for the first number, dots for the others.

    Args:
        by_class: class -> number's name -> value in [0, 1]; NaN: no ground truth, which is said
            below instead of drawn as 0.
        title: above.
        names: which numbers; empty: AP50 and AP where there are such, else the first two.
    """
    offered = list(next(iter(by_class.values()), {}))
    metrics = [name for name in ("AP", "AP50") if name in offered]
    names = list(names) or metrics or offered[:2]
    rows = {c: [numbers[name] for name in names] for c, numbers in by_class.items()}
    known = {c: row for c, row in rows.items() if row and not np.isnan(row[0])}
    order = sorted(known, key=lambda c: (known[c][0], known[c][-1]))
    figure = Figure(figsize=(7.5, 1.6 + 0.24 * max(len(order), 3)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=12, loc="left")
    at = np.arange(len(order))
    for n, name in enumerate(names):
        values = np.array([100 * known[c][n] for c in order])
        if n == 0:
            axes.barh(at, values, height=0.62, color=COLOURS[0] / 255, label=name)
            for y, value in enumerate(values):
                axes.text(1, y, f"{value:.1f}", va="center", fontsize=8, color=_INK)
        else:
            colour = COLOURS[(0, 5, 2, 3)[n % 4]] / 255
            axes.plot(values, at, "o", ms=5, color=colour, label=name, clip_on=False)
    axes.set_yticks(at, order, fontsize=9)
    axes.set_ylim(-0.6, max(len(order), 1) - 0.4)
    axes.set_xlim(0, 100)
    axes.set_xlabel("percent")
    _plain(axes)
    axes.grid(axis="x", color="#e6e6e6", lw=0.6)
    axes.set_axisbelow(True)
    if names:
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
        axes.legend(fontsize=8, frameon=False, ncols=len(names), **place)
    unknown = [c for c in rows if c not in known]
    if unknown:
        shown = ", ".join(unknown[:12]) + (f" and {len(unknown) - 12} more" * (len(unknown) > 12))
        figure.supxlabel(f"no ground truth: {shown}", fontsize=8, color="#777777", wrap=True)
    return figure


def _curves_by_class(
    axes: Axes,
    recall: np.ndarray,
    precision: Float[np.ndarray, "R C"],
    class_names: Sequence[str],
) -> None:
    ap = precision.mean(0)
    order = [int(c) for c in np.argsort(-np.nan_to_num(ap, nan=-1.0), kind="stable")]
    order = [c for c in order if not np.isnan(ap[c])]
    named = order if len(order) <= 6 else order[:3] + order[-3:]
    for c in order:
        if c not in named:
            axes.plot(recall, precision[:, c], color=_PALE, lw=0.9, zorder=1)
    for n, c in enumerate(named):
        label = f"{class_names[c]}: AP {100 * ap[c]:.1f}"
        style = "-" if n < 3 or len(order) <= 6 else "--"
        axes.plot(recall, precision[:, c], style, color=COLOURS[n] / 255, lw=1.8, label=label)
    if named:
        _legend_beside(axes)


def _legend_beside(axes: Axes) -> None:
    # inside it would cover curves
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=_INK)
