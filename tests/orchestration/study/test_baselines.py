"""Which measurements hold a GPU, where GPUs are asked for."""

from wsvis.config import Config
from wsvis.payload import Payload
from wsvis.plan import stage_keys
from wsvis.settings import with_overrides
from wsvis.types import Dataset, SyntheticSource, Video
from wsvis_platform.store.store import Store
from wsvis_platform.study.baselines import has_network_to_run

VIDEO = Video("v", 4, 6, ((0,), (0,)), SyntheticSource("train", 0))
DATA = Dataset("d", ("a",), (VIDEO,), "f" * 64)
HELD_OUT = Dataset("h", ("a",), (VIDEO,), "e" * 64)
DIS = with_overrides(Config(), {"flow.provider": "dis-medium"})
RAFT = with_overrides(Config(), {"flow.provider": "raft-small"})


def complete(store, config, data, *stages):
    keys = stage_keys(config, data, stages)
    for stage in stages:
        store.stage_item(stage, keys[stage], "v", Payload())
        store.commit(stage, keys[stage], {}, 0.0)


def test_networks_to_train_or_to_run_and_nothing_else(tmp_path):
    store = Store(tmp_path)
    assert has_network_to_run(RAFT, DATA, store, ["motion_quality"])
    assert not has_network_to_run(DIS, DATA, store, ["motion_quality"])
    assert has_network_to_run(DIS, DATA, store, ["cam_quality"])
    complete(store, DIS, DATA, "classifier")
    assert has_network_to_run(DIS, DATA, store, ["cam_quality"])
    complete(store, DIS, DATA, "cam")
    assert not has_network_to_run(DIS, DATA, store, ["cam_quality"])  # masks and scores are left
    assert has_network_to_run(DIS, DATA, store, ["pseudo_label_quality"])


def test_on_held_out_videos_networks_run_that_were_trained_elsewhere(tmp_path):
    store = Store(tmp_path)
    assert has_network_to_run(DIS, HELD_OUT, store, ["prediction_quality"], DATA)
    assert not has_network_to_run(DIS, HELD_OUT, store, ["motion_quality"], DATA)
