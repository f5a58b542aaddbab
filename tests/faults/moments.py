"""Moments of a sweep at which something goes wrong, each known by what the sweep has just done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil

from faults.sweep_process import SweepProcess

Moment = Callable[[SweepProcess], Any]


def line(start: str) -> Moment:
    """A line that begins so is written."""
    return lambda sweep: any(each.startswith(start) for each in sweep.said().splitlines())


def path(pattern: str) -> Moment:
    """A file or folder below the output is there."""
    return lambda sweep: next(sweep.output.glob(pattern), None)


def process(name: str) -> Moment:
    """A process of this name is there."""

    def look(sweep: SweepProcess) -> psutil.Process | None:
        for each in sweep.processes():
            try:
                if each.name() == name:
                    return each
            except psutil.Error:
                continue
        return None

    return look


def working(title: str) -> Moment:
    """A worker of Ray's is at what its title begins with; it is given, and stands still.

    Work may take less time than a look at all processes: so it is stopped, and looked at again.
    """

    def look(sweep: SweepProcess) -> psutil.Process | None:
        for each in sweep.processes():
            try:
                if _is_at(each, title):
                    each.suspend()
                    if _is_at(each, title):
                        return each
                    each.resume()
            except psutil.Error:
                continue
        return None

    return look


def _is_at(process: psutil.Process, title: str) -> bool:
    # a worker's own child bears its title too, until it becomes another program
    parent = process.parent()
    is_worker = parent is not None and parent.name() == "raylet"
    return is_worker and " ".join(process.cmdline()).startswith(title)


MOMENTS: dict[str, Moment] = {
    "data are read": path("sweeps/ref"),
    "Ray starts": process("gcs_server"),
    "MLflow makes its database": path("mlflow.db.being-made"),
    "frames are stored": path("store/staging/frames/*/*.safetensors"),
    "classifiers train": path("store/staging/classifier/*/*"),
    "activation maps are stored": path("store/staging/cam/*/*.safetensors"),
    "the first trial is over": line("trial 1/"),
    "held-out clips are measured": line("classifier mAP on held-out clips"),
    "tables are written": path("sweeps/ref/best_config.json"),
}
"""In the order in which they come."""

STOPS = ("activation maps are stored", "the first trial is over", "held-out clips are measured")
"""Where a person or a batch system stops it: while it prepares, tries, and measures."""
