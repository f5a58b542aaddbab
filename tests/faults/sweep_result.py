"""All that a sweep leaves to be compared, without what tells one attempt from another."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsvis_platform.record.mlflow_runs import SUPERSEDED

_OF_THE_ATTEMPT = ("trial", "seconds")
"""Columns of trials.csv that tell one attempt from another."""


@dataclass(frozen=True)
class Result:
    """What a sweep leaves."""

    trials: tuple[tuple[tuple[str, str], ...], ...]
    """Rows of trials.csv, sorted."""
    summary: list[dict[str, Any]]
    table: list[str]
    """Lines of the last table that a user sees."""
    best: dict[str, Any]
    parent: dict[str, float]
    """Metrics of the sweep's run in MLflow."""
    children: list[tuple[str, str, str]]
    """Name, status, and settings and metrics of the runs below it, sorted."""


def result(output: Path, said: str, *, name: str = "ref", uri: str = "") -> Result:
    """All that can be compared of a sweep that ended."""
    folder = output / "sweeps" / name
    with (folder / "trials.csv").open(newline="") as file:
        rows = [
            tuple(sorted((k, v) for k, v in row.items() if k not in _OF_THE_ATTEMPT))
            for row in csv.DictReader(file)
        ]
    parent, children = _runs(uri or f"sqlite:///{output / 'mlflow.db'}", name)
    lines = said.splitlines()
    begin = max(n for n, line in enumerate(lines) if ", mean ± std; best by" in line)
    return Result(
        trials=tuple(sorted(rows)),
        summary=json.loads((folder / "summary.json").read_text())["rows"],
        table=[line.rstrip() for line in lines[begin:] if line.startswith("│")],
        best=json.loads((folder / "best_config.json").read_text()),
        parent=parent,
        children=children,
    )


def _runs(uri: str, name: str) -> tuple[dict[str, float], list[tuple[str, str, str]]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("sweep_fcam")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    # the same command goes on with its runs: none stays under way, none is replaced by another
    assert [run.info.run_name for run in runs if run.info.status == "RUNNING"] == []
    assert [run.info.run_name for run in runs if SUPERSEDED in run.data.tags] == []
    (parent,) = (
        run
        for run in runs
        if run.info.run_name == name and "mlflow.parentRunId" not in run.data.tags
    )
    assert parent.info.status == "FINISHED"
    below = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    children = [(str(run.info.run_name), run.info.status, _text(run.data)) for run in below]
    return parent.data.metrics, sorted(children)


def _text(data: Any) -> str:
    # curves of networks that were trained by another attempt are not written twice
    kept = {k: v for k, v in data.metrics.items() if ".seed" not in k}
    return json.dumps([dict(data.params), _plain(kept)], sort_keys=True)


def _plain(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
