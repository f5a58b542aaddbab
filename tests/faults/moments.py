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


def process(*parts: str) -> Moment:
    """A process of the sweep's is there whose command line holds all of this; it is given."""

    def look(sweep: SweepProcess) -> psutil.Process | None:
        for each in sweep.descendants():
            try:
                text = " ".join(each.cmdline())
            except psutil.Error:
                continue
            if all(part in text for part in parts):
                return each
        return None

    return look


MOMENTS: dict[str, Moment] = {
    "data are read": path("sweeps/ref"),
    "Ray starts": process("gcs_server"),
    "MLflow makes its database": path("*mlflow*.db*"),
    "frames are stored": path("store/staging/frames/*/*"),
    "classifiers train": line("flow: computed"),
    "activation maps are stored": path("store/staging/cam/*/*"),
    "the first trial is over": line("trial 1/4"),
    "held-out clips are measured": line("classifier mAP on held-out clips"),
    "tables are written": path("sweeps/ref/best_config.json"),
}
"""In the order in which they come."""

STOPS = ("activation maps are stored", "the first trial is over", "held-out clips are measured")
"""Where a person or a batch system stops it: while it prepares, tries, and measures."""
