"""How measures are shown: one table, percent with two digits, then every digit as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsvis_platform.console import Screen

Rows = list[tuple[str, Mapping[str, Any]]]
"""Title and numbers of each row; the first is the whole."""


def vis_rows(report: Mapping[str, Any]) -> Rows:
    """One row for all tracks, one for each range of areas, one for each class."""
    rows: Rows = [("all", report)]
    for size in ("small", "medium", "large"):
        of_size = {"AP": report[f"AP{size[0]}"], "AR100": report[f"AR{size[0]}"]}
        rows.append((f"{size} objects", of_size))
    return rows + list(report.get("classes", {}).items())


def finish(screen: Screen, rows: Rows, report: Mapping[str, Any], json: str) -> None:
    """Show the numbers, then write them."""
    from rich.table import Table

    from wsvis.evaluation.report import write_report

    names = [name for name, value in rows[0][1].items() if _shown(name, value)]
    names += [
        name for name, value in rows[-1][1].items() if name not in names and _shown(name, value)
    ]
    table = Table("", *names)
    for column in table.columns[1:]:
        column.justify = "right"
    for number, (title, numbers) in enumerate(rows):
        cells = [_cell(name, numbers.get(name)) for name in names]
        table.add_row(title, *cells, end_section=number == 0)
    screen.show(table)
    if json:
        write_report(Path(json), report)
        screen.line(f"{json}: all numbers, unrounded")


def _shown(name: str, value: Any) -> bool:
    by_area = name in ("APs", "APm", "APl", "ARs", "ARm", "ARl")  # these have rows of their own
    return isinstance(value, int | float) and not by_area


def _cell(name: str, value: float | None) -> str:
    """Shares in percent; counts as they are; nothing to measure is n/a, never 0."""
    if value is None:
        return ""
    if math.isnan(value):
        return "n/a"
    if name in ("instances_per_frame", "truth_score"):
        return f"{value:.2f}"
    return (
        f"{value:.0f}" if name in ("videos", "frames", "images", "pairs") else f"{100 * value:.2f}"
    )
