"""JSON files from outside: encoding, size, depth and numbers checked in one place.

Everything that users or other programs wrote is read here: data sets, splits, settings, results.
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsvis.errors import InputError, shown_value
from wsvis.files.regular_file import open_regular, read_regular

MAX_BYTES = 4 << 30
MAX_WHOLE = 1 << 63
"""No whole number in a file needs more than 64 bits; Python would take any."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; UTF-32's begins as UTF-16's does and so comes first."""
_STARTS = frozenset('{["-0123456789tfnNI')
"""Characters that a JSON value can begin with (and Python's NaN and Infinity)."""


def read_json(path: str | Path, most: int = MAX_BYTES, unique_names: bool = False) -> Any:
    """The content of a JSON file in UTF-8, UTF-16 or UTF-32.

    A whole number of more than 64 bits stays as it is: :func:`field_of` does not take it for one,
    and other readers must check the ranges of what they use.

    Args:
        path: the file; nothing but a regular file is read.
        most: bytes it may have.
        unique_names: refuse an object in which a name stands twice, where the last one would count;
            costs time in large files.

    Raises:
        InputError: the file is absent, no regular file, too large, no JSON, in another encoding,
            nested too deeply, or holds NaN, Infinity or a number of thousands of digits; one line.
    """
    with open_regular(path) as file:
        _refuse_binary(path, file.read(1 << 12))
    text = decoded_text(path, read_regular(path, most))
    try:
        hook = _once_each if unique_names else None
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=hook)
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply; export the file again") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: is not JSON ({error}); download or export it again") from None
    except ValueError as error:
        reason = str(error)
        if "digits" in reason:  # Python's own line tells how to lift its limit
            reason = "it holds a whole number of thousands of digits"
        raise InputError(f"{path}: is not JSON ({reason}); export the file again") from None


def decoded_text(path: str | Path, content: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Raises:
        InputError: it is in another encoding; the line of the file is named.
    """
    encoding = encoding_of(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}: is not {'UTF-8' if encoding.startswith('utf-8') else encoding.upper()} text "
            f"(line {line}, byte {error.start}); save it as UTF-8"
        ) from None


def encoding_of(start: bytes) -> str:
    """The encoding that the first bytes of a text file tell: by its mark, else by its nulls."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    head = start[:4]
    if len(head) == 4 and head.count(0) == 3 and head[0] + head[3]:
        return "utf-32-le" if head[0] else "utf-32-be"
    if len(head) >= 2 and (head[0] == 0) != (head[1] == 0):
        return "utf-16-le" if head[0] else "utf-16-be"
    return "utf-8"


def field_of(record: Any, name: str, kind: type, default: Any = None) -> Any:
    """``record[name]`` where it has the kind asked for, else ``default``.

    A bool is no whole number here, and a whole number has no more than 64 bits.
    """
    value = record.get(name) if isinstance(record, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        return default
    return default if isinstance(value, int) and abs(value) >= MAX_WHOLE else value


def is_unicode(text: str) -> bool:
    """Whether the text can be written: JSON may hold half a surrogate pair, which no file can."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def _refuse_binary(path: str | Path, start: bytes) -> None:
    """Say at once that a video, an image or a gigabyte of zeros is no JSON."""
    text = start.decode(encoding_of(start), errors="replace").lstrip("\ufeff").lstrip(" \t\r\n")
    if not text and len(start) < 1 << 12:
        raise InputError(f"{path}: is not JSON (it is empty); download or export it again")
    if text and text[0] not in _STARTS:
        begin = repr(text[:8]) if text[:8].isascii() else "bytes that are no text"
        raise InputError(
            f"{path}: is not JSON (it begins with {begin}); give another file, or export it again"
        )


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{shown_value(double)} stands in it twice")
    return content


def _no_constant(text: str) -> None:
    raise ValueError(f"it holds {text}, which is no number")
