"""Command-line arguments by tyro, with errors as one line that names the option and the cure."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import TypeVar

import tyro

from wsvis.config_checks import suggestion
from wsvis.errors import InputError

T = TypeVar("T")


def parse_arguments(
    kind: type[T], arguments: Sequence[str], *, program: str, about: str, default: T | None = None
) -> T:
    """An instance of the dataclass ``kind`` from command-line arguments.

    Args:
        kind: dataclass whose fields are the options; its docstrings are the help texts.
        arguments: what stands after the program's name.
        program: the name to show in the help.
        about: the help's first paragraph.
        default: values for what is not given; the class's own defaults when ``None``.

    Raises:
        InputError: an unknown option, or a value that does not fit; one line.
        SystemExit: after ``--help``.
    """
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            value, unknown = tyro.cli(
                kind,
                prog=program,
                description=about,
                args=list(arguments),
                return_unknown_args=True,
                config=(tyro.conf.FlagConversionOff, tyro.conf.OmitSubcommandPrefixes),
                default=kind() if default is None else default,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(_one_line(shown.getvalue())) from None
    if unknown:
        raise InputError(_unknown(unknown[0], kind, default, program))
    return value


def _unknown(given: str, kind: type, default: object, program: str) -> str:
    if not given.startswith("-"):
        return f"{given!r} is not an option; see {program} --help"
    names = option_names(kind, default)
    return f"no option is called {given.split('=')[0]}; {suggestion(given.split('=')[0], names)}"


def option_names(kind: type, default: object = None) -> list[str]:
    """All option names of a dataclass, nested ones dotted."""
    import dataclasses

    def walk(value: object, prefix: str) -> list[str]:
        names: list[str] = []
        for item in dataclasses.fields(value):  # pyright: ignore[reportArgumentType]
            inner = getattr(value, item.name)
            if dataclasses.is_dataclass(inner):
                # options and settings stand at the top level: --fcam.amplification
                below = prefix if item.name in ("config", "options") else f"{prefix}{item.name}."
                names += walk(inner, below)
            else:
                names.append(f"--{prefix}{item.name.replace('_', '-')}")
        return names

    return walk(kind() if default is None else default, "")


def _one_line(box: str) -> str:
    """The message inside tyro's framed text, without frame, help text and pointers."""
    kept: list[str] = []
    for line in box.splitlines()[1:]:
        text = (
            line.strip(" │╭╰─╮╯|-\t")
            if re.fullmatch(r"[\s│╭╰─╮╯|\-]*", line)
            else line.strip(" │|")
        )
        if text.startswith(("Argument helptext", "For full helptext", "Perhaps you meant")):
            break
        if text:
            kept.append(text)
    message = " ".join(kept) or "the arguments cannot be read"
    message = re.sub(r"^Error parsing (config\.)?\S+: (?=\S+ is )", "", message)
    return re.sub(r"^Error parsing ", "", message)
