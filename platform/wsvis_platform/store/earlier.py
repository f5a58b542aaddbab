"""Opening the store of a run, with one line where its results come from an earlier version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wsvis.files.atomic import write_text
from wsvis.plan import SCHEME
from wsvis_platform.store.store import Store


def opened_store(root: str | Path, warn: Callable[[str], None]) -> Store:
    """The store below a folder, for the process that leads a run; warns of earlier results."""
    store = Store(root)
    if note := earlier_results(store):
        warn(note)
    return store


def earlier_results(store: Store) -> str:
    """A line where a store's results came from another scheme of keys; the store is then marked.

    Keys are made of settings: where settings went or got other names, no earlier result has the key
    of a later one. Nothing is lost or wrong, but everything is computed again.
    """
    mark, scheme = store.root / "keys", str(SCHEME)
    if mark.is_file() and mark.read_text(errors="replace").strip() == scheme:
        return ""
    filled = any(any(stage.iterdir()) for stage in (store.root / "objects").iterdir())
    write_text(mark, scheme + "\n")
    if not filled:
        return ""
    return (
        f"{store.root}: holds results of an earlier version, whose keys were made in another way; "
        "they are computed again, and the folder can be deleted to win space"
    )
