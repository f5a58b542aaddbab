"""Large JSON files one element at a time, with the place of each element in the file.

A results file of a whole benchmark does not fit in memory as Python objects; its elements do.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wsvis.errors import InputError
from wsvis.files.json_input import encoding_of
from wsvis.files.regular_file import open_regular

CHUNK = 1 << 20
MAX_ELEMENT = 1 << 25
"""Characters of one element: as Python objects they may take 25 times that, and hostile files must
not fill the memory. Ten thousand frames of a track have some 10 MB."""
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class Element:
    """One element of the file's top-level array, or of an array that is a top-level member."""

    member: str | None
    """Name of the member; ``None`` in a file that is one array."""
    value: Any
    begin: int
    """Byte offset; strings other than ASCII in ``value`` are only right after ``reread``."""
    end: int


def elements(path: Path, must_be_list_of: str = "") -> Iterator[Element]:
    """The elements in the order of the file. Members that are no arrays are passed over.

    Args:
        path: the file, in UTF-8, UTF-16 or UTF-32.
        must_be_list_of: when given, a file that is an object instead of one array is refused; names
            what the array should hold.

    Raises:
        InputError: the file is absent, no regular file, empty or no JSON; one line.
    """
    try:
        with open_regular(path) as file:
            scanner = _Scanner(file, path)
            yield from _walk(scanner, must_be_list_of)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def reread(path: Path, places: list[tuple[int, int]]) -> list[Any]:
    """The elements at the given (begin, end) offsets, in file order.

    Raises:
        InputError: the file has changed since, or its text is in another encoding; one line.
    """
    with open_regular(path) as file:
        encoding, _ = _encoding(file.read(4))
        values = []
        for begin, end in sorted(places):
            file.seek(begin)
            try:
                values.append(json.loads(file.read(end - begin).decode(encoding)))
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}: is not {encoding.upper()} text (byte {begin + error.start}); save it "
                    "as UTF-8"
                ) from None
            except (ValueError, RecursionError):
                raise InputError(f"{path}: changed while it was read; try again") from None
        return values


def _walk(scanner: _Scanner, must_be_list_of: str) -> Iterator[Element]:
    start, members = scanner.peek(), set()
    if start == "[":
        yield from _array(scanner, None)
    elif start == "{":
        if must_be_list_of:
            raise InputError(f"{scanner.path}: must be a list of {must_be_list_of}")
        for _ in scanner.items("{", "}"):
            member, _, _ = scanner.value()
            if not isinstance(member, str):
                raise scanner.fault("a name in quotes was expected")
            if member in members:
                raise scanner.fault(f"there are two lists called {member!r}")
            members.add(member)
            scanner.take(":")
            if scanner.peek() == "[":
                yield from _array(scanner, member)
            else:
                scanner.value()
    else:
        raise scanner.fault("neither a list nor an object")
    if scanner.peek():
        raise scanner.fault("something follows the end")


def _array(scanner: _Scanner, member: str | None) -> Iterator[Element]:
    for _ in scanner.items("[", "]"):
        yield Element(member, *scanner.value())


class _Scanner:
    """A window on the file. Each unit of its encoding (1, 2 or 4 bytes) is one character."""

    def __init__(self, file: BinaryIO, path: Path):
        self.file, self.path = file, path
        self.text, self.at, self.before, self.done = "", 0, 0, False
        self.decode = json.JSONDecoder().raw_decode
        start = file.read(4)
        self.encoding, mark = _encoding(start)
        self.unit = 4 if "32" in self.encoding else 2 if "16" in self.encoding else 1
        file.seek(mark)
        self.before = mark // self.unit
        if not self.peek():
            raise InputError(f"{path}: is empty; export the file again")

    def more(self) -> None:
        """Drop what has been read and add at least as much as is left."""
        rest = self.text[self.at :]
        if len(rest) > MAX_ELEMENT:
            raise self.fault(f"one element is larger than {MAX_ELEMENT >> 20} MiB")
        chunk = self.file.read(max(CHUNK, len(rest)) * self.unit)
        self.done = not chunk
        self.before += self.at
        self.text, self.at = rest, 0
        self.text += self.characters(chunk)

    def characters(self, chunk: bytes) -> str:
        """The units of a chunk as characters, halves of surrogate pairs apart."""
        if self.unit == 1:
            return chunk.decode("latin-1")
        if len(chunk) % self.unit:
            raise self.fault("a character is cut off")
        order = ">" if self.encoding.endswith("be") else "<"
        codes = np.frombuffer(chunk, dtype=f"{order}u{self.unit}").astype("<u4")
        try:
            return codes.tobytes().decode("utf-32-le", "surrogatepass")
        except UnicodeDecodeError:
            raise self.fault(f"it is not {self.encoding.upper()} text") from None

    def peek(self) -> str:
        """The next character that is not white space; empty at the end of the file."""
        while True:
            blank = _BLANK.match(self.text, self.at)
            self.at = blank.end() if blank else self.at
            if self.at < len(self.text) or self.done:
                return self.text[self.at : self.at + 1]
            self.more()

    def take(self, character: str) -> None:
        """Step over a character that must come now."""
        if self.peek() != character:
            raise self.fault(f"{character!r} was expected")
        self.at += 1

    def items(self, opening: str, closing: str) -> Iterator[None]:
        """Step over brackets and commas; the caller reads an item at each turn."""
        self.take(opening)
        if self.peek() != closing:
            yield
            while self.peek() == ",":
                self.take(",")
                yield
        self.take(closing)

    def value(self) -> tuple[Any, int, int]:
        """The next JSON value and its byte offsets."""
        self.peek()
        while True:
            try:
                value, end = self.decode(self.text, self.at)
                if end + 2 < len(self.text) or self.done:  # else a number might go on: 1 | e-3
                    begin, self.at = self.at, end
                    return value, self.place(begin), self.place(end)
            except json.JSONDecodeError as error:
                if self.done:
                    raise self.fault(error.msg) from None
            except RecursionError:
                raise self.fault("it is nested too deeply") from None
            except ValueError:  # Python's own line tells how to lift its limit
                raise self.fault("a whole number has thousands of digits") from None
            self.more()

    def place(self, at: int) -> int:
        """Offset in the file, in bytes, of a character of the window."""
        return (self.before + at) * self.unit

    def fault(self, reason: str) -> InputError:
        """An error that names the place."""
        return InputError(
            f"{self.path}: is not complete JSON at byte {self.place(self.at)} ({reason}); "
            "export the file again"
        )


def _encoding(start: bytes) -> tuple[str, int]:
    """The encoding that a file's first bytes tell, with its byte order, and the mark's length."""
    encoding = encoding_of(start)
    if encoding == "utf-8-sig":
        return "utf-8", 3
    if encoding in ("utf-16", "utf-32"):
        order = "le" if start.startswith(codecs.BOM_UTF16_LE) else "be"
        return f"{encoding}-{order}", 4 if encoding == "utf-32" else 2
    return encoding, 0
