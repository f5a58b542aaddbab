"""Names from outside, read with suspicion: files that lists name, what lies in folders.

A reader tells what is wrong through ``on_problem``. Its default, ``refuse``, raises at the first
problem; ``wsvis data check`` passes ``list.append`` and gets them all, the bad parts left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from wsvis.errors import InputError

OnProblem = Callable[[str], None]

_CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"})


def refuse(problem: str) -> None:
    """Raise the problem as an ``InputError``."""
    raise InputError(problem)


def is_safe_relative(name: Any) -> bool:
    """Whether a file name from a list stays inside the folder it is joined to.

    A colon or a backslash may be part of a name; a backslash may also stand for ``/``, and
    ``C:/`` is the root of a drive.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    parts = re.split(r"[/\\]", name)
    return bool(parts[0]) and ".." not in parts and not re.match(r"[A-Za-z]:[/\\]", name)


def inside_folder(folder: str, name: str) -> str:
    r"""Path of a file that a list names, safe and relative to a folder.

    Lists written on Windows say ``clip\1.jpg`` for ``clip/1.jpg``.
    """
    path = os.path.join(folder, name)
    if "\\" in name and not os.path.lexists(path):
        return os.path.join(folder, name.replace("\\", "/"))
    return path


def listed_names(folder: str) -> list[str]:
    """Names of what lies in a folder, in their order, without what no person put there.

    Hidden companions (``._a.mp4`` of macOS, ``.ipynb_checkpoints``) and the files in which
    Windows and network disks keep pictures bear names and suffixes like data, but are none.

    Raises:
        InputError: there is no such folder, or it cannot be read.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); check the path") from None
    kept = (name for name in names if not name.startswith(".") and name.lower() not in _CLUTTER)
    return sorted(kept, key=frame_order)


def unique_ids(candidates: Iterable[str], fallback: Iterable[str]) -> list[str]:
    """``candidates`` where they are all different and usable as file names, else ``fallback``."""
    ids = list(candidates)
    usable = all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,199}", name) for name in ids)
    return ids if usable and len({name.lower() for name in ids}) == len(ids) else list(fallback)


def frame_order(name: str) -> tuple[Any, ...]:
    """Sort key that puts ``frame10`` after ``frame9``."""
    parts = re.split(r"([0-9]+)", name)
    return tuple(_by_value(part) if n % 2 else part for n, part in enumerate(parts))


def _by_value(digits: str) -> tuple[int, str]:
    """Sort key of a number in digits, of which there may be thousands."""
    digits = digits.lstrip("0")
    return len(digits), digits


def require_folder(path: str, cure: str) -> None:
    """Raise an ``InputError`` that says ``cure`` unless ``path`` is a folder."""
    if not os.path.isdir(path):
        raise InputError(f"{path}: there is no such folder; {cure}")
