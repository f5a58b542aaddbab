"""Reuse, quarantine, resume and repair, on small made-up stages."""

import dataclasses
import pickle

import numpy as np
import pytest

from orchestration.made_up_stages import use_stages
from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.learning.share import Training
from wsvis.payload import Payload
from wsvis.plan import make_plan, merged
from wsvis.settings import with_overrides
from wsvis.stage import Stage
from wsvis.types import Dataset, SyntheticSource, Video
from wsvis_platform.store import materialise, video_worker
from wsvis_platform.store.materialise import Materialiser
from wsvis_platform.store.store import CorruptEntryError, Store


def video(name):
    return Video(name, 4, 6, ((0,), (0,)), SyntheticSource("train", 0))


DATA = Dataset("d", ("a",), tuple(video(n) for n in ("v0", "v1", "v2")), "f" * 64)
LOG: list[str] = []


def first(config, wholes):
    def process(video, inputs):
        LOG.append(f"first {video.id}")
        if video.id == "v1" and config.fcam.floor == 1.0:
            raise InputError("v1.mp4: cut off; copy it again")
        if config.fcam.floor == 2.0:
            raise RuntimeError("all are bad")
        return Payload({"x": np.full(3, float(video.id[1]))})

    return process


def second(config, wholes):
    def process(video, inputs):
        LOG.append(f"second {video.id}")
        scaled = inputs["first"].arrays["x"] * config.fcam.amplification
        return Payload({"x": scaled + wholes["total"].data["sum"]})

    return process


def total(config, dataset, inputs, share):
    LOG.append("total")
    have = [inputs.video("first", v.id) for v in dataset.videos]
    return Payload(data={"sum": float(sum(p.arrays["x"].sum() for p in have if p))})


STAGES = (
    Stage("first", 1, (), ("fcam.floor",), per_video=first),
    Stage("total", 1, ("first",), (), training=Training(total)),
    Stage("second", 1, ("first", "total"), ("fcam.amplification",), per_video=second),
)


@pytest.fixture(autouse=True)
def made_up_stages(monkeypatch):
    LOG.clear()
    use_stages(monkeypatch, STAGES)


def run(store, overrides=None, data=DATA, target="second"):
    config = with_overrides(Config(), overrides or {})
    keys, outcomes = Materialiser(store).ensure(config, data, [target])
    return keys, {o.stage: o.status for o in outcomes}, outcomes


def test_the_second_time_nothing_is_computed(tmp_path):
    store = Store(tmp_path)
    keys, status, _ = run(store)
    assert set(status.values()) == {"computed"}
    assert len(LOG) == 7  # 3 first, 1 total, 3 second
    LOG.clear()
    again, status, _ = run(store)
    assert set(status.values()) == {"reused"}
    assert LOG == []
    assert again == keys
    # (0 + 1 + 2) * 3 = 9, plus 2 * A = 4 for v2
    np.testing.assert_array_equal(
        store.read("second", keys["second"], "v2").arrays["x"], [13, 13, 13]
    )


def test_another_parameter_recomputes_only_what_it_changes(tmp_path):
    store = Store(tmp_path)
    run(store)
    LOG.clear()
    _, status, _ = run(store, {"fcam.amplification": 5.0})
    assert status == {"first": "reused", "total": "reused", "second": "computed"}
    assert LOG == ["second v0", "second v1", "second v2"]


def test_a_bad_video_is_set_aside_with_its_reason_and_the_others_go_on(tmp_path):
    store = Store(tmp_path)
    keys, _, outcomes = run(store, {"fcam.floor": 1.0})
    manifest = store.manifest("second", keys["second"])
    assert set(manifest.items) == {"v0", "v2"}
    assert manifest.quarantined == {"v1": "v1.mp4: cut off; copy it again"}
    assert [o.quarantined for o in outcomes] == [1, 0, 1]
    assert "second v1" not in LOG


def test_when_every_video_is_bad_the_run_stops_with_the_first_reason(tmp_path):
    with pytest.raises(InputError, match="all are bad") as error:
        run(Store(tmp_path), {"fcam.floor": 2.0})
    assert "\n" not in str(error.value)


def test_an_interrupted_stage_resumes_with_what_is_missing(tmp_path, monkeypatch):
    store = Store(tmp_path)
    calls = 0
    original = Store.stage_item

    def dies_at_the_third(self, *args):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(Store, "stage_item", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(store)
    monkeypatch.setattr(Store, "stage_item", original)
    LOG.clear()
    run(store, target="first")
    assert LOG == ["first v2"]


def test_a_corrupt_input_is_found_when_read_and_only_it_is_made_again(tmp_path):
    store = Store(tmp_path)
    keys, _, _ = run(store)
    path = tmp_path / "objects" / "first" / keys["first"] / "v1.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"\xff")
    LOG.clear()
    changed, _, _ = run(store, {"fcam.amplification": 5.0})
    assert LOG.count("first v1") == 1
    assert "first v0" not in LOG
    assert path.read_bytes() == good
    # (0 + 1 + 2) * 3 = 9, plus 1 * A = 5
    np.testing.assert_array_equal(
        store.read("second", changed["second"], "v1").arrays["x"], [14, 14, 14]
    )


def spoil(path):
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"\xff")
    return good


