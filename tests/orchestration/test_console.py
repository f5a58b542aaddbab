"""Console: exit codes and one-line errors; bars on a terminal and without one."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.table import Table

from wsvis.errors import InputError
from wsvis_platform.console import Screen, run_command


@pytest.fixture(autouse=True)
def nothing_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich listens to these; a CI that sets them must not change what is tested."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bad_input_is_one_line_on_stderr_and_exit_code_2(capsys: pytest.CaptureFixture[str]):
    def main() -> None:
        raise InputError("clip.mp4: cannot be decoded;\nre-encode it")

    with pytest.raises(SystemExit) as stop:
        run_command(main)
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.err == "error: clip.mp4: cannot be decoded; re-encode it\n"
    assert shown.out == ""


def test_bad_input_found_in_a_ray_task_shows_its_cause_alone(capsys: pytest.CaptureFixture[str]):
    from ray.exceptions import RayTaskError

    raised = RayTaskError("task", "Traceback ...\n  many lines", InputError("a.json: is not JSON"))

    def main() -> None:
        raise raised.as_instanceof_cause()

    with pytest.raises(SystemExit) as stop:
        run_command(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: a.json: is not JSON\n"


def test_interrupt_is_130_success_0_and_a_bug_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str],
):
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        run_command(interrupted)
    assert stop.value.code == 130
    assert "run the same command to go on" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: None)
    assert stop.value.code == 0
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


def test_importing_the_console_stays_cheap():
    code = "import sys, wsvis_platform.console; print('rich' in sys.modules)"
    path = [folder for folder in sys.path if folder]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "False", done.stderr


def test_text_in_brackets_and_long_lines_arrive_unchanged():
    file = io.StringIO()
    with Screen(file) as screen:
        screen.line("trial 1 [reused flow, cam] " + "x" * 300)
        screen.warn("set aside [v1]: a reason")
    first, second = file.getvalue().splitlines()
    assert first == "trial 1 [reused flow, cam] " + "x" * 300
    assert second == "warning: set aside [v1]: a reason"


def test_a_table_without_a_terminal_keeps_wide_cells_on_one_line():
    table = Table("method", "setting")
    table.add_row("best of the sweep", "A 2.00, T 0.80, threshold 0.30, camera median " + "y" * 50)
    file = io.StringIO()
    Screen(file).show(table)
    assert any(
        "best of the sweep" in row and "y" * 50 in row for row in file.getvalue().split("\n")
    )
    assert "\x1b" not in file.getvalue()


def test_without_a_terminal_bars_are_plain_lines_no_faster_than_the_interval():
    file = io.StringIO()
    screen = Screen(file, every=3600)
    with screen.bars() as bars:
        for done in range(50):
            bars.update("flow", done, 50)
    assert file.getvalue() == ""
    screen = Screen(file, every=0)
    with screen.bars() as bars:
        bars.update("flow", 30, 60)
        bars.update("classifier seed 0", 7, 0, "loss 0.500")
        bars.finish("flow")
        bars.finish("never shown")
    assert file.getvalue().splitlines() == ["flow 30/60 (50%)", "classifier seed 0 7 loss 0.500"]


def test_one_bar_counts_and_remembers_its_total():
    file = io.StringIO()
    with Screen(file, every=0).bar("trials", 4) as bar:
        bar.update(bar.done + 1)
        bar.update(bar.done + 1, 8)
        assert (bar.done, bar.total) == (2, 8)
    assert file.getvalue().splitlines() == [
        "trials 0/4 (0%)",
        "trials 1/4 (25%)",
        "trials 2/8 (25%)",
    ]


def test_on_a_terminal_bars_are_drawn_and_lines_stay_above_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    with Screen(file) as screen, screen.bars() as bars:
        bars.update("flow", 30, 60, "loss 0.25")
        screen.line("cam: 60 videos computed")
        assert bars.progress is not None
        bars.progress.refresh()
        bars.finish("flow")
        assert not bars.progress.tasks
    assert "30/60" in file.getvalue()
    assert "loss 0.25" in file.getvalue()
    assert "cam: 60 videos computed\n" in file.getvalue()
