"""What MLflow's pages show of a run: description, data sets, image grid, its name of today."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wsvis.data.config import DataConfig
from wsvis.data.load import load_dataset
from wsvis_platform.record.mlflow_data import data_inputs
from wsvis_platform.record.mlflow_notes import NOTE
from wsvis_platform.record.tracker import Tracker

DATA = DataConfig(synthetic_videos=6)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker.open("", tmp_path_factory.mktemp("runs"), "sweeps")


def trial(tracker: Tracker, name: str, **more: Any) -> Any:
    """A run of one identity, written (again)."""
    parent = tracker.start_sweep("pages", {})
    identity = name.partition(" ")[2]
    run = tracker.log_trial(parent, name, identity, params={}, metrics={}, **more)
    assert run is not None
    return tracker.runs.client.get_run(run)


def test_a_description_knows_its_run_and_is_renewed(tracker: Tracker):
    first = trial(tracker, "01", describe=lambda run: f"of {run}")
    assert first.data.tags[NOTE].endswith(f"of {first.info.run_id}")
    assert trial(tracker, "01", describe=lambda run: "new").data.tags[NOTE].endswith("\nnew")


def test_a_description_that_a_person_wrote_stays(tracker: Tracker):
    run = trial(tracker, "01", describe=lambda run: "ours").info.run_id
    tracker.runs.client.set_tag(run, NOTE, "mine")
    assert trial(tracker, "01", describe=lambda run: "ours").data.tags[NOTE] == "mine"
    tracker.runs.client.set_tag(run, NOTE, "")
    assert trial(tracker, "01", describe=lambda run: "ours").data.tags[NOTE].endswith("ours")


def test_a_run_is_called_as_the_last_command_calls_it(tracker: Tracker):
    run = trial(tracker, "03 A 2.00")
    again = trial(tracker, "07 A 2.00")
    assert again.info.run_id == run.info.run_id
    assert again.info.run_name == "07 A 2.00"


def test_data_sets_are_inputs_once(tracker: Tracker):
    train = load_dataset(DATA)
    held_out = load_dataset(DataConfig(synthetic_videos=6, split="val"))
    for _ in range(2):
        run = trial(tracker, "01", inputs=data_inputs(DATA, train, held_out))
    shown = {
        each.tags[0].value: (each.dataset.name, each.dataset.digest)
        for each in run.inputs.dataset_inputs
    }
    assert len(run.inputs.dataset_inputs) == 2
    assert shown == {
        "training": ("synthetic-train", train.fingerprint[:12]),
        "held-out": ("synthetic-val", held_out.fingerprint[:12]),
    }
    assert '"videos": 6' in run.inputs.dataset_inputs[0].dataset.profile


def plain(paths: list[str]) -> list[str]:
    """Without time and random part."""
    return sorted(
        re.sub(r"\+timestamp\+\d+\+[\w-]+?(\+compressed)?\.", r"+timestamp+N+U\1.", path)
        for path in paths
    )


def test_the_grid_s_files_are_called_as_log_image_calls_them_and_are_there_once(tracker: Tracker):
    pictures = [np.full((40, 60, 3), (200, 30, 90), np.uint8), np.zeros((40, 60, 3), np.uint8)]
    client = tracker.runs.client
    for _ in range(2):
        ours = trial(tracker, "01", grid={"pictures/masks": pictures})
    theirs = client.create_run(tracker.runs.experiment_id)
    for step, picture in enumerate(pictures):
        client.log_image(theirs.info.run_id, picture, key="pictures/masks", step=step)
    names = [
        [each.path for each in client.list_artifacts(run.info.run_id, "images")]
        for run in (ours, theirs)
    ]
    assert len(names[0]) == 4
    assert plain(names[0]) == plain(names[1])
    marks = [
        client.get_run(run.info.run_id).data.tags["mlflow.loggedImages"] for run in (ours, theirs)
    ]
    assert marks == ["True", "True"]
    first = next(path for path in names[0] if "+step+0+" in path and path.endswith(".png"))
    stored = cv2.imread(str(Path(ours.info.artifact_uri.removeprefix("file://")) / first))
    assert stored is not None
    np.testing.assert_array_equal(stored[..., ::-1], pictures[0])


def test_a_run_that_is_written_again_keeps_its_duration(tracker: Tracker):
    first = trial(tracker, "01 slow", seconds=60.0).info
    again = trial(tracker, "01 slow", seconds=0.01).info
    assert again.run_id == first.run_id
    assert (again.start_time, again.end_time) == (first.start_time, first.end_time)
