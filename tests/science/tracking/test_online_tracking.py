import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.tracking_scenes import HEIGHT, WIDTH, frame_of, random_frames, shuffled
from wsvis.tracking.iou_tracker import iou_tracks
from wsvis.tracking.online import NEW, assign, association_scores, online_tracks

PLACE = (10, 10, 20, 20)


def test_association_scores_by_hand():
    scores = association_scores(np.array([0.5]), np.array([[0.4, 0.9]]), np.array([[True, False]]))
    own = math.log(0.5)
    # new: 10; same class with IoU 0.4: 0.8 + 10; another class with IoU 0.9: 1.8.
    np.testing.assert_allclose(scores, [[own + 10, own + 10.8, own + 1.8]])
    stricter = association_scores(
        np.array([0.5]), np.array([[0.4]]), np.array([[True]]), min_overlap=0.5
    )
    assert stricter.argmax() == 0  # new: 10 + 2 * 0.5 = 11 beats 10.8


def test_the_best_fit_gets_the_identity():
    scores = np.array([[10.0, 10.5, 0], [10.0, 10.9, 10.8], [10.0, 9.0, 9.0]])
    assert assign(scores, "drop") == [None, 0, NEW]
    assert assign(scores, "new") == [NEW, 0, NEW]
    assert assign(np.zeros((0, 3)), "drop") == []
    assert assign(np.array([[10.0, 10.0]]), "drop") == [NEW]  # a tie founds a new object


def test_an_identity_is_remembered_through_empty_frames():
    frames = [frame_of((*PLACE, 0.9, 0)), frame_of(), frame_of(), frame_of((*PLACE, 0.5, 0))]
    assert online_tracks(frames) == [[(0, 0), (3, 0)]]


def test_another_class_at_the_same_place_is_another_object():
    frames = [frame_of((*PLACE, 0.9, 0)), frame_of((*PLACE, 0.9, 1))]
    assert online_tracks(frames) == [[(0, 0)], [(1, 0)]]


def test_of_two_on_one_identity_one_stays():
    frames = [frame_of((*PLACE, 0.9, 0)), frame_of((11, 10, 21, 20, 0.9, 0), (*PLACE, 0.5, 0))]
    # log 0.9 + 2 * (9 / 11) = 1.531 against log 0.5 + 2 = 1.307: the higher score wins.
    assert online_tracks(frames) == [[(0, 0), (1, 0)]]
    assert online_tracks(frames, losers="new") == [[(0, 0), (1, 0)], [(1, 1)]]


def test_flow_takes_memory_along():
    frames = [frame_of((*PLACE, 0.9, 0)), frame_of(), frame_of((40, 10, 50, 20, 0.9, 0))]
    back = [np.broadcast_to(np.array([-15, 0], np.float32), (HEIGHT, WIDTH, 2))] * 2
    for overlap in ("box", "mask"):
        assert online_tracks(frames, back, overlap=overlap) == [[(0, 0), (2, 0)]]
        assert online_tracks(frames, None, overlap=overlap) == [[(0, 0)], [(2, 0)]]


def test_mask_overlap_tells_apart_what_boxes_do_not():
    # An L and a block in its open corner: boxes overlap, masks do not.
    block = frame_of((20, 0, 40, 15, 0.9, 0))
    tall = frame_of((0, 0, 40, 20, 0.9, 0))
    assert len(online_tracks([tall, block], overlap="mask")) == 1
    far = frame_of((0, 20, 40, 40, 0.9, 0))
    assert len(online_tracks([far, block], overlap="mask")) == 2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from(["box", "mask"]), st.booleans())
def test_online_tracks_are_a_partition(seed, overlap, moving):
    rng = np.random.default_rng(seed)
    frames = random_frames(rng, 6, 5)
    flows = [rng.normal(scale=2, size=(12, 16, 2)) for _ in range(5)] if moving else None
    every = sorted((t, n) for t, frame in enumerate(frames) for n in range(len(frame)))
    groups = online_tracks(frames, flows, overlap=overlap, losers="new")
    assert sorted(d for group in groups for d in group) == every
    dropping = online_tracks(frames, flows, overlap=overlap, losers="drop")
    flat = [d for group in dropping for d in group]
    assert len(set(flat)) == len(flat)
    for group in groups + dropping:
        assert len({t for t, _ in group}) == len(group)
        assert len({int(frames[t].labels[n]) for t, n in group}) == 1  # one class per identity


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000))
def test_online_tracks_ignore_the_order_of_the_detections(seed):
    rng = np.random.default_rng(seed)
    frames = random_frames(rng, 5, 4)
    moved, orders = shuffled(frames, rng)
    back = [[(t, int(orders[t][n])) for t, n in group] for group in online_tracks(moved)]
    assert back == online_tracks(frames)
    back = [[(t, int(orders[t][n])) for t, n in group] for group in iou_tracks(moved)]
    assert back == iou_tracks(frames)


def slow_iou_tracks(frames, min_overlap):
    """Bochinski et al.'s loop on boxes, detections by descending score."""

    def box(t, n):
        height, width = frames[t].masks[n]["size"]
        from wsvis.masks import decode_masks

        mask = decode_masks([frames[t].masks[n]], height, width)[0]
        pixels = [(y, x) for y in range(height) for x in range(width) if mask[y, x]]
        ys, xs = [y for y, _ in pixels], [x for _, x in pixels]
        return min(xs), min(ys), max(xs) + 1, max(ys) + 1

    def iou(a, b):
        wide = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
        high = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        return wide * high / (areas - wide * high)

    active, done = [], []
    for t, frame in enumerate(frames):
        left = sorted(range(len(frame)), key=lambda n: -frame.scores[n])
        still = []
        for track in active:
            if left:
                best = max(left, key=lambda n: iou(box(*track[-1]), box(t, n)))
                if iou(box(*track[-1]), box(t, best)) >= min_overlap:
                    track.append((t, best))
                    left.remove(best)
                    still.append(track)
        for n in left:
            done.append([(t, n)])
            still.append(done[-1])
        active = still
    return done


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.floats(0.05, 0.9))
def test_iou_tracks_agree_with_the_loop_and_are_a_partition(seed, min_overlap):
    frames = random_frames(np.random.default_rng(seed), 5, 4)
    groups = iou_tracks(frames, min_overlap=min_overlap)
    assert groups == slow_iou_tracks(frames, min_overlap)
    every = sorted((t, n) for t, frame in enumerate(frames) for n in range(len(frame)))
    assert sorted(d for group in groups for d in group) == every


def test_an_iou_track_ends_with_its_first_miss():
    frames = [frame_of((*PLACE, 0.9, 0)), frame_of(), frame_of((*PLACE, 0.4, 0))]
    assert iou_tracks(frames) == [[(0, 0)], [(2, 0)]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"min_score": 0.5}, [[(0, 0)]]),
        ({"min_best_score": 0.5}, [[(0, 0)]]),
        ({"min_length": 2}, []),
    ],
)
def test_iou_tracks_can_be_thinned(options, expected):
    frames = [frame_of((*PLACE, 0.9, 0)), frame_of((40, 10, 50, 20, 0.4, 0))]
    assert iou_tracks(frames, **options) == expected


def test_videos_without_frames_or_detections():
    for tracker in (online_tracks, iou_tracks):
        assert tracker([]) == []
        assert tracker([frame_of(), frame_of()]) == []
