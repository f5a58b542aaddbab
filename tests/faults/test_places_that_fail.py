"""A full disk, a server that goes away, two drivers at once: no result is lost or another."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from faults.moments import MOMENTS
from faults.sweep_process import run_through, started
from faults.sweep_result import Result, result

pytestmark = pytest.mark.faults


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of a little more than the one free gigabyte that a run asks for."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1100m", "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("no small disk can be mounted: that takes root's rights")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder: Path, filler: Path) -> None:
    """Leave some 100 KB of a disk, on which others write meanwhile."""
    with filler.open("wb") as file:
        while True:
            free = shutil.disk_usage(folder).free
            with suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(free - 100 * 1024, 4096))
                return


@pytest.mark.parametrize(
    "moment", ["frames are stored", "the first trial is over", "held-out clips are measured"]
)
def test_a_disk_that_fills_up_is_one_line_and_room_mends_it(
    tmp_path: Path, undisturbed: Result, moment: str
):
    output = tmp_path / "out"
    with small_disk(output):
        with started(output) as sweep:
            sweep.wait_for(MOMENTS[moment], moment)
            filler = output / "filler"
            fill_up(output, filler)
            status = sweep.end()
            last = sweep.said().strip().splitlines()[-1]
            assert (status, last[:7]) == (2, "error: "), sweep.said()[-3000:]
            assert "Traceback" not in sweep.said()
        filler.unlink()
        assert result(output, run_through(output)) == undisturbed


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """An MLflow server that answers."""
    words = f"server --host 127.0.0.1 --port {port} --workers 1".split()
    places = {
        "--backend-store-uri": f"sqlite:///{folder / 'server.db'}",
        "--default-artifact-root": str(folder / "artifacts"),
    }
    words += [word for pair in places.items() for word in pair]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + 180
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < end
                    time.sleep(0.2)
            yield process
        finally:
            os.killpg(process.pid, 9)
            process.wait()


def test_a_server_that_goes_away_stops_no_sweep_and_gets_all_when_it_is_back(
    tmp_path: Path, undisturbed: Result
):
    output = tmp_path / "out"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    with server(tmp_path, port) as process, started(output, "--tracking-uri", uri) as sweep:
        sweep.wait_for(MOMENTS["the first trial is over"], "the first trial")
        os.killpg(process.pid, 9)
        status = sweep.end()
        assert status == 0, sweep.said()[-3000:]
        assert "warning: MLflow at" in sweep.said()
        assert "Traceback" not in sweep.said()
    with server(tmp_path, port):
        said = run_through(output, "--tracking-uri", uri)
        again = result(output, said, uri=uri)
    assert again == undisturbed


def test_the_second_driver_of_one_name_is_refused_and_the_first_goes_on(
    tmp_path: Path, undisturbed: Result
):
    output = tmp_path / "out"
    with started(output) as first:
        first.wait_for(MOMENTS["frames are stored"], "frames")
        with started(output) as second:
            status = second.end()
            said = second.said()
        assert status == 2, said
        assert said.strip().splitlines()[-1].startswith("error: ")
        assert "Traceback" not in said
        assert first.end() == 0, first.said()[-3000:]
        assert result(output, first.said()) == undisturbed


def test_two_names_on_one_store_give_the_same(tmp_path: Path, undisturbed: Result):
    output = tmp_path / "out"
    with started(output) as first, started(output, name="other") as second:
        assert first.end() == 0, first.said()[-3000:]
        assert second.end() == 0, second.said()[-3000:]
        one = result(output, first.said())
        other = result(output, second.said(), name="other")
    assert one == undisturbed
    assert replace(other, table=one.table) == one
