"""Functions imported at their first call: workers that need no network load no torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def later(module: str, name: str) -> Callable[..., Any]:
    """A function of a module that is imported when it is first called."""

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **named)

    return call


def later_all(module: str, *names: str) -> list[Callable[..., Any]]:
    """Several functions of one module."""
    return [later(module, name) for name in names]