def test_a_damaged_network_is_made_again_by_whoever_needs_it(tmp_path):
    store = Store(tmp_path)
    keys, _, _ = run(store)
    network = tmp_path / "objects" / "total" / keys["total"] / "whole.safetensors"
    good = spoil(network)
    LOG.clear()
    run(store, {"fcam.amplification": 5.0})
    assert LOG.count("total") == 1
    assert network.read_bytes() == good
    spoil(network)
    here = Materialiser(Store(tmp_path))
    plan = make_plan(Config(), DATA, ["second"])
    assert here.result("total", plan).data == {"sum": 9.0}
    assert plan.keys() == keys


def test_a_damaged_network_of_other_videos_is_made_again_from_those(tmp_path):
    """Measured on held-out videos, it must not learn from them."""
    held_out = Dataset("held out", ("a",), (video("v7"), video("v8")), "e" * 64)
    store, config = Store(tmp_path), Config()
    trained, _, _ = run(store, target="total")
    network = tmp_path / "objects" / "total" / trained["total"] / "whole.safetensors"
    good = spoil(network)
    keys, _ = Materialiser(store).ensure(config, held_out, ["second"], trained_on=DATA)
    assert keys["total"] == trained["total"]
    assert network.read_bytes() == good
    manifest = store.manifest("total", keys["total"])
    assert manifest is not None
    assert manifest.origin["data_name"] == "d"
    # 7 * 1, plus the training videos' (0 + 1 + 2) * 3 = 9
    assert (
        store.read("second", keys["second"], "v7").arrays["x"][0]
        == 7 * config.fcam.amplification + 9
    )


def test_a_corrupt_entry_is_told_across_processes():
    error = CorruptEntryError("cam", "k", "v1", "the content differs")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "cam/k/v1: the content differs"
    assert (again.stage, again.key, again.item) == ("cam", "k", "v1")


def test_methods_never_see_the_ground_truth_and_measuring_does(tmp_path, monkeypatch):
    seen = []

    def spy(config, wholes):
        def process(video, inputs):
            seen.append(video.instances)
            return Payload()

        return process

    def spy_on_all(config, dataset, inputs, report):
        seen.append([video.instances for video in dataset.videos])
        return Payload()

    stages = (
        Stage("first", 1, (), (), per_video=spy),
        Stage("learning", 1, ("first",), (), whole=spy_on_all),
        Stage("measuring", 1, ("first",), (), whole=spy_on_all, sees_truth=True),
    )
    use_stages(monkeypatch, stages)
    data = dataclasses.replace(
        DATA, videos=tuple(dataclasses.replace(v, instances=()) for v in DATA.videos)
    )
    run(Store(tmp_path), data=data, target="learning")
    run(Store(tmp_path), data=data, target="measuring")
    assert seen == [None, None, None, [None, None, None], [(), (), ()]]


def test_several_entries_of_a_stage_run_as_one_job_and_are_then_only_completed(tmp_path):
    store, jobs = Store(tmp_path), []

    def runner(stage, tasks, store, told):
        jobs.append((stage, len(tasks)))
        materialise.run_here(stage, tasks, store, told)

    here = Materialiser(store, runner)
    configs = [with_overrides(Config(), {"fcam.amplification": a}) for a in (2.0, 3.0, 3.0)]
    plans = [make_plan(config, DATA, ["second"]) for config in configs]
    here.ensure(configs[0], DATA, ["total"])
    jobs.clear()
    here.stage_together([plan.step("second") for plan in plans], merged(plans))
    assert jobs == [("second", 6)]  # 2 settings x 3 videos: the third asks for what the second does
    for config, plan in zip(configs, plans, strict=True):
        here.ensure(config, DATA, ["second"])
        # (0 + 1 + 2) * 3 = 9, plus 2 * A for v2
        expected = 9 + 2 * config.fcam.amplification
        assert store.read("second", plan.step("second").key, "v2").arrays["x"][0] == expected
    assert jobs == [("second", 6)]


def test_a_video_that_a_killed_worker_had_finished_is_not_computed_again(tmp_path):
    store = Store(tmp_path)
    step = make_plan(Config(), DATA, ["first"]).step("first")
    task = video_worker.Task(step, DATA.videos[2])
    first_try = video_worker.VideoWorkers("first", store).run(task)
    retried = video_worker.VideoWorkers("first", store).run(task)
    assert first_try == retried == video_worker.VideoOutcome("v2", "done")
    assert LOG == ["first v2"]
    assert store.staged("first", step.key) == {"v2"}
