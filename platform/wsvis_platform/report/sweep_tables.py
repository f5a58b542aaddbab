"""What a sweep leaves behind: tables for people, files for programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from wsvis.evaluation.metrics import SHOWN, heading, shown_with
from wsvis.files.atomic import write_text
from wsvis_platform.results import Row, Trial, score_text

SHORT = {
    "fcam.amplification": "A",
    "fcam.percentile": "T",
    "ir_labels.foreground_threshold": "threshold",
    "fcam.compensation": "camera",
    "flow_boundary.regularization": "lambda",
    "flow_boundary.weight": "f-Bound",
    "flow_boundary.gradient": "F'",
}
"""Column heads for settings; others keep their dotted name."""


def setting_text(overrides: Mapping[str, Any]) -> str:
    """Settings as people read them: ``A 2.0, T 0.80, threshold 0.30, camera median``."""
    parts = []
    for name, value in overrides.items():
        shown = f"{value:.2f}" if isinstance(value, float) else str(value)
        parts.append(f"{SHORT.get(name, name)} {shown}")
    return ", ".join(parts) or "-"


def result_table(
    title: str,
    rows: Sequence[Row],
    metric: str,
    held_out: bool,
) -> Table:
    """Methods against metrics; the last columns are clips that chose no setting."""
    metrics = shown_with(metric)
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    table.add_column("setting")
    for name in metrics:
        table.add_column(heading(name), justify="right")
    if held_out:
        for name in metrics:
            table.add_column(f"held-out {heading(name)}", justify="right")
    for row in rows:
        table.add_row(*_result_cells(row, metrics, held_out))
    return table


def _result_cells(row: Row, metrics: Sequence[str], held_out: bool) -> list[str]:
    cells = [row.name, setting_text(row.measurement.overrides)]
    cells += [score_text(row.measurement, name) for name in metrics]
    return cells + [score_text(row.held_out, name) for name in metrics if held_out]


def trial_table(trials: Sequence[Trial], metric: str, shown: int = 8) -> Table:
    """The best trials, best first, and how many failed."""

    def rank(trial: Trial) -> float:
        value = trial.objective(metric)
        return math.inf if math.isnan(value) else -value

    order = sorted(trials, key=rank)
    pruned = sum(trial.pruned for trial in trials)
    failed = sum(math.isnan(trial.objective(metric)) for trial in trials) - pruned
    note = (f", {pruned} pruned" if pruned else "") + (f", {failed} failed" if failed else "")
    table = Table(title=f"Best of {len(trials)} trials{note}", title_justify="left")
    table.add_column("trial")
    table.add_column("setting")
    for name in shown_with(metric):
        table.add_column(heading(name), justify="right")
    table.add_column("computed")
    for trial in order[:shown]:
        measurement = trial.measurement
        if measurement is None or trial.pruned:
            continue
        scores = [score_text(measurement, name) for name in shown_with(metric)]
        table.add_row(
            trial.label, setting_text(measurement.overrides), *scores, _stages(measurement.computed)
        )
    return table


def write_trials(path: Path, trials: Sequence[Trial], metric: str) -> None:
    """One CSV row per trial: settings, metrics with mean and std, status, seconds."""
    names = sorted({name for trial in trials for name in trial.overrides})
    columns = dict.fromkeys((*SHOWN, metric))
    scores = [f"{name}{kind}" for name in columns for kind in ("", "_std")]
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["trial", "status", *names, *scores, "seeds", "seconds", "error"])
    for trial in trials:
        measurement = trial.measurement
        summary = measurement.summary() if measurement else {}
        rows.writerow(
            [
                trial.label,
                "pruned" if trial.pruned else "done" if measurement else "failed",
                *[_four_digits(trial.overrides.get(name, "")) for name in names],
                *[_four_digits(summary.get(name, "")) for name in scores],
                len(measurement.seeds) if measurement else 0,
                round(trial.seconds, 2),
                trial.error,
            ]
        )
    write_text(path, text.getvalue())


def markdown_results(rows: Sequence[Row], metric: str, held_out: bool) -> str:
    """The result table as Markdown."""
    metrics = shown_with(metric)
    heads = ["method", "setting", *map(heading, metrics)]
    if held_out:
        heads += [f"held-out {heading(name)}" for name in metrics]
    lines = [heads, ["---"] * 2 + ["---:"] * (len(heads) - 2)]
    lines += [_result_cells(row, metrics, held_out) for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _four_digits(value: Any) -> Any:
    return f"{value:.4f}" if isinstance(value, float) else value


def _stages(names: Sequence[str]) -> str:
    return ", ".join(name for name in names if not name.endswith("quality")) or "nothing"
