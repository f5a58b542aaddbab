"""Files and folders that appear whole or not at all, with the rights that the umask gives."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsvis.errors import InputError


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, synced to disk, then rename it into place."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        temporary = _beside(folder)
        # not by tempfile, whose files only their owner can read, whatever the umask says
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_text(path: str | Path, text: str) -> None:
    """:func:`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


@contextmanager
def new_file(path: str | Path) -> Iterator[str]:
    """A name to write to that becomes ``path`` when the block ends well, and vanishes when not.

    For writers that want a name; it ends as ``path`` does, since they read the format from it.
    """
    folder, name = os.path.split(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another") from None
    temporary = _beside(folder) + os.path.splitext(name)[1]
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


@contextmanager
def new_folder(path: str) -> Iterator[str]:
    """A temporary folder that becomes ``path`` when the block ends well, and vanishes when not.

    Raises:
        InputError: there is something at ``path`` already (an empty folder may be).
    """
    target = os.path.abspath(path)
    if os.path.exists(target) and not (os.path.isdir(target) and not os.listdir(target)):
        raise InputError(f"{path}: exists already; remove it or choose another name")
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = _beside(os.path.dirname(target))
        os.mkdir(temporary)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another") from None
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _beside(folder: str) -> str:
    return os.path.join(folder, f".writing-{secrets.token_hex(8)}")
