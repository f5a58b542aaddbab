import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.tracking_scenes import frame_of, random_frames
from wsvis.tracking.track import track_video
from wsvis.tracking.tracks import tracks_of
from wsvis.types import FrameInstances

PLACE = (10, 10, 20, 20)


def scene():
    """Four frames; one object seen in three, as class 0 (0.4), 2 (0.9) and 0 (0.6)."""
    return [
        frame_of((*PLACE, 0.4, 0)),
        frame_of((*PLACE, 0.9, 2)),
        frame_of(),
        frame_of((*PLACE, 0.6, 0)),
    ]


GROUP = [(0, 0), (1, 0), (3, 0)]


def test_the_class_with_the_largest_sum_of_scores_wins():
    (track,) = tracks_of([GROUP], scene())
    # Class 0: 0.4 + 0.6 = 1.0 beats 0.9. Score: 1.0 over the 4 frames of the video.
    assert track.label == 0
    assert track.score == pytest.approx(1.0 / 4)
    assert track.frame_scores == pytest.approx((0.4, 0.9, None, 0.6))
    assert [mask is None for mask in track.segmentations] == [False, False, True, False]
    assert track.segmentations[1] == scene()[1].masks[0]


def test_mean_score_and_split():
    (mean,) = tracks_of([GROUP], scene(), scoring="mean")
    assert mean.score == pytest.approx((0.4 + 0.9 + 0.6) / 3)
    frames = scene()
    frames[1].scores[0] = 2.0  # class 2 once, and yet the larger sum
    assert tracks_of([GROUP], frames)[0].label == 2
    both = tracks_of([GROUP], scene(), voting="split")
    assert [(t.id, t.label) for t in both] == [(0, 0), (1, 2)]
    assert [t.score for t in both] == pytest.approx([1.0 / 4, 0.9 / 4])
    assert both[0].segmentations == both[1].segmentations
    shares = tracks_of([GROUP], scene(), voting="split", scoring="mean")
    assert [t.score for t in shares] == pytest.approx([1.0 / 3, 0.9 / 3])


def test_a_tie_between_classes_goes_to_the_lower():
    frames = [frame_of((*PLACE, 0.5, 3)), frame_of((*PLACE, 0.5, 1))]
    assert tracks_of([[(0, 0), (1, 0)]], frames)[0].label == 1


def test_tracks_are_numbered_by_score():
    frames = [frame_of((*PLACE, 0.2, 0), (30, 0, 40, 9, 0.7, 1))]
    tracks = tracks_of([[(0, 0)], [(0, 1)]], frames)
    assert [(t.id, t.label) for t in tracks] == [(0, 1), (1, 0)]


def test_groups_that_are_no_tracks_are_refused():
    frames = [frame_of((*PLACE, 0.2, 0), (30, 0, 40, 9, 0.7, 1))]
    for bad in ([], [(0, 0), (0, 1)]):
        with pytest.raises(ValueError, match="one detection in each"):
            tracks_of([bad], frames)


def test_a_better_scoring_wrong_class_hides_the_right_one_unless_classes_are_tracked_apart():
    frames = [frame_of((*PLACE, 0.5, 0), (*PLACE, 0.6, 1)) for _ in range(3)]
    assert [t.label for t in track_video(frames)] == [1]
    apart = track_video(frames, class_mode="per-class")
    assert [(t.label, round(t.score, 6)) for t in apart] == [(1, 0.6), (0, 0.5)]


def test_low_scores_do_not_enter_but_stay_out_of_the_way():
    frames = [frame_of((0, 0, 5, 5, 0.01, 0), (*PLACE, 0.5, 1)), frame_of((*PLACE, 0.05, 1))]
    for method in ("forest", "online", "iou"):
        (track,) = track_video(frames, method=method)
        assert track.label == 1
        assert track.frame_scores == pytest.approx((0.5, 0.05))


def test_descriptors_follow_their_detections_through_the_selection():
    # A distractor below the score limit sits before the two objects in every list; after a gap the
    # objects come back at swapped places. Only the right descriptors tell them apart.
    low, a, b = (0, 30, 5, 35, 0.01, 0), (5, 10, 15, 20, 0.9, 0), (40, 10, 50, 20, 0.8, 0)
    frames = [frame_of(low, a, b), frame_of(low, a, b), frame_of(), frame_of(low, a, b)]
    x, y, junk = [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]
    none = np.zeros((0, 2))
    looks = [np.array([junk, x, y])] * 2 + [none, np.array([junk, y, x])]
    tracks = track_video(frames, None, looks)
    scores = sorted(track.frame_scores for track in tracks)
    assert scores == [pytest.approx((0.8, 0.8, None, 0.9)), pytest.approx((0.9, 0.9, None, 0.8))]


@pytest.mark.parametrize("method", ["forest", "online", "iou"])
@pytest.mark.parametrize("class_mode", ["vote", "split", "per-class"])
def test_every_method_in_every_mode_limits_the_number_of_tracks(method, class_mode):
    frames = random_frames(np.random.default_rng(3), 5, 5, classes=2)
    every = track_video(frames, method=method, class_mode=class_mode, max_tracks=0)
    some = track_video(frames, method=method, class_mode=class_mode, max_tracks=1)
    assert len(every) > 2 >= len(some) > 0
    assert [t.score for t in every] == sorted((t.score for t in every), reverse=True)
    assert [t.id for t in every] == list(range(len(every)))
    assert as_text(some) <= as_text(every)


def as_text(tracks):
    """The masks of each track as text, so that they can be put in a set."""
    return {tuple(mask and mask["counts"] for mask in track.segmentations) for track in tracks}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from(["forest", "online", "iou"]))
def test_one_class_tracked_apart_or_together_is_the_same(seed, method):
    frames = random_frames(np.random.default_rng(seed), 5, 4, classes=1)
    vote = track_video(frames, method=method)
    assert track_video(frames, method=method, class_mode="per-class") == vote
    assert track_video(frames, method=method, class_mode="split") == vote


def test_videos_without_frames_or_detections():
    for method in ("forest", "online", "iou"):
        assert track_video([], method=method) == []
        nothing = FrameInstances(np.zeros(0, np.int64), np.zeros(0, np.float32), ())
        assert track_video([nothing] * 3, method=method, class_mode="per-class") == []
