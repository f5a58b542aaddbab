"""Commands in whatever a terminal, a pipe or a folder may be: they work, or say one line."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PATHS = [folder for folder in sys.path if folder]
ASCII = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}


def run(code: str, shell: str = "{}", **more: str) -> subprocess.CompletedProcess[str]:
    """A command made of ``code``, which defines ``main``, as a shell line such as ``{} | head``."""
    whole = f"""
import sys; sys.path[:0] = {PATHS!r}
from wsvis_platform.console import Screen, run_command
{code}
run_command(main)
"""
    with tempfile.NamedTemporaryFile("w", suffix=".py", encoding="utf-8") as file:
        file.write(whole)
        file.flush()
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", shell.format(f"{sys.executable} {file.name}")],
            capture_output=True,
            text=True,
            env={**os.environ, **more},
            timeout=120,
        )


TABLE = """
def main():
    from rich.table import Table
    with Screen() as screen:
        screen.line("3.2 ± 1.0 \u00d7 A → ä")
        table = Table("method", "AP50"); table.add_row("motion alone ±", "31.9")
        screen.show(table)
        with screen.bar("trials", 3) as bar:
            bar.update(1)
"""


def test_an_ascii_terminal_gets_plain_letters():
    done = run(TABLE, **ASCII)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert done.stdout.splitlines()[0] == "3.2 +- 1.0 x A -> \\xe4"
    assert "motion alone +-" in done.stdout
    failed = run(
        "def main():\n    from wsvis.errors import InputError\n    raise InputError('ä')", **ASCII
    )
    assert (failed.returncode, failed.stderr) == (2, "error: \\xe4\n")


def test_a_terminal_of_20_columns_gets_all_of_it():
    done = run(TABLE, COLUMNS="20", TTY_COMPATIBLE="1", FORCE_COLOR="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "31.9" in done.stdout


def test_a_listing_whose_reader_goes_away_ends_without_a_word():
    done = run("def main():\n    for n in range(100_000): print(n)", "{} | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (141, "0\n", "")


def test_a_run_whose_reader_goes_away_goes_on_to_its_end(tmp_path: Path):
    code = f"""
def main():
    with Screen() as screen:
        for n in range(20_000): screen.line(str(n))
        print("and this")
    open({str(tmp_path / "result")!r}, "w").write("whole")
"""
    done = run(code, "{} | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    assert (tmp_path / "result").read_text() == "whole"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_never_becomes_a_file_that_is_written(tmp_path: Path, closed: str):
    code = f"""
def main():
    import os
    file = open({str(tmp_path / "result")!r}, "w")
    assert file.fileno() > 2, file.fileno()
    with Screen() as screen: screen.line("shown")
    print("shown"); print("shown", file=sys.stderr); os.system("echo shown; echo shown >&2")
    file.write("whole")
"""
    done = run(code, "{} " + closed)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "result").read_text() == "whole"


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path):
    folder = tmp_path / "gone"
    folder.mkdir()
    done = run(TABLE, f"cd {folder} && rmdir {folder} && {{}}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: the folder in which the command was started is gone; change to one that exists\n"
    )


def test_a_broken_pipe_of_another_kind_is_no_end_of_a_reader():
    done = run("def main():\n    raise BrokenPipeError(32, 'a socket')")
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr
