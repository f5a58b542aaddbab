"""A system that nobody in the project knows trains, predicts, resumes and is measured.

It is a folder (tests/guest/segmenter) and one line that registers it.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from guest.segmenter.system import SEGMENTER
from orchestration.killed_worker import train_with_a_killed_worker
from science.systems.test_detectors_stages import SMALL
from wsvis.data.load import load_dataset
from wsvis.learning.share import Share
from wsvis.payload import from_bytes, payload_to_instances, to_bytes
from wsvis.plan import make_plan
from wsvis.settings import with_overrides
from wsvis.systems import SYSTEMS
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.predict.video import read_detector
from wsvis_platform.store.materialise import Materialiser
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import StoreInputs
from wsvis_platform.study.measure import measure

TARGETS = ["prediction_quality", "track_quality"]
SETTINGS = {
    "labels": "truth_labels",
    "detector.learning_rate": 3e-3,
    "detector.steps": 40,
    "detector.batch_size": 2,
    "inference.score_threshold": 0.05,
}


@pytest.fixture
def config(monkeypatch):
    monkeypatch.setitem(SYSTEMS, "segmenter", SEGMENTER)
    return with_overrides(SMALL, {**SETTINGS, "system": "segmenter"})


def test_it_is_small():
    files = Path(__file__).parent.joinpath("segmenter").glob("*.py")
    assert sum(len(file.read_text().splitlines()) for file in files) < 120


@pytest.mark.slow
def test_it_trains_predicts_and_is_measured_through_the_store(config, tmp_path):
    data, store = load_dataset(config.data), Store(tmp_path / "store")
    scored = measure(config, {}, (0,), data, store, TARGETS)
    assert scored.mean("miou") > 0.2  # it has learnt something
    assert scored.mean("video_ap50") >= 0
    assert {"system", "predictions", "tracks"} <= set(scored.computed)
    again = measure(config, {"tracking.min_score": 0.1}, (0,), data, store, TARGETS)
    assert set(again.computed) == {"tracks", "track_quality"}
    # the file that others are given
    key = scored.keys[0]["system"]
    file = tmp_path / "detector.safetensors"
    file.write_bytes(to_bytes(store.read("system", key)))
    assert read_detector(str(file)).class_names == data.classes
    clip = data.videos[0].id
    frames = payload_to_instances(store.read("predictions", scored.keys[0]["predictions"], clip))
    assert any(len(frame) for frame in frames)


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(config, tmp_path):
    data, store = load_dataset(config.data), Store(tmp_path / "store")
    config = with_overrides(config, {"detector.steps": 6})
    plan = make_plan(config, data, ["system"])
    step = plan.step("system")
    for each in plan.steps[:-1]:
        Materialiser(store).ensure_step(each, plan)
    stage, inputs = step.definition(), StoreInputs(store, step.inputs)
    shown, states = stage.shown(data), []

    def run(**share):
        return stage.training.train(stage.view(config), shown, inputs, Share(**share))

    whole = run(checkpoint=states.append, checkpoint_every=3)
    resumed = run(resume=from_bytes(to_bytes(states[0])))
    assert resumed.data["training"] == whole.data["training"]
    for name, array in whole.arrays.items():
        assert (resumed.arrays[name] == array).all(), name


REGISTERING = """
from guest.segmenter.system import SEGMENTER
from wsvis.systems import SYSTEMS
SYSTEMS["segmenter"] = SEGMENTER
"""


@pytest.mark.slow
@pytest.mark.ray
def test_several_workers_train_it_and_one_may_die(config, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(REGISTERING)
    root = Path(__file__).resolve().parents[2]
    places = [tmp_path / "site", root, root / "platform", root / "tests"]
    inherited = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*map(str, places), inherited]))
    data, store = load_dataset(config.data), Store(tmp_path / "store")
    plan = make_plan(config, data, ["system"])
    with start_ray(num_cpus=2):
        outcomes = Materialiser(store).carry_out(plan)
        elsewhere = replace(plan.step("system"), key="0" * 32)
        train_with_a_killed_worker(elsewhere, data, store)
    alone = store.read("system", outcomes[-1].key)
    staged = store.root / "staging" / "system" / elsewhere.key / "whole.safetensors"
    together = from_bytes(staged.read_bytes())
    assert together.data["training"]["loss"] == pytest.approx(
        alone.data["training"]["loss"], rel=1e-3
    )
