"""Tracking: everything a trial leaves in MLflow, once, whatever happens in between."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wsvis.errors import InputError
from wsvis_platform.record.mlflow_runs import Runs
from wsvis_platform.record.provenance import git_state, library_versions
from wsvis_platform.record.tracker import Tracker


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def tracker(output: Path) -> Tracker:
    return Tracker.open("", output, "sweeps")


def runs_called(tracker: Tracker, name: str) -> list[Any]:
    found = tracker.runs.client.search_runs([tracker.runs.experiment_id])
    return [run for run in found if run.info.run_name == name]


def history(tracker: Tracker, run: str, key: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in tracker.runs.client.get_metric_history(run, key)]


def test_a_trial_is_whole(tracker: Tracker, output: Path, tmp_path: Path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0, 0] = (255, 128, 0)
    table = tmp_path / "table.csv"
    table.write_text("a,b\n")
    parent = tracker.start_sweep("whole", {"fcam.amplification": 2.0}, {"preset": "cpu"})
    child = tracker.log_trial(
        parent,
        "trial 7",
        "id7",
        params={"fcam.amplification": 2.5, "cam.scales": (1.0, 0.5), "data.path": ""},
        metrics={"ap50": 0.25},
        series=[(0, {"per_seed/ap50": 0.2}), (1, {"per_seed/ap50": 0.3})],
        tags={"store.flow": "abc"},
        pictures={"strip.png": picture, "strip.jpg": np.full((8, 8, 3), (200, 30, 90), np.uint8)},
        files=[table],
        seconds=5.0,
    )
    assert child is not None
    tracker.log_parent(parent, {"best/ap50": 0.25}, [table])
    assert tracker.finish(parent) == ""

    run = tracker.runs.client.get_run(child)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 5000
    assert run.data.params == {
        "fcam.amplification": "2.5",
        "cam.scales": "(1.0, 0.5)",
        "data.path": "",
    }
    assert run.data.metrics == {"per_seed/ap50": 0.3, "ap50": 0.25}
    assert history(tracker, child, "per_seed/ap50") == [(0, 0.2), (1, 0.3)]
    assert history(tracker, child, "ap50") == [(0, 0.25)]
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.data.tags["store.flow"] == "abc"
    assert f"torch {library_versions()['torch']}" in run.data.tags["libraries"]
    assert run.data.tags["git.dirty"] in ("true", "false", "unknown")

    files = Path(run.info.artifact_uri.removeprefix("file://"))
    assert output.resolve() in files.parents
    stored = cv2.imread(str(files / "pictures" / "strip.png"))
    assert stored is not None
    np.testing.assert_array_equal(stored[..., ::-1], picture)
    small = cv2.imread(str(files / "pictures" / "strip.jpg"))
    assert small is not None
    assert np.abs(small[..., ::-1].astype(int) - (200, 30, 90)).max() <= 4
    assert json.loads((files / "settings.json").read_text())["cam.scales"] == [1.0, 0.5]
    assert (files / "table.csv").read_text() == "a,b\n"

    sweep = tracker.runs.client.get_run(parent)
    assert sweep.info.status == "FINISHED"
    assert sweep.data.tags["preset"] == "cpu"
    assert sweep.data.metrics == {"best/ap50": 0.25}


def test_after_a_crash_the_run_is_found_and_completed(tracker: Tracker):
    parent = tracker.start_sweep("crash", {"a": 1})
    # what a driver killed in the middle of a trial leaves: a RUNNING run with part of its steps
    half, fresh = tracker.runs.find_or_create("trial 1", "id1", {}, parent)
    assert fresh
    tracker.runs.write(half, params={"a": 1}, points=[(0, "ap50", 0.1)])

    # the restarted driver
    assert tracker.start_sweep("crash", {"a": 1, "b": 2}) == parent
    for _ in range(2):
        child = tracker.log_trial(
            parent,
            "trial 1",
            "id1",
            params={"a": 1, "b": 2},
            metrics={"mean": 0.15},
            series=[(0, {"ap50": 0.1}), (1, {"ap50": 0.2})],
        )
    assert child == half
    assert len(runs_called(tracker, "trial 1")) == 1
    assert history(tracker, half, "ap50") == [(0, 0.1), (1, 0.2)]
    assert history(tracker, half, "mean") == [(0, 0.15)]
    assert tracker.runs.client.get_run(half).data.params == {"a": "1", "b": "2"}
    assert tracker.runs.client.get_run(half).info.status == "FINISHED"


def test_the_same_identity_under_another_sweep_is_another_run(tracker: Tracker):
    first = tracker.start_sweep("one", {})
    second = tracker.start_sweep("two", {})
    a = tracker.log_trial(first, "plain CAM", "plain CAM", params={}, metrics={})
    b = tracker.log_trial(second, "plain CAM", "plain CAM", params={}, metrics={})
    assert a != b


def test_failed_and_pruned_trials_keep_their_reason(tracker: Tracker):
    parent = tracker.start_sweep("failures", {})
    for status in ("FAILED", "KILLED"):
        child = tracker.log_trial(
            parent, status, status, params={}, metrics={}, tags={"reason": "why"}, status=status
        )
        assert child is not None
        run = tracker.runs.client.get_run(child)
        assert (run.info.status, run.data.tags["reason"]) == (status, "why")


def test_what_is_not_a_number_is_named_and_not_logged(tracker: Tracker):
    parent = tracker.start_sweep("nan", {})
    child = tracker.log_trial(
        parent,
        "nan",
        "nan",
        params={},
        metrics={"std": math.nan, "mean": 0.5},
        series=[(0, {"loss": math.inf}), (1, {"loss": 1.0})],
    )
    assert child is not None
    run = tracker.runs.client.get_run(child)
    assert run.data.metrics == {"mean": 0.5, "loss": 1.0}
    assert run.data.tags["not_finite"] == "loss std"


def test_limits_of_one_call_and_of_one_value_are_kept(tracker: Tracker):
    parent = tracker.start_sweep("limits", {})
    child = tracker.log_trial(
        parent,
        "limits",
        "limits",
        params={**{f"p{i}": i for i in range(250)}, "long": "x" * 7000},
        metrics={},
        series=[(step, {"a": float(step), "b": 0.0}) for step in range(1100)],
        tags={**{f"t{i}": "v" for i in range(150)}, "long": "y" * 9000},
    )
    assert child is not None
    run = tracker.runs.client.get_run(child)
    assert len(run.data.params) == 251
    assert len(run.data.params["long"]) == 6000
    assert run.data.params["long"].endswith("... (7000 characters)")
    assert len(run.data.tags["long"]) == 8000
    assert sum(name.startswith("t") and name[1:].isdigit() for name in run.data.tags) == 150
    assert [value for _, value in history(tracker, child, "a")] == list(map(float, range(1100)))


class GoneAway:
    """Stands where MLflow's client is; every call fails until ``back`` is set."""

    def __init__(self, client: Any) -> None:
        self.client, self.back = client, False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not self.back:
            raise ConnectionError("refused")
        return getattr(self.client, name)


