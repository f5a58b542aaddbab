import sys

import pytest

from wsvis.errors import InputError
from wsvis_platform.cli import dispatch


def test_the_list_has_every_experiment_with_its_first_line(capsys):
    dispatch(["experiment"])
    shown = capsys.readouterr().out
    for name in ("sweep_fcam", "ablation_flowirn", "main_results"):
        assert f"  {name} " in shown
    assert "presets" not in shown
    assert "Sweep f-CAM" in shown


def test_an_experiment_by_name_gets_its_own_arguments(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["wsvis"])
    with pytest.raises(SystemExit) as stop:
        dispatch(["experiment", "sweep_fcam", "--help", "fcam"])
    assert stop.value.code == 0
    assert "--fcam.amplification" in capsys.readouterr().out


def test_a_name_that_is_none_is_one_line():
    with pytest.raises(InputError, match="did you mean 'sweep_fcam'"):
        dispatch(["experiment", "sweep_fcm"])
