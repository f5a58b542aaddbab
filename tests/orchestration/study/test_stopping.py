"""One Ctrl-C or SIGTERM stops a command: 130 or 143, one line, MLflow KILLED, nothing lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

ROOT = Path(__file__).resolve().parents[3]
LINE = "run the same command to go on"


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A command in a process group of its own, as a shell starts it."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "platform"), str(ROOT / "experiments")])
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
            # a shell that runs the tests in the background ignores Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def wait_for(pattern: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    while not re.search(pattern, log.read_text()):
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)


BODIES = {
    "a block not cut short": """
from wsvis_platform.stopping import exit_status, not_cut_short
with not_cut_short():
    while not exit_status():
        time.sleep(0.01)
    time.sleep(0.2)
    print("ended whole", flush=True)
print("not reached")
""",
    "Python": "while True: time.sleep(0.01)",
    "a wait in C": "time.sleep(600)",
    "a finaliser": """
from wsvis_platform.console import Screen
class Slow:
    def __del__(self):
        while True: time.sleep(0.01)
Slow()
Screen().line("going on")
print("not reached")
""",
    "exception swallowed": """
try:
    time.sleep(600)
except KeyboardInterrupt:
    pass
from wsvis_platform.console import Screen
Screen().line("going on")
print("not reached")
""",
    "exception changed": """
try:
    time.sleep(600)
except KeyboardInterrupt:
    raise RuntimeError("failed in a library")
""",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_command_with_its_status_and_one_line(body, number, status, tmp_path):
    script, log = tmp_path / "c.py", tmp_path / "log"
    inside = "\n".join(f"    {line}" for line in ["print('ready', flush=True)", *body.split("\n")])
    script.write_text(
        "import time\nfrom wsvis_platform.console import run_command\n"
        f"def main():\n{inside}\nrun_command(main)\n"
    )
    process = start([str(script)], log)
    wait_for("ready", log, process)
    os.kill(process.pid, number)
    os.kill(process.pid, number)  # shells and process groups may send it twice
    # once Python is on its way out, the second one is no longer ours: a shell says the same of it
    assert process.wait(30) in (status, -number)
    said = log.read_text().splitlines()
    assert said[1:-1] == (["ended whole"] if "ended whole" in body else [])
    assert said[-1].endswith(LINE)


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path):
    script, log = tmp_path / "c.py", tmp_path / "log"
    script.write_text(
        "import os, signal\nfrom wsvis_platform.console import run_command\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does\n"
        "run_command(lambda: os.kill(os.getpid(), signal.SIGHUP))\n"
    )
    assert start([str(script)], log).wait(30) == 0


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep_stops_at_three_moments_and_goes_on(tmp_path):
    # at more moments, and with the tables compared: tests/faults
    arguments = [
        str(ROOT / "experiments" / "sweep_fcam.py"),
        *("--data.synthetic-videos", "4", "--classifier.epochs", "0.5", "--workers", "2"),
        *("--objective", "pseudo_mask_ap50", "--num-samples", "3", "--seeds", "0", "1"),
        *("--prune", "none", "--output", str(tmp_path / "out"), "--name", "stopped"),
    ]
    moments = [
        (r"results go to", 0.5, signal.SIGTERM),  # Ray starts
        (r"trial 1/3", 0.0, signal.SIGINT),
        (r"classifier mAP", 0.1, signal.SIGTERM),  # held-out clips
    ]
    for n, (pattern, delay, number) in enumerate(moments):
        log = tmp_path / f"{n}.log"
        process = start(arguments, log)
        wait_for(pattern, log, process)
        time.sleep(delay)
        if number == signal.SIGINT:  # a terminal sends it to all processes
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
        assert process.wait(120) == 128 + number, log.read_text()
        said = log.read_text()
        assert said.splitlines()[-1].endswith(LINE)
        assert "Traceback" not in said
        assert "***" not in said  # how Ray's stack dump begins
        assert "Best of" not in said
        if n:
            client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/out/mlflow.db")
            runs = client.search_runs([client.get_experiment_by_name("sweep_fcam").experiment_id])
            parents = [r for r in runs if r.info.run_name == "stopped"]
            assert {run.info.status for run in parents} == {"KILLED"}
        assert not list(tmp_path.rglob(".writing-*"))
    assert start(arguments, tmp_path / "last.log").wait(300) == 0
    assert "Best of 3 trials" in (tmp_path / "last.log").read_text()
