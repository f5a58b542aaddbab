"""Two drivers of one name: the second is one line while the first lives, whatever ends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wsvis.errors import InputError
from wsvis_platform.run_lock import is_driven, only_driver, refuse_second


def test_the_second_driver_is_told_who_is_first_until_that_one_is_killed(tmp_path: Path):
    folder = tmp_path / "sweeps" / "ref"
    code = f"""
import sys; sys.path[:0] = {[folder for folder in sys.path if folder]!r}
import time; from pathlib import Path
from wsvis_platform.run_lock import only_driver
with only_driver(Path({str(folder)!r})):
    print("held", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    for _ in range(2):  # the refused one does not wipe what the first has written
        with pytest.raises(InputError, match=rf"--name ref: .*process {process.pid} on ") as error:
            refuse_second(folder)
        assert "\n" not in str(error.value)
    assert is_driven(folder)
    with only_driver(tmp_path / "sweeps" / "other"):
        pass
    process.kill()
    process.communicate()
    assert not is_driven(folder)
    with only_driver(folder):
        assert is_driven(folder)
    with only_driver(folder):
        pass


def test_looking_makes_nothing(tmp_path: Path):
    refuse_second(tmp_path / "no")
    assert not is_driven(tmp_path / "no")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), only_driver(tmp_path / "file" / "x"):
        pass
