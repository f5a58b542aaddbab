"""Files from outside, opened only if they are regular files: no pipe, device, socket or folder."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from wsvis.errors import InputError

ABSENT = "there is no such file; check the path"


def open_regular(path: str | Path, absent: str = ABSENT) -> BufferedReader:
    """A regular file, open for reading bytes.

    Opening a pipe would wait for a writer and reading a device need not end, so that neither is
    waited for: whatever a path leads to is opened without blocking and looked at first.

    Args:
        path: the file.
        absent: what to say, with the cure, where nothing is.

    Raises:
        InputError: nothing is there, it cannot be opened, or it is no regular file; one line.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: {absent}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError:  # a null byte, or half a character
        raise InputError(f"{path}: is no name that a file can have; check the path") from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file (a pipe or a device)"
            raise InputError(f"{path}: is {kind}; give the path of a file")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | Path, most: int, absent: str = ABSENT) -> bytes:
    """All bytes of a regular file that has no more than ``most``.

    Raises:
        InputError: as :func:`open_regular`; or the file is larger.
    """
    with open_regular(path, absent) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            # Python takes memory for all the bytes asked for, so that it is not asked for ``most``
            content = b"" if size > most else file.read(size + 1)
            if len(content) > size:  # it grows, or is one of those that say they are empty
                content += file.read(min(most, 1 << 24))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from None
    if size > most or len(content) > most:
        raise InputError(f"{path}: is larger than {_size(most)}; check that it is the right file")
    return content


def _size(count: int) -> str:
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):g} {unit}"
    return f"{count} bytes"
