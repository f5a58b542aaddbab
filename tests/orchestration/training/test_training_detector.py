"""A detector over several Ray Train workers: equal to one process, whatever happens to a worker."""

from dataclasses import replace

import numpy as np
import pytest

from orchestration.killed_worker import train_with_a_killed_worker
from wsvis.config import Config
from wsvis.data.load import load_dataset
from wsvis.errors import InputError
from wsvis.evaluation.frame_ap import frame_truths
from wsvis.learning.ahead import made_ahead
from wsvis.learning.share import Share
from wsvis.learning.workers import Group
from wsvis.payload import Payload, from_bytes, instances_to_payload
from wsvis.pipeline import STAGES
from wsvis.plan import make_plan
from wsvis.settings import with_overrides
from wsvis.systems import train as train_stage
from wsvis.systems.train import train, training_batches, training_clips
from wsvis.types import FrameInstances
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.store.materialise import Materialiser
from wsvis_platform.store.store import WHOLE, Store
from wsvis_platform.store.video_worker import StoreInputs
from wsvis_platform.study.prepare import prepare
from wsvis_platform.training.driver import (
    ray_trainer,
    steps_between_states,
    train_distributed,
)

TINY = with_overrides(
    Config(),
    {
        "data.synthetic_videos": 4,
        "flow.provider": "dis-ultrafast",
        "detector.backbone": "small",
        "detector.weights": "standin",
        "detector.frozen_stages": 1,
        "detector.steps": 24,
        "detector.batch_size": 2,
        "detector.learning_rate": 5e-3,
        "detector.clip_norm": 5.0,
        "detector.short_sides": (48, 64),
        "maskconsist.predictions": 20,  # whatever they score: so early none scores much
        "maskconsist.prediction_score": 0.0,
    },
)
"""MaskConsist, on pairs that are resized and mirrored at random, so that equality covers both."""


