"""A process of the sweep's that dies: the run survives it, or the same command does afterwards."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from faults.moments import process
from faults.sweep_process import Result, result, run_through, started

pytestmark = pytest.mark.faults

# what Ray calls its processes while they work
WORKERS = {
    "a worker of frames and flow": ("ray::", "in_warm_worker"),
    "an actor of activation maps": ("ray::MapWorker",),
    "a training of classifiers": ("ray::", "train"),
    "a trial": ("ray::ImplicitFunc",),
    "the board of progress": ("ray::_Board",),
}


@pytest.mark.parametrize("kind", WORKERS)
def test_a_worker_that_dies_changes_no_result(tmp_path: Path, undisturbed: Result, kind: str):
    output = tmp_path / "out"
    with started(output) as sweep:
        worker: psutil.Process = sweep.wait_for(process(*WORKERS[kind]), kind)
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
        sweep.wait_for(process("ray::MapWorker"), "an actor")
        for each in sweep.descendants():
            if each.name().startswith(server):
                each.kill()
        status = sweep.end()
        sweep.assert_all_gone()
        assert status not in (0, None), sweep.said()[-3000:]
    assert result(output, run_through(output)) == undisturbed
