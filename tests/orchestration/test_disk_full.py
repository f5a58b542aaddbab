"""A full disk is one line and status 2; files are whole or absent; there is room to end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from wsvis.files.atomic import new_file
from wsvis_platform.console import run_command
from wsvis_platform.disk_full import full_disk_line, room_to_end


def wrapped(error: Exception) -> Exception:
    """As a library passes it on."""
    try:
        try:
            raise error
        except Exception as inner:
            raise RuntimeError("a task failed") from inner
    except RuntimeError as outer:
        return outer


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/x")


@pytest.mark.parametrize(
    "error",
    [
        full(),
        wrapped(full()),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("ray::task() OSError: [Errno 28] No space left on device"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
    ],
)
def test_a_full_disk_is_one_line_and_status_2(error: Exception, capsys: pytest.CaptureFixture[str]):
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        run_command(main)
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith("error: the disk is full")
    assert said.count("\n") == 1


def test_other_errors_stay_what_they_are():
    assert full_disk_line(OSError(errno.EIO, "Input/output error")) == ""

    def main() -> None:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError):
        run_command(main)


def test_a_file_is_whole_or_absent(tmp_path: Path):
    with new_file(tmp_path / "a" / "x.png") as name:
        assert name.endswith(".png")
        Path(name).write_bytes(b"new")

    def half() -> None:
        with new_file(tmp_path / "a" / "x.png") as name:
            Path(name).write_bytes(b"ha")
            raise full()

    with pytest.raises(OSError, match="No space"):
        half()
    assert [(f.name, f.read_bytes()) for f in (tmp_path / "a").iterdir()] == [("x.png", b"new")]


def test_room_is_kept_and_given_back(tmp_path: Path):
    with room_to_end(tmp_path) as make_room:
        (kept,) = tmp_path.iterdir()
        assert kept.stat().st_size == 1 << 20
        make_room()
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), room_to_end(tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
