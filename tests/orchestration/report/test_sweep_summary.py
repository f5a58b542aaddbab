"""What a sweep ends with: the best row's numbers, and the detectors that rows have trained."""

import math

import numpy as np
import pytest

from wsvis.payload import from_bytes
from wsvis.systems.checkpoint import detector_to_payload
from wsvis.systems.mask_rcnn.build import build_detector
from wsvis_platform.predict.video import read_detector
from wsvis_platform.report.summary import best_numbers, best_row, methods, write_detector
from wsvis_platform.results import Measurement, Row
from wsvis_platform.store.store import WHOLE, Store

CLASSES = ["cat", "dog"]


def row(name, target, value=0.4, keys=None):
    return Row(name, Measurement({}, (0,), [{"ap50": value}], [keys or {}]), target=target)


def test_an_upper_bound_is_never_the_best_row():
    rows = [
        row("ours", "prediction_quality", 0.4),
        row("self-training", "prediction_quality", 0.5, {"teacher:system": "k", "system": "k"}),
        row("supervised", "prediction_quality", 0.9, {"truth_labels": "k", "system": "k"}),
    ]
    assert [each.name for each in methods(rows)] == ["ours", "self-training"]
    assert methods(rows[2:]) == rows[2:]
    assert best_row(rows, "ap50").name == "self-training"
    winner = row("best of the sweep", "prediction_quality", 0.1)
    assert best_row([*rows, winner], "ap50") == winner


def test_the_best_row_s_numbers_are_grouped_and_finite():
    found = Measurement({}, (0,), [{"ap50": 0.4, "tc": math.nan}])
    numbers = best_numbers(Row("ours", found, found))
    assert numbers == {"best/ap50": 0.4, "best_held_out/ap50": 0.4}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two detectors, told apart by their weights."""
    store = Store(tmp_path_factory.mktemp("store"))
    for seed, key in enumerate(("a" * 32, "b" * 32)):
        model = build_detector(len(CLASSES), backbone="small", seed=seed)
        payload = detector_to_payload(model, {"class_names": CLASSES, "short_side": 48})
        store.stage_item("system", key, WHOLE, payload)
        store.commit("system", key, {}, 1.0)
    return store


def test_the_detector_of_a_row_can_be_given_to_predict(store, tmp_path):
    """Of self-training the second one, which learnt from what the first one found."""
    keys = {"teacher:system": "a" * 32, "system": "b" * 32}
    file = write_detector(tmp_path, row("ours, full", "prediction_quality", keys=keys), store)
    assert file == tmp_path / "detectors" / "ours_full_seed0.safetensors"
    assert read_detector(str(file)).class_names == tuple(CLASSES)
    weights, expected = from_bytes(file.read_bytes()).arrays, store.read("system", "b" * 32).arrays
    assert weights.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array)


def test_a_row_without_a_detector_leaves_none(store, tmp_path):
    assert write_detector(tmp_path, row("CAM", "cam_quality"), store) is None
    assert list(tmp_path.iterdir()) == []
