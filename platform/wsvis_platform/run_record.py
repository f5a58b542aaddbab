"""``wsvis run`` in MLflow: one run with every setting, the measured numbers and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from wsvis.config import Config
from wsvis.config_checks import flatten
from wsvis.label_health import LabelHealth
from wsvis.types import Dataset
from wsvis_platform.options import ClipRunOptions
from wsvis_platform.run_steps import Step
from wsvis_platform.tracking import Tracker

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
        numbers: stage -> name -> value.
        health: stage of labels -> what they look like.
        out: the run's folder; its report and configuration become artifacts.

    Raises:
        InputError: MLflow's store cannot be used.
    """
    tracker = Tracker.open(options.tracking_uri, out, EXPERIMENT)
    run = tracker.start_sweep(
        out.name,
        params=flatten(config),
        tags={
            "preset": preset,
            "data": dataset.name,
            "data_fingerprint": dataset.fingerprint,
            "videos": str(len(dataset.videos)),
            "steps": " ".join(step.name for step in steps),
        },
    )
    metrics = {
        f"{step.name}/{name}": value
        for step in steps
        for name, value in numbers.get(step.stage, {}).items()
        if value is not None and math.isfinite(value)
    }
    for step in steps:
        if (found := health.get(step.stage)) is not None:
            metrics[f"{step.name}/labels_per_frame"] = found.labels_per_frame
            metrics[f"{step.name}/median_area"] = found.median_area
            metrics[f"{step.name}/whole_frame_labels"] = found.whole_frame
            metrics[f"{step.name}/frames_without_label"] = found.empty_frames
    tracker.log_parent(run, metrics, [out / "report.html", out / "config.json"])
    return tracker.finish(run)
