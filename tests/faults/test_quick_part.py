"""The part of the fault matrix that runs with every test: kill -9, Ctrl-C, a worker that dies."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from faults.moments import MOMENTS, working
from faults.sweep_process import QUICK, run_through, started
from faults.sweep_result import Result, result

pytestmark = [pytest.mark.faults(quick=True), pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Result:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    return result(output, run_through(output, settings=QUICK))


def test_a_killed_driver_and_then_a_killed_trial_change_no_result(
    tmp_path: Path, undisturbed: Result
):
    output = tmp_path / "out"
    with started(output, settings=QUICK) as sweep:
        sweep.wait_for(MOMENTS["activation maps are stored"], "activation maps")
        sweep.kill()
        with started(output, settings=QUICK) as again:
            trial: psutil.Process = again.wait_for(working("ray::ImplicitFunc.train"), "a trial")
            trial.kill()
            assert again.end() == 0, again.said()[-3000:]
            assert "Traceback" not in again.said()
            assert result(output, again.said()) == undisturbed
        sweep.assert_all_gone()


def test_a_sweep_stopped_by_ctrl_c_goes_on_to_the_same_result(tmp_path: Path, undisturbed: Result):
    output = tmp_path / "out"
    with started(output, settings=QUICK) as sweep:
        sweep.wait_for(MOMENTS["the first trial is over"], "the first trial")
        status = sweep.ctrl_c()
        sweep.assert_all_gone()
        assert status == 130, sweep.said()[-3000:]
        assert "Traceback" not in sweep.said()
    assert result(output, run_through(output, settings=QUICK)) == undisturbed
