import subprocess
import sys
import time
from importlib import import_module

import pytest

from wsvis.errors import InputError
from wsvis_platform.cli import COMMANDS, dispatch


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dat"], "did you mean 'data'?"),
        (["data", "chek"], "did you mean 'check'?"),
        (["evaluate", "vsi"], "did you mean 'vis'?"),
        (["data", "check"], "PATH"),
        (["data", "check", "x", "--kid", "davis"], "did you mean '--kind'?"),
        (["data", "check", "x", "--kind", "davies"], "davis"),
        (["data", "check", "x", "y"], "y"),
        (["data", "check", "no/such/place"], "no/such/place"),
        (["data", "synth", "x", "--videos", "many"], "--videos"),
    ],
)
def test_a_wrong_word_is_one_line_with_the_cure(words, said):
    with pytest.raises(InputError) as error:
        dispatch(words)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_every_command_exists_and_has_a_help(capsys):
    for words, (module, name, _) in COMMANDS.items():
        function = getattr(import_module(f"wsvis_platform.command.{module}"), name)
        with pytest.raises(SystemExit) as stop:
            dispatch([*words, "--help"])
        assert stop.value.code in (0, None)
        first = (function.__doc__ or "").strip().split("\n")[0].split(" ")[0]
        assert first in capsys.readouterr().out


def test_groups_list_their_commands(capsys):
    dispatch([])
    everything = capsys.readouterr().out
    dispatch(["data", "--help"])
    data = capsys.readouterr().out
    assert "wsvis evaluate vis" in everything
    assert "wsvis data check" in data
    assert "evaluate" not in data


def test_an_error_leaves_with_status_2_and_no_traceback():
    code = "from wsvis_platform.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "data", "check", "no/such/place"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": "platform:.", "PATH": ""},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no/such/place")
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_the_help_imports_nothing_heavy():
    code = (
        "import sys; from wsvis_platform.cli import dispatch; dispatch(['--help']); "
        "print([m for m in ('torch', 'ray', 'mlflow', 'cv2', 'numpy') if m in sys.modules])"
    )
    started = time.process_time()
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": "platform:.", "PATH": ""},
        check=True,
    )
    assert done.stdout.strip().endswith("[]")
    assert time.process_time() - started < 1
