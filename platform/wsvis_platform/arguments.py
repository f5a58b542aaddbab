"""Command-line arguments by tyro, with errors as one line that names the option and the cure."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import io
import re
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import tyro

from wsvis.errors import InputError
from wsvis_platform.synonyms import unknown_option

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
    value, unknown = _parse(
        kind,
        arguments,
        program,
        description=about,
        default=kind() if default is None else default,
        return_unknown_args=True,
        config=(tyro.conf.FlagConversionOff,),
    )
    if unknown:
        raise InputError(_unknown(unknown[0], option_names(kind, default), program))
    return value


def call_with_arguments(
    function: Callable[..., Any], arguments: Sequence[str], *, program: str
) -> None:
    """Call a function whose parameters are the options (positional ones come without a name).

    Raises:
        InputError: an unknown option, or a value that does not fit; one line.
        SystemExit: after ``--help``.
    """
    parameters = inspect.signature(function).parameters.values()
    names = [f"--{p.name.replace('_', '-')}" for p in parameters if p.kind is p.KEYWORD_ONLY]
    names += [name.replace("--", "--no-", 1) for name in names]
    given = [argument.split("=")[0] for argument in arguments]
    unknown = [name for name in given if name.startswith("--") and name not in (*names, "--help")]
    if unknown and not {"--help", "-h"} & set(given):
        raise InputError(_unknown(unknown[0], names, program))
    # parsed first and called afterwards: what the function prints or raises is its own
    _parse(_bound(function), arguments, program)()


def _bound(function: Callable[..., Any]) -> Callable[..., Callable[[], Any]]:
    """What tyro parses for: the function's parameters, plain ones positional; it calls nothing."""
    hints = typing.get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    parameters = []
    for parameter in signature.parameters.values():
        hint = hints[parameter.name]
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            named = Annotated[hint, tyro.conf.arg(metavar=parameter.name.upper())]
            hint = hints[parameter.name] = tyro.conf.Positional[named]
        parameters.append(parameter.replace(annotation=hint))

    def call(*args: Any, **kwargs: Any) -> Any:
        return functools.partial(function, *args, **kwargs)

    call.__name__, call.__doc__, call.__module__ = function.__name__, function.__doc__, __name__
    call.__annotations__ = hints
    call.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore
    return call


def _parse(kind: Any, arguments: Sequence[str], program: str, **keywords: Any) -> Any:
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.cli(
                kind,
                prog=program,
                args=list(arguments),
                **keywords,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(_one_line(shown.getvalue())) from None


def _unknown(given: str, names: Sequence[str], program: str) -> str:
    if not given.startswith("-"):
        return f"{given!r} is not an option; see {program} --help"
    return unknown_option(given, names)


def option_names(kind: type, default: object = None) -> list[str]:
    """All option names of a dataclass, nested ones dotted."""

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