def test_what_a_dead_server_misses_is_written_when_it_is_back(tracker: Tracker):
    parent = tracker.start_sweep("outage", {})
    client = GoneAway(tracker.runs.client)
    shaky = Tracker(Runs(client, tracker.runs.experiment_id, tracker.runs.uri))
    first = shaky.log_trial(parent, "during 1", "d1", params={"a": 1}, metrics={"m": 1.0})
    second = shaky.log_trial(parent, "during 2", "d2", params={"a": 2}, metrics={"m": 2.0})
    assert (first, second) == (None, None)
    missing = shaky.finish(parent)
    assert "lacks the last 3 entries (refused)" in missing
    assert "\n" not in missing

    client.back = True
    assert shaky.finish(parent) == ""
    for name, value in (("during 1", 1.0), ("during 2", 2.0)):
        (run,) = runs_called(tracker, name)
        assert run.data.metrics == {"m": value}
    assert tracker.runs.client.get_run(parent).info.status == "FINISHED"


def test_a_wrong_call_is_an_error_and_does_not_wait(tracker: Tracker):
    from mlflow.exceptions import MlflowException

    parent = tracker.start_sweep("wrong", {})
    with pytest.raises(MlflowException):
        tracker.log_trial(parent, "wrong", "wrong", params={}, metrics={"no\nname": 1.0})
    assert tracker.waiting == []


