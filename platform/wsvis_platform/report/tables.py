"""Result tables: mean ± std over seeds, paired tests against another row, the paper's numbers.

One list of rows gives Markdown for people and LaTeX for papers (and, in ``table_trace``, JSON in
which every cell names the stored results behind it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wsvis.evaluation.metrics import SHOWN, heading
from wsvis_platform.results import Measurement, Row, score_text

Side = Literal["training", "held-out"]


@dataclass(frozen=True)
class Columns:
    """What a table shows of each row."""

    metrics: tuple[str, ...] = SHOWN
    gains: tuple[str, ...] = ("ap50",)
    """Metrics that get the difference to another row and its p beside them."""
    sides: tuple[Side, ...] = ("training", "held-out")
    """Which clips, in order; held-out ones only where there are some. The first is what the table
    is about: its columns carry no name."""
    paper: tuple[str, ...] | None = None
    """Which of the paper's columns; ``None``: all."""
    name: str = "table"
    """Of its files."""
    title: str = ""
    """Above the caption that all tables of a run share."""


@dataclass(frozen=True)
class Difference:
    """One row against another, seed by seed."""

    mean: float
    std: float
    p: float
    """Two-sided paired t-test; NaN with fewer than two seeds, or when nothing varies."""


def paired_difference(
    measurement: Measurement, reference: Measurement, metric: str = "ap50"
) -> Difference:
    """Mean and standard deviation of found - reference over their seeds, and a paired t-test.

    The same seed gives both the same classifier, so differences vary less than scores. With three
    seeds the test has two degrees of freedom: p < .05 needs a mean of 2.5 standard deviations.

    Raises:
        ValueError: the two were not measured over the same seeds and videos.
    """
    if measurement.seeds != reference.seeds:
        raise ValueError(f"seeds {measurement.seeds} cannot be paired with {reference.seeds}")
    if measurement.coverage != reference.coverage:
        raise ValueError(
            f"one covers {measurement.coverage:.1%} of the videos, "
            f"the other {reference.coverage:.1%}"
        )
    each = np.array(
        [
            a.get(metric, math.nan) - b.get(metric, math.nan)
            for a, b in zip(measurement.per_seed, reference.per_seed, strict=True)
        ]
    )
    if len(each) < 2:
        return Difference(float(each.mean()), math.nan, math.nan)
    std = float(each.std(ddof=1))
    if std == 0 or math.isnan(std):
        return Difference(float(each.mean()), std, math.nan)
    from scipy.stats import t

    statistic = each.mean() / (std / math.sqrt(len(each)))
    return Difference(float(each.mean()), std, float(2 * t.sf(abs(statistic), len(each) - 1)))


def table_cells(
    rows: Sequence[Row], columns: Columns | None = None
) -> tuple[list[str], list[list[str]]]:
    """Column heads and the text of every cell; scores in points (0..100)."""
    columns = columns or Columns()
    shown_sides: list[Side] = ["training", *(["held-out"] if any(r.held_out for r in rows) else [])]
    sides: list[Side] = [side for side in columns.sides if side in shown_sides] or shown_sides[:1]
    papers = list(dict.fromkeys(column for row in rows for column in row.paper))
    if columns.paper is not None:
        papers = [column for column in papers if column in columns.paper]
    heads = [""]
    for side in sides:
        # the side that comes first is what the table is about; the other is named
        note = "" if side == sides[0] else f"{side} "
        heads += [note + head for head in _side_heads(columns, len(rows[0].measurement.seeds) > 1)]
    heads += [f"paper, {column}" for column in papers]
    cells = []
    for row in rows:
        line = [row.name]
        for side in sides:
            line += _side_cells(row, rows, columns, side)
        line += [f"{row.paper[c]:.2f}" if c in row.paper else "" for c in papers]
        cells.append(line)
    return heads, cells


def _side_heads(columns: Columns, several: bool) -> list[str]:
    heads = [heading(metric) for metric in columns.metrics]
    for metric in columns.gains:
        name = heading(metric)
        p = "p" if len(columns.gains) == 1 else f"p of {name}"
        heads += [f"{name} gain", p] if several else [f"{name} gain"]
    return heads


def _side_cells(row: Row, rows: Sequence[Row], columns: Columns, side: Side) -> list[str]:
    """One row's scores on the training clips or on the held-out ones, then its gains."""

    def of(each: Row) -> Measurement | None:
        return each.measurement if side == "training" else each.held_out

    measurement, reference = of(row), of(reference_row(row, rows))
    several = len(rows[0].measurement.seeds) > 1
    cells = [score_text(measurement, metric) if measurement else "" for metric in columns.metrics]
    for metric in columns.gains:
        if measurement is None or reference is None or measurement is reference:
            cells += ["", ""] if several else [""]
            continue
        # not the same videos: no difference to speak of
        if measurement.coverage != reference.coverage:
            cells += ["n/a", ""] if several else ["n/a"]
            continue
        gain = paired_difference(measurement, reference, metric)
        spread = "" if math.isnan(gain.std) else f" ± {100 * gain.std:.1f}"
        cells.append("n/a" if math.isnan(gain.mean) else f"{100 * gain.mean:+.1f}{spread}")
        if several:
            shown = "<0.001" if gain.p < 0.001 else f"{gain.p:.3f}"
            cells.append("" if math.isnan(gain.p) else shown)
    return cells


def reference_row(row: Row, rows: Sequence[Row]) -> Row:
    """The row that this one is compared with."""
    if not row.against:
        return rows[0]
    return next(each for each in rows if each.name == row.against)


def markdown_table(rows: Sequence[Row], caption: str, columns: Columns | None = None) -> str:
    """The table as Markdown, its caption below."""
    heads, cells = table_cells(rows, columns)
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    lines += ["| " + " | ".join(line) + " |" for line in cells]
    return "\n".join([*lines, "", caption, ""])


def latex_table(rows: Sequence[Row], caption: str, columns: Columns | None = None) -> str:
    """The table for a paper; needs the package booktabs."""
    heads, cells = table_cells(rows, columns)
    body = [" & ".join(_latex(text) for text in line) + r" \\" for line in cells]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            r"\begin{tabular}{l" + "r" * (len(heads) - 1) + "}",
            r"\toprule",
            " & ".join(_latex(text) for text in heads) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{_latex(caption)}}}",
            r"\end{table}",
            "",
        ]
    )


def uneven(rows: Sequence[Row]) -> list[str]:
    """Which rows cover another share of the videos than the row they are compared with."""
    lines = []
    for row in rows:
        other = reference_row(row, rows)
        for side, measurement, reference in (
            ("training", row.measurement, other.measurement),
            ("held-out", row.held_out, other.held_out),
        ):
            if measurement and reference and measurement.coverage != reference.coverage:
                lines.append(
                    f"{row.name}: {measurement.coverage:.0%} of the {side} videos could be used, "
                    f"for {other.name} {reference.coverage:.0%}: no gain is given"
                )
    return lines


_LATEX = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "±": r"$\pm$",
    "+": "+",
    "λ": r"$\lambda$",
    "<": "$<$",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
