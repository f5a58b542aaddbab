"""A small sweep as a process of its own: moments of it, and all that it leaves to be compared."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "--data.synthetic-videos": "8",
    "--seeds": "0 1",
    "--objective": "pseudo_mask_ap50",
    "--workers": "2",
    "--num-samples": "4",
}
"""Long enough for every kind of worker, short enough to be run some fifty times."""
LIMIT = 600.0
"""Seconds for one sweep, which takes about 40 on two quiet cores."""
_OF_THE_ATTEMPT = ("trial", "seconds")
"""Columns of trials.csv that tell one attempt from another."""


@dataclass
class SweepProcess:
    """A running sweep."""

    process: subprocess.Popen[bytes]
    output: Path
    log: Path
    name: str
    seen: list[psutil.Process] = field(default_factory=list)

    def said(self) -> str:
        """All it has written, to stdout and stderr."""
        return self.log.read_text(errors="replace")

    def wait_for(self, moment: Callable[[SweepProcess], Any], what: str) -> Any:
        """Wait until a moment has come; what it gives.

        Raises:
            AssertionError: the sweep ended, or time was up, before.
        """
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            alive = self.process.poll() is None
            if value := moment(self):
                return value
            assert alive, f"ended ({self.process.returncode}) before {what}:\n{self.said()[-3000:]}"
            time.sleep(0.01)
        raise AssertionError(f"no {what} within {LIMIT:.0f} s:\n{self.said()[-3000:]}")

    def descendants(self) -> list[psutil.Process]:
        """Its processes, Ray's and their workers'."""
        try:
            below = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self.seen = list({process.pid: process for process in [*self.seen, *below]}.values())
        return below

    def end(self) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(LIMIT)

    def kill(self) -> None:
        """kill -9 of the driver alone; Ray's processes must notice and end, too."""
        self.descendants()
        self.process.kill()
        self.process.wait(60)

    def ctrl_c(self) -> int:
        """What a terminal does: the signal goes to every process of the group."""
        self.descendants()
        os.killpg(self.process.pid, signal.SIGINT)
        return self.end()

    def terminate(self) -> int:
        """SIGTERM to the driver, as a batch system or systemd sends it first."""
        self.descendants()
        self.process.terminate()
        return self.end()

    def assert_all_gone(self) -> None:
        """No process of it is left: each would hold memory, or go on writing.

        Ray's two agents need a minute to give up a killed head node.
        """
        _, alive = psutil.wait_procs(self.seen, timeout=180)
        assert not alive, [(process.pid, process.name()) for process in alive]


def command(output: Path, *more: str, name: str = "ref") -> list[str]:
    """The sweep's command line."""
    script = ROOT / "experiments" / "sweep_fcam.py"
    place = ["--name", name, "--output", str(output)]
    settings = [word for name, value in SETTINGS.items() for word in (name, *value.split())]
    return [sys.executable, str(script), *settings, *place, *more]


@contextmanager
def started(output: Path, *more: str, name: str = "ref") -> Iterator[SweepProcess]:
    """A sweep that has been started; nothing of it is alive after the block."""
    output.mkdir(parents=True, exist_ok=True)
    # beside the output, which may be full or away
    log = output.parent / f"{output.name}-{name}-{time.time_ns()}.log"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TUNE_", "MLFLOW_"))}
    paths = [str(ROOT), str(ROOT / "platform"), str(ROOT / "experiments")]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(output, *more, name=name),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**kept, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )
    sweep = SweepProcess(process, output, log, name)
    try:
        yield sweep
    finally:
        sweep.descendants()
        for each in [process, *sweep.seen]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def run_through(output: Path, *more: str, name: str = "ref") -> str:
    """A sweep from start to end, which must succeed; what it wrote."""
    with started(output, *more, name=name) as sweep:
        status = sweep.end()
        assert status == 0, f"exit status {status}:\n{sweep.said()[-3000:]}"
        assert "Traceback" not in sweep.said()
        return sweep.said()


@dataclass(frozen=True)
class Result:
    """What a sweep leaves, without what tells one attempt from another."""

    trials: tuple[tuple[tuple[str, str], ...], ...]
    """Rows of trials.csv, sorted."""
    summary: list[dict[str, Any]]
    table: list[str]
    """Lines of the last table that a user sees."""
    best: dict[str, Any]
    parent: dict[str, float]
    """Metrics of the sweep's run in MLflow."""
    children: list[tuple[str, str]]
    """Status and metrics of the runs below it, sorted."""


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
    begin = max(n for n, line in enumerate(lines) if "seeds, mean" in line)
    return Result(
        trials=tuple(sorted(rows)),
        summary=json.loads((folder / "summary.json").read_text())["rows"],
        table=[line.rstrip() for line in lines[begin:] if line.startswith("│")],
        best=json.loads((folder / "best_config.json").read_text()),
        parent=parent,
        children=children,
    )


def _runs(uri: str, name: str) -> tuple[dict[str, float], list[tuple[str, str]]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("sweep_fcam")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [
        run
        for run in runs
        if run.info.run_name == name and "mlflow.parentRunId" not in run.data.tags
    ]
    parent = max(parents, key=lambda run: run.info.start_time or 0)
    assert parent.info.status == "FINISHED"
    assert [run.info.run_name for run in runs if run.info.status == "RUNNING"] == []
    below = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return parent.data.metrics, sorted((run.info.status, _text(run.data)) for run in below)


def _text(data: Any) -> str:
    names: Sequence[str] = sorted(data.metrics)
    # curves of networks that were trained by another attempt are not written twice
    kept = [name for name in names if ".seed" not in name]
    settings = {key: data.params[key] for key in sorted(data.params) if "fcam" in key}
    return json.dumps([settings, {name: _plain(data.metrics[name]) for name in kept}])


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
