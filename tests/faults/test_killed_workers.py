"""A process of the sweep's that dies: the run survives it, or the same command does afterwards."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from faults.moments import MOMENTS, working
from faults.sweep_process import run_through, started
from faults.sweep_result import Result, result

pytestmark = pytest.mark.faults

# what Ray calls its processes while they work
WORKERS = {
    "a worker of frames and flow": "ray::Map(_in_warm_worker)",
    "a training of classifiers": "ray::_ensure_whole",
    "the board of progress": "ray::_Board",
    "an actor of activation maps": "ray::MapWorker(Map(_ExtractionActor)).submit",
    "a measurement": "ray::_measure_remotely",
    "a trial": "ray::ImplicitFunc.train",
}


@pytest.mark.parametrize("kind", WORKERS)
def test_a_worker_that_dies_changes_no_result(tmp_path: Path, undisturbed: Result, kind: str):
    output = tmp_path / "out"
    with started(output) as sweep:
        worker: psutil.Process = sweep.wait_for(working(WORKERS[kind]), kind)
        worker.kill()
        status = sweep.end()
        said = sweep.said()
        sweep.assert_all_gone()
    assert status == 0, said[-3000:]
    assert "Traceback" not in said
    assert result(output, said) == undisturbed


@pytest.mark.parametrize("server", ["raylet", "gcs_server"])
def test_the_end_of_ray_itself_ends_the_run_in_one_line(
    tmp_path: Path, undisturbed: Result, server: str
):
    output = tmp_path / "out"
    with started(output) as sweep:
        sweep.wait_for(MOMENTS["activation maps are stored"], "activation maps")
        for each in sweep.processes():
            if each.name() == server:
                each.kill()
        status = sweep.end()
        sweep.assert_all_gone()
        last = sweep.said().strip().splitlines()[-1]
        assert (status, last[:7]) == (2, "error: "), sweep.said()[-3000:]
        assert "Traceback" not in sweep.said()
    assert result(output, run_through(output)) == undisturbed
