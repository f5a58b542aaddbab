"""flowIRN's stages: what training reads, what is unknown, and a whole small run without Ray."""

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wsvis.backbones.networks import build_backbone
from wsvis.config import Config
from wsvis.data.load import load_dataset
from wsvis.flow.codec import encode_flow
from wsvis.irn.batches import IrnBatch
from wsvis.irn.frames import (
    IrnFrames,
    flow_per_frame,
    labels_to_payload,
)
from wsvis.irn.network import Irn
from wsvis.irn.objective import pair_sums, total_loss
from wsvis.irn.stages import folded
from wsvis.one_machine import run_pipeline
from wsvis.payload import Payload, payload_to_instances
from wsvis.settings import with_overrides
from wsvis.types import FrameFiles


def label_maps(payload):
    """Every PNG of a payload of label maps, decoded."""
    pngs, ends = payload.arrays["png"], payload.arrays["offsets"]
    return np.stack(
        [
            cv2.imdecode(pngs[first:last], cv2.IMREAD_UNCHANGED)
            for first, last in itertools.pairwise(ends.tolist())
        ]
    )


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))))
def test_label_maps_survive_storage(labels):
    np.testing.assert_array_equal(label_maps(labels_to_payload(labels)), labels)


def flow_payload(forward, backward, chained):
    arrays = {}
    for name, field in (("forward", forward), ("backward", backward)):
        arrays.update({f"{name}.{k}": v for k, v in encode_flow(field).items()})
    return Payload(arrays, {"pairs": len(forward), "gap": 1, "chained": chained})


def constant(values):
    return np.array(values, np.float32)[:, None, None, None] * np.ones((1, 4, 6, 2), np.float32)


def test_the_last_frame_of_a_chain_takes_the_flow_measured_back():
    fields = flow_per_frame(flow_payload(constant([1, 2]), constant([-3, -4]), True), 3)
    assert fields[:, 0, 0, 0].tolist() == [1, 2, 4]


def test_flow_that_nobody_measured_is_unknown_not_zero():
    unchained = flow_per_frame(flow_payload(constant([1, 2]), constant([-3, -4]), False), 3)
    assert unchained[:2, 0, 0, 0].tolist() == [1, 2]
    assert np.isnan(unchained[2]).all()
    # gap 3 over 4 frames: one pair, frames 1 and 2 are in none
    gapped = flow_per_frame(flow_payload(constant([5]), constant([-6]), True), 4)
    assert np.isnan(gapped[1:3]).all()
    assert gapped[[0, 3], 0, 0, 0].tolist() == [5, 6]


def test_frames_with_unknown_flow_take_no_part_in_eq_3():
    torch.manual_seed(0)
    boundary, displacement = torch.rand(2, 8, 10), torch.randn(2, 2, 8, 10)
    flow = torch.randn(2, 8, 10, 2) * 9
    labels = torch.zeros(2, 8, 10, dtype=torch.uint8)
    inside = torch.ones(2, 8, 10, dtype=torch.bool)
    common = {"radius": 3, "regularization": 2.0, "gradient": "jacobian", "with_flow": True}

    def flow_loss(boundary, displacement, batch):
        return total_loss(pair_sums(boundary, displacement, batch, **common), 1.0)[1][5]

    half = flow.clone()
    half[1] = float("nan")
    frames = torch.zeros(2, 3, 32, 40)
    with_unknown = flow_loss(boundary, displacement, IrnBatch(frames, labels, inside, half, None))
    first_alone = flow_loss(
        boundary[:1], displacement[:1], IrnBatch(frames[:1], labels[:1], inside[:1], flow[:1], None)
    )
    both = flow_loss(boundary, displacement, IrnBatch(frames, labels, inside, flow, None))
    torch.testing.assert_close(with_unknown, first_alone)
    assert abs(float(both - first_alone)) > 1e-4


