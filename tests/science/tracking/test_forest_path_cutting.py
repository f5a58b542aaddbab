import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import forest_path_cutting as slow
from reference.tracking_scenes import HEIGHT, WIDTH, frame_of, random_frames, shuffled
from wsvis.masks import decode_masks
from wsvis.tracking.detections import clipped
from wsvis.tracking.forest_path_cutting import (
    NO_PARENT,
    cut_paths,
    descriptor_distances,
    forest_parents,
    forest_path_cutting,
    rank_value,
)
from wsvis.tracking.places import place_descriptors


def random_tracklets(rng, count, length):
    spans = sorted(tuple(sorted(rng.integers(0, length, 2).tolist())) for _ in range(count))
    return np.array(spans, dtype=np.int64).reshape(-1, 2), rng.normal(size=(count, 3))


def test_distances_are_over_the_largest():
    # Points 0, 3, 4 on a line: distances 3, 4, 1 over 4.
    distances = descriptor_distances(np.array([[0.0], [3.0], [4.0]]))
    np.testing.assert_allclose(distances, [[0, 0.75, 1], [0.75, 0, 0.25], [1, 0.25, 0]])
    assert (descriptor_distances(np.ones((3, 2))) == 0).all()
    assert descriptor_distances(np.ones((1, 2))).shape == (1, 1)


def test_a_tracklet_continues_the_most_alike_one_before_it():
    # 0 and 1 run side by side; 2 looks like 1; 3 looks like 0.
    starts, ends = np.array([0, 0, 5, 5]), np.array([2, 3, 7, 8])
    distances = descriptor_distances(np.array([[0.0], [10.0], [9.0], [1.0]]))
    assert forest_parents(starts, ends, distances) == [NO_PARENT, NO_PARENT, 1, 0]


def test_the_second_most_alike_is_taken_where_it_continues_the_first():
    # 0 (0-1), 1 (3-4) continues 0, 2 (6-7): most alike is 0, then 1. As 1 continues 0, 2 joins 1.
    starts, ends = np.array([0, 3, 6]), np.array([1, 4, 7])
    distances = descriptor_distances(np.array([[0.0], [2.0], [0.5]]))
    assert forest_parents(starts, ends, distances) == [NO_PARENT, 0, 1]


def test_overlap_in_time_by_one_frame_rules_out_a_parent():
    distances = np.zeros((2, 2))
    assert forest_parents(np.array([0, 3]), np.array([3, 5]), distances) == [NO_PARENT, NO_PARENT]
    assert forest_parents(np.array([0, 4]), np.array([3, 5]), distances) == [NO_PARENT, 0]


def test_the_best_path_is_cut_and_the_rest_starts_anew():
    # Tree: 0 -> 1 -> 3, 0 -> 2. T = 10. Spans 0: 0-2, 1: 4-5, 2: 4-8, 3: 7-8.
    starts, ends = np.array([0, 4, 4, 7]), np.array([2, 5, 8, 8])
    distances = descriptor_distances(np.array([[0.0], [1.0], [4.0], [2.0]]))
    # 0-1-3: 0.9 * (2 + 1 + 1) / 10 + 0.1 * (1 - 1/4) = 0.36 + 0.075 = 0.435
    # 0-2:   0.9 * (2 + 4) / 10 + 0.1 * (1 - 4/4) = 0.54. It wins; 1-3 is a tree of its own.
    paths = cut_paths([NO_PARENT, 0, 0, 1], starts, ends, distances, 10)
    assert paths == [[0, 2], [1, 3]]


def test_likeness_decides_between_paths_of_equal_coverage_then_the_later_end_then_the_order():
    parents = [NO_PARENT, 0, 0]
    starts, ends = np.array([0, 2, 3]), np.array([1, 4, 5])
    alike_to_1 = descriptor_distances(np.array([[0.0], [1.0], [2.0]]))
    assert cut_paths(parents, starts, ends, alike_to_1, 6) == [[0, 1], [2]]
    same = np.ones((3, 3)) - np.eye(3)
    assert cut_paths(parents, starts, ends, same, 6) == [[0, 2], [1]]  # 2 ends later
    ends = np.array([1, 4, 4])
    starts = np.array([0, 3, 3])
    assert cut_paths(parents, starts, ends, same, 6) == [[0, 1], [2]]


def test_rank_counts_later_tracklets_more():
    # Frames 3 and 2, scores 0.5 and 0.8: (0.5 * 3 + 0.8 * 5) / 2 = 2.75.
    assert rank_value([3, 2], [0.5, 0.8]) == pytest.approx(2.75)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100_000), st.integers(0, 9), st.integers(1, 12))
