import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.forest_path_cutting import best_matching, keep_non_overlapping
from reference.tracking_scenes import HEIGHT, WIDTH, frame_of, random_frames, shuffled
from reference.warp_masks import iou as slow_iou
from reference.warp_masks import warp_mask as slow_warp
from wsvis.chosen_instances import subset
from wsvis.masks import decode_masks
from wsvis.tracking.detections import canonical_order, non_overlapping, selected
from wsvis.tracking.warp_tracklets import (
    Tracklet,
    chain_links,
    link_overlaps,
    match_largest_sum,
    warp_tracklets,
)


def test_of_two_overlapping_detections_the_better_stays():
    # A 10x10 and B 10x10 shifted by 5: IoU 50 / 150 = 1/3. C touches nothing. D equals C.
    frame = frame_of(
        (0, 0, 10, 10, 0.5, 0), (5, 0, 15, 10, 0.8, 1), (30, 0, 40, 10, 0.3, 0),
        (30, 0, 40, 10, 0.2, 2),
    )  # fmt: skip
    assert non_overlapping(frame, 0.2) == [1, 2]
    assert non_overlapping(frame, 0.34) == [1, 0, 2]  # 1/3 is below 0.34 and both stay
    assert non_overlapping(frame, 1 / 3) == [1, 2]  # "at or above": equal excludes
    assert non_overlapping(frame, 1.01) == [1, 0, 2, 3]


def test_empty_masks_do_not_enter():
    frame = frame_of((3, 3, 3, 9, 0.9, 0), (0, 0, 4, 4, 0.1, 0))
    assert non_overlapping(frame, 0.2) == [1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 1))
def test_clipping_agrees_with_the_loop_and_leaves_no_conflict(seed, max_iou):
    (frame,) = random_frames(np.random.default_rng(seed), 1, 7)
    kept = non_overlapping(frame, max_iou)
    masks = decode_masks(frame.masks, 12, 16)
    assert kept == keep_non_overlapping(masks, frame.scores.tolist(), max_iou)
    for i in kept:
        for j in kept:
            assert i == j or slow_iou(masks[i], masks[j]) < max_iou


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_order_does_not_depend_on_the_order_of_equal_scores(seed):
    rng = np.random.default_rng(seed)
    frames = random_frames(rng, 1, 7)
    frames[0].scores[:] = 0.5
    moved, _ = shuffled(frames, rng)
    first = [frames[0].masks[n] for n in canonical_order(frames[0])]
    assert first == [moved[0].masks[n] for n in canonical_order(moved[0])]


def test_selection_by_score_and_class():
    frame = frame_of((0, 0, 4, 4, 0.05, 0), (9, 0, 12, 4, 0.04, 0), (20, 0, 24, 4, 0.9, 1))
    assert selected([frame], min_score=0.05) == [[0, 2]]
    assert selected([frame], label=0) == [[0, 1]]
    part = subset(frame, [2, 0])
    assert part.labels.tolist() == [1, 0]
    assert part.masks == (frame.masks[2], frame.masks[0])
    assert len(subset(frame, [])) == 0


def test_flow_carries_a_mask_onto_its_next_place():
    here, there = frame_of((5, 5, 15, 15, 0.9, 0)), frame_of((25, 9, 35, 19, 0.9, 0))
    back = np.broadcast_to(np.array([-20, -4], np.float32), (HEIGHT, WIDTH, 2))
    masks = [here.masks, there.masks]
    np.testing.assert_allclose(link_overlaps(masks, [back])[0], [[1.0]])
    np.testing.assert_allclose(link_overlaps(masks, None)[0], [[0.0]])
    assert len(warp_tracklets(masks, [back])) == 1
    assert len(warp_tracklets(masks, None)) == 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_link_overlaps_agree_with_the_loop(seed):
    rng = np.random.default_rng(seed)
    frames = random_frames(rng, 3, 3)
    flows = [np.round(2 * rng.normal(scale=2, size=(12, 16, 2))) / 2 for _ in range(2)]
    dense = [decode_masks(frame.masks, 12, 16) for frame in frames]
    for t, found in enumerate(link_overlaps([frame.masks for frame in frames], flows)):
        assert found.shape == (len(dense[t]), len(dense[t + 1]))
        for i, mask in enumerate(dense[t]):
            for j, following in enumerate(dense[t + 1]):
                assert found[i, j] == pytest.approx(slow_iou(slow_warp(mask, flows[t]), following))


def test_the_best_sum_wins_over_the_best_pair():
    # Greedy takes 0.9 and is left with 0: sum 0.9. The other way: 0.8 + 0.7 = 1.5.
    overlap = np.array([[0.9, 0.8], [0.7, 0.0]])
    assert match_largest_sum(overlap, 0.05) == [(0, 1), (1, 0)]
    # A weak pair is dropped after the matching; "strictly more" is needed.
    assert match_largest_sum(np.array([[0.05, 0.0], [0.0, 0.06]]), 0.05) == [(1, 1)]
    assert match_largest_sum(np.zeros((0, 3)), 0.05) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_matching_is_the_best_of_all(seed, rows, columns):
    rng = np.random.default_rng(seed)
    overlap = rng.random((rows, columns)) * (rng.random((rows, columns)) < 0.7)
    assert match_largest_sum(overlap, 0.05) == best_matching(overlap.tolist(), 0.05)


def test_links_chain_and_single_detections_stay():
    # Frame 0: a b; frame 1: c; frame 2: d e. a-c, c-e.
    tracklets = chain_links([2, 1, 2], [[(0, 0)], [(0, 1)]])
    assert tracklets == [Tracklet(0, (1,)), Tracklet(0, (0, 0, 1)), Tracklet(2, (0,))]
    assert [one.end for one in tracklets] == [0, 2, 2]


def test_what_the_released_program_loses_is_kept():
    # Only in the last frame; before the first link; a gap of two empty frames.
    assert chain_links([0, 0, 1], [[], []]) == [Tracklet(2, (0,))]
    assert chain_links([1, 0, 0, 1, 1], [[], [], [], [(0, 0)]]) == [
        Tracklet(0, (0,)),
        Tracklet(3, (0, 0)),
    ]
    assert chain_links([], []) == []


def test_flow_of_the_wrong_number_or_size_is_refused():
    frame = frame_of((0, 0, 4, 4, 0.9, 0))
    with pytest.raises(ValueError, match="0 flow fields for 1 pairs"):
        link_overlaps([frame.masks, frame.masks], [])
    with pytest.raises(ValueError, match="flow of"):
        link_overlaps([frame.masks, frame.masks], [np.zeros((20, 30, 2))])
