"""Tables of labels (CSV) from outside: every line that would lose a label is named.

A file has one row per line, so that a quote that is never closed harms its own line alone.
"""

from __future__ import annotations

import csv
import re

from wsvis.data.outside import OnProblem
from wsvis.errors import InputError, shown_value
from wsvis.files.json_input import decoded_text
from wsvis.files.regular_file import read_regular

MAX_BYTES = 256 << 20
MAX_DIGITS = 15
"""Digits of a number in a table; a frame number needs far fewer."""
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_UNCLOSED = "unexpected end of data"


def read_label_table(
    path: str, columns: tuple[str, ...], on_problem: OnProblem
) -> list[tuple[int, dict[str, str]]]:
    """(line number, column -> text) for each row of a CSV file that has these columns.

    Other columns are passed over; columns may stand in any order.

    Args:
        path: the file, in UTF-8 or in UTF-16 with a byte order mark.
        columns: names that its first line must have, each once.
        on_problem: called with each line that cannot be read as it was meant.

    Raises:
        InputError: the file is absent, no text, separated by anything but commas, or its first line
            lacks a column or has one twice.
    """
    first = ",".join(columns)
    absent = f"there is no such file; write it with the columns {first}"
    text = decoded_text(path, read_regular(path, MAX_BYTES, absent)).removeprefix("\ufeff")
    lines = re.split(r"\r\n|\r|\n", text)
    try:
        header = [name.strip().lower() for name in _fields(lines[0])]
    except csv.Error as error:
        raise InputError(f"{path}: line 1: {error}; its first line must be {first}") from None
    missing = [name for name in columns if name not in header]
    for separator, called in _SEPARATORS.items():
        if missing and lines[0].count(separator) >= len(columns) - 1:
            raise InputError(f"{path}: its columns are separated by {called}; save it with commas")
    if missing:
        raise InputError(
            f"{path}: has no column {', '.join(missing)}; its first line must be {first}"
        )
    twice = [name for name in columns if header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: line 1: has the column {twice[0]} twice; remove or rename one")
    rows: list[tuple[int, dict[str, str]]] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            fields = _fields(line)
        except csv.Error as error:
            reason = "a quote is opened and not closed" if str(error) == _UNCLOSED else str(error)
            on_problem(f"{path}: line {number}: {reason}; correct the line, or save it as CSV")
            continue
        if any(field.strip() for field in fields[len(header) :]):
            on_problem(
                f"{path}: line {number}: has {len(fields)} fields for {len(header)} columns; give "
                "each class a line, and put a class that holds a comma in double quotes"
            )
            continue
        row = dict(zip(header, (field.strip() for field in fields), strict=False))
        if any(row.values()):
            rows.append((number, {name: row.get(name, "") for name in columns}))
    return rows


def whole_number(text: str) -> int | None:
    """The number that plain digits write; ``None`` for anything else, or thousands of digits."""
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
        return None
    return int(text)


def shown(text: str) -> str:
    """What a table says, as an error may quote it."""
    return shown_value(text)


def _fields(line: str) -> list[str]:
    return next(csv.reader([line], skipinitialspace=True, strict=True), [])
