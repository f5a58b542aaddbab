"""Ray's own processes die under a command: one line, unless the command is being stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

COMMAND = """
import os, sys, time
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.console import run_command

def main():
    with start_ray(num_cpus=1):
        import ray
        node = ray._private.worker._global_node
        if sys.argv[1] in node.all_processes:
            node.all_processes[sys.argv[1]][0].process.kill()
        print("ready", flush=True)
        if sys.argv[1] != "none":
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # as while Ray Data works
        time.sleep(60)
        print("still there")

run_command(main)
"""


def start(which: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TUNE_"))}
    path = os.pathsep.join(folder for folder in sys.path if folder)
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, which],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**kept, "PYTHONPATH": path},
    )


def left(session: int) -> list[int]:
    """Processes of a session that are no zombies."""
    alive = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                state, _, _, its = file.read().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its) == session and state != "Z":
            alive.append(int(name))
    return alive


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("which", ["raylet", "gcs_server"])
def test_a_process_of_rays_that_dies_ends_the_command_in_one_line(which: str):
    with start(which) as command:
        out, error = command.communicate(timeout=300)
    assert (command.returncode, out) == (2, "ready\n"), error
    assert error.count("\n") == 1, error
    assert error.startswith(f"error: a process of Ray's that the run rests on died ({which}, ")
    end = time.monotonic() + 120
    while left(command.pid):
        assert time.monotonic() < end, left(command.pid)
        time.sleep(0.1)


@pytest.mark.ray
@pytest.mark.slow
def test_a_signal_that_goes_to_rays_processes_too_is_a_stop(tmp_path):
    with start("none") as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "ready\n"
        os.killpg(command.pid, signal.SIGTERM)
        out, error = command.communicate(timeout=300)
    assert (command.returncode, out) == (143, ""), error
    assert error.startswith("stopped; "), error
