"""Result tables: mean ± std over seeds, a paired test against the first row, the paper's numbers.

One list of rows gives Markdown for people, LaTeX for papers, and JSON in which every cell names the
stored results behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsvis_platform.measure import METRICS, Measurement

HEADS = {"ap50": "AP50", "ap25": "AP25", "miou": "mIoU"}


@dataclass(frozen=True)
class Row:
    """One method of a table."""

    name: str
    found: Measurement
    held_out: Measurement | None = None
    paper: Mapping[str, float] = field(default_factory=dict)
    """Column -> the paper's own number, in points."""


@dataclass(frozen=True)
class Difference:
    """One row against another, seed by seed."""

    mean: float
    std: float
    p: float
    """Two-sided paired t-test; NaN with fewer than two seeds, or when nothing varies."""


def paired_difference(
    found: Measurement, reference: Measurement, metric: str = "ap50"
) -> Difference:
    """Mean and standard deviation of found - reference over their seeds, and a paired t-test.

    The same seed gives both the same classifier, so differences vary less than scores. With three
    seeds the test has two degrees of freedom: p < .05 needs a mean of 2.5 standard deviations.

    Raises:
        ValueError: the two were not measured over the same seeds and videos.
    """
    if found.seeds != reference.seeds:
        raise ValueError(f"seeds {found.seeds} cannot be paired with {reference.seeds}")
    if found.coverage != reference.coverage:
        raise ValueError(
            f"one covers {found.coverage:.1%} of the videos, the other {reference.coverage:.1%}"
        )
    each = np.array(
        [a[metric] - b[metric] for a, b in zip(found.per_seed, reference.per_seed, strict=True)]
    )
    if len(each) < 2:
        return Difference(float(each.mean()), math.nan, math.nan)
    std = float(each.std(ddof=1))
    if std == 0:
        return Difference(float(each.mean()), 0.0, math.nan)
    from scipy.stats import t

    statistic = each.mean() / (std / math.sqrt(len(each)))
    return Difference(float(each.mean()), std, float(2 * t.sf(abs(statistic), len(each) - 1)))


def table_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Column heads and the text of every cell; scores in points (0..100)."""
    papers = list(dict.fromkeys(column for row in rows for column in row.paper))
    held_out = any(row.held_out for row in rows)
    heads = ["", *[HEADS[metric] for metric in METRICS]]
    several = len(rows[0].found.seeds) > 1
    heads += ["AP50 gain", "p"] if several else ["AP50 gain"]
    if held_out:
        heads += [f"held-out {HEADS[metric]}" for metric in METRICS]
    heads += [f"paper, {column}" for column in papers]
    cells = []
    for number, row in enumerate(rows):
        line = [row.name, *[points(row.found, metric) for metric in METRICS]]
        if number == 0:
            line += ["", ""] if several else [""]
        else:
            gain = paired_difference(row.found, rows[0].found)
            spread = "" if math.isnan(gain.std) else f" ± {100 * gain.std:.1f}"
            line.append(f"{100 * gain.mean:+.1f}{spread}")
            if several:
                line.append("" if math.isnan(gain.p) else f"{gain.p:.3f}")
        if held_out:
            line += [points(row.held_out, metric) if row.held_out else "" for metric in METRICS]
        line += [f"{row.paper[c]:.2f}" if c in row.paper else "" for c in papers]
        cells.append(line)
    return heads, cells


def points(found: Measurement, metric: str) -> str:
    """Mean ± standard deviation in points, or n/a."""
    mean, std = 100 * found.mean(metric), 100 * found.std(metric)
    if math.isnan(mean):
        return "n/a"
    return f"{mean:.1f}" if math.isnan(std) else f"{mean:.1f} ± {std:.1f}"


def markdown_table(rows: Sequence[Row], caption: str) -> str:
    """The table as Markdown, its caption below."""
    heads, cells = table_cells(rows)
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    lines += ["| " + " | ".join(line) + " |" for line in cells]
    return "\n".join([*lines, "", caption, ""])


def latex_table(rows: Sequence[Row], caption: str) -> str:
    """The table for a paper; needs the package booktabs."""
    heads, cells = table_cells(rows)
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


def traced_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Every number with the seeds, settings and stored results it comes from, ready for JSON."""
    traced = []
    for row in rows:
        sides = {"training": row.found, **({"held_out": row.held_out} if row.held_out else {})}
        traced.append(
            {
                "name": row.name,
                "paper": dict(row.paper),
                **{
                    side: {
                        "settings": found.overrides,
                        "coverage": found.coverage,
                        "runs": [
                            {"seed": seed, "scores": scores, "store_keys": keys}
                            for seed, scores, keys in zip(
                                found.seeds, found.per_seed, found.keys, strict=True
                            )
                        ],
                    }
                    for side, found in sides.items()
                },
            }
        )
    return traced


_LATEX = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "±": r"$\pm$",
    "+": "+",
    "λ": r"$\lambda$",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
