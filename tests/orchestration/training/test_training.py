"""flowIRN over several Ray Train workers: equal to one, whatever happens to a worker."""

from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from orchestration.killed_worker import train_with_a_killed_worker
from wsvis.config import Config
from wsvis.data.load import load_dataset
from wsvis.errors import InputError
from wsvis.irn.train import to_device
from wsvis.irn.train_stage import (
    batch_to_payload,
    mean_batches,
    payload_to_batch,
    train,
    training_batches,
    training_frames,
)
from wsvis.learning.share import Share
from wsvis.learning.workers import Group
from wsvis.payload import from_bytes
from wsvis.plan import make_plan
from wsvis.settings import with_overrides
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.store.materialise import Materialiser
from wsvis_platform.store.store import CorruptEntryError, Store
from wsvis_platform.store.video_worker import StoreInputs
from wsvis_platform.training.driver import ray_trainer, train_distributed
from wsvis_platform.training.job import Job, trouble_error, trouble_text
from wsvis_platform.training.stream import _BatchReader

TINY = with_overrides(
    Config(),
    {
        "data.synthetic_videos": 4,
        "flow.provider": "dis-ultrafast",
        "classifier.backbone": "small",
        "classifier.weights": "none",
        "classifier.optimiser": "adamw",
        "classifier.learning_rate": 1e-3,
        "classifier.epochs": 0.5,
        "classifier.crop": 0,
        "classifier.resize_long_side": (0, 0),
        "cam.scales": (1.0,),
        "crf.enabled": False,
        "irn.initial": "classifier",
        "irn.boundary_channels": 8,
        "irn.displacement_channels": 16,
        "irn.canvas": (0, 0),
        "irn.radius_train": 3,
        "irn.optimiser": "adamw",
        "irn.learning_rate": 3e-3,
        "irn.displacement_rate_factor": 1.0,
        "irn.batch_size": 4,
        "irn.epochs": 3.0,
    },
)
"""Frames are resized and mirrored at random, so that equality covers the augmentation."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Data, and a store that holds all that training needs."""
    data = load_dataset(TINY.data)
    store = Store(tmp_path_factory.mktemp("training") / "store")
    Materialiser(store).ensure(TINY, data, ["ir_labels", "flow"])
    return data, store, make_plan(TINY, data, ["irn"]).step("irn")


@pytest.fixture(scope="module")
def local_ray():
    with start_ray(num_cpus=2):
        yield


@pytest.fixture(scope="module")
def alone(prepared):
    """What one process gives, without Ray."""
    data, store, step = prepared
    return train(step.definition().view(TINY), data, StoreInputs(store, step.inputs), Share())


@pytest.fixture(scope="module")
def undisturbed(prepared, local_ray):
    """What two workers leave in the store, and what was heard of it."""
    data, store, step = prepared
    heard, listening = [], []

    def hear(numbers):
        heard.append(numbers)
        if not listening:
            listening.extend(ports_listened_at())

    trainer = ray_trainer(workers=2)
    _, outcomes = Materialiser(store, report=hear, trainer=trainer).ensure(TINY, data, ["irn"])
    assert outcomes[-1].status == "computed"
    return store.read("irn", step.key), heard, listening


def ports_listened_at():
    """(what the process is called, address) of all ports that this process's children offer."""
    return [
        (process.name(), port.laddr.ip.removeprefix("::ffff:"))
        for process in psutil.Process().children(recursive=True)
        for port in process.net_connections("inet")
        if port.status == psutil.CONN_LISTEN
    ]


def staged(store, key):
    path = store.root / "staging" / "irn" / key / "whole.safetensors"
    payload = from_bytes(path.read_bytes())
    path.unlink()
    return payload


def losses(payload):
    return [(row["step"], row["loss"]) for row in payload.data["curve"]]


def test_batches_cross_processes_unchanged(prepared):
    data, store, step = prepared
    frames = training_frames(TINY, data, StoreInputs(store, step.inputs))
    for group in (Group(), Group(1, 2)):
        reader = _BatchReader(Job(step, data, str(store.root)), *_numbers(group))
        wanted = {0: training_batches(TINY, frames, group).batch(0)}
        wanted[reader.batches.steps + 1] = mean_batches(TINY, frames, group).batch(1)
        for item, batch in wanted.items():
            row = reader({"item": item})
            assert row["trouble"] == ""
            found = payload_to_batch(from_bytes(row["batch"]))
            assert len(found.frames) == 4 // group.workers
            for name in ("frames", "labels", "inside", "flow"):
                assert torch.equal(
                    torch.nan_to_num(getattr(found, name), nan=99.0),
                    torch.nan_to_num(getattr(batch, name), nan=99.0),
                )
            assert found.keys == batch.keys


def _numbers(group):
    return group.worker, group.workers


