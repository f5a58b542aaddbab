"""A small sweep as a process of its own: started, waited for, killed and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "--data.synthetic-videos": "8",
    "--seeds": "0 1",
    "--objective": "pseudo_mask_miou",
    "--workers": "2",
    "--num-samples": "4",
    "--classifier.epochs": "1",
    "--classifier.min-steps": "0",
}
"""Long enough for every kind of worker, short enough to be run some fifty times."""
QUICK = {
    **SETTINGS,
    "--data.synthetic-videos": "4",
    "--num-samples": "3",
}
"""The same at its smallest, for the part of the matrix that runs with every test."""
LIMIT = 600.0
"""Seconds for one sweep, which takes about 40 on two quiet cores."""


@dataclass
class SweepProcess:
    """A running sweep; a session of its own holds it and all that it starts."""

    process: subprocess.Popen[bytes]
    output: Path
    log: Path

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

    def processes(self) -> list[psutil.Process]:
        """Its living processes, Ray's and their workers', also after its own end."""
        alive = []
        for each in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getsid(each.pid) == self.process.pid and each.status() != "zombie":
                    alive.append(each)
        return alive

    def end(self) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(LIMIT)

    def kill(self) -> None:
        """kill -9 of the driver alone; Ray's processes must notice and end, too."""
        self.process.kill()
        assert self.process.wait(60) == -signal.SIGKILL, "it had ended before"

    def ctrl_c(self) -> int:
        """What a terminal does: the signal goes to every process of the group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.end()

    def terminate(self) -> int:
        """SIGTERM to the driver, as a batch system or systemd sends it first."""
        self.process.terminate()
        return self.end()

    def assert_all_gone(self) -> None:
        """No process of it is left: each would hold memory, or go on writing.

        Ray's two agents need a minute to give up a killed head node.
        """
        end = time.monotonic() + 180
        while alive := self.processes():
            assert time.monotonic() < end, [(each.pid, each.name()) for each in alive]
            time.sleep(0.2)


def command(
    output: Path, *more: str, name: str = "ref", settings: Mapping[str, str] = SETTINGS
) -> list[str]:
    """The sweep's command line."""
    script = ROOT / "experiments" / "sweep_fcam.py"
    place = ["--name", name, "--output", str(output)]
    given = [word for option, value in settings.items() for word in (option, *value.split())]
    return [sys.executable, str(script), *given, *place, *more]


@contextmanager
def started(
    output: Path, *more: str, name: str = "ref", settings: Mapping[str, str] = SETTINGS
) -> Iterator[SweepProcess]:
    """A sweep that has been started; nothing of it is alive after the block."""
    output.mkdir(parents=True, exist_ok=True)
    # beside the output, which may be full or away
    log = output.parent / f"{output.name}-{name}-{time.time_ns()}.log"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TUNE_", "MLFLOW_"))}
    paths = [str(ROOT), str(ROOT / "platform"), str(ROOT / "experiments")]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(output, *more, name=name, settings=settings),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # a shell lets its background jobs ignore Ctrl-C, and so this process perhaps
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={**kept, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )
    sweep = SweepProcess(process, output, log)
    try:
        yield sweep
    finally:
        for each in sweep.processes():
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def run_through(output: Path, *more: str, settings: Mapping[str, str] = SETTINGS) -> str:
    """A sweep from start to end, which must succeed; what it wrote."""
    with started(output, *more, settings=settings) as sweep:
        status = sweep.end()
        assert status == 0, f"exit status {status}:\n{sweep.said()[-3000:]}"
        assert "Traceback" not in sweep.said()
        return sweep.said()
