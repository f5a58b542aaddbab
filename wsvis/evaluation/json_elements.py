"""Large JSON files one element at a time, with the place of each element in the file.

A results file of a whole benchmark does not fit in memory as Python objects; its elements do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from wsvis.errors import InputError

CHUNK = 1 << 20
MAX_ELEMENT = 1 << 30
"""Bytes that one element may take; a hostile file must not fill the memory."""


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
        path: the file.
        must_be_list_of: when given, a file that is an object instead of one array is refused; names
            what the array should hold.

    Raises:
        InputError: the file is absent, empty or no JSON.
    """
    try:
        with open(path, "rb") as file:
            scanner = _Scanner(file, path)
            yield from _walk(scanner, must_be_list_of)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply; export the file again") from None


def reread(path: Path, places: list[tuple[int, int]]) -> list[Any]:
    """The elements at the given (begin, end) offsets, in file order."""
    with open(path, "rb") as file:
        values = []
        for begin, end in sorted(places):
            file.seek(begin)
            values.append(json.loads(file.read(end - begin)))
        return values


def _walk(scanner: _Scanner, must_be_list_of: str) -> Iterator[Element]:
    start = scanner.peek()
    if start == "[":
        yield from _array(scanner, None)
    elif start == "{":
        if must_be_list_of:
            raise InputError(f"{scanner.path}: must be a list of {must_be_list_of}")
        for _ in scanner.items("{", "}"):
            member, _, _ = scanner.value()
            if not isinstance(member, str):
                raise scanner.fault("a name in quotes was expected")
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
    """A window on the file. Bytes are read as Latin-1, so that characters and offsets agree."""

    def __init__(self, file: BinaryIO, path: Path):
        self.file, self.path = file, path
        self.text, self.at, self.before, self.done = "", 0, 0, False
        self.decode = json.JSONDecoder().raw_decode
        self.more()
        if self.text.startswith("\xef\xbb\xbf"):  # byte order mark
            self.at = 3
        if not self.peek():
            raise InputError(f"{path}: is empty; export the file again")

    def more(self) -> None:
        """Drop what has been read and add at least as much as is left."""
        rest = self.text[self.at :]
        if len(rest) > MAX_ELEMENT:
            raise self.fault("one element is larger than 1 GiB")
        chunk = self.file.read(max(CHUNK, len(rest)))
        self.done = not chunk
        self.before += self.at
        self.text, self.at = rest + chunk.decode("latin-1"), 0

    def peek(self) -> str:
        """The next character that is not white space; empty at the end of the file."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
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
                if end < len(self.text) or self.done:  # else a number might go on
                    begin, self.at = self.at, end
                    return value, self.before + begin, self.before + end
            except json.JSONDecodeError as error:
                if self.done:
                    raise self.fault(error.msg) from None
            self.more()

    def fault(self, reason: str) -> InputError:
        """An error that names the place."""
        return InputError(
            f"{self.path}: is not complete JSON at byte {self.before + self.at} ({reason}); "
            "export the file again"
        )
