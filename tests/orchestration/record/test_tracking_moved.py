"""An output folder that was moved, renamed or copied keeps the files of its runs."""

import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from wsvis.errors import InputError
from wsvis_platform.command.ui import newest_experiment, ui
from wsvis_platform.record.database_uri import database_uri
from wsvis_platform.record.place import open_database
from wsvis_platform.record.tracker import Tracker


def as_a_new_process() -> None:
    """MLflow remembers where a run's files are for as long as a process lives."""
    _artifact_repos_cache.clear()


def tracked(output: Path, text: str = "a,b\n") -> tuple[str, str]:
    """Ids of a parent with a file and of a run below it with settings.json."""
    as_a_new_process()
    tracker = Tracker.open("", output, "sweeps")
    parent = tracker.start_sweep("moved", {})
    child = tracker.log_trial(parent, "t", "t", params={"a": 1}, metrics={})
    table = output / "table.csv"
    table.write_text(text)
    tracker.log_parent(parent, {}, [table])
    tracker.finish(parent)
    assert child is not None
    return parent, child


def read(output: Path, run: str, name: str) -> str:
    as_a_new_process()
    client = MlflowClient(tracking_uri=database_uri(output / "mlflow.db"))
    assert name in [each.path for each in client.list_artifacts(run)]
    return Path(client.download_artifacts(run, name)).read_text()


@pytest.mark.parametrize("name", ["after", "a b%20c", "it's ?"])
def test_files_of_runs_are_there_after_a_move(tmp_path, name):
    parent, child = tracked(tmp_path / "before")
    shutil.move(tmp_path / "before", tmp_path / name)
    open_database(tmp_path / name / "mlflow.db")
    assert read(tmp_path / name, parent, "table.csv") == "a,b\n"
    assert '"a": 1' in read(tmp_path / name, child, "settings.json")


def test_the_next_sweep_in_a_moved_folder_writes_there(tmp_path):
    first, _ = tracked(tmp_path / "before")
    shutil.move(tmp_path / "before", tmp_path / "after")
    again, child = tracked(tmp_path / "after", "c\n")
    assert again == first
    assert read(tmp_path / "after", again, "table.csv") == "c\n"
    assert read(tmp_path / "after", child, "settings.json")
    assert not (tmp_path / "before").exists()


def test_a_copy_has_files_of_its_own(tmp_path):
    parent, _ = tracked(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    tracked(tmp_path / "two", "changed\n")
    assert read(tmp_path / "one", parent, "table.csv") == "a,b\n"
    assert read(tmp_path / "two", parent, "table.csv") == "changed\n"


def test_places_that_are_no_output_s_stay(tmp_path):
    tracked(tmp_path / "before")
    client = MlflowClient(tracking_uri=database_uri(tmp_path / "before" / "mlflow.db"))
    places = [(tmp_path / "elsewhere").as_uri(), "mlflow-artifacts:/9", "s3://b/mlflow-artifacts"]
    made = [client.create_experiment(place, artifact_location=place) for place in places]
    shutil.move(tmp_path / "before", tmp_path / "after")
    open_database(tmp_path / "after" / "mlflow.db")
    moved = MlflowClient(tracking_uri=database_uri(tmp_path / "after" / "mlflow.db"))
    assert [moved.get_experiment(number).artifact_location for number in made] == places


def test_a_database_that_was_moved_alone_still_names_where_its_files_are(tmp_path):
    parent, _ = tracked(tmp_path / "before")
    (tmp_path / "after").mkdir()
    shutil.copy(tmp_path / "before" / "mlflow.db", tmp_path / "after")
    open_database(tmp_path / "after" / "mlflow.db")
    assert read(tmp_path / "after", parent, "table.csv") == "a,b\n"


def test_the_pages_open_on_the_experiment_of_the_newest_run(tmp_path):
    tracked(tmp_path)
    client = MlflowClient(tracking_uri=database_uri(tmp_path / "mlflow.db"))
    newest = client.create_experiment("newest")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("UPDATE runs SET start_time = 1000")
        database.commit()
    client.create_run(newest, 2000)
    client.create_experiment("empty")
    assert newest_experiment(tmp_path / "mlflow.db") == newest


def test_what_cannot_be_shown_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"mlflow\.db: does not exist"):
        ui(output=str(tmp_path))
    tracked(tmp_path)
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port}: "):
            ui(output=str(tmp_path), port=port)


@pytest.mark.slow
def test_the_server_gives_out_pictures_of_a_moved_folder(tmp_path):
    parent, _ = tracked(tmp_path / "before")
    shutil.move(tmp_path / "before", tmp_path / "after")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = [folder for folder in sys.path if folder]
    code = f"import sys; sys.path[:0] = {paths!r}; from wsvis_platform.cli import main; main()"
    arguments = ["ui", "--output", str(tmp_path / "after"), "--port", str(port)]
    log = (tmp_path / "log").open("w+")
    server = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=log, stderr=subprocess.STDOUT
    )
    address = f"http://127.0.0.1:{port}/get-artifact?path={quote('table.csv')}&run_uuid={parent}"
    try:
        deadline = time.monotonic() + 120
        while True:
            assert server.poll() is None
            assert time.monotonic() < deadline
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:
                    assert answer.read() == b"a,b\n"
                break
            except OSError:
                time.sleep(0.5)
        processes = psutil.Process(server.pid).children(recursive=True)
        assert len(processes) <= 2  # no workers for what these pages do not show
    finally:
        server.terminate()
        server.wait(60)
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive
    log.seek(0)
    assert f"open http://127.0.0.1:{port}/#/experiments/" in log.read()
    log.close()
