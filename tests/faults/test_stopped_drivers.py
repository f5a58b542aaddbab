"""A driver that is killed or stopped: the same command afterwards gives what nobody disturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.moments import MOMENTS, STOPS
from faults.sweep_process import run_through, started
from faults.sweep_result import Result, result

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("moment", MOMENTS)
def test_after_kill_9_the_same_command_gives_the_same(
    tmp_path: Path, undisturbed: Result, moment: str
):
    output = tmp_path / "out"
    with started(output) as sweep:
        sweep.wait_for(MOMENTS[moment], moment)
        sweep.kill()
        # at once, while what the dead one started is still ending
        assert result(output, run_through(output)) == undisturbed
        sweep.assert_all_gone()


@pytest.mark.parametrize("moment", STOPS)
def test_after_ctrl_c_the_same_command_gives_the_same(
    tmp_path: Path, undisturbed: Result, moment: str
):
    output = tmp_path / "out"
    with started(output) as sweep:
        sweep.wait_for(MOMENTS[moment], moment)
        status = sweep.ctrl_c()
        sweep.assert_all_gone()
        assert status == 130, sweep.said()[-3000:]
        assert "Traceback" not in sweep.said()
        assert not (output / "sweeps" / "ref" / "best_config.json").exists()
    assert result(output, run_through(output)) == undisturbed


@pytest.mark.parametrize("moment", STOPS)
def test_after_sigterm_the_same_command_gives_the_same(
    tmp_path: Path, undisturbed: Result, moment: str
):
    output = tmp_path / "out"
    with started(output) as sweep:
        sweep.wait_for(MOMENTS[moment], moment)
        status = sweep.terminate()
        sweep.assert_all_gone()
        assert status == 143, sweep.said()[-3000:]
        assert "Traceback" not in sweep.said()
    assert result(output, run_through(output)) == undisturbed
