"""MLflow tells the present: what the last command measured, once, and how each run ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsvis_platform.record.mlflow_runs import INTERRUPTED, SUPERSEDED
from wsvis_platform.record.tracker import Tracker


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker.open("", tmp_path_factory.mktemp("runs"), "sweeps")


def attempt(tracker: Tracker, name: str, seeds: str, score: float, trials: int = 1) -> list[str]:
    """Ids of the parent and of the runs below it."""
    parent = tracker.start_sweep(name, {"sweep.seeds": seeds}, {})
    below = [
        tracker.log_trial(
            parent,
            f"trial {n}",
            f"{name}/{n}",
            params={"a": n},
            metrics={"ap50": score},
            series=[(0, {"per_seed/ap50": score})],
        )
        for n in range(trials)
    ]
    tracker.log_parent(parent, {"best/ap50": score}, [])
    assert tracker.finish(parent) == ""
    return [parent, *map(str, below)]


def run(tracker: Tracker, number: str) -> Any:
    return tracker.runs.client.get_run(number)


def points(tracker: Tracker) -> int:
    runs = tracker.runs.client.search_runs([tracker.runs.experiment_id])
    keys = ("per_seed/ap50", "ap50", "best/ap50")
    client = tracker.runs.client
    return sum(len(client.get_metric_history(r.info.run_id, key)) for r in runs for key in keys)


def test_values_that_changed_under_the_same_settings_are_shown(tracker: Tracker):
    first = attempt(tracker, "changed", "(0, 1)", 0.3)
    for score in (0.1, 0.5, 0.2):
        assert attempt(tracker, "changed", "(0, 1)", score) == first
        assert run(tracker, first[0]).data.metrics == {"best/ap50": score}
        assert run(tracker, first[1]).data.metrics == {"per_seed/ap50": score, "ap50": score}


def test_one_seed_more_is_a_new_parent_and_the_old_one_says_so(tracker: Tracker):
    old = attempt(tracker, "seeds", "(0, 1)", 0.3)
    new = attempt(tracker, "seeds", "(0, 1, 2)", 0.4)
    assert set(old).isdisjoint(new)
    assert run(tracker, new[0]).data.params == {"sweep.seeds": "(0, 1, 2)"}
    assert run(tracker, old[0]).data.metrics == {"best/ap50": 0.3}
    assert [run(tracker, each).data.tags.get(SUPERSEDED) for each in old] == [new[0], new[0]]
    assert [run(tracker, each).data.tags.get(SUPERSEDED) for each in new] == [None, None]

    # back to two seeds: their run counts again
    assert attempt(tracker, "seeds", "(0, 1)", 0.3) == old
    assert [run(tracker, each).data.tags.get(SUPERSEDED) for each in old] == [None, None]
    assert run(tracker, new[0]).data.tags[SUPERSEDED] == old[0]


def test_repeating_a_command_adds_nothing(tracker: Tracker):
    first = attempt(tracker, "again", "(0,)", 0.3)
    client, number = tracker.runs.client, tracker.runs.experiment_id
    runs, written = len(client.search_runs([number])), points(tracker)
    for _ in range(5):
        assert attempt(tracker, "again", "(0,)", 0.3) == first
    assert (len(client.search_runs([number])), points(tracker)) == (runs, written)


def test_what_is_no_part_of_the_last_command_says_so(tracker: Tracker):
    two = attempt(tracker, "fewer", "(0,)", 0.3, trials=2)
    attempt(tracker, "fewer", "(0,)", 0.3, trials=1)
    assert SUPERSEDED not in run(tracker, two[1]).data.tags
    assert run(tracker, two[2]).data.tags[SUPERSEDED] == two[0]


def test_a_setting_of_a_baseline_that_changed_is_a_run_of_its_own(tracker: Tracker):
    parent = tracker.start_sweep("baseline", {})
    ids = [
        tracker.log_trial(parent, "CAM", "baseline/CAM", params={"t": t}, metrics={"m": t})
        for t in (0.1, 0.2)
    ]
    assert ids[0] is not None
    assert ids[0] != ids[1]
    assert run(tracker, ids[0]).data.tags[SUPERSEDED] == ids[1]


def test_a_failure_that_is_over_leaves_no_reason(tracker: Tracker):
    parent = tracker.start_sweep("mended", {})
    one = tracker.log_trial(
        parent, "t", "t", params={}, metrics={}, tags={"reason": "x"}, status="FAILED"
    )
    assert tracker.log_trial(parent, "t", "t", params={}, metrics={"m": 1.0}) == one
    assert one is not None
    assert run(tracker, one).info.status == "FINISHED"
    assert "reason" not in run(tracker, one).data.tags


def test_names_are_exact(tracker: Tracker):
    names = ["it's", "its", 'a "b"', "a b", "50%", "50_", "5%", "%", "Äpfel", "äpfel", "a\\b", "`"]
    parents = [tracker.start_sweep(name, {}) for name in names]
    assert len(set(parents)) == len(names)
    assert [tracker.start_sweep(name, {}) for name in names] == parents
    child = tracker.log_trial(parents[0], "it's", "it's/it's", params={}, metrics={})
    assert child == tracker.log_trial(parents[0], "it's", "it's/it's", params={}, metrics={})


def test_what_a_killed_driver_left_running_is_ended_by_the_next_start(tracker: Tracker):
    # three drivers that were killed: one of this name, one of another, one that lives
    folders = ("sweeps/mine", "sweeps/dead", "sweeps/alive")
    left = {
        f: tracker.start_sweep(f, {"n": 1}, folder=f, is_driven=lambda _: True) for f in folders
    }
    below, _ = tracker.runs.find_or_create("t", "t", {}, left["sweeps/dead"])
    again = tracker.start_sweep(
        "sweeps/mine", {"n": 2}, folder="sweeps/mine", is_driven=lambda f: f == "sweeps/alive"
    )
    assert again != left["sweeps/mine"]
    status = {f: run(tracker, number).info.status for f, number in left.items()}
    assert status == dict(zip(folders, ("KILLED", "KILLED", "RUNNING"), strict=True))
    assert run(tracker, below).info.status == "KILLED"
    assert INTERRUPTED in run(tracker, below).data.tags
    assert run(tracker, again).info.status == "RUNNING"


@pytest.mark.parametrize("status", ["KILLED", "FAILED"])
def test_what_an_interrupted_command_was_writing_does_not_stay_running(
    tracker: Tracker, status: Any
):
    parent = tracker.start_sweep(status, {})
    half, _ = tracker.runs.find_or_create("half", "half", {}, parent)
    tracker.finish(parent, status)
    assert run(tracker, half).info.status == "KILLED"
    assert run(tracker, parent).info.status == status


def test_two_outputs_on_one_server_have_runs_of_their_own(tracker: Tracker, tmp_path: Path):
    one, two = (Tracker(tracker.runs, str(tmp_path / name)) for name in "ab")
    assert one.start_sweep("shared", {}) != two.start_sweep("shared", {})
    assert one.start_sweep("shared", {}) == one.start_sweep("shared", {})
