"""Pictures and files of MLflow runs after their output folder was moved, renamed or copied.

MLflow's sqlite database holds absolute places of artifacts. Those of an output lie beside its
database, so whoever opens the database can tell where they are now.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

ARTIFACTS = "mlflow-artifacts"
"""The folder beside the database in which runs keep their files."""

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)


def artifacts_place(database: Path) -> str:
    """Where an output keeps the files of its runs, as MLflow's database names it."""
    return (database.parent / ARTIFACTS).resolve().as_uri()


def follow_move(database: Path) -> list[str]:
    """Let the database name its artifacts where they lie now; the caller holds the lock.

    Only places that end in :data:`ARTIFACTS`, as an output's own do, and only where that folder
    lies beside the database.

    Args:
        database: sqlite, of the installed MLflow.

    Returns:
        The places that it named before.
    """
    new = artifacts_place(database)
    if not (database.parent / ARTIFACTS).is_dir():
        return []
    with closing(sqlite3.connect(database, timeout=20)) as opened, opened:
        rows = opened.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        old = [
            place
            for (place,) in rows
            if place and place != new and _is_output(place) and _is_output(new)
        ]
        for place in old:
            for table, column in _COLUMNS:
                # a place may hold what LIKE takes for a pattern
                opened.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(place) + 1, place, len(place) + 1, f"{place}/"),
                )
    return old


def _is_output(place: str) -> bool:
    return place.startswith("file:///") and place.endswith(f"/{ARTIFACTS}")
