"""What a command stands on: its streams and its working folder, in whatever state they are.

A terminal that knows ASCII only gets plain letters for others, a stream that was closed leads to
nowhere instead of to the next file that is opened, and a reader that has gone away (``| head``)
ends a listing and leaves a run of hours going.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from typing import IO, TYPE_CHECKING

from wsvis.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN = {"±": "+-", "\u00d7": "x", "\u2013": "-", "…": "...", "·": ".", "→": "->", "Δ": "delta"}
_ERRORS = "wsvis-plain"


def prepare_streams() -> None:
    """Make the streams usable, and refuse a working folder that no longer exists.

    Raises:
        InputError: the folder in which the command was started is gone; one line.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # else the next file opened, a database perhaps, would be what others print to
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    codecs.register_error(_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors=_ERRORS)
    try:
        os.getcwd()
    except OSError:
        raise InputError(
            "the folder in which the command was started is gone; change to one that exists"
        ) from None


def stdout_gone() -> bool:
    """Whether nobody reads the pipe that stdout is any more."""
    poll = select.poll()
    try:
        poll.register(1, 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except OSError:
        return False


def drop_stdout() -> None:
    """From now on stdout leads to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def patient_console(file: IO[str] | None) -> Console:
    """A Rich console that falls silent, and does not end the program, when its reader goes away."""
    from rich.console import Console

    class PatientConsole(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            drop_stdout()

    return PatientConsole(file=file, highlight=False, markup=False, emoji=False)


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if letter not in _PLAIN:
        return codecs.backslashreplace_errors(error)
    return _PLAIN[letter], error.start + 1


def _nowhere() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8")
