"""Lists from outside, read with suspicion: CSV tables, file names inside them, folders.

A reader tells what is wrong through ``on_problem``. Its default, ``refuse``, raises at the first
problem; ``wsvis data check`` passes ``list.append`` and gets them all, the bad parts left out.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from wsvis.data.json_input import decoded_text
from wsvis.data.regular_file import read_regular
from wsvis.errors import InputError

OnProblem = Callable[[str], None]

MAX_CSV_BYTES = 1 << 30


def refuse(problem: str) -> None:
    """Raise the problem as an ``InputError``."""
    raise InputError(problem)


def read_table(path: str, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """(line number, column -> text) for each row of a CSV file that has these columns.

    Raises:
        InputError: the file is absent, or a column is missing.
    """
    lines = decoded_text(path, read_regular(path, MAX_CSV_BYTES)).splitlines()
    reader = csv.DictReader(lines, skipinitialspace=True, restval="")
    names = [(name or "").strip().lower() for name in reader.fieldnames or []]
    absent = [column for column in columns if column not in names]
    if absent:
        raise InputError(
            f"{path}: has no column {', '.join(absent)}; its first line must be {','.join(columns)}"
        )
    reader.fieldnames = names
    rows = []
    try:
        for row in reader:
            rows.append((reader.line_num, {c: (row[c] or "").strip() for c in columns}))
    except csv.Error as error:
        line = reader.line_num + 1
        raise InputError(f"{path}: line {line}: {error}; save it as CSV again") from None
    return [(number, row) for number, row in rows if any(row.values())]


def is_safe_relative(name: Any) -> bool:
    """Whether a file name from a list stays inside the folder it is joined to."""
    if not isinstance(name, str) or not name or "\\" in name or "\0" in name or ":" in name:
        return False
    return not name.startswith("/") and ".." not in name.split("/")


def unique_ids(candidates: Iterable[str], fallback: Iterable[str]) -> list[str]:
    """``candidates`` where they are all different and usable as file names, else ``fallback``."""
    ids = list(candidates)
    usable = all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,199}", name) for name in ids)
    return ids if usable and len({name.lower() for name in ids}) == len(ids) else list(fallback)


def frame_order(name: str) -> tuple[Any, ...]:
    """Sort key that puts ``frame10`` after ``frame9``."""
    parts = re.split(r"([0-9]+)", name)
    return tuple(int(part) if n % 2 else part for n, part in enumerate(parts))


def require_folder(path: str, cure: str) -> None:
    """Raise an ``InputError`` that says ``cure`` unless ``path`` is a folder."""
    if not os.path.isdir(path):
        raise InputError(f"{path}: there is no such folder; {cure}")
