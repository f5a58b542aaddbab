"""MLflow: a parent run per sweep, a child run per trial, written by the driver alone.

A run is found again by its identity tag, and what is there already is skipped, so a sweep restarted
after a crash leaves each trial once, and a command repeated unchanged adds nothing.

What a user looks up must be true of the last command. A value that changed under the same settings
(a stop, mended code) is written again at its step, and MLflow shows the later one: the run keeps
its id and its history. Settings cannot be written again in MLflow, so with one seed more, more
samples or other data a new parent is made with runs of its own below it, and the one before says by
the tag ``wsvis.superseded_by`` that it is over: its numbers still belong to its settings. A run
that is no part of the last command gets the same tag.

A server that goes away does not stop a sweep: what could not be written waits and is written when
it answers again.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from wsvis_platform.record.image_grid import GRID_TAG
from wsvis_platform.record.mlflow_data import missing_inputs
from wsvis_platform.record.mlflow_notes import may_describe, note_tag
from wsvis_platform.record.mlflow_runs import SUPERSEDED, Runs
from wsvis_platform.record.mlflow_view import VIEW_TAG, browse_line, leaderboard_view
from wsvis_platform.record.provenance import git_state, library_versions

Status = Literal["FINISHED", "FAILED", "KILLED"]
"""KILLED: stopped by a person. A pruned trial is FINISHED, with the tag ``pruned``: MLflow shows
KILLED as it shows FAILED."""

_PAUSE = 30.0
"""Seconds without an attempt after a failed one: a dead server must not slow the trials down."""

_FOLDER = "wsvis.folder"
_OUTPUT = "wsvis.output"

T = TypeVar("T")


class Tracker:
    """A sweep's runs."""

    def __init__(self, runs: Runs, place: str = "") -> None:
        self.runs = runs
        self.place = place
        """Output folder, where the store is shared with other outputs; else empty."""
        self.written: set[str] = set()
        """Runs below a parent that this command has written."""
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
        return cls(Runs.open(uri, output, experiment), str(output.resolve()) if uri else "")

    def start_sweep(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
        *,
        inputs: Sequence[Any] = (),
        folder: str = "",
        is_driven: Callable[[str], bool] = lambda folder: False,
    ) -> str:
        """The parent run of this name and these settings, made or found again, RUNNING; its id.

        Args:
            name: one name of one output has one run that counts.
            params: settings that make it another run when they change.
            tags: written again each time.
            inputs: data sets, from :func:`wsvis_platform.record.mlflow_data.data_inputs`.
            folder: of the run's files, below the output; this process holds it.
            is_driven: whether a living process holds such a folder. RUNNING runs of this output
                whose folder none holds are ended as KILLED.
        """
        marks = {**self.origin, **(tags or {}), _FOLDER: folder, _OUTPUT: self.place}
        if folder:
            self._end_abandoned(folder, is_driven)
        # one server may have runs of this name from other outputs: they are others
        identity = f"{name} in {self.place}" if self.place else name
        parent, fresh = self.runs.find_or_create(name, identity, marks, None, params=params)
        self.runs.client.update_run(parent, status="RUNNING")
        self.written = set()
        self._complete(parent, fresh, params, inputs=inputs)
        return parent

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
        settings: Mapping[str, Any] | None = None,
        inputs: Sequence[Any] = (),
        grid: Mapping[str, Sequence[np.ndarray]] | None = None,
        describe: Callable[[str], str] | None = None,
        status: Status = "FINISHED",
        seconds: float = 0.0,
    ) -> str | None:
        """One finished trial as a child run; its id, or ``None`` while the store does not answer.

        Args:
            parent: id from :meth:`start_sweep`.
            name: what people see.
            identity: unique below the parent; the run of this identity is completed if it exists.
            params: the settings that count, flat; what exceeds MLflow's 6000 characters is cut.
            metrics: final values; those that are no finite number are named in a tag instead.
            series: (step, values) in order.
            tags: for instance store keys; a failed or pruned trial's ``reason``.
            pictures: file name ending in .png, or .jpg (ten times faster) -> uint8 [H, W, 3] RGB.
            files: further artifacts.
            settings: all of them, for the artifact settings.json; ``params`` where not given.
            inputs: data sets, from :func:`wsvis_platform.record.mlflow_data.data_inputs`.
            grid: key -> RGB pictures, one for each step of MLflow's image grid.
            describe: the run's description (Markdown) from its id.
            status: FAILED trials stay visible as such.
            seconds: how long the trial took, for the Duration column.
        """
        ended = time.time()
        marks = {**self.origin, **(tags or {}), **(GRID_TAG if grid else {})}

        def write() -> str:
            started = int((ended - seconds) * 1000)
            run, fresh = self.runs.find_or_create(name, identity, marks, parent, started, params)
            self.written.add(run)
            self._complete(run, fresh, params, metrics, series, inputs, describe)
            self.runs.artifacts(run, settings or params, pictures or {}, files, grid)
            self.runs.end(run, status, started + int(seconds * 1000), keep=not fresh)
            return run

        return self._do(write)

    def log_parent(
        self,
        parent: str,
        metrics: Mapping[str, float],
        files: Sequence[Path],
        describe: Callable[[str], str] | None = None,
    ) -> None:
        """The sweep's summary: metrics, files and description of the parent run."""

        def write() -> None:
            self._complete(parent, False, metrics=metrics, describe=describe)
            self.runs.artifacts(parent, None, {}, files)

        self._do(write)

    def finish(self, run: str, status: Status = "FINISHED") -> str:
        """End a parent run, and write what waited; a line about what is missing, or empty.

        What is below it and still RUNNING, since its writing was interrupted, ends as KILLED; what
        a finished command did not write is no part of it and gets the tag that says so.
        """
        ended = int(time.time() * 1000)

        def write() -> None:
            for each in self.runs.below(run):
                if each.info.status == "RUNNING":
                    self.runs.interrupt(each)
                elif (
                    status == "FINISHED"
                    and each.info.run_id not in self.written
                    and SUPERSEDED not in each.data.tags
                ):
                    self.runs.write(each.info.run_id, tags={SUPERSEDED: run})
            self.runs.end(run, status, ended)

        self._do(write, now=True)
        if not self.waiting:
            return ""
        return (
            f"MLflow at {self.runs.uri} lacks the last {len(self.waiting)} entries "
            f"({self.trouble}); run the same command again with the same --name to add them"
        )

    def share_view(self, metrics: Sequence[str], params: Sequence[str], parent: str) -> None:
        """Let the address of :meth:`browse` open a parent's runs, sorted by the first metric."""
        view, experiment = leaderboard_view(metrics, params, parent), self.runs.experiment_id
        self._do(lambda: self.runs.client.set_experiment_tag(experiment, VIEW_TAG, view))

    def browse(self) -> str:
        """What to type, and where to go, to look at the runs."""
        return browse_line(self.runs.uri, self.runs.experiment_id)

    def _end_abandoned(self, folder: str, is_driven: Callable[[str], bool]) -> None:
        for run in self.runs.running():
            data = run.data.tags
            lies = data.get(_FOLDER)
            if not lies or data.get(_OUTPUT) != self.place:
                continue
            if lies == folder or not is_driven(lies):
                for each in [*self.runs.below(run.info.run_id), run]:
                    if each.info.status == "RUNNING":
                        self.runs.interrupt(each)

    def _complete(
        self,
        run: str,
        fresh: bool,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        series: Sequence[tuple[int, Mapping[str, float]]] = (),
        inputs: Sequence[Any] = (),
        describe: Callable[[str], str] | None = None,
    ) -> None:
        """Add what a run does not have yet."""
        params, metrics = params or {}, metrics or {}
        points = [(step, key, value) for step, row in series for key, value in row.items()]
        keys = {key for _, key, _ in points} | metrics.keys()
        logged = {} if fresh else self.runs.points_there(run, keys)
        for key, value in metrics.items():
            # not before an earlier attempt's: MLflow shows the value of the last step, and draws a
            # metric that has step 0 alone as bars
            steps = [step for step, name, _ in points if name == key]
            steps += [step for step, name in logged if name == key]
            points.append((max(steps, default=0), key, value))
        lost = sorted({key for _, key, value in points if not math.isfinite(value)})
        tags = {"not_finite": " ".join(lost)} if lost else {}
        known = None if fresh else self.runs.client.get_run(run)
        if describe and (known is None or may_describe(known.data.tags)):
            tags |= note_tag(describe(run))
        self.runs.write(
            run,
            params={k: v for k, v in params.items() if known is None or k not in known.data.params},
            points=[
                (step, key, value)
                for step, key, value in dict.fromkeys(points)
                if (math.isfinite(value) or (step, key) in logged)
                and not _equal(value, logged.get((step, key)))
            ],
            tags=tags,
        )
        new = missing_inputs(inputs, known.inputs.dataset_inputs if known else ())
        if new:
            self.runs.client.log_inputs(run, datasets=new)

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


def _equal(value: float, logged: float | None) -> bool:
    return logged is not None and (value == logged or (math.isnan(value) and math.isnan(logged)))
