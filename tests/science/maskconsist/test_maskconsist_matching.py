"""Intra-frame and inter-frame matching."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import maskconsist as slow
from reference.maskconsist_scenes import (
    GATE,
    as_dicts,
    flows,
    instances,
    rectangle,
    scene,
    shift,
)
from wsvis.flow.warp import warp_masks
from wsvis.instances import from_masks, pairwise_iou, tight_boxes
from wsvis.maskconsist import inter_frame, intra_frame
from wsvis.maskconsist.inter_frame import match_weights, warp_masks_on_grid

intra_frame_matching = partial(intra_frame.intra_frame_matching, **GATE)
inter_frame_matching = partial(inter_frame.inter_frame_matching, min_match_iou=0.0)


def close(got, expected):
    """The same instances in the same order."""
    got = as_dicts(got)
    assert [g["mask"] for g in got] == [e["mask"] for e in expected]
    assert [g["label"] for g in got] == [e["label"] for e in expected]
    assert [g["box"] for g in got] == [e["box"] for e in expected]
    np.testing.assert_allclose([g["score"] for g in got], [e["score"] for e in expected])


@given(instances(5), instances(3), st.sampled_from(["box", "mask"]))
def test_intra_frame_matching_agrees_with_the_loops(predictions, labels, overlap):
    got = intra_frame_matching(predictions, labels, overlap=overlap)
    close(got, slow.intra(as_dicts(predictions), as_dicts(labels), overlap=overlap))


def test_two_fragments_of_one_object_become_a_third_candidate():
    # label 10x10; left fragment 10x6, right 10x6, both with box IoU 60/100 = .6 > .5
    label = scene((rectangle(0, 0, 10, 10), 2))
    left, right = rectangle(0, 0, 10, 6), rectangle(0, 4, 10, 10)
    got = intra_frame_matching(scene((left, 2, 0.3), (right, 2, 0.7)), label)
    assert len(got) == 3
    assert torch.equal(got.masks[2], rectangle(0, 0, 10, 10))
    assert got.boxes[2].tolist() == [0, 0, 10, 10]
    assert got.labels[2] == 2
    assert got.scores[2] == pytest.approx(0.7)


def test_an_iou_of_exactly_the_threshold_is_not_enough():
    # halves of the label: box IoU 50/100
    label = scene((rectangle(0, 0, 10, 10), 0))
    halves = scene((rectangle(0, 0, 10, 5), 0), (rectangle(0, 5, 10, 10), 0))
    assert len(intra_frame_matching(halves, label)) == 2
    assert len(intra_frame_matching(halves, label, box_iou_threshold=0.49)) == 3


def test_fragments_of_another_class_or_alone_add_nothing():
    label = scene((rectangle(0, 0, 10, 10), 0))
    whole = rectangle(0, 0, 10, 9)
    assert len(intra_frame_matching(scene((whole, 0), (whole, 1)), label)) == 2
    assert len(intra_frame_matching(scene((whole, 1), (whole, 1)), label)) == 2


@settings(max_examples=30)
@given(instances(4), instances(4), flows)
def test_weights_agree_with_the_loops(a, b, flow):
    got = match_weights(a, b, flow)
    assert got.shape == (len(a), len(b))
    expected = slow.weights(as_dicts(a), as_dicts(b), flow.tolist())
    np.testing.assert_allclose(got.numpy(), np.reshape(expected, got.shape), atol=1e-6)


@settings(max_examples=30)
@given(instances(4), instances(4), flows)
def test_matching_is_one_to_one_and_of_greatest_weight(a, b, flow):
    got = inter_frame_matching(a, b, flow)
    assert len(set(got.first.tolist())) == len(set(got.second.tolist())) == len(got.first)
    assert (got.weights > 0).all()
    assert (a.labels[got.first] == b.labels[got.second]).all()
    best = slow.best_total(slow.weights(as_dicts(a), as_dicts(b), flow.tolist()))
    assert float(got.weights.sum()) == pytest.approx(best, abs=1e-5)


@settings(max_examples=30)
@given(instances(4), st.randoms(use_true_random=False))
def test_identity_flow_matches_every_candidate_with_its_copy(frame, random):
    frame = frame[frame.masks.flatten(1).any(1)]
    order = torch.tensor(random.sample(range(len(frame)), len(frame)), dtype=torch.int64)
    got = inter_frame_matching(frame, frame[order], torch.zeros(6, 7, 2))
    assert len(got.first) == len(frame)
    torch.testing.assert_close(got.weights, torch.ones(len(frame)))


@settings(max_examples=30)
@given(instances(4, least=1), flows, st.integers(2, 3), st.booleans())
def test_warping_on_a_grid_reads_the_nearest_pixel(frame, flow, every, whole_steps):
    flow = flow.round() if whole_steps else flow
    got = warp_masks_on_grid(frame.masks, flow, every)
    start = every // 2
    for mask, row in zip(frame.masks, got, strict=True):
        assert row.tolist() == slow.warp_nearest(mask.tolist(), flow.tolist(), every)
    if whole_steps:
        whole, _ = warp_masks(frame.masks, flow)
        assert torch.equal(got, whole[:, start::every, start::every].flatten(1))


def test_matching_follows_the_flow_and_not_the_place():
    # both objects move 12 px to the right: a's right object stands where b's left one now is
    a = scene((rectangle(4, 0, 12, 8), 0), (rectangle(4, 12, 12, 20), 0))
    b = scene((rectangle(4, 12, 12, 20), 0), (rectangle(4, 24, 12, 32), 0))
    still = inter_frame_matching(a, b, torch.zeros(24, 32, 2))
    assert list(zip(still.first.tolist(), still.second.tolist(), strict=True)) == [(1, 0)]
    moved = inter_frame_matching(a, b, shift(right=-12))
    assert list(zip(moved.first.tolist(), moved.second.tolist(), strict=True)) == [(0, 0), (1, 1)]
    assert moved.weights.tolist() == [1, 1]


def test_weak_pairs_can_be_refused():
    a, b = scene((rectangle(0, 0, 10, 10), 0)), scene((rectangle(0, 8, 10, 18), 0))
    flow = torch.zeros(24, 32, 2)  # IoU 20 / 180
    assert inter_frame_matching(a, b, flow).weights.tolist() == [pytest.approx(1 / 9)]
    assert len(inter_frame_matching(a, b, flow, min_match_iou=0.3).first) == 0


def test_a_coarse_grid_changes_the_weights_little():
    generator = np.random.default_rng(0)
    boxes = [generator.integers(0, (240, 320)) for _ in range(20)]
    frames = [
        scene(*[(rectangle(y, x, y + 150 + dy, x + 120, 480, 640), int(y) % 2) for y, x in boxes])
        for dy in (0, 20)
    ]
    flow = shift(right=-7.3, down=4.6, height=480, width=640)
    fine = match_weights(*frames, flow, max_pixels=0)
    coarse = match_weights(*frames, flow)
    # upright rectangles are the worst case: a whole side gains or loses a row at once
    assert float((fine - coarse).abs().max()) < 0.08
    assert float((fine - coarse).abs().mean()) < 0.01


def test_nothing_to_match():
    none, some = scene(), scene((rectangle(0, 0, 4, 4), 0))
    flow = torch.zeros(24, 32, 2)
    for a, b in ((none, none), (none, some), (some, none)):
        assert len(inter_frame_matching(a, b, flow).first) == 0
    assert len(intra_frame_matching(none, some)) == 0
    assert len(intra_frame_matching(some, none)) == 1


def test_tight_boxes_of_masks():
    masks = torch.stack([rectangle(2, 3, 9, 5), rectangle(0, 0, 24, 32), rectangle(0, 0, 0, 0)])
    assert tight_boxes(masks).tolist() == [[3, 2, 5, 9], [0, 0, 32, 24], [0, 0, 0, 0]]
    assert float(pairwise_iou(masks[2:], masks[2:])) == 0


@pytest.mark.parametrize(("height", "width"), [(1, 40_001), (2, 90_000), (50_000, 1)])
def test_very_flat_frames_are_compared_too(height, width):
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    mask[:, height // 3 :, width // 3 :] = True
    same = from_masks(mask, torch.zeros(1, dtype=torch.int64), torch.ones(1))
    weights = match_weights(same, same, torch.zeros(height, width, 2))
    assert weights.tolist() == [[1.0]]