def test_a_server_that_is_not_there_is_one_line(output: Path):
    with pytest.raises(InputError, match=r"--tracking-uri http://127.0.0.1:9: no server answers"):
        Tracker.open("http://127.0.0.1:9", output, "x")


def test_a_database_that_is_none_is_one_line_and_stays(tmp_path: Path):
    file = tmp_path / "mlflow.db"
    file.write_bytes(b"these are not the pages of a database " * 100)
    before = file.read_bytes()
    with pytest.raises(InputError) as error:
        Tracker.open("", tmp_path, "x")
    assert "mlflow.db" in str(error.value)
    assert "\n" not in str(error.value)
    assert file.read_bytes() == before


def test_browse_says_what_to_type(tracker: Tracker, output: Path):
    assert tracker.browse().startswith(f"make ui OUTPUT={output.resolve()}, then open http://127.")
    remote = Tracker(Runs(None, "3", "http://10.0.0.1:5000"))
    address = "http://10.0.0.1:5000/#/experiments/3/runs?viewStateShareKey=wsvis&"
    assert remote.browse() == f"{address}workflowType=machine_learning"


def test_the_shared_view_is_sorted_by_the_objective_and_shows_the_swept_settings(tmp_path):
    tracker = Tracker.open("", tmp_path, "sweep")
    tracker.share_view(["ap50", "held_out/ap50"], ["fcam.amplification"], "abc")
    tags = tracker.runs.client.get_experiment(tracker.runs.experiment_id).tags
    view = json.loads(tags["mlflow.sharedViewState.wsvis"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`ap50`", False)
    assert "params.`fcam.amplification`" in view["selectedColumns"]
    assert view["searchFilter"] == "tags.mlflow.parentRunId = 'abc'"
    (chart,), (section,) = view["compareRunCharts"], view["compareRunSections"]
    assert (chart["type"], chart["imageKeys"]) == ("IMAGE", ["pictures/masks"])
    assert chart["metricSectionId"] == section["uuid"]


@pytest.mark.slow
def test_two_drivers_opening_one_output_at_once_share_a_quiet_database(tmp_path: Path):
    code = f"""
import sys; sys.path[:0] = {[folder for folder in sys.path if folder]!r}
from pathlib import Path
from wsvis_platform.record.tracker import Tracker
tracker = Tracker.open("", Path({str(tmp_path)!r}), "both")
parent = tracker.start_sweep(sys.argv[1], {{}})
for i in range(5):
    tracker.log_trial(parent, f"{{i}}", f"{{i}}", params={{"i": i}}, metrics={{"m": i}})
print(tracker.runs.experiment_id, tracker.finish(parent) or "complete")
"""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("left", "right")
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [error for _, error in said] == ["", ""]
    assert said[0][0] == said[1][0]
    assert said[0][0].endswith(" complete\n")
    tracker = Tracker.open("", tmp_path, "both")
    assert len(tracker.runs.client.search_runs([tracker.runs.experiment_id])) == 12


def test_git_state_tells_clean_from_changed_and_ignores_foreign_repositories(tmp_path: Path):
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (tmp_path / "other.py").write_text("")
    git("add", ".")
    git("commit", "-qm", "x")
    assert git_state(tmp_path) == {"commit": "unknown", "dirty": "unknown"}
    (tmp_path / "wsvis").mkdir()
    (tmp_path / "wsvis" / "__init__.py").write_text("")
    git("add", ".")
    git("commit", "-qm", "y")
    commit = git("rev-parse", "HEAD").strip()
    assert git_state(tmp_path) == {"commit": commit, "dirty": "false"}
    (tmp_path / "wsvis" / "__init__.py").write_text("x = 1\n")
    assert git_state(tmp_path) == {"commit": commit, "dirty": "true"}
