"""Data-parallel training over two processes equals training in one."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from reference.maskconsist_scenes import PAPER
from science.systems.test_detectors_batches import marked
from science.two_processes import run_two_processes, sum_over_workers
from wsvis.learning.workers import Group
from wsvis.maskconsist import refine as refine_file
from wsvis.systems.clips import ClipBatches, ClipSample
from wsvis.systems.mask_rcnn.build import build_detector
from wsvis.systems.mask_rcnn.learner import COUNTS, train_detector
from wsvis.types import FrameInstances

refine = partial(refine_file.refine, **PAPER)


def some_without_labels():
    """Six pairs; the last two have no label in either frame and give no loss."""
    none = FrameInstances(np.zeros(0, np.int64), np.zeros(0, np.float32), ())
    whole = marked(6)
    return whole[:4] + [ClipSample(pair.frames, (none, none), pair.flow) for pair in whole[4:]]


def train(worker, workers, folder):
    torch.set_num_threads(1)
    model = build_detector(5, backbone="small", weights="standin", frozen_stages=1)
    wrap = DistributedDataParallel if workers > 1 else None
    total = sum_over_workers if workers > 1 else lambda values: values
    curve = []
    train_detector(
        model,
        ClipBatches(some_without_labels(), batch_size=4, seed=1, worker=worker, workers=workers),
        3,
        refine=refine,
        optimiser="sgd",
        learning_rate=1e-2,
        clip_norm=5.0,
        report=curve.append,
        report_every=1,
        group=Group(worker, workers, wrap, total),
    )
    last = float(sum(p.detach().double().abs().sum() for p in model.parameters()))
    result = {
        "loss": [row["loss"] for row in curve],
        "counts": [[row[name] for name in COUNTS] for row in curve],
        "weights": last,
    }
    (folder / f"{workers}-{worker}.json").write_text(json.dumps(result))


@pytest.mark.slow
def test_two_workers_agree_with_one(tmp_path):
    train(0, 1, tmp_path)
    run_two_processes(train, tmp_path)
    alone, first, second = (
        json.loads((tmp_path / name).read_text()) for name in ("1-0.json", "2-0.json", "2-1.json")
    )
    assert first == second
    assert first["loss"] == pytest.approx(alone["loss"], rel=1e-4)
    assert min(labels for labels, _, _ in alone["counts"]) < 1  # a pair without labels took part
    assert first["counts"] == alone["counts"]
    assert first["weights"] == pytest.approx(alone["weights"], rel=1e-6)