def test_a_folded_network_says_the_same():
    torch.manual_seed(1)
    model = Irn(build_backbone("small"), boundary_channels=8, displacement_channels=16).eval()
    for layer in model.backbone.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    frames = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        for mine, theirs in zip(folded(model)(frames), model(frames), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


TINY = with_overrides(
    Config(),
    {
        "data.synthetic_videos": 3,
        "data.videos": 2,
        "flow.provider": "dis-ultrafast",
        "classifier.backbone": "small",
        "classifier.weights": "standin",
        "classifier.optimiser": "adamw",
        "classifier.learning_rate": 1e-3,
        "classifier.epochs": 1.0,
        "classifier.crop": 0,
        "classifier.resize_long_side": (0, 0),
        "cam.scales": (1.0,),
        "crf.stride": 4,
        "crf.neighbours": 8,
        "irn.boundary_channels": 8,
        "irn.displacement_channels": 16,
        "irn.canvas": (0, 0),
        "irn.scales": (1.0, 1.0),
        "irn.radius_train": 4,
        "walk.radius": 3,
        "irn.optimiser": "adamw",
        "irn.epochs": 1.0,
        "irn.batch_size": 8,
        "walk.steps": 16,
    },
)


@pytest.mark.slow
@pytest.mark.parametrize("initial", ["imagenet", "classifier"])
def test_the_whole_way_runs_without_ray_and_twice_alike(initial):
    config = with_overrides(TINY, {"irn.initial": initial})
    data = load_dataset(config.data)
    told = []
    first = run_pipeline(config, data, ["pseudo_label_quality"], told.append)
    again = run_pipeline(config, data, ["pseudo_label_quality"])
    video = data.videos[0]
    labels = label_maps(first["ir_labels"][video.id])
    assert labels.shape == (video.length, video.height, video.width)
    allowed = {0, 255, *(c + 1 for labels in video.labels for c in labels)}
    assert set(np.unique(labels).tolist()) <= allowed
    assert any("flow_boundary" in numbers for numbers in told)
    assert first["irn"].data["initial"] == initial
    for name, array in first["irn"].arrays.items():
        np.testing.assert_array_equal(array, again["irn"].arrays[name])
    assert first["pseudo_label_quality"].data == again["pseudo_label_quality"].data
    found = payload_to_instances(first["pseudo_labels"][video.id])
    for frame, present in zip(found, video.labels, strict=True):
        assert set(frame.labels.tolist()) <= set(present)
        assert all(0 < score <= 1 for score in frame.scores.tolist())


def test_a_video_that_cannot_be_read_is_left_out_of_training_and_measuring():
    config = with_overrides(TINY, {"classifier.epochs": 1})
    data = load_dataset(config.data)
    broken = replace(
        data.videos[0], id="broken", source=FrameFiles(("nowhere.jpg",) * data.videos[0].length)
    )
    some = replace(data, videos=(broken, *data.videos[:2]))
    run = run_pipeline(config, some, ["cam_quality"])
    assert set(run["frames"]) == {video.id for video in data.videos[:2]}
    assert run["cam_quality"].data["videos"] == 2


def test_training_frames_come_video_after_video_with_their_labels_and_flow():
    config = with_overrides(TINY, {})
    data = load_dataset(config.data)
    run = run_pipeline(config, data, ["flow"])
    size = (data.videos[0].length, data.videos[0].height, data.videos[0].width)
    marks = {
        video.id: labels_to_payload(np.full(size, n, np.uint8))
        for n, video in enumerate(data.videos)
    }
    frames = IrnFrames(data.videos, marks.__getitem__, run["flow"].__getitem__, cache_bytes=1)
    assert len(frames) == sum(video.length for video in data.videos)
    last = frames[len(frames) - 1]
    assert (last.labels == len(data.videos) - 1).all()
    assert last.flow.shape == (32, 48, 2)
    assert (frames[0].labels == 0).all()
    assert IrnFrames(data.videos, marks.__getitem__)[0].flow is None
