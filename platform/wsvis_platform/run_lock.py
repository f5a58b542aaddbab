"""One driver per name and output: the second is refused in one line while the first lives."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from wsvis.errors import InputError

LOCK = ".running.lock"
"""In a run's folder. The system lets go of it when its holder dies, whatever kills it."""


@contextmanager
def only_driver(folder: Path, option: Literal["--name", "--out"] = "--name") -> Iterator[None]:
    """Hold a run's folder for this process.

    Args:
        folder: of the run's tables and pictures; made when absent.
        option: by which a user names it.

    Raises:
        InputError: another process holds it, named by number, machine and time; or the folder
            cannot be written.
    """
    file = folder / LOCK
    lock = FileLock(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"{option} {folder.name}: a run of this name writes to {folder} already "
            f"({_holder(file)}); wait for its end, stop it, or give another {option}"
        ) from None
    except OSError as error:
        raise InputError(
            f"{'--output' if option == '--name' else option}: {folder} cannot be written "
            f"({error.strerror}); give another folder"
        ) from None
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        # the same file: a rename would leave the next one a lock of its own
        file.write_text(f"process {os.getpid()} on {socket.gethostname()} since {since}")
        yield
    finally:
        lock.release()


def is_driven(folder: Path) -> bool:
    """Whether a living process holds a run's folder; makes nothing."""
    if not (folder / LOCK).exists():
        return False
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def refuse_second(folder: Path, option: Literal["--name", "--out"] = "--name") -> None:
    """Refuse early, before anything is made, what :func:`only_driver` would refuse.

    Args:
        folder: of the run.
        option: by which a user names it.

    Raises:
        InputError: another process holds the folder; one line.
    """
    if (folder / LOCK).exists():
        with only_driver(folder, option):
            pass


def _holder(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()[:200] or "just started"
    except OSError:
        return "its process cannot be read"
