"""What a person sees: progress bars, tables, one-line errors.

On a terminal the bars are live; without one (a log file, CI) the same calls print a plain line now
and then, so that nothing is lost and nothing floods. Rich is imported when a screen is made, which
keeps ``--help`` fast.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from wsvis.errors import InputError, one_line
from wsvis_platform.disk_full import full_disk_line
from wsvis_platform.standard_streams import (
    drop_stdout,
    patient_console,
    prepare_streams,
    stdout_gone,
)
from wsvis_platform.stopping import STOPPED, exit_status, listen_for_signals, raise_if_stopped

if TYPE_CHECKING:
    from rich.console import RenderableType

_PLAIN_WIDTH = 200
"""Columns for tables where there is no terminal to ask."""


def run_command(main: Callable[[], object]) -> NoReturn:
    """Run a command; bad input ends it with one line on stderr and status 2.

    Ctrl-C ends it with 130, SIGTERM with 143, and a line that says how to go on.
    """
    listen_for_signals()
    try:
        prepare_streams()
        main()
        sys.stdout.flush()
    except BaseException as error:
        # whatever a library made of the exception on its way
        if exit_status() or isinstance(error, KeyboardInterrupt):
            print(STOPPED, file=sys.stderr)
            sys.exit(exit_status() or 130)
        if isinstance(error, BrokenPipeError) and stdout_gone():
            drop_stdout()
            sys.exit(141)  # what a shell says of a program that the end of its reader ended
        # raised in a Ray task it arrives wrapped in the task's traceback: show the cause alone
        known = isinstance(error, InputError)
        cause = getattr(error, "cause", error) if known else full_disk_line(error)
        if not cause:
            raise
        print(one_line(f"error: {cause}"), file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


class Screen:
    """Where a command writes. Use it as a context: live bars end with it."""

    def __init__(self, file: IO[str] | None = None, every: float = 10.0) -> None:
        """``file``: stdout by default. ``every``: seconds between plain progress lines."""
        self.console = patient_console(file)
        self.live = self.console.is_interactive
        if not self.console.is_terminal:
            self.console.width = _PLAIN_WIDTH
        self.every = every
        self.log: Path | None = None

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *error: object) -> None:
        self.console.file.flush()

    def log_to(self, path: Path) -> None:
        """Add every line from now on to a file too, with the time."""
        self.log = path

    def _logged(self, text: str) -> None:
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def line(self, text: str) -> None:
        """One line, above the bars; never wrapped, so that logs can be searched."""
        raise_if_stopped()
        self.console.print(text, soft_wrap=True)
        self.console.file.flush()
        self._logged(text)

    def warn(self, text: str) -> None:
        """A line that stands out."""
        self.console.print(one_line(f"warning: {text}"), style="yellow", soft_wrap=True)
        self.console.file.flush()
        self._logged(f"warning: {text}")

    def show(self, what: RenderableType) -> None:
        """A table, or anything else Rich can draw."""
        self.console.print(what)

    def bars(self) -> Bars:
        """Bars that appear by name as they are updated; a context."""
        return Bars(self)

    def bar(self, name: str, total: int = 0) -> Bar:
        """One bar; a context."""
        return Bar(self, name, total)


class Bars:
    """Several named bars at once."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.progress = _progress(screen) if screen.live else None
        self.tasks: dict[str, Any] = {}
        self.shown_at: dict[str, float] = {}
        self.started = time.monotonic()

    def __enter__(self) -> Bars:
        if self.progress:
            self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.progress:
            self.progress.stop()

    def update(self, name: str, done: int, total: int, note: str = "") -> None:
        """Move a bar; a total of 0 means that it is not known."""
        raise_if_stopped()
        if self.progress is None:
            self._plain(name, done, total, note)
            return
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(name, total=total or None, note="")
        self.progress.update(self.tasks[name], completed=done, total=total or None, note=note)

    def finish(self, name: str) -> None:
        """Take a bar away; a name that has none is fine."""
        self.shown_at.pop(name, None)
        if self.progress and name in self.tasks:
            self.progress.remove_task(self.tasks.pop(name))

    def _plain(self, name: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if now - self.shown_at.get(name, self.started) < self.screen.every:
            return
        self.shown_at[name] = now
        share = f"{done}/{total} ({done / total:.0%})" if total else f"{done}"
        self.screen.line(f"{name} {share} {note}".rstrip())


class Bar:
    """One bar; ``done`` is how far it is."""

    def __init__(self, screen: Screen, name: str, total: int = 0) -> None:
        self.bars = Bars(screen)
        self.name, self.done, self.total = name, 0, total

    def __enter__(self) -> Bar:
        self.bars.__enter__()
        self.update(0, self.total)
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.__exit__(*error)

    def update(self, done: int, total: int = 0, note: str = "") -> None:
        """Move the bar; a total of 0 keeps the one known."""
        self.done, self.total = done, total or self.total
        self.bars.update(self.name, self.done, self.total, note)


def _progress(screen: Screen) -> Any:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=screen.console,
        transient=True,
    )


def shown_path(path: Path) -> Path:
    """Relative to where the user stands, when it lies below."""
    working_folder = Path.cwd()
    return path.relative_to(working_folder) if path.is_relative_to(working_folder) else path
