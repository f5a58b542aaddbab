"""MLflow's sqlite database: whole or not there, whenever the process that makes it dies.

MLflow builds a new database in some fifty steps of its own; a process killed between two of them
leaves a file in which no later step succeeds. So the steps are taken under another name and the
file renamed when it is whole; the same for the steps to a newer MLflow, on a copy.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from wsvis.errors import InputError
from wsvis_platform.record.database_uri import database_uri

_HALF_MADE = "_alembic_tmp_"
"""How the tables are called that a step of a migration leaves when it is cut short."""
_WORTH_KEEPING = ("runs", "registered_models", "trace_info", "logged_models", "datasets")


def check_database(file: Path) -> None:
    """Refuse a place where no database can be, or be written to; makes nothing.

    Raises:
        InputError: a folder, a file of another kind, or one that may not be written; one line.
    """
    cure = "give another --tracking-uri or --output"
    try:
        kind = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        _check_folder(file.parent, cure)
        return
    except OSError as error:
        raise InputError(f"MLflow's database {file}: {error.strerror}; {cure}") from None
    if not stat.S_ISREG(kind):
        what = "is a folder" if stat.S_ISDIR(kind) else "is no regular file"
        raise InputError(f"MLflow's database {file}: {what}; {cure}")
    if not (os.access(file, os.R_OK | os.W_OK) and os.access(file.parent, os.W_OK | os.X_OK)):
        raise InputError(f"MLflow's database {file}: may not be written; {cure}")
    try:
        with file.open("rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise InputError(f"MLflow's database {file}: {error.strerror}; {cure}") from None
    if head not in (b"", b"SQLite format 3\0"):
        raise InputError(f"MLflow's database {file}: is no sqlite database; {cure}")


def prepare_database(file: Path) -> None:
    """Make the database, or bring it to the installed MLflow; the caller holds the lock.

    A half-made one that holds nothing is made again. One that an older MLflow wrote is migrated as
    a copy, and stays beside it with its version in its name.

    Raises:
        InputError: the database is damaged, or of a newer MLflow; one line. It stays as it is.
        OSError: the folder cannot be written.
    """
    import mlflow.store.db.utils as schema

    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.stat().st_size == 0:
        _renamed_when_whole(file, schema._initialize_tables)
        return
    try:
        with closing(sqlite3.connect(file, timeout=20)) as database:
            tables = _tables(database)
            version = _version(database, tables)
            holds = any(_has_rows(database, name) for name in tables if name in _WORTH_KEEPING)
    except sqlite3.Error as error:
        raise InputError(
            f"MLflow's database {file} cannot be used ({error}); give another --tracking-uri or "
            "--output"
        ) from None
    half_made = any(name.startswith(_HALF_MADE) for name in tables)
    if version == schema._get_latest_schema_revision() and not half_made:
        return
    if not holds and not _foreign(tables):
        _renamed_when_whole(file, schema._initialize_tables)
        return
    _migrate(file, version, schema)


def _migrate(file: Path, version: str, schema: Any) -> None:
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    def upgrade(engine: Any) -> None:
        with engine.begin() as connection:
            tables = _tables(connection.connection)
            for name in tables:
                if name.startswith(_HALF_MADE):
                    real = name.removeprefix(_HALF_MADE)
                    if real in tables:
                        connection.exec_driver_sql(f'DROP TABLE "{name}"')
                    else:  # the real table was dropped, its successor not yet renamed
                        connection.exec_driver_sql(f'ALTER TABLE "{name}" RENAME TO "{real}"')
        schema._upgrade_db(engine)

    kept = file.with_name(f"{file.name}.before-{version or 'migration'}")
    try:
        _renamed_when_whole(file, upgrade, start_from=file, keep=kept)
    except (SQLAlchemyError, CommandError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(
            f"MLflow's database {file} is of another MLflow and cannot be brought to this one "
            f"({reason}); it stays as it is: give another --tracking-uri or --output"
        ) from None


def _renamed_when_whole(
    file: Path,
    steps: Callable[[Any], None],
    start_from: Path | None = None,
    keep: Path | None = None,
) -> None:
    """Take steps on a file under another name, then rename it; ``keep``: a name for the old one."""
    import mlflow.store.db.utils as schema
    from sqlalchemy import event

    # always the same name: under the lock whatever is left there is a dead process's
    new = file.with_name(f"{file.name}.being-made")
    _remove(new)
    try:
        if start_from:
            with (
                closing(sqlite3.connect(start_from, timeout=20)) as old,
                closing(sqlite3.connect(new)) as copy,
            ):
                old.backup(copy)
        engine = schema.create_sqlalchemy_engine(database_uri(new))
        # synced once at the end, not after each of the steps
        event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous = OFF"))
        try:
            steps(engine)
        finally:
            engine.dispose()
        with new.open("rb") as whole:
            os.fsync(whole.fileno())
        if keep is not None and not keep.exists():
            try:
                os.link(file, keep)
            except OSError:  # a file system without links
                shutil.copyfile(file, keep)
        for ending in (
            "-journal",
            "-wal",
            "-shm",
        ):  # of the old one: sqlite would take it for new's
            Path(f"{file}{ending}").unlink(missing_ok=True)
        os.replace(new, file)
    finally:
        _remove(new)


def _remove(file: Path) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        Path(f"{file}{ending}").unlink(missing_ok=True)


def _tables(database: Any) -> list[str]:
    return [n for (n,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _version(database: sqlite3.Connection, tables: list[str]) -> str:
    if "alembic_version" not in tables:
        return ""
    rows = database.execute("SELECT version_num FROM alembic_version").fetchall()
    return str(rows[0][0]) if len(rows) == 1 else ""


def _has_rows(database: sqlite3.Connection, table: str) -> bool:
    return database.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() is not None


def _foreign(tables: list[str]) -> bool:
    """Whether another program keeps tables in the database, too."""
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

    known = {*Base.metadata.tables, *InitialBase.metadata.tables, "alembic_version"}
    names = {name.removeprefix(_HALF_MADE) for name in tables if not name.startswith("sqlite_")}
    return not names <= known


def _check_folder(folder: Path, cure: str) -> None:
    """The nearest folder that is there must take new ones."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; {cure}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: cannot be written; {cure}")
