"""Eq. 2, its threshold, and f-CAM of a frame."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import fcam as slow
from wsvis.cam import fcam as fast

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7))
LENGTHS = st.floats(0, 100, width=32, allow_subnormal=False)
SHARES = st.integers(0, 20).map(lambda n: n / 20)
# quarters: products and comparisons are exact in float32
AMPLIFICATIONS = st.integers(4, 40).map(lambda n: n / 4)
MAGNITUDES = SIZES.flatmap(lambda size: arrays(np.float32, size, elements=LENGTHS))
CASES = st.tuples(st.integers(0, 3), SIZES).flatmap(
    lambda case: st.tuples(
        arrays(np.float32, (case[0], *case[1]), elements=st.floats(0, 1, width=16)),
        arrays(bool, case[1]),
    )
)


def test_eq_2_by_hand():
    # A = 2; the moving pixels (top right, bottom left) double: .5 -> 1, .75 -> 1.5; others stay.
    cam = np.array([[[0.25, 0.5], [0.75, 1.0]]], dtype=np.float32)
    moving = np.array([[False, True], [True, False]])
    assert fast.fcam(cam, moving, 2.0).tolist() == [[[0.25, 1.0], [1.5, 1.0]]]


@given(CASES, AMPLIFICATIONS)
def test_eq_2_agrees_with_the_loops_and_its_laws(case, amplification):
    cam, moving = case
    amplified = fast.fcam(cam, moving, amplification)
    np.testing.assert_allclose(
        amplified.tolist(), slow.fcam(cam.tolist(), moving.tolist(), amplification), rtol=1e-6
    )
    assert (amplified >= cam).all()
    assert np.array_equal(fast.fcam(cam, moving, 1.0), cam)
    assert np.array_equal(fast.fcam(cam, np.zeros_like(moving), amplification), cam)
    assert (fast.fcam(cam, moving, amplification + 1) >= amplified).all()
    if len(cam):
        # classes are amplified alike: their order at a pixel never changes
        assert np.array_equal(amplified.argmax(0), cam.argmax(0))


def test_a_below_one_is_refused():
    with pytest.raises(ValueError, match=r"amplification is 0\.5"):
        fast.fcam(np.zeros((1, 2, 2), np.float32), np.zeros((2, 2), bool), 0.5)


def test_threshold_by_hand():
    # 0 1 2 3 4 at 0.8: position 0.8 * 4 = 3.2, so 3 + 0.2 * (4 - 3) = 3.2; only 4 exceeds it.
    magnitude = np.arange(5, dtype=np.float32)[None]
    assert fast.flow_threshold(magnitude, 0.8) == pytest.approx(3.2)
    assert fast.moving_mask(magnitude, 0.8).tolist() == [[False] * 4 + [True]]
    # the floor wins where it is larger: 4 > 3.9, 4 > 4 is false
    assert fast.moving_mask(magnitude, 0.8, 3.9).sum() == 1
    assert fast.moving_mask(magnitude, 0.8, 4.0).sum() == 0


@given(MAGNITUDES, SHARES, st.sampled_from([0.0, 0.5, 30.0]))
def test_threshold_agrees_with_numpy_and_with_the_loops(magnitude, share, floor):
    expected = max(np.quantile(magnitude.astype(np.float64), share), floor)
    assert fast.flow_threshold(magnitude, share, floor) == pytest.approx(expected, abs=1e-5)
    twin = slow.moving_mask(magnitude.tolist(), share, floor)
    assert fast.moving_mask(magnitude, share, floor).tolist() == twin


@given(MAGNITUDES, SHARES, SHARES)
def test_laws_of_the_moving_mask(magnitude, low, high):
    moving = fast.moving_mask(magnitude, high)
    # never more than the share above the percentile, rounded up to whole pixels
    assert moving.sum() < (1 - high) * (magnitude.size - 1) + 1
    # a higher percentile moves a part of what a lower one does
    lower, higher = (fast.moving_mask(magnitude, share) for share in sorted((low, high)))
    assert not (higher & ~lower).any()
    # T follows the unit: doubling all lengths is exact in binary
    assert np.array_equal(fast.moving_mask(2 * magnitude, high), moving)
    # nothing or everything moving alike: nothing exceeds T
    assert not fast.moving_mask(np.full_like(magnitude, magnitude[0, 0]), high).any()


def test_half_precision_magnitudes_are_fine():
    magnitude = np.arange(6, dtype=np.float16).reshape(2, 3)
    assert fast.moving_mask(magnitude, 0.5).sum() == 3


@pytest.mark.parametrize(
    ("magnitude", "share", "words"),
    [
        (np.zeros((2, 2), np.float32), 1.5, "percentile is 1.5"),
        (np.zeros((2, 2), np.float32), float("nan"), "percentile is nan"),
        (np.zeros((0, 2), np.float32), 0.5, "without a single flow vector"),
    ],
)
def test_bad_thresholds_are_refused(magnitude, share, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        fast.moving_mask(magnitude, share)


def test_joint_saturation_by_hand():
    # Two classes at one pixel, 1.5 and .75: divided by 1.5 -> 1 and .5. At the other, .5 and .25,
    # nothing exceeds 1: unchanged.
    maps = np.array([[[1.5, 0.5]], [[0.75, 0.25]]], dtype=np.float32)
    assert fast.saturate_jointly(maps).tolist() == [[[1.0, 0.5]], [[0.5, 0.25]]]


@given(CASES, AMPLIFICATIONS)
def test_joint_saturation_agrees_with_the_loops(case, factor):
    maps = case[0] * np.float32(factor)
    saturated = fast.saturate_jointly(maps)
    assert saturated.shape == maps.shape
    if len(maps):
        expected = slow.saturate_jointly(maps.tolist())
        np.testing.assert_allclose(saturated, expected, rtol=1e-6)
        assert saturated.max(initial=0) <= 1


def test_each_pixel_takes_the_cell_it_lies_in():
    mask = np.array([[True, False, False]])
    # 3 cells over 6 pixels: two each
    assert fast.upsample_mask(mask, 2, 6).tolist() == [[True, True, False, False, False, False]] * 2


def test_frame_fcam_joins_the_two_grids():
    # CAM 1 x 2 cells of .5, magnitude 2 x 4 cells of which the largest one moves (p = .9); frame
    # 4 x 8: pixels 6..7 of rows 2..3 are amplified by 3.
    cam = np.full((1, 1, 2), 0.5, dtype=np.float16)
    magnitude = np.zeros((2, 4), dtype=np.float16)
    magnitude[1, 3] = 5
    amplified = fast.frame_fcam(cam, magnitude, 4, 8, 3.0, 0.8)
    expected = np.full((1, 4, 8), 0.5)
    expected[0, 2:, 6:] = 1.5
    assert np.array_equal(amplified, expected)
    # a still frame: CAM alone; a frame without classes: no map
    assert (fast.frame_fcam(cam, 0 * magnitude, 4, 8, 3.0, 0.8) == 0.5).all()
    assert fast.frame_fcam(cam[:0], magnitude, 4, 8, 3.0, 0.8).shape == (0, 4, 8)
