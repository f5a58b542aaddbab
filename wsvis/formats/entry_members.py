"""Members of entries in ground-truth and results files, checked: whole numbers, scores, areas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from wsvis.errors import InputError, shown_value
from wsvis.files.json_input import MAX_WHOLE, is_unicode
from wsvis.masks import MAX_PIXELS


def whole_number(where: str, entry: Any, name: str) -> int:
    """A member that must be a whole number, of at most 64 bits.

    Raises:
        InputError: it is absent or something else; one line that begins with ``where``.
    """
    if not isinstance(entry, dict):
        raise InputError(f"{where}: is no object with named members; export it again")
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{where}: {name} is {shown_value(value)}; it must be a whole number")
    if abs(value) >= MAX_WHOLE:
        raise InputError(f"{where}: {name} has more than 64 bits; correct the number")
    return value


def finite_number(value: Any) -> float | None:
    """A JSON number as a float, or ``None`` for all else: bool, NaN, infinity, beyond a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def category_name(where: str, entry: Mapping[str, Any]) -> str:
    """The name of a category, its id where it has none.

    Raises:
        InputError: it is no text, or text that cannot be written.
    """
    name = entry.get("name", entry["id"])
    if isinstance(name, bool) or not isinstance(name, str | int) or not is_unicode(str(name)):
        raise InputError(f"{where}: its name is {shown_value(name)}; correct the name")
    return str(name)


def check_score(where: str, entry: Mapping[str, Any]) -> None:
    """Refuse a score that is no finite number."""
    if finite_number(entry.get("score")) is None:
        shown = shown_value(entry.get("score"))
        raise InputError(f"{where}: score is {shown}; it must be a finite number")


def is_crowd(where: str, entry: Mapping[str, Any]) -> bool:
    """Whether an annotation stands for a group; where it says nothing, it does not.

    Raises:
        InputError: it says something else than 0 or 1.
    """
    crowd = entry.get("iscrowd", 0)
    if crowd is not None and crowd not in (0, 1):
        raise InputError(f"{where}: iscrowd is {shown_value(crowd)}; it must be 0 or 1")
    return bool(crowd)


def stated_area(where: str, entry: Mapping[str, Any]) -> float | None:
    """Mean of the areas that an annotation states, frames without the object left out.

    Raises:
        InputError: they are not one number of pixels, or null, for each frame.
    """
    areas = entry.get("areas")
    if areas is None:
        return None
    numbers = [finite_number(area or 0) for area in areas] if isinstance(areas, list) else []
    if len(numbers) != len(entry["segmentations"]) or not all(
        number is not None and 0 <= number <= MAX_PIXELS for number in numbers
    ):
        raise InputError(
            f"{where}: areas must be numbers of pixels or null, one per frame, or left out"
        )
    visible = [number for number in numbers if number]
    return float(np.mean(visible)) if visible else 0.0