def labels_of(video):
    """True masks, in every second frame."""
    none = FrameInstances(np.zeros(0, np.int64), np.zeros(0, np.float32), ())
    truths = [
        FrameInstances(truth.labels, np.ones(len(truth.labels), np.float32), truth.masks)
        for truth in frame_truths(video)
    ]
    return [none if t % 2 else truth for t, truth in enumerate(truths)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Data, and a store that holds all that training needs: true masks as pseudo-labels.

    What leads to pseudo-labels is not made here and is not read: its entries are empty.
    """
    data = load_dataset(TINY.data)
    store = Store(tmp_path_factory.mktemp("training") / "store")
    Materialiser(store).ensure(TINY, data, ["pair_flow"])
    plan = make_plan(TINY, data, ["system"])
    for step in plan.until(plan.step("pseudo_labels")).steps[1:]:
        if step.definition().over_data:
            store.stage_item(step.stage, step.key, WHOLE, Payload())
        for video in () if step.definition().over_data else data.videos:
            labels = labels_of(video) if step.stage == "pseudo_labels" else []
            store.stage_item(step.stage, step.key, video.id, instances_to_payload(labels))
        store.commit(step.stage, step.key, {}, 0.0)
    return data, store, plan


@pytest.fixture(scope="module")
def local_ray():
    with start_ray(num_cpus=2):
        yield


@pytest.fixture(scope="module")
def together(prepared, local_ray):
    """What two workers leave in the store, and what was heard of it.

    A file they need is damaged: whoever meets it ends that attempt, and it is made anew.
    """
    data, store, plan = prepared
    folder = store.root / "objects" / "pair_flow" / plan.step("pair_flow").key
    path = folder / f"{data.videos[1].id}.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    heard = []
    here = Materialiser(store, report=heard.append, trainer=ray_trainer(workers=2))
    outcomes = here.carry_out(plan)
    assert outcomes[-1].status == "computed"
    assert path.read_bytes() == good
    return store.read("system", plan.step("system").key), heard


def staged(store, key):
    path = store.root / "staging" / "system" / key / "whole.safetensors"
    payload = from_bytes(path.read_bytes())
    path.unlink()
    return payload


def test_which_networks_several_workers_can_train():
    shared = {stage.name for stage in STAGES if stage.training and stage.training.steps}
    assert shared == {"irn", "system"}


def test_pairs_that_do_not_split_evenly_are_refused_before_anything_runs(prepared, tmp_path):
    data, store, plan = prepared
    with pytest.raises(InputError, match=r"--train-workers 3: .* of a step \(2\)") as error:
        train_distributed(plan.step("system"), data, store, workers=3)
    assert "\n" not in str(error.value)
    empty = Store(tmp_path)
    # the batches of flowIRN, which would come first, do split
    config = with_overrides(TINY, {"irn.batch_size": 6})
    with pytest.raises(InputError, match=r"--train-workers 3: .*detector\.batch_size"):
        prepare([config], data, empty, ["predictions"], train_workers=3)
    assert not list((empty.root / "objects").iterdir())


def test_a_data_set_of_fewer_pairs_than_workers_need_is_refused_too(prepared, monkeypatch):
    data, store, plan = prepared

    def first_pair(*arguments):
        pairs = training_clips(*arguments)
        pairs.where = pairs.where[:1]
        return pairs

    monkeypatch.setattr(train_stage, "training_clips", first_pair)
    inputs = StoreInputs(store, plan.step("system").inputs)
    with pytest.raises(InputError, match=r"--train-workers 2: .* one step, \(1\)"):
        train(TINY, data, inputs, Share(group=Group(0, 2)))


def test_batches_made_ahead_are_those_of_their_steps(prepared):
    data, store, plan = prepared
    pairs = training_clips(TINY, data, StoreInputs(store, plan.step("system").inputs))
    batches = training_batches(TINY, pairs, Group(1, 2))
    asked = []

    def make(step):
        asked.append(step)
        return batches.batch(step)

    found = [[pair.seed for pair in batch] for batch in made_ahead(make, 3, 6)]
    assert found == [[pair.seed for pair in batches.batch(step)] for step in (3, 4, 5)]
    assert asked == [3, 4, 5]
    assert list(made_ahead(make, 6, 6)) == []


def test_a_frame_that_cannot_be_read_stops_the_step_that_needs_it():
    def make(step):
        if step == 2:
            raise InputError("a.png: cut off; copy it again")
        return []

    stream = made_ahead(make, 0, 5)
    assert [next(stream), next(stream)] == [[], []]
    with pytest.raises(InputError, match="copy it again"):
        next(stream)


def test_training_states_are_kept_rarely_enough():
    assert [steps_between_states(steps) for steps in (10, 1400, 90_000)] == [50, 50, 900]


@pytest.mark.slow
@pytest.mark.ray
def test_two_workers_do_what_one_process_does(prepared, together):
    data, store, plan = prepared
    shared, heard = together
    alone = train(TINY, data, StoreInputs(store, plan.step("system").inputs), Share())
    assert [row["step"] for row in shared.data["curve"]] == [20, 24]
    for found, wanted in zip(shared.data["curve"], alone.data["curve"], strict=True):
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4)  # each loss and the counts
    assert shared.data["training"] == pytest.approx(alone.data["training"], rel=1e-3)
    assert shared.data["curve"][-1]["predictions"] > 0  # MaskConsist had something to do
    for name in ("class_names", "short_side", "system", "backbone"):
        assert shared.data[name] == alone.data[name]
    for name, array in alone.arrays.items():
        np.testing.assert_allclose(shared.arrays[name], array, rtol=1e-2, atol=1e-4)
    # worker 0's numbers were heard here as they came
    assert [row["loss"] for row in heard] == [row["loss"] for row in shared.data["curve"]]
    assert not list((store.root / "training").iterdir())


@pytest.mark.slow
@pytest.mark.ray
def test_a_killed_worker_is_replaced_and_the_result_is_the_same(prepared, together):
    data, store, plan = prepared
    elsewhere = replace(plan.step("system"), key="0" * 32)
    _, second = train_with_a_killed_worker(elsewhere, data, store)
    # a state that Ray Train had registered by then, never the beginning
    assert {start.step for start in second} <= {12, 18, 24}
    recovered, expected = staged(store, elsewhere.key), together[0]
    for found, wanted in zip(recovered.data["curve"], expected.data["curve"], strict=True):
        assert found == pytest.approx(wanted, rel=1e-6)
    assert recovered.data["training"] == pytest.approx(expected.data["training"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.ray
def test_a_diverging_training_gives_one_line_at_once(prepared, local_ray):
    data, store, plan = prepared
    changes = {"detector.learning_rate": 100.0, "detector.clip_norm": 0.0, "detector.warm_up": 0}
    starts = []
    config = with_overrides(TINY, changes)
    elsewhere = replace(plan.step("system"), config=config, key="1" * 32)
    with pytest.raises(InputError, match=r"diverged at step \d+; lower detector\.learning") as e:
        train_distributed(
            elsewhere,
            data,
            store,
            workers=2,
            started=starts.append,
        )
    assert "\n" not in str(e.value)
    assert len(starts) == 2  # it would diverge again: there is no second attempt
    assert not list((store.root / "training").iterdir())
