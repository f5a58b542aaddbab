"""Which ImageNet classes stand for the classes of a data set.

A class is looked up in the user's file, then in the shipped table of synonyms and kinds
(``wsvis/assets/imagenet_synonyms.json``), then among ImageNet's own names. Names are compared
without regard to case, blanks, hyphens, underscores or a plural. The table comes before ImageNet's
own names because some of these mislead: ImageNet's kite is a bird, its mouse belongs to a computer.

An entry is a name of ImageNet-1k, ``first..last`` for all classes between two of them (118 breeds
of dog lie in a row), or ``@other`` for what another entry of the same table has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from wsvis.data.label_table import read_label_table
from wsvis.data.outside import refuse
from wsvis.errors import InputError
from wsvis.files.json_input import read_json
from wsvis.settings import suggestion
from wsvis.weights_files import SYNONYMS

SHOWN = 4
"""ImageNet classes that a line names before it counts the rest."""


@dataclass(frozen=True)
class ClassMap:
    """The ImageNet classes of each class of a data set."""

    classes: tuple[str, ...]
    """Names in the data set."""
    imagenet: tuple[tuple[int, ...], ...]
    """Places among ImageNet's 1000 classes; empty where the trained head must serve."""
    origin: tuple[str, ...]
    """Where each was looked up: ``file``, ``table``, ``name``; empty where nothing fits."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """The classes that ImageNet's head does not know."""
        return tuple(n for n, rows in zip(self.classes, self.imagenet, strict=True) if not rows)

    def lines(self) -> list[str]:
        """What was mapped to what, one line per class, for people."""
        names = imagenet_names()
        sources = {"file": "your file", "table": "shipped table", "name": "ImageNet's own name"}
        lines = []
        for name, rows, origin in zip(self.classes, self.imagenet, self.origin, strict=True):
            if rows:
                more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
                shown = ", ".join(names[row] for row in rows[:SHOWN])
                lines.append(f"{name}: {shown}{more} ({sources[origin]})")
            else:
                lines.append(f"{name}: no ImageNet class, so the head trained on these videos")
        return lines


@lru_cache
def imagenet_names() -> tuple[str, ...]:
    """Names of ImageNet-1k's 1000 classes in their usual order, as torchvision gives them."""
    from torchvision.models import ResNet50_Weights  # loads seconds of code

    return tuple(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])


def class_map(classes: Sequence[str], file: str = "") -> ClassMap:
    """The ImageNet classes that stand for each class name.

    Args:
        classes: names of the data set's classes.
        file: the user's JSON (``{"class": ["ImageNet name", ...]}``) or CSV (columns class,
            imagenet); what it says wins, an empty list sends a class to the trained head.

    Raises:
        InputError: the file is absent or of another form, or names what ImageNet does not have.
    """
    own = _by_key(_read_map(file)) if file else {}
    shipped = _by_key(read_json(str(SYNONYMS)))
    known = {_key(name): row for row, name in enumerate(imagenet_names())}
    rows: list[tuple[int, ...]] = []
    origins: list[str] = []
    for name in classes:
        places, origin = [known[k] for k in _spellings(name) if k in known][:1], "name"
        for table, source, kind in ((own, file, "file"), (shipped, str(SYNONYMS), "table")):
            key = next((k for k in _spellings(name) if k in table), None)
            if key is not None:
                places = _places(table[key], table, known, f"{source}: class {name!r}")
                origin = kind
                break
        rows.append(tuple(sorted(set(places))))
        origins.append(origin if places else "")
    return ClassMap(tuple(classes), tuple(rows), tuple(origins))


def _places(
    entries: Sequence[str],
    table: Mapping[str, Sequence[str]],
    known: Mapping[str, int],
    where: str,
    depth: int = 0,
) -> list[int]:
    """Places among ImageNet's classes of the entries of a table."""
    places: list[int] = []
    for entry in entries:
        if entry.startswith("@") and _key(entry) in table and depth < 3:
            places += _places(table[_key(entry)], table, known, where, depth + 1)
            continue
        ends = [known.get(_key(end)) for end in entry.split("..")]
        first, last = ends[0], ends[-1]
        if first is None or last is None or len(ends) > 2 or first > last:
            near = suggestion(entry, imagenet_names()) if _near(entry) else "see docs/class_maps.md"
            raise InputError(f"{where}: ImageNet-1k has no class {entry!r}; {near}")
        places += range(first, last + 1)
    return places


def _near(entry: str) -> bool:
    return suggestion(entry, imagenet_names()).startswith("did")


def _key(name: str) -> str:
    """A name as it is compared: letters and digits alone, lower case."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _spellings(name: str) -> list[str]:
    """The name itself, then what it may be the plural of."""
    key = _key(name)
    singular = [key[:-3] + "y"] if key.endswith("ies") else []
    singular += [key[:-2]] if key.endswith("es") else []
    singular += [key[:-1]] if key.endswith("s") else []
    return [key, *(shorter for shorter in singular if len(shorter) > 2)]


def _by_key(table: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {_key(name): entries for name, entries in table.items()}


def _read_map(file: str) -> dict[str, list[str]]:
    """The user's file."""
    if Path(file).suffix.lower() == ".csv":
        table: dict[str, list[str]] = {}
        for _, row in read_label_table(file, ("class", "imagenet"), refuse):
            names = [name.strip() for name in row["imagenet"].split(";")]
            table.setdefault(row["class"], []).extend(name for name in names if name)
        return table
    content: Any = read_json(file)
    if isinstance(content, dict):
        table = {n: [v] if isinstance(v, str) else v for n, v in content.items()}
        if all(isinstance(v, list) and all(isinstance(e, str) for e in v) for v in table.values()):
            return table
    raise InputError(
        f'{file}: is no class map; write {{"class": ["ImageNet name", ...], ...}} or a CSV with '
        "the columns class,imagenet"
    )
