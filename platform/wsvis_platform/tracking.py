"""MLflow: a parent run per sweep, a child run per trial, written by the driver alone.

A run is found again by its identity tag, and settings and steps that are there already are skipped,
so a sweep restarted after a crash leaves each trial once. A server that goes away does not stop a
sweep: what could not be written waits and is written when it answers again.
"""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from wsvis_platform.database_place import database_file
from wsvis_platform.mlflow_runs import Runs
from wsvis_platform.provenance import git_state, library_versions

Status = Literal["FINISHED", "FAILED", "KILLED"]
"""KILLED: stopped early by the search (pruned)."""

_PAUSE = 30.0
"""Seconds without an attempt after a failed one: a dead server must not slow the trials down."""

T = TypeVar("T")


class Tracker:
    """A sweep's runs."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.waiting: list[Callable[[], object]] = []
        """Writes that failed, in order; tried again before the next one."""
        self.trouble = ""
        """Why the last failure failed."""
        self.again_at = 0.0
        git = git_state()
        self.origin = {
            "mlflow.source.name": Path(sys.argv[0]).name,
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": git["commit"],
            "git.dirty": git["dirty"],
            "libraries": ", ".join(f"{name} {v}" for name, v in library_versions().items()),
        }

    @classmethod
    def open(cls, uri: str, output: Path, experiment: str) -> Tracker:
        """The store at ``uri``, or sqlite in ``output`` when it is empty.

        Args:
            uri: an MLflow tracking URI (``http://...``, ``sqlite:///...``), or empty.
            output: the run's folder; database and artifacts go below it by default.
            experiment: name; made when absent.

        Raises:
            InputError: no server answers at ``uri``, or the database cannot be used; one line.
        """
        return cls(Runs.open(uri, output, experiment))

    def start_sweep(
        self, name: str, params: Mapping[str, Any], tags: Mapping[str, str] | None = None
    ) -> str:
        """The parent run called ``name``, made or found again, RUNNING; its id."""
        run, fresh = self.runs.find_or_create(name, name, {**self.origin, **(tags or {})}, None)
        self.runs.client.update_run(run, status="RUNNING")
        self._complete(run, fresh, params, {}, ())
        return run

    def log_trial(
        self,
        parent: str,
        name: str,
        identity: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        series: Sequence[tuple[int, Mapping[str, float]]] = (),
        tags: Mapping[str, str] | None = None,
        pictures: Mapping[str, np.ndarray] | None = None,
        files: Sequence[Path] = (),
        status: Status = "FINISHED",
        seconds: float = 0.0,
    ) -> str | None:
        """One finished trial as a child run; its id, or ``None`` while the store does not answer.

        Args:
            parent: id from :meth:`start_sweep`.
            name: what people see.
            identity: unique below the parent; the run of this identity is completed if it exists.
            params: all settings, flat; what exceeds MLflow's 6000 characters is cut (the whole
                settings are in the artifact settings.json).
            metrics: final values; those that are no finite number are named in a tag instead.
            series: (step, values) in order.
            tags: for instance store keys; a failed or pruned trial's ``reason``.
            pictures: file name ending in .png, or .jpg (ten times faster) -> uint8 [H, W, 3] RGB.
            files: further artifacts.
            status: FAILED and KILLED (pruned) trials stay visible as such.
            seconds: how long the trial took, for the Duration column.
        """
        ended = time.time()
        marks = {**self.origin, **(tags or {})}

        def write() -> str:
            started = int((ended - seconds) * 1000)
            run, fresh = self.runs.find_or_create(name, identity, marks, parent, started)
            self._complete(run, fresh, params, metrics, series)
            self.runs.artifacts(run, params, pictures or {}, files)
            self.runs.end(run, status, int(ended * 1000))
            return run

        return self._do(write)

    def log_parent(self, parent: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """The sweep's summary: metrics and files of the parent run."""

        def write() -> None:
            self._complete(parent, False, {}, metrics, ())
            self.runs.artifacts(parent, None, {}, files)

        self._do(write)

    def finish(self, run: str, status: Status = "FINISHED") -> str:
        """End a run, and write what waited; a line about what could not be written, or empty."""
        ended = int(time.time() * 1000)
        self._do(lambda: self.runs.end(run, status, ended), now=True)
        if not self.waiting:
            return ""
        return (
            f"MLflow at {self.runs.uri} lacks the last {len(self.waiting)} entries "
            f"({self.trouble}); run the same command again with the same --name to add them"
        )

    def browse(self) -> str:
        """What to type, or where to go, to look at the runs."""
        database = database_file(self.runs.uri)
        if database is None:
            return f"{self.runs.uri}/#/experiments/{self.runs.experiment_id}"
        if database == Path("runs/mlflow.db").resolve():
            return "make ui"
        if database.name == "mlflow.db":
            return f"make ui OUTPUT={shlex.quote(str(database.parent))}"
        uri = shlex.quote(self.runs.uri)
        return f"mlflow server --host 127.0.0.1 --backend-store-uri {uri}"

    def _complete(
        self,
        run: str,
        fresh: bool,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        series: Sequence[tuple[int, Mapping[str, float]]],
    ) -> None:
        """Add what a run does not have yet."""
        last = max((step for step, _ in series), default=0)
        points = [(step, key, value) for step, row in series for key, value in row.items()]
        points += [(last, key, value) for key, value in metrics.items()]
        there = set() if fresh else self.runs.steps_there(run, {key for _, key, _ in points})
        lost = sorted({key for _, key, value in points if not math.isfinite(value)})
        self.runs.write(
            run,
            params=params if fresh else self.runs.new_params(run, params),
            points=[
                (step, key, value)
                for step, key, value in dict.fromkeys(points)
                if math.isfinite(value) and (step, key) not in there
            ],
            tags={"not_finite": " ".join(lost)} if lost else {},
        )

    def _do(self, write: Callable[[], T], now: bool = False) -> T | None:
        """Write what waits, then this; after a failure wait a while before the next attempt."""
        from mlflow.exceptions import MlflowException

        self.waiting.append(write)
        if time.monotonic() < self.again_at and not now:
            return None
        done: Any = None
        while self.waiting:
            try:
                done = self.waiting[0]()
            except (MlflowException, OSError) as error:
                if getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE":
                    self.waiting.pop(0)  # a mistake of ours: waiting would not mend it
                    raise
                self.trouble = " ".join(str(error).split())[:200]
                self.again_at = time.monotonic() + _PAUSE
                return None
            self.waiting.pop(0)
        return done
