"""Data-parallel training over two processes equals training in one."""

import json

import numpy as np
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from science.two_processes import run_two_processes, sum_over_workers
from wsvis.backbones.networks import build_backbone
from wsvis.irn.batches import IrnBatches, IrnSample
from wsvis.irn.network import Irn
from wsvis.irn.train import set_mean_displacement, train_irn
from wsvis.learning.workers import Group


def samples():
    draw = np.random.default_rng(0)
    for _ in range(8):
        labels = np.kron(draw.choice([0, 1, 255], (4, 4), p=[0.5, 0.4, 0.1]), np.ones((8, 8)))
        frame = draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        flow = draw.normal(size=(16, 16, 2)).astype(np.float32)
        yield IrnSample(frame, labels.astype(np.uint8), flow)


def train(worker, workers, folder):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Irn(build_backbone("small"), boundary_channels=8, displacement_channels=16)
    wrap = DistributedDataParallel if workers > 1 else None
    total = sum_over_workers if workers > 1 else lambda values: values
    data = list(samples())
    split = {"canvas": (0, 0), "scales": (1.0, 1.0), "worker": worker, "workers": workers}
    curve = []
    train_irn(
        model,
        IrnBatches(data, batch_size=4, seed=1, **split),
        6,
        radius=3,
        optimiser="adamw",
        learning_rate=3e-3,
        report=curve.append,
        report_every=1,
        group=Group(worker, workers, wrap, total),
    )
    as_they_are = IrnBatches(data, batch_size=4, seed=1, mirror=False, **split)
    mean = set_mean_displacement(model, as_they_are(0), 2, total)
    result = {"curve": [list(row.values()) for row in curve], "mean": mean.tolist()}
    (folder / f"{workers}-{worker}.json").write_text(json.dumps(result))


@pytest.mark.slow
def test_two_workers_agree_with_one(tmp_path):
    train(0, 1, tmp_path)
    run_two_processes(train, tmp_path)
    alone, first, second = (
        json.loads((tmp_path / name).read_text()) for name in ("1-0.json", "2-0.json", "2-1.json")
    )
    assert first == second
    for together, by_itself in zip(first["curve"], alone["curve"], strict=True):
        assert together == pytest.approx(by_itself, rel=1e-3)  # the loss and each of its parts
    assert first["mean"] == pytest.approx(alone["mean"], rel=1e-2, abs=1e-3)
