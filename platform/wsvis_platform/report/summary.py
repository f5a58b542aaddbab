"""What a sweep ends with: which row is best, summary.json, figures, detectors."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsvis.evaluation.report import json_ready
from wsvis.files.atomic import new_file, write_bytes, write_text
from wsvis.payload import to_bytes
from wsvis.pipeline import BY_NAME, SYSTEM
from wsvis.plan import TEACHER
from wsvis.types import Dataset
from wsvis_platform.names import row_file_name
from wsvis_platform.record.provenance import git_state
from wsvis_platform.report.figures import objective_figure
from wsvis_platform.report.importance_figure import importance_figure
from wsvis_platform.results import Row, Trial
from wsvis_platform.store.store import Store

BEST = "best of the sweep"
"""Name of the winner's row; the trial itself is its run."""


def best_row(rows: Sequence[Row], metric: str) -> Row:
    """The winner of the sweep, or the best of the rows that learn from no annotated mask."""
    winner = next((row for row in rows if row.name == BEST), None)
    return winner or max(methods(rows), key=lambda row: row.measurement.rank(metric))


def methods(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows that learn from no annotated mask, unless all do: an upper bound is never best."""
    weak = [row for row in rows if not any(map(_learns_from_truth, row.measurement.keys[0]))]
    return weak or rows


def _learns_from_truth(step: str) -> bool:
    """Whether a step sees annotated masks and does not measure."""
    stage = BY_NAME[step.removeprefix(TEACHER)]
    return stage.sees_truth and not stage.over_data


def best_numbers(row: Row) -> dict[str, float]:
    """The best row's numbers as a sweep's own: ``best/ap50``, ``best_held_out/ap50``."""
    numbers = {f"best/{name}": value for name, value in row.measurement.summary().items()}
    if row.held_out is not None:
        numbers |= {
            f"best_held_out/{name}": value for name, value in row.held_out.summary().items()
        }
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def write_summary(
    file: Path, rows: Sequence[Row], metric: str, dataset: Dataset, seeds: Sequence[int]
) -> None:
    """summary.json: all rows with what they were measured on and by which code."""
    plain = {
        "schema": 1,
        "objective": metric,
        "data": dataset.name,
        "data_fingerprint": dataset.fingerprint,
        "seeds": list(seeds),
        **git_state(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "rows": [_plain(row) for row in rows],
    }
    write_text(file, json.dumps(json_ready(plain), indent=1, allow_nan=False) + "\n")


def write_figures(
    folder: Path, trials: Sequence[Trial], axes: tuple[str, str], metric: str, seed: int
) -> list[Path]:
    """objective.png and importance.png, where a trial was measured."""
    table: list[Mapping[str, Any]] = [
        {**t.measurement.overrides, **t.measurement.summary(), "pruned": t.pruned}
        for t in trials
        if t.measurement
    ]
    if not table:
        return []
    # a pruned trial's mean is over fewer seeds: it is drawn, and weighs nothing
    whole = [row for row in table if not row["pruned"]]
    files = [folder / "objective.png", folder / "importance.png"]
    figures = objective_figure(table, axes, metric), importance_figure(whole, metric, seed)
    for file, figure in zip(files, figures, strict=True):
        with new_file(file) as written:
            figure.savefig(written, dpi=110)
    return files


def write_detector(folder: Path, row: Row, store: Store) -> Path | None:
    """The detector that a row trained with its first seed, for ``wsvis predict --checkpoint``."""
    scored = row.measurement
    key = scored.keys[0].get(SYSTEM)
    if key is None:
        return None
    payload = store.read(SYSTEM, key)
    file = folder / "detectors" / f"{row_file_name(row.name)}_seed{scored.seeds[0]}.safetensors"
    file.parent.mkdir(exist_ok=True)
    write_bytes(file, to_bytes(payload))
    return file


def _plain(row: Row) -> dict[str, Any]:
    scored, other = row.measurement, row.held_out
    return {
        "name": row.name,
        "quality_stage": row.target,
        "settings": scored.overrides,
        "seeds": list(scored.seeds),
        "per_seed": scored.per_seed,
        "held_out_per_seed": other.per_seed if other else None,
        "store_keys": scored.keys,
        "coverage": scored.coverage,
    }
