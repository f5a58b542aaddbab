import math
import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.video_ap import video_ap as slow_video_ap
from reference.vis_cases import random_case, rectangle
from wsvis.evaluation.frame_ap import FrameAp, FrameTruth
from wsvis.evaluation.greedy_matching import COCO_THRESHOLDS
from wsvis.evaluation.report import video_numbers, video_numbers_by_class
from wsvis.evaluation.tracks import FoundTrack, TrueTrack, VideoTracks, track_areas, track_iou
from wsvis.evaluation.video_ap import video_ap
from wsvis.masks import encode_masks
from wsvis.types import FrameInstances

WIDTH = 10


def strip(*columns):
    """RLE of a 1 x 10 mask with the given columns set."""
    mask = np.zeros((1, 1, WIDTH), bool)
    mask[0, 0, list(columns)] = True
    return encode_masks(mask)[0]


def one_video(truth, found, number=1, length=2):
    return VideoTracks(number, 1, WIDTH, length, truth, found)


def from_json(truth, results):
    """VideoTracks of JSON dicts, without files."""
    for video in truth["videos"]:

        def mine(entries, video=video):
            return [e for e in entries if e["video_id"] == video["id"]]

        yield VideoTracks(
            video["id"],
            video["height"],
            video["width"],
            video["length"],
            [
                TrueTrack(
                    a["category_id"] - 1,
                    a["segmentations"],
                    bool(a["iscrowd"]),
                    float(np.mean([x for x in a["areas"] if x] or [0])),
                )
                for a in mine(truth["annotations"])
            ],
            [
                FoundTrack(r["category_id"] - 1, r["score"], r["segmentations"])
                for r in mine(results)
            ],
        )


def numbers(truth, results):
    return video_numbers(video_ap(from_json(truth, results), len(truth["categories"])))


CASES = [
    pytest.param({}, id="small"),
    pytest.param({"crowded": 60}, id="more-than-100-tracks-of-a-class"),
    pytest.param({"size": (420, 500), "scale": 1.6, "videos": 7}, id="all-area-ranges"),
    pytest.param({"classes": 5, "videos": 7}, id="more-classes"),
]


@pytest.mark.parametrize("kinds", CASES)
@pytest.mark.parametrize("seed", [1, 3])
def test_equals_plain_loops(seed, kinds):
    truth, results = random_case(seed, **kinds)
    if "crowded" in kinds:
        tracks = [(r["video_id"], r["category_id"]) for r in results]
        assert max(map(tracks.count, tracks)) > 100
    ours = numbers(truth, results)
    assert ours == pytest.approx(slow_video_ap(truth, results), abs=1e-9, nan_ok=True)
    if "scale" in kinds:
        assert min(ours["ARm"], ours["ARl"]) > 0


def test_hand_derived_iou_over_time():
    # Frame 0: 2 of 3 pixels shared; frame 1: only the truth, 2 pixels; frame 2: only the track, 1.
    # Frame 3: neither. IoU = 2 / (3 + 2 + 1).
    truth = TrueTrack(0, (strip(1, 2, 3), strip(0, 1), None, None))
    found = FoundTrack(0, 0.9, (strip(2, 3), None, strip(5), None))
    areas = [track_areas([track], 1, WIDTH, 4) for track in (found, truth)]
    assert areas[0].tolist() == [[2, 0, 1, 0]]
    np.testing.assert_allclose(track_iou([found], [truth], *areas), [[2 / 6]])


