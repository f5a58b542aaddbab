"""MLflow's database survives every death of its maker; bad places are one line before any work."""

from __future__ import annotations

import http.server
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from wsvis.errors import InputError
from wsvis_platform.record.place import check_tracking
from wsvis_platform.record.tracker import Tracker


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one run."""
    output = tmp_path_factory.mktemp("whole")
    tracker = Tracker.open("", output, "x")
    tracker.finish(tracker.start_sweep("kept", {}))
    return output / "mlflow.db"


def runs(output: Path) -> list[str]:
    tracker = Tracker.open("", output, "x")
    found = tracker.runs.client.search_runs([tracker.runs.experiment_id])
    return [run.info.run_name for run in found]


def halved(whole: Path, output: Path, *, keep_runs: bool) -> Path:
    """A database as a migration that was cut short leaves it."""
    file = output / "mlflow.db"
    shutil.copyfile(whole, file)
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE _alembic_tmp_runs AS SELECT * FROM runs WHERE 0")
        if not keep_runs:
            database.execute("DELETE FROM runs")
            database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.commit()
    return file


def test_a_half_made_database_without_runs_is_made_again(whole: Path, tmp_path: Path):
    halved(whole, tmp_path, keep_runs=False)
    assert runs(tmp_path) == []
    assert [f.name for f in tmp_path.iterdir() if "being-made" in f.name] == []


def test_a_half_migrated_database_keeps_its_runs(whole: Path, tmp_path: Path):
    halved(whole, tmp_path, keep_runs=True)
    assert runs(tmp_path) == ["kept"]
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        names = [n for (n,) in database.execute("SELECT name FROM sqlite_master")]
    assert "_alembic_tmp_runs" not in names


def test_a_database_of_a_newer_mlflow_is_one_line_and_stays(whole: Path, tmp_path: Path):
    file = tmp_path / "mlflow.db"
    shutil.copyfile(whole, file)
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    before = file.read_bytes()
    with pytest.raises(InputError, match="is of another MLflow"):
        Tracker.open("", tmp_path, "x")
    assert file.read_bytes() == before


@pytest.mark.slow
def test_a_kill_while_the_database_is_made_is_survived(tmp_path: Path):
    code = f"""
import sys; sys.path[:0] = {[folder for folder in sys.path if folder]!r}
from pathlib import Path
from wsvis_platform.record.tracker import Tracker
Tracker.open("", Path({str(tmp_path)!r}), "x")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    made = tmp_path / "mlflow.db.being-made"
    while process.poll() is None and not (made.exists() and made.stat().st_size > 50_000):
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert made.exists()
    assert not (tmp_path / "mlflow.db").exists()
    assert runs(tmp_path) == []
    assert not made.exists()


def test_bad_places_are_one_line_and_nothing_is_made(tmp_path: Path):
    text = tmp_path / "text.db"
    text.write_text("no database\n" * 9)
    (tmp_path / "folder.db").mkdir()
    bad = {
        f"sqlite:///{text}": "no sqlite database",
        f"sqlite:///{tmp_path}/folder.db": "is a folder",
        f"sqlite:///{text}/x.db": "text.db",
        "http://127.0.0.1:9": "no server answers",
        "http://127.0.0.1:99999": "Port out of range",
        "nonsense://x": "cannot be used",
    }
    for uri, reason in bad.items():
        with pytest.raises(InputError, match=reason) as error:
            check_tracking(uri, tmp_path / "out")
        assert len(str(error.value)) <= 500
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="is no folder"):
        check_tracking("", text)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder.db", "text.db"]


def test_a_server_that_is_not_mlflow_is_one_line(tmp_path: Path):
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="cannot be used") as error:
            check_tracking(f"http://127.0.0.1:{server.server_port}", tmp_path)
        server.shutdown()
    assert "\n" not in str(error.value)
