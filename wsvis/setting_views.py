"""Views of a configuration that have some settings only: what a stage is handed.

A key promises which settings a result depends on. A stage therefore gets a view that has exactly
those: reading another one is an ``AttributeError``, never a stale result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeVar

from wsvis.settings import in_effect

T = TypeVar("T")


def only(config: T, names: Iterable[str], on_read: Callable[[str], None] | None = None) -> T:
    """A copy of a configuration with the named leaves and groups alone.

    Args:
        config: whole settings.
        names: dotted names; a group counts as it is in effect.
        on_read: called with the dotted name of each leaf that is read.
    """
    parts: dict[str, dict[str, Any]] = {}
    values: dict[str, Any] = {}
    for name in names:
        group, _, leaf = name.partition(".")
        value = getattr(config, group)
        if leaf:
            parts.setdefault(group, {})[leaf] = getattr(value, leaf)
        elif dataclasses.is_dataclass(value):
            counted = in_effect(value)
            fields = dataclasses.fields(counted)  # pyright: ignore[reportArgumentType]
            parts[group] = {each.name: getattr(counted, each.name) for each in fields}
        else:
            values[group] = value
    for group, leaves in parts.items():
        values[group] = _view(type(getattr(config, group)), leaves, f"{group}.", on_read)
    return _view(type(config), values, "", on_read)


def _view(kind: type[T], values: dict[str, Any], prefix: str, on_read: Any) -> T:
    view: T = object.__new__(_view_class(kind))
    object.__setattr__(view, "_view", (values, prefix, on_read))
    return view


@lru_cache
def _view_class(kind: Any) -> Any:
    """A subclass whose fields are those of the view, so that types say what they said before."""
    names = frozenset(each.name for each in dataclasses.fields(kind))

    class View(kind):
        def __getattribute__(self, name: str) -> Any:
            if name not in names:
                return object.__getattribute__(self, name)
            values, prefix, on_read = object.__getattribute__(self, "_view")
            if name not in values:
                raise AttributeError(f"{prefix}{name} is no setting of this stage")
            value = values[name]
            if on_read and not dataclasses.is_dataclass(value):
                on_read(f"{prefix}{name}")
            return value

        def __reduce__(self) -> Any:
            raise TypeError("a view of settings does not travel; send the whole configuration")

    View.__name__ = View.__qualname__ = kind.__name__
    return View