def test_hand_derived_ap_and_ar():
    # Truth: A (video 1), B (video 2). Tracks by score: in video 2 a stray (false), in video 1 one
    # with IoU 3/4 to A (true up to threshold .75), in video 2 B exactly.
    # Threshold <= .75: verdicts F T T, precision 0 1/2 2/3, recall 0 1/2 1 -> 2/3 everywhere.
    # Threshold >= .80: verdicts F F T, recall 1/2 at precision 1/3 -> 51 of 101 samples.
    # AR1: one track per video: the stray takes the place of B, so 1/2 up to .75 and 0 above.
    # AR10: 1 up to .75, then 1/2. Six thresholds are <= .75, four above.
    a = TrueTrack(0, (strip(0, 1, 2, 3), None))
    b = TrueTrack(0, (strip(5), strip(5)))
    videos = [
        one_video([a], [FoundTrack(0, 0.8, (strip(0, 1, 2), None))]),
        one_video(
            [b],
            [FoundTrack(0, 0.9, (strip(9), None)), FoundTrack(0, 0.7, (strip(5), strip(5)))],
            number=2,
        ),
    ]
    result = video_numbers(video_ap(videos, 2))
    low, high = 2 / 3, 51 / 101 / 3
    assert result["AP50"] == pytest.approx(low)
    assert result["AP75"] == pytest.approx(low)
    assert result["AP"] == pytest.approx((6 * low + 4 * high) / 10)
    assert result["AR1"] == pytest.approx(0.6 * 0.5)
    assert result["AR10"] == result["AR100"] == pytest.approx(0.6 * 1 + 0.4 * 0.5)
    assert result["APs"] == result["AP"]
    assert math.isnan(result["APl"])


def test_ties_keep_the_order_of_the_file_and_of_the_video_ids():
    truth = TrueTrack(0, (strip(1), None))
    good, stray = FoundTrack(0, 0.5, (strip(1), None)), FoundTrack(0, 0.5, (strip(7), None))

    def ap50(*videos):
        return video_numbers(video_ap(videos, 1))["AP50"]

    assert ap50(one_video([truth], [good, stray])) == pytest.approx(1)
    assert ap50(one_video([truth], [stray, good])) == pytest.approx(1 / 2)
    first, second = one_video([truth], [good], 1), one_video([], [stray], 2)
    assert ap50(first, second) == ap50(second, first) == pytest.approx(1)
    second, first = one_video([truth], [good], 2), one_video([], [stray], 1)
    assert ap50(first, second) == ap50(second, first) == pytest.approx(1 / 2)


def test_of_equal_overlap_the_later_object_is_taken():
    # Both objects have IoU 1/2 with the first track; it takes the second, so the second track,
    # which fits only the second object (IoU 1/2), is false at .5 and recall is 1/2.
    objects = [TrueTrack(0, (strip(0), None)), TrueTrack(0, (strip(1), None))]
    tracks = [FoundTrack(0, 0.9, (strip(0, 1), None)), FoundTrack(0, 0.8, (strip(1, 2), None))]
    assert video_numbers(video_ap([one_video(objects, tracks)], 1))["AP50"] == pytest.approx(
        51 / 101
    )


def test_crowds_take_any_number_of_tracks_and_do_not_count():
    crowd = TrueTrack(0, (strip(4, 5, 6), None), crowd=True)
    real = TrueTrack(0, (strip(0), None))
    inside = [FoundTrack(0, 0.9 - n / 10, (strip(4, 5), None)) for n in range(3)]
    tracks = [*inside, FoundTrack(0, 0.1, (strip(0), None))]
    assert video_numbers(video_ap([one_video([crowd, real], tracks)], 1))["AP50"] == pytest.approx(
        1
    )


def test_where_the_official_tool_crashes_there_is_an_answer():
    truth = TrueTrack(0, (strip(1), None))
    empty = video_numbers(video_ap([one_video([truth], [])], 2))
    assert empty["AP"] == empty["AR1"] == 0
    nothing = video_numbers(video_ap([one_video([], [FoundTrack(0, 1, (strip(1), None))])], 2))
    assert all(math.isnan(value) for value in nothing.values())
    assert video_ap([], 1).videos == 0


