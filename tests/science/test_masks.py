"""Run-length encoding, boxes and overlaps of masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import masks as slow
from wsvis import masks as m
from wsvis.errors import InputError

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
MASKS = SIZES.flatmap(lambda size: arrays(bool, size))


@settings(deadline=None)  # a deadline would measure the machine
@given(MASKS)
def test_encoding_is_undone_by_decoding_and_agrees_with_the_loops(masks):
    rles = m.encode_masks(masks)
    assert np.array_equal(m.decode_masks(rles, *masks.shape[1:]), masks)
    for mask, rle in zip(masks, rles, strict=True):
        runs = slow.runs_of_mask(mask.tolist())
        assert rle == {"size": list(mask.shape), "counts": slow.counts_string(runs)}
        assert m.run_lengths(rle["counts"]).tolist() == runs
        assert slow.run_lengths(rle["counts"]) == runs
        assert m.checked_rle(rle, *mask.shape, "here") == rle
        assert m.checked_rle({"size": rle["size"], "counts": runs}, *mask.shape, "here") == rle
    assert m.rles_are_sound([rle["counts"] for rle in rles], *masks.shape[1:])
    assert m.rle_areas(rles).tolist() == masks.sum((1, 2)).tolist()


@settings(deadline=None)  # a deadline would measure the machine
@given(st.lists(st.integers(0, 2**28), max_size=30))
def test_runs_of_any_size_are_read_back(runs):
    assert m.run_lengths(slow.counts_string(runs)).tolist() == runs


@settings(deadline=None)  # a deadline would measure the machine
@given(st.lists(st.lists(st.integers(0, 2**20), min_size=1, max_size=9), min_size=1, max_size=6))
def test_many_strings_are_summed_one_by_one(many):
    counts = [slow.counts_string(runs) for runs in many]
    assert [runs.tolist() for runs in m.run_lengths_of(counts)] == many
    totals = {sum(runs) for runs in many}
    for total in totals:
        assert m.rles_are_sound(counts, 1, total) == (totals == {total})


def test_counts_by_hand():
    # 2 rows, 3 columns; columns from the left: 0 1 | 1 1 | 0 0 -> runs 1, 3, 2.
    mask = np.array([[0, 1, 0], [1, 1, 0]], dtype=bool)
    # One digit each: chr(48 + 1), chr(48 + 3), chr(48 + 2).
    assert m.encode_masks(mask[None])[0]["counts"] == "132"
    # 5, 40, 6, 38: 40 = 8 + 32 * 1, digits 8 (more follow: 8 + 32 = 40) and 1, so chr(88) chr(49);
    # the fourth is written as 38 - 40 = -2 = 30 - 32, one digit 30, its bit 4 set: chr(78).
    assert m.run_lengths("5X16N").tolist() == [5, 40, 6, 38]


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ("1!2", "character"),
        ("1p2", "character"),
        ("13P", "middle of a number"),
        ("11P", "middle of a number"),
        ("1N", "negative"),
        ("1" + "P" * 8 + "1", "too large"),
    ],
)
def test_malformed_counts_are_refused(counts, reason):
    with pytest.raises(ValueError, match=reason):
        m.run_lengths(counts)
    assert not m.rles_are_sound(["132", counts], 2, 3)
    with pytest.raises(InputError, match=r"^a\.json: .*export the mask again$"):
        m.checked_rle({"size": [2, 3], "counts": counts}, 2, 3, "a.json")


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ({"size": [2, 3], "counts": "131"}, "sum to 5, not 2 x 3 = 6"),
        ({"size": [2, 3], "counts": [1, 3, 3]}, "sum to 7, not 2 x 3 = 6"),
        ({"size": [2, 3], "counts": [8, -2]}, "negative run"),
        ({"size": [2, 3], "counts": [1.5, 4.5]}, "whole numbers"),
        ({"size": [2, 3], "counts": [[6]]}, "whole numbers"),
        ({"size": [2, 3], "counts": [10**30]}, "cannot be read"),
        ({"size": [2, 3], "counts": ["6"]}, "whole numbers"),
        ({"size": [2, 3], "counts": []}, "sum to 0"),
        ({"size": [2, 3], "counts": ""}, "sum to 0"),
        ({"size": [2, 3], "counts": None}, "neither text nor"),
        ({"size": [3, 2], "counts": "132"}, r"size \[3, 2\] is not the video's \[2, 3\]"),
        ({"size": 6, "counts": "132"}, "size 6 is not"),
        ({"counts": "132"}, "list of polygons or"),
        ("132", "list of polygons or"),
        ([[0, 0, 2, 0]], "at least 3"),
        ([[0, 0, 2, 0, 1]], "at least 3"),
        ([[0, 0, 2, 0, 1, float("inf")]], "at least 3"),
        ([["a"] * 6], "at least 3"),
        ([[0, 0, 1e9, 0, 1, 1]], "far outside"),
        ([[0, 0, 1, -1e9, 1, 1]], "far outside"),
    ],
)
def test_bad_segmentations_are_one_line_with_the_place(segmentation, reason):
    with pytest.raises(InputError, match=reason) as error:
        m.checked_rle(segmentation, 2, 3, "a.json: annotation 7, frame 3")
    assert str(error.value).startswith("a.json: annotation 7, frame 3: ")
    assert "\n" not in str(error.value)


def test_a_hostile_size_allocates_nothing():
    with pytest.raises(InputError, match="more than a mask may have"):
        m.checked_rle([[0, 0, 1, 0, 1, 1]], 1 << 20, 1 << 20, "a.json")


def test_polygons_cover_what_they_enclose():
    # A rectangle with corners (1, 1) and (5, 4) covers columns 1..4 and rows 1..3: 4 * 3 = 12.
    square = m.checked_rle([[1, 1, 5, 1, 5, 4, 1, 4]], 8, 10, "here")
    expected = np.zeros((1, 8, 10), dtype=bool)
    expected[0, 1:4, 1:5] = True
    assert np.array_equal(m.decode_masks([square], 8, 10), expected)
    # Two polygons of one object are joined: 12 + 2 * 2 pixels.
    both = m.checked_rle([[1, 1, 5, 1, 5, 4, 1, 4], [7, 5, 9, 5, 9, 7, 7, 7]], 8, 10, "here")
    assert m.rle_areas([both]).tolist() == [16]
    assert m.rle_areas([m.checked_rle([], 8, 10, "here")]).tolist() == [0]


@settings(deadline=None)  # a deadline would measure the machine
@given(
    st.tuples(SIZES, st.integers(1, 3)).flatmap(
        lambda s: st.tuples(arrays(bool, s[0]), arrays(bool, (s[1], *s[0][1:])))
    )
)
def test_overlaps_agree_with_the_loops(pair):
    a, b = pair
    iou, iom = m.pairwise_iou(a, b), m.pairwise_iom(a, b)
    rles_a, rles_b = m.encode_masks(a), m.encode_masks(b)
    shared, from_rle = m.rle_intersections(rles_a, rles_b), m.rle_iou(rles_a, rles_b)
    for i in range(len(a)):
        for j in range(len(b)):
            both, in_a, in_b = slow.overlap(a[i].tolist(), b[j].tolist())
            union, smaller = in_a + in_b - both, min(in_a, in_b)
            assert iou[i, j] == pytest.approx(both / union if union else 0)
            assert iom[i, j] == pytest.approx(both / smaller if smaller else 0)
            assert shared[i, j] == both
            assert from_rle[i, j] == pytest.approx(iou[i, j])
            assert iom[i, j] >= iou[i, j]


@settings(deadline=None)  # a deadline would measure the machine
@given(MASKS)
def test_boxes_agree_with_the_loops(masks):
    assert m.boxes_from_masks(masks).tolist() == [slow.box(mask.tolist()) for mask in masks]


def test_overlaps_by_hand():
    a, b = np.zeros((1, 2, 4), dtype=bool), np.zeros((1, 2, 4), dtype=bool)
    a[0, :, :2] = True  # 4 pixels
    b[0, 0, 1:] = True  # 3 pixels, 1 of them shared: union 4 + 3 - 1 = 6, smaller 3
    assert m.pairwise_iou(a, b)[0, 0] == pytest.approx(1 / 6)
    assert m.pairwise_iom(a, b)[0, 0] == pytest.approx(1 / 3)
    assert m.boxes_from_masks(b)[0].tolist() == [1, 0, 4, 1]


def test_no_masks_at_all():
    nothing = np.zeros((0, 2, 3), dtype=bool)
    assert m.encode_masks(nothing) == []
    assert m.decode_masks([], 2, 3).shape == (0, 2, 3)
    assert m.rle_areas([]).shape == (0,)
    one = m.encode_masks(np.ones((1, 2, 3), dtype=bool))
    assert m.rle_iou([], one).shape == (0, 1)
    assert m.rle_intersections(one, []).shape == (1, 0)
    assert m.rles_are_sound([], 2, 3)
