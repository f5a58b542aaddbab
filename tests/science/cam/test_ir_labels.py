"""IR labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import fcam as slow
from wsvis.cam.fcam import fcam
from wsvis.cam.ir_labels import combine_labels, ir_labels, label_map

# twentieths: ties with the thresholds do occur
VALUES = st.integers(0, 20).map(lambda n: np.float32(n / 20))
CASES = st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda size: st.tuples(
        arrays(np.float32, size, elements=VALUES),
        st.lists(st.integers(0, 253), min_size=size[0], max_size=size[0], unique=True),
    )
)


def test_by_hand():
    # Class 4, thresholds .30 and .05: .31 -> 5 (class + 1); .30 is no more than .30 but more than
    # .05 -> unsure; .06 -> unsure; .05 -> background.
    maps = np.array([[[0.31, 0.30, 0.06, 0.05]]], dtype=np.float32)
    labels = ir_labels(maps, np.array([4]), 0.30, 0.05)
    assert labels.tolist() == [[5, 255, 255, 0]]


@given(CASES, st.sampled_from([0.3, 0.5, 0.0]), st.sampled_from([0.05, 0.0]))
def test_agrees_with_the_loops(case, foreground, background):
    maps, class_ids = case
    height, width = maps.shape[1:]
    got = ir_labels(maps, np.array(class_ids, dtype=np.int64), foreground, background)
    # compared in float32, as the maps are
    in_single = [float(np.float32(threshold)) for threshold in (foreground, background)]
    expected = slow.ir_labels(maps.tolist(), class_ids, *in_single, height, width)
    assert got.tolist() == expected


@given(CASES, arrays(bool, (6, 6)))
def test_amplification_only_moves_pixels_from_background_to_foreground(case, moving):
    maps, class_ids = case
    ids = np.array(class_ids, dtype=np.int64)
    before = ir_labels(maps, ids)
    after = ir_labels(fcam(maps, moving[: maps.shape[1], : maps.shape[2]], 2.0), ids)
    # class labels are not flipped (paper, Sec. 3.2): sure foreground keeps its class
    sure = (before != 0) & (before != 255)
    assert np.array_equal(after[sure], before[sure])
    # and nothing becomes background that was not
    assert not ((after == 0) & (before != 0)).any()


@given(CASES)
def test_the_order_of_the_maps_matters_only_on_ties(case):
    maps, class_ids = case
    ids = np.array(class_ids, dtype=np.int64)
    ordered = np.sort(maps, axis=0)
    no_tie = np.ones(maps.shape[1:], bool)
    if len(maps) > 1:
        no_tie = ordered[-1] > ordered[-2]
    forward, reverse = ir_labels(maps, ids), ir_labels(maps[::-1], ids[::-1])
    assert np.array_equal(forward[no_tie], reverse[no_tie])


def test_a_refined_foreground_map_can_take_the_place_of_the_first():
    foreground = np.array([[3, 0, 0]], dtype=np.uint8)
    background = np.array([[0, 3, 0]], dtype=np.uint8)
    # foreground wins even over a contradicting background
    assert combine_labels(foreground, background).tolist() == [[3, 255, 0]]


@pytest.mark.parametrize("class_id", [254, -1])
def test_ids_that_do_not_fit_are_refused(class_id):
    with pytest.raises(ValueError, match="class ids"):
        label_map(np.zeros((1, 2, 2), np.float32), np.array([class_id]), 0.3)