def test_masks_without_pixels_never_match():
    truth = TrueTrack(0, (strip(), None))
    found = FoundTrack(0, 0.9, (strip(), None))
    assert video_numbers(video_ap([one_video([truth], [found])], 1))["AP"] == 0


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_perfect_tracks_score_one(seed):
    truth, _ = random_case(seed)
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = 0
    visible = [a for a in truth["annotations"] if any(a["areas"])]
    truth["annotations"] = visible
    results = [a | {"score": 1 / a["id"]} for a in visible]
    ours = numbers(truth, results)
    if visible:
        assert ours["AP"] == pytest.approx(1)
        assert ours["AR100"] == pytest.approx(1)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_only_the_order_of_tied_tracks_of_a_class_in_a_video_matters(seed):
    truth, results = random_case(seed, videos=3)
    rng = np.random.default_rng(seed)
    shuffled = [results[i] for i in rng.permutation(len(results))]

    def rank(entry):
        return next(n for n, r in enumerate(results) if r is entry)

    keys = [(r["video_id"], r["category_id"], r["score"]) for r in shuffled]
    for key in set(keys):  # put tied tracks back in the order of the file
        places = [n for n, k in enumerate(keys) if k == key]
        tied = sorted((shuffled[n] for n in places), key=rank)
        for place, entry in zip(places, tied, strict=True):
            shuffled[place] = entry
    other = truth | {"videos": [truth["videos"][i] for i in rng.permutation(3)]}
    assert numbers(other, shuffled) == pytest.approx(numbers(truth, results), nan_ok=True, abs=0)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_one_frame_videos_without_crowds_equal_frame_ap(seed):
    rng = np.random.default_rng(seed)
    videos, measure = [], FrameAp(2, COCO_THRESHOLDS)
    for number in range(4):

        def masks(count):
            spots = rng.integers(0, 8, (count, 2)), rng.integers(1, 6, (count, 2))
            return [rectangle(12, 12, *a, *b) for a, b in zip(*spots, strict=True)]

        real = encode_masks(np.array(masks(rng.integers(1, 4))))
        found = encode_masks(np.array(masks(rng.integers(1, 6))))
        real_labels, labels = rng.integers(0, 2, len(real)), rng.integers(0, 2, len(found))
        scores = rng.integers(1, 5, len(found)) / 4
        videos.append(
            VideoTracks(
                number,
                12,
                12,
                1,
                [TrueTrack(int(c), (m,)) for c, m in zip(real_labels, real, strict=True)],
                [
                    FoundTrack(int(c), float(s), (m,))
                    for c, s, m in zip(labels, scores, found, strict=True)
                ],
            )
        )
        measure.add(
            FrameTruth(real_labels, tuple(real), np.zeros(len(real), bool)),
            FrameInstances(labels, scores, tuple(found)),
        )
    by_video = video_ap(videos, 2).precision[0].mean(axis=1)
    np.testing.assert_allclose(by_video, measure.by_class(), atol=1e-12)


def test_numbers_by_class_average_to_the_whole():
    truth, results = random_case(3, videos=6)
    result = video_ap(from_json(truth, results), 3)
    each = video_numbers_by_class(result, ("a", "b", "c"))
    assert math.isnan(each["c"]["AP"])
    mean = (each["a"]["AP50"] + each["b"]["AP50"]) / 2
    assert video_numbers(result)["AP50"] == pytest.approx(mean)


def test_processes_give_the_same_numbers():
    truth, results = random_case(4, videos=6)
    told = []
    alone = video_ap(from_json(truth, results), 3)
    shared = video_ap(from_json(truth, results), 3, processes=2, report=told.append)
    np.testing.assert_array_equal(shared.precision, alone.precision)
    np.testing.assert_array_equal(shared.recall, alone.recall)
    assert told == [{"videos": n} for n in range(1, 7)]


def test_videos_are_taken_one_at_a_time():
    truth = TrueTrack(0, (strip(1), None))
    alive = []

    def load(number):
        alive.append(number)
        return one_video([truth], [FoundTrack(0, 0.5, (strip(1), None))], number)

    def stream():
        for number in range(5):
            assert alive == list(
                range(number)
            )  # the one before is done before the next is asked for
            yield partial(load, number)

    assert video_numbers(video_ap(stream(), 1))["AP"] == pytest.approx(1)


def test_memory_does_not_grow_with_the_number_of_videos():
    # masks of 40 kB each: what else comes and goes is small beside them
    noise = np.random.default_rng(0).random((8, 240, 320)) < 0.5
    one_video = sum(len(rle["counts"]) for rle in encode_masks(noise))

    def stream(count):
        for number in range(count):
            masks = encode_masks(noise)  # anew each time, so that keeping them would show
            truth = [TrueTrack(0, masks[:4]), TrueTrack(0, masks[4:])]
            found = [FoundTrack(0, 0.9, masks[:4]), FoundTrack(0, 0.5, masks[4:])]
            yield VideoTracks(number, 240, 320, 4, truth, found)

    def peak(count):
        tracemalloc.start()
        try:
            video_ap(stream(count), 1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # whatever is allocated once and kept
    assert peak(45) - peak(5) < 40 * one_video / 5
