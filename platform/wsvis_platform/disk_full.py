"""A disk that fills up during a run: known as such, one line, and room to end in order."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_RESERVE = ".room-to-end"
_BYTES = 1 << 20
_TEXTS = (
    "no space left on device",
    "disk quota exceeded",
    "file too large",
    "database or disk is full",
)


def full_disk_line(error: BaseException) -> str:
    """The line for a user when an error comes from a full disk; empty when it does not.

    An error of a Ray task comes wrapped, with the cause in an attribute or as text alone.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if _is_full(each):
            where = getattr(each, "filename", None)
            place = f" (writing {os.fspath(where)})" if where else ""
            return (
                f"the disk is full, or a quota is used up{place}; free some space and run the same "
                "command again: what is stored is whole and is used"
            )
        cause = getattr(each, "cause", None)
        waiting += [each.__cause__, each.__context__]
        waiting += [cause] if isinstance(cause, BaseException) else []
    return ""


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    text = str(error).lower()
    return any(part in text for part in _TEXTS)


@contextmanager
def room_to_end(folder: Path) -> Iterator[Callable[[], None]]:
    """Keep a megabyte of the disk, so that a run which fills it can still record how it ended.

    Yields:
        What gives the room back; leaving the block does, too.
    """
    file = folder / _RESERVE
    with open(file, "wb") as reserve:
        reserve.write(bytes(_BYTES))
    try:
        yield lambda: file.unlink(missing_ok=True)
    finally:
        file.unlink(missing_ok=True)
