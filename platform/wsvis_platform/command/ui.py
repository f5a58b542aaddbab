"""``wsvis ui``: MLflow's pages on the runs of an output folder."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from wsvis.errors import InputError
from wsvis.settings import check_range
from wsvis_platform.given_paths import absolute_path
from wsvis_platform.record.database_uri import database_uri
from wsvis_platform.record.mlflow_view import leaderboard_path

_SLIM = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # eight processes of a quarter of a gigabyte each, for evaluations of language models; they
    # would also outlive the server for a while
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def ui(*, output: str = "runs", port: int = 5000) -> NoReturn:
    """Show the runs of an output folder in a browser, until Ctrl-C.

    The folder may have been moved since: pictures and files are found again.

    Args:
        output: folder of an experiment, or the --out of a wsvis run.
        port: of this machine, on which the pages are served; others cannot reach it.
    """
    check_range("--port", port, 1, 65535)
    database = Path(absolute_path(output, "--output")) / "mlflow.db"
    if not database.is_file():
        raise InputError(
            f"{database}: does not exist; give the folder of an experiment or run by --output"
        )
    from wsvis_platform.record.place import open_database

    open_database(database)
    _check_port(port)
    print(
        f"open http://127.0.0.1:{port}{leaderboard_path(newest_experiment(database))}", flush=True
    )
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database_uri(database)]
    # in place of this process: signals reach it, and its status is the command's
    os.execve(sys.executable, command, {**os.environ, **_SLIM})


def newest_experiment(database: Path) -> str:
    """The experiment with the newest run, or the newest where there is no run."""
    with closing(sqlite3.connect(database, timeout=20)) as opened:
        row = opened.execute(
            "SELECT e.experiment_id FROM experiments e LEFT JOIN runs r "
            "ON r.experiment_id = e.experiment_id WHERE e.lifecycle_stage = 'active' "
            "ORDER BY r.start_time DESC NULLS LAST, e.experiment_id DESC"
        ).fetchone()
    return str(row[0]) if row else "0"


def _check_port(port: int) -> None:
    with closing(socket.socket()) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(f"--port {port}: {error.strerror}; give another") from None
