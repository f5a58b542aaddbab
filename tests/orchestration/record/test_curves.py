"""Loss curves on their way to MLflow."""

import math

import pytest

from wsvis.payload import Payload
from wsvis_platform.record.curves import thinned, training_curves
from wsvis_platform.results import Measurement
from wsvis_platform.store.store import WHOLE, Store


def test_few_rows_stay_as_they_are():
    rows = [{"step": 20, "loss": 1.5}, {"step": 40, "loss": 1.25}]
    assert thinned(rows, 2) == rows
    assert thinned([], 5) == []


def test_many_rows_become_means_of_neighbours():
    rows = [{"step": n, "loss": float(n)} for n in range(1, 6)]
    assert thinned(rows, 2) == [{"step": 3, "loss": 2}, {"step": 5, "loss": 4.5}]
    assert len(thinned([{"step": n, "loss": 0.0} for n in range(4500)], 200)) <= 200


def test_curves_of_every_network_and_seed_are_named_apart(tmp_path):
    store = Store(tmp_path / "store")
    keys = []
    for seed in (0, 2):
        these = {"flow": "f"}
        for stage in ("irn", "system"):
            these[stage] = f"{stage}{seed}"
            curve = [{"step": 20, "steps": 40, "loss": seed + 1.0, "mask": math.nan}]
            store.stage_item(stage, these[stage], WHOLE, Payload(data={"curve": curve}))
            store.commit(stage, these[stage], {}, 1.0)
        keys.append({**these, "teacher:system": these["system"]})
    found = Measurement({}, (0, 2), [{}, {}], keys)
    assert training_curves(store, found) == [
        (20, {"irn/loss.seed0": pytest.approx(1)}),
        (20, {"system/loss.seed0": pytest.approx(1)}),
        (20, {"teacher:system/loss.seed0": pytest.approx(1)}),
        (20, {"irn/loss.seed2": pytest.approx(3)}),
        (20, {"system/loss.seed2": pytest.approx(3)}),
        (20, {"teacher:system/loss.seed2": pytest.approx(3)}),
    ]
