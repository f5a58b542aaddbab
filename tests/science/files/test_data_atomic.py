"""Files and folders appear whole, with the rights that the user's umask gives."""

import os
import stat
from pathlib import Path

import pytest

from wsvis.errors import InputError
from wsvis.files.atomic import new_folder, write_bytes, write_text


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002])
def umask(request: pytest.FixtureRequest):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_umask_decides_who_may_read(tmp_path: Path, umask: int):
    write_bytes(tmp_path / "new" / "file", b"1")
    assert rights(tmp_path / "new" / "file") == 0o666 & ~umask
    assert rights(tmp_path / "new") == 0o777 & ~umask
    with new_folder(str(tmp_path / "folder")) as folder:
        (Path(folder) / "inside").write_text("")
    assert rights(tmp_path / "folder") == 0o777 & ~umask
    assert rights(tmp_path / "folder" / "inside") == 0o666 & ~umask


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path):
    write_text(tmp_path / "file", "old")
    write_text(tmp_path / "file", "ä")
    assert (tmp_path / "file").read_bytes() == "ä".encode()
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_bytes(tmp_path / "taken", b"1")  # a folder cannot be replaced by a file
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


def test_a_folder_that_failed_leaves_nothing(tmp_path: Path):
    def fail() -> None:
        with new_folder(str(tmp_path / "folder")) as folder:
            (Path(folder) / "inside").write_text("")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="exists already"), new_folder(str(tmp_path / "file")):
        pass
