"""Descriptions, types and ranges of settings, read from the configuration classes themselves.

A description is the docstring below a field, a range is what ``check_range`` holds it to: each
stands once, in the class, and help pages read it from there.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
import typing
from dataclasses import dataclass
from typing import Any

from wsvis.settings import recorded_ranges


@dataclass(frozen=True)
class Setting:
    """One leaf of a configuration, as a help page shows it."""

    name: str
    """Dotted name without the group."""
    kind: str
    """What may be given: the choices, or ``number``, ``whole number``, ``text``, ..."""
    default: Any
    description: str
    limits: tuple[float, float] | None
    """Smallest and largest value, where it is a number."""


def settings_of(config: Any, group: str = "") -> list[Setting]:
    """The leaves of a configuration class's instance, without the groups below it.

    Args:
        config: an instance of a frozen dataclass; its values are shown as defaults.
        group: what its ranges are called by: ``fcam`` for ``fcam.amplification``.
    """
    limits = recorded_ranges(lambda: dataclasses.replace(config))
    texts, hints = field_descriptions(type(config)), typing.get_type_hints(type(config))
    settings: list[Setting] = []
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            continue
        option = f"--{item.name.replace('_', '-')}"
        dotted = f"{group}.{item.name}" if group else item.name
        settings.append(
            Setting(
                item.name,
                _kind(hints[item.name]),
                value,
                texts.get(item.name, ""),
                limits.get(dotted, limits.get(option)),
            )
        )
    return settings


@functools.cache
def field_descriptions(kind: type) -> dict[str, str]:
    """Field name -> the docstring below it, of a class and the classes it extends."""
    texts: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(each):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, following in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            ):
                texts[statement.target.id] = " ".join(following.value.value.split())
    return texts


def first_sentence(kind: type) -> str:
    """What a class is, from its docstring: the text up to the first full stop."""
    text = " ".join((kind.__doc__ or "").split())
    return re.split(r"(?<!Sec)(?<!Eq)\. ", text)[0].rstrip(".")


def _kind(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "|".join(str(choice) for choice in arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"{_kind(arguments[0])} ..."
        return " ".join(_kind(each) for each in arguments)
    names = {int: "whole-number", float: "number", str: "text", bool: "true|false"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))
