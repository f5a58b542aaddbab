"""Checks that configuration classes share, and dotted names: flatten, override, rebuild."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from wsvis.errors import InputError, shown_value

T = TypeVar("T")
_LONGEST = 200
"""Characters of a name that are compared: a file may hold megabytes of them."""
_SHOWN = 1e300

_RANGES: ContextVar[dict[str, tuple[float, float]] | None] = ContextVar("ranges", default=None)


def recorded_ranges(make: Callable[[], object]) -> dict[str, tuple[float, float]]:
    """Name -> (low, high) of every range that is checked while ``make`` runs, for help pages."""
    ranges: dict[str, tuple[float, float]] = {}
    token = _RANGES.set(ranges)
    try:
        make()
    finally:
        _RANGES.reset(token)
    return ranges


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """Refuse a value outside [low, high], or one that is no number."""
    ranges = _RANGES.get()
    if ranges is not None:
        ranges[name] = (low, high)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        shown = shown_value(value)
        raise InputError(f"{name} is {shown}; it must be a number from {low:g} to {high:g}")
    if not low <= value <= high:
        # a whole number may be beyond any float
        shown = f"{value:g}" if abs(value) < _SHOWN else shown_value(value)
        raise InputError(f"{name} is {shown}; it must lie from {low:g} to {high:g}")


def check_steps(prefix: str, least: int, most: int) -> None:
    """Refuse bounds on the number of updates that no number meets."""
    check_range(f"{prefix}.min_steps", least, 0, 100_000_000)
    check_range(f"{prefix}.max_steps", most, 0, 100_000_000)
    if 0 < most < least:
        raise InputError(
            f"{prefix}.min_steps is {least}, more than {prefix}.max_steps {most}; lower one"
        )


def check_choices(config: Any, prefix: str) -> None:
    """Refuse a value outside its field's ``Literal`` type, suggesting the nearest choice."""
    values = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    _check_values(type(config), values, prefix and prefix + ".")


def _check_values(kind: type, values: Mapping[str, Any], prefix: str) -> None:
    hints = typing.get_type_hints(kind)
    for name, value in values.items():
        if typing.get_origin(hints[name]) is typing.Literal:
            choices = typing.get_args(hints[name])
            if value not in choices:
                near = suggestion(shown_value(value).strip("'"), choices)
                raise InputError(f"{prefix}{name} is {shown_value(value)}; {near}")
        parts = typing.get_args(hints[name])
        if typing.get_origin(hints[name]) is tuple and Ellipsis not in parts:
            count = len(value) if isinstance(value, list | tuple) else 1
            if count != len(parts):
                raise InputError(f"{prefix}{name} has {count} values; give {len(parts)}")


def suggestion(given: str, choices: Iterable[str]) -> str:
    """'did you mean x?' where something is near, else the list of choices."""
    names = [str(choice) for choice in choices]
    near = difflib.get_close_matches(given[:_LONGEST], names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(sorted(names))}"


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of every leaf of a (nested) dataclass."""
    flat: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            flat.update(flatten(value, f"{prefix}{item.name}."))
        else:
            flat[prefix + item.name] = value
    return flat


def with_overrides(config: T, overrides: Mapping[str, Any]) -> T:
    """A copy of ``config`` with dotted names replaced; an unknown name or wrong type is refused.

    Lists become tuples and integers become floats where the field says so: JSON has neither.
    """
    known = flatten(config)
    changes: dict[str, Any] = {}
    for name, value in overrides.items():
        if name not in known:
            if name in RENAMED:
                raise InputError(f"no setting is called {name}; it is {RENAMED[name]} now")
            shown = shown_value(name)
            raise InputError(f"no setting is called {shown}; {suggestion(name, known)}")
        changes[name] = _as_type_of(name, known[name], value)
    return _rebuild(config, changes, "")


def _as_type_of(name: str, old: Any, value: Any) -> Any:
    if isinstance(old, tuple) and isinstance(value, list | tuple):
        return tuple(_as_type_of(name, old[0], item) for item in value) if old else tuple(value)
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{name} is {shown_value(value)}, beyond any float") from None
    if type(old) is not type(value):
        raise InputError(f"{name} is {shown_value(value)}; it must be of type {type(old).__name__}")
    return value


def _rebuild(config: Any, changes: Mapping[str, Any], prefix: str) -> Any:
    replaced: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        name, value = prefix + item.name, getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            if any(key.startswith(name + ".") for key in changes):
                replaced[item.name] = _rebuild(value, changes, name + ".")
        elif name in changes:
            replaced[item.name] = changes[name]
    _check_values(type(config), replaced, prefix)
    return dataclasses.replace(config, **replaced)


def config_slice(config: Any, names: Iterable[str]) -> dict[str, Any]:
    """The flattened part of ``config`` under the given names (a leaf, or everything below one).

    A group that is named whole counts as it is in effect: one that is switched off is as it is off
    by default.

    Raises:
        KeyError: a name that is neither a leaf nor a group, which is a mistake in the program.
    """
    picked: dict[str, Any] = {}
    for name in names:
        group, _, leaf = name.partition(".")
        value = getattr(config, group, None)
        if value is None or (leaf and not hasattr(value, leaf)):
            raise KeyError(f"no setting is called {name}")
        if leaf:
            picked[name] = getattr(value, leaf)
        elif dataclasses.is_dataclass(value):
            picked.update(flatten(in_effect(value), f"{group}."))
        else:
            picked[group] = value
    return picked


def in_effect(group: T) -> T:
    """A group of settings as it counts: where its switch is off, nothing else of it does."""
    method = getattr(group, "in_effect", None)
    return method() if method else group


RENAMED = {
    "irn.seeds": "walk.seeds",
    "irn.radius_infer": "walk.radius",
    "irn.beta": "walk.beta",
    "irn.walk_steps": "walk.steps",
    "irn.refinements": "walk.refinements",
    "irn.cluster_threshold": "walk.cluster_threshold",
    "irn.background_threshold": "walk.background_threshold",
    "irn.min_area": "walk.min_area",
    "irn.scores": "walk.scores",
    "maskconsist.delta": "pairs.delta",
    "detector.pairs": "detector.batch_size",
    "detector.backend": "mask_rcnn.backend",
    "detector.infer_short_side": "inference.short_side",
    "detector.score_threshold": "inference.score_threshold",
    "detector.nms_threshold": "inference.nms_threshold",
    "detector.detections": "inference.detections",
}
"""What settings were called before version 0.2, and their names now."""