def test_keys_of_batches_cross_too(prepared):
    data, store, step = prepared
    frames = training_frames(TINY, data, StoreInputs(store, step.inputs))
    config = with_overrides(TINY, {"irn.scales": (1.0, 1.0)})
    batch = training_batches(config, frames).batch(0)
    assert batch.keys
    assert payload_to_batch(batch_to_payload(batch)).keys == batch.keys
    assert to_device(batch, torch.device("cpu")) is batch


def test_a_corrupt_input_and_a_bad_one_reach_the_driver_as_what_they_are(prepared, tmp_path):
    data, store, step = prepared
    reader = _BatchReader(Job(step, data, str(store.root)), 0, 1)

    def unreadable(step):
        raise CorruptEntryError("flow", "k", "video: 1", "the content differs")

    reader.batches.payload = unreadable
    error = trouble_error(reader({"item": 0})["trouble"])
    assert isinstance(error, CorruptEntryError)
    assert (error.stage, error.key, error.item) == ("flow", "k", "video: 1")
    assert str(error) == "flow/k/video: 1: the content differs"
    again = trouble_error(trouble_text(InputError("a.png: cut off; copy it again")))
    assert isinstance(again, InputError)
    assert str(again) == "a.png: cut off; copy it again"


def test_a_batch_that_does_not_split_evenly_is_refused_before_anything_starts(prepared):
    data, store, step = prepared
    with pytest.raises(InputError, match="--train-workers 3: a batch of 4 frames") as error:
        train_distributed(step, data, store, workers=3)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.ray
def test_two_workers_do_what_one_does_and_the_store_keeps_it(prepared, undisturbed, alone):
    data, store, _ = prepared
    together, heard, _ = undisturbed
    assert [step for step, _ in losses(together)] == [step for step, _ in losses(alone)]
    for found, wanted in zip(together.data["curve"], alone.data["curve"], strict=True):
        assert found == pytest.approx(wanted, rel=1e-2, abs=1e-3)  # each part of the loss
    assert dict(losses(together)) == pytest.approx(dict(losses(alone)), rel=1e-3)
    assert together.data["training"]["loss"] == pytest.approx(
        alone.data["training"]["loss"], rel=1e-3
    )
    np.testing.assert_allclose(
        together.arrays["mean_displacement"], alone.arrays["mean_displacement"], atol=1e-2
    )
    # worker 0's numbers were heard here as they came
    assert [(row["step"], row["loss"]) for row in heard] == losses(together)
    assert heard[-1]["loss"] < heard[0]["loss"]

    def never(*arguments):
        raise AssertionError("trained again")

    _, outcomes = Materialiser(store, trainer=never).ensure(TINY, data, ["irn"])
    assert outcomes[-1].status == "reused"
    assert not list((store.root / "training").iterdir())


@pytest.mark.slow
@pytest.mark.ray
def test_while_two_workers_train_no_port_is_open_to_other_machines(undisturbed):
    *_, listening = undisturbed
    assert {address for _, address in listening} <= {"127.0.0.1", "::1"}
    # worker 0 offers the rendezvous and each worker its end of gloo, beside what Ray itself does
    assert len([name for name, _ in listening if "TrainWorker" in name]) >= 5, listening


@pytest.mark.slow
@pytest.mark.ray
def test_a_killed_worker_is_replaced_and_the_result_is_the_same(prepared, undisturbed):
    data, store, step = prepared
    elsewhere = replace(step, key="0" * 32)
    _, second = train_with_a_killed_worker(elsewhere, data, store)
    # a state that Ray Train had registered by then: of step 12 or 18, never the beginning
    assert {start.step for start in second} <= {12, 18}
    recovered, expected = staged(store, elsewhere.key), undisturbed[0]
    assert dict(losses(recovered)) == pytest.approx(dict(losses(expected)), rel=1e-6)
    assert recovered.data["training"]["loss"] == pytest.approx(
        expected.data["training"]["loss"], rel=1e-6
    )


@pytest.mark.slow
@pytest.mark.ray
def test_a_diverging_training_gives_one_line_at_once(prepared, local_ray):
    data, store, step = prepared
    config = with_overrides(
        TINY,
        {
            "irn.optimiser": "sgd",
            "irn.learning_rate": 100.0,
            "irn.displacement_rate_factor": 1000.0,
            "irn.backbone_rate_factor": 1000.0,
            "irn.frozen": False,
        },
    )
    starts = []
    elsewhere = replace(step, config=config, key="1" * 32)
    with pytest.raises(InputError, match=r"diverged at step \d+; lower irn\.learning_rate") as e:
        train_distributed(elsewhere, data, store, workers=1, started=starts.append)
    assert "\n" not in str(e.value)
    assert len(starts) == 1  # it would diverge again: there is no second attempt
    assert not list((store.root / "training").iterdir())