def test_forest_and_cutting_agree_with_the_twin(seed, count, length):
    spans, descriptors = random_tracklets(np.random.default_rng(seed), count, length)
    starts, ends = spans[:, 0], spans[:, 1]
    distances = descriptor_distances(descriptors)
    parents = forest_parents(starts, ends, distances)
    slow_parents = slow.parents_of(spans.tolist(), descriptors)
    assert parents == [NO_PARENT if p is None else p for p in slow_parents]
    paths = cut_paths(parents, starts, ends, distances, length)
    twin = slow.cut(slow.paths_of(slow_parents), spans.tolist(), descriptors, length)
    assert paths == sorted(twin)
    assert sorted(k for path in paths for k in path) == list(range(count))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 100_000))
def test_the_tracker_agrees_with_the_twin(seed):
    rng = np.random.default_rng(seed)
    frames = random_frames(rng, int(rng.integers(1, 6)), 3)
    flows = [
        np.round(2 * rng.normal(scale=1, size=(12, 16, 2))) / 2 for _ in range(len(frames) - 1)
    ]
    descriptors = [rng.normal(size=(len(frame), 4)).astype(np.float32) for frame in frames]
    groups = forest_path_cutting(frames, flows, descriptors, max_tracks=0)
    twin = slow.track(
        [decode_masks(frame.masks, 12, 16) for frame in frames],
        [frame.scores.tolist() for frame in frames],
        descriptors,
        flows,
        0.2,
        0.05,
    )
    assert groups == twin


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.floats(0.1, 1.1))
def test_tracks_are_a_partition_of_the_clipped_detections(seed, max_overlap):
    frames = random_frames(np.random.default_rng(seed), 6, 5)
    groups = forest_path_cutting(
        frames, None, place_descriptors(frames, 12, 16), max_overlap=max_overlap, max_tracks=0
    )
    entered = [(t, n) for t, kept in enumerate(clipped(frames, max_iou=max_overlap)) for n in kept]
    assert sorted(d for group in groups for d in group) == sorted(entered)
    for group in groups:
        times = [t for t, _ in group]
        assert times == sorted(set(times))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.booleans())
def test_the_order_of_the_detections_does_not_matter(seed, equal_scores):
    rng = np.random.default_rng(seed)
    frames = random_frames(rng, 5, 4)
    if equal_scores:
        for frame in frames:
            frame.scores[:] = 0.5
    moved, orders = shuffled(frames, rng)
    one = forest_path_cutting(frames, None, place_descriptors(frames, 12, 16))
    other = forest_path_cutting(moved, None, place_descriptors(moved, 12, 16))
    back = [[(t, int(orders[t][n])) for t, n in group] for group in other]

    def content(groups):
        return [[frames[t].masks[n]["counts"] for t, n in group] for group in groups]

    assert content(back) == content(one)


def test_a_chain_stays_a_chain():
    frames = [frame_of((3 * t, 10, 3 * t + 12, 22, 0.8, 1)) for t in range(8)]
    groups = forest_path_cutting(frames, None, place_descriptors(frames, HEIGHT, WIDTH))
    assert groups == [[(t, 0) for t in range(8)]]


def test_an_object_is_found_again_after_a_gap_by_its_looks():
    # Two objects; both vanish in frames 2 and 3 and come back with their places swapped.
    left, right = (5, 10, 15, 20), (40, 10, 50, 20)
    frames = [frame_of((*left, 0.9, 0), (*right, 0.8, 0)) for _ in range(2)]
    frames += [frame_of(), frame_of()]
    frames += [frame_of((*left, 0.9, 0), (*right, 0.8, 0)) for _ in range(2)]
    a, b = [1.0, 0.0], [0.0, 1.0]
    none = np.zeros((0, 2))
    looks = [np.array([a, b])] * 2 + [none, none] + [np.array([b, a])] * 2
    groups = forest_path_cutting(frames, None, looks)
    # Ranks: b (0.8 * 2 + 0.9 * 4) / 2 = 2.6, a (0.9 * 2 + 0.8 * 4) / 2 = 2.5.
    assert groups == [
        [(0, 1), (1, 1), (4, 0), (5, 0)],
        [(0, 0), (1, 0), (4, 1), (5, 1)],
    ]


@pytest.mark.parametrize("length", [0, 1, 3])
def test_videos_with_no_detection_or_a_single_one(length):
    empty = [frame_of() for _ in range(length)]
    assert forest_path_cutting(empty, None, place_descriptors(empty, HEIGHT, WIDTH)) == []
    if length:
        single = [*empty[:-1], frame_of((0, 0, 5, 5, 0.5, 0))]
        places = place_descriptors(single, HEIGHT, WIDTH)
        assert forest_path_cutting(single, None, places) == [[(length - 1, 0)]]


def test_only_the_best_tracks_are_kept():
    boxes = [(8 * n, 0, 8 * n + 6, 6, 0.3 + 0.1 * n, 0) for n in range(5)]
    frames = [frame_of(*boxes), frame_of(*boxes)]
    places = place_descriptors(frames, HEIGHT, WIDTH)
    assert forest_path_cutting(frames, None, places, max_tracks=2) == [
        [(0, 4), (1, 4)],
        [(0, 3), (1, 3)],
    ]
