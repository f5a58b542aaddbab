"""Where MLflow's runs go: checked before any work, opened when there is something to write."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from wsvis.errors import InputError
from wsvis_platform.record.database import check_database, prepare_database
from wsvis_platform.record.database_uri import database_file, database_uri
from wsvis_platform.record.moved import artifacts_place, follow_move

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # a dead server must not hold a sweep for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
_LONGEST_WAIT = 120.0
"""Seconds for the lock: its holders keep it for less than one."""


def check_tracking(uri: str, output: Path) -> None:
    """Refuse a tracking URI that cannot be used; makes nothing but a look at the server.

    Args:
        uri: an MLflow tracking URI, or empty for the database in ``output``.
        output: the run's folder.

    Raises:
        InputError: no server answers, or there can be no database; one line.
    """
    file = _file(uri, output)
    if file is not None:
        check_database(file)
        return
    _check_server(uri)
    with usable(uri):
        client(uri).search_experiments(max_results=1)


def open_experiment(uri: str, output: Path, experiment: str) -> tuple[Any, str, str, FileLock]:
    """MLflow's client, the experiment's id, the URI in full, and the lock for making runs.

    Args:
        uri: as :func:`check_tracking`.
        output: as :func:`check_tracking`; made when absent.
        experiment: name; made when absent, brought back when deleted.

    Raises:
        InputError: as :func:`check_tracking`.
    """
    file = _file(uri, output)
    if file is None:
        _check_server(uri)
    else:
        check_database(file)
    place = None
    if not uri:
        uri = database_uri((output / "mlflow.db").resolve())
        place = artifacts_place((output / "mlflow.db").resolve())
    with usable(uri):
        lock = _lock(output if file is None else file.parent)
        # two drivers must not make or migrate the database at once
        with lock:
            if file is not None:
                prepare_database(file)
                follow_move(file)
            opened = client(uri)
            return opened, _experiment(opened, experiment, place), uri, lock


def open_database(file: Path) -> None:
    """Bring an output's database to the installed MLflow, and to where its folder lies now.

    Raises:
        InputError: as :func:`check_tracking`.
    """
    check_database(file)
    with usable(database_uri(file)), _lock(file.parent):
        prepare_database(file)
        follow_move(file)


def _lock(folder: Path) -> FileLock:
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".mlflow.lock", timeout=_LONGEST_WAIT)


@contextmanager
def usable(uri: str) -> Iterator[None]:
    """What MLflow raises about a place, as one line."""
    _quieten()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except InputError:
        raise
    # ImportError: of a database's driver; ValueError: of a port that is no number
    except (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise InputError(
            f"MLflow at {uri} cannot be used ({reason}); give another --tracking-uri or --output"
        ) from error


def client(uri: str) -> Any:
    """MLflow's client."""
    _quieten()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _quieten() -> None:
    """Without MLflow's telemetry, its news and its long waits."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401  (sets the levels of its own, once)

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _experiment(opened: Any, name: str, place: str | None) -> str:
    from mlflow.exceptions import MlflowException

    existing = opened.get_experiment_by_name(name)
    if existing is None:
        try:
            return opened.create_experiment(name, artifact_location=place)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # a driver with another output was faster on the same server
            existing = opened.get_experiment_by_name(name)
    if existing.lifecycle_stage == "deleted":
        opened.restore_experiment(existing.experiment_id)
    return existing.experiment_id


def _file(uri: str, output: Path) -> Path | None:
    """The sqlite file that is opened; ``None`` for a server, or options that only MLflow reads."""
    if not uri:
        return (output / "mlflow.db").resolve()
    file = None if "?" in uri or ":memory:" in uri else database_file(uri)
    return None if file is None or not file.name else file.resolve()


def _check_server(uri: str) -> None:
    """A server that does not answer is known here, in seconds, not after MLflow's retries."""
    try:
        parts = urllib.parse.urlsplit(uri)
        port = parts.port or _PORTS.get(parts.scheme.partition("+")[0])
    except ValueError as error:
        raise InputError(f"--tracking-uri {uri[:200]!r}: {error}; give http://HOST:PORT") from None
    if port is None or not parts.hostname:
        return
    try:
        socket.create_connection((parts.hostname, port), timeout=5).close()
        if parts.scheme in ("http", "https"):
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()
    except urllib.error.HTTPError:
        return  # it answers; what, MLflow's client reads
    # HTTPException is what a server of another protocol leads to
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise InputError(
            f"--tracking-uri {uri[:200]}: no server answers ({str(error)[:150]}); start it, or "
            "leave the option out to use a database in the output folder"
        ) from None
