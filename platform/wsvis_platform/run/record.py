"""``wsvis run`` in MLflow: one run with every setting, the measured numbers and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from wsvis.config import Config
from wsvis.label_health import LabelHealth
from wsvis.plan import settings_read
from wsvis.types import Dataset
from wsvis_platform.options import ClipRunOptions
from wsvis_platform.record.mlflow_data import data_inputs
from wsvis_platform.record.tracker import Tracker
from wsvis_platform.report.notes import artifact, markdown_rows
from wsvis_platform.run.steps import Step, numbers_line

EXPERIMENT = "run"


def record_run(
    config: Config,
    options: ClipRunOptions,
    preset: str,
    dataset: Dataset,
    steps: Sequence[Step],
    numbers: Mapping[str, Mapping[str, float | None]],
    health: Mapping[str, LabelHealth],
    out: Path,
) -> str:
    """Write a finished run; the same folder is the same run. What was lost, if anything was.

    Args:
        config: every setting.
        options: name the store of MLflow.
        preset: the preset's name.
        dataset: the videos.
        steps: those that were done.
        numbers: step -> name -> value.
        health: step that makes labels -> what they look like.
        out: the run's folder; its report and configuration become artifacts.

    Raises:
        InputError: MLflow's store cannot be used.
    """
    tracker = Tracker.open(options.tracking_uri, out, EXPERIMENT)
    run = tracker.start_sweep(
        out.name,
        params=settings_read(
            config, (s for step in steps for s in step.plan(config, dataset).steps)
        ),
        tags={
            "preset": preset,
            "data": dataset.name,
            "data_fingerprint": dataset.fingerprint,
            "videos": str(len(dataset.videos)),
            "steps": " ".join(step.name for step in steps),
        },
        inputs=data_inputs(config.data, dataset),
    )
    metrics = {
        f"{step.name}/{name}": value
        for step in steps
        for name, value in numbers.get(step.name, {}).items()
        if value is not None and math.isfinite(value)
    }
    for step in steps:
        if (labels := health.get(step.name)) is not None:
            metrics[f"{step.name}/labels_per_frame"] = labels.labels_per_frame
            metrics[f"{step.name}/median_area"] = labels.median_area
            metrics[f"{step.name}/whole_frame_labels"] = labels.whole_frame
            metrics[f"{step.name}/frames_without_label"] = labels.empty_frames
    describe = partial(_note, steps=steps, numbers=numbers, health=health)
    tracker.log_parent(run, metrics, [out / "report.html", out / "config.json"], describe)
    return tracker.finish(run)


def _note(
    run: str,
    steps: Sequence[Step],
    numbers: Mapping[str, Mapping[str, float | None]],
    health: Mapping[str, LabelHealth],
) -> str:
    rows = []
    for step in steps:
        label_health = health.get(step.name)
        labels = f"{label_health.labels_per_frame:.2f}" if label_health else ""
        rows.append([step.title, labels, numbers_line(dict(numbers.get(step.name, {})))])
    table = markdown_rows(["step", "labels per frame", "against annotated masks"], rows)
    return f"{table}\n\n[report.html]({artifact(run, 'report.html')}) has pictures of every video"
