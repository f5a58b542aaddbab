"""Magnitude, grids, one field per frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import flow_field as slow
from wsvis.flow import field

VALUES = st.floats(-64, 64, width=32)
FIELDS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda size: arrays(np.float32, (*size, 2), elements=VALUES)
)


def test_magnitude_by_hand():
    # 3-4-5; (-6, 8): sqrt(36 + 64) = 10; zero stays zero.
    flow = np.array([[[3, 4], [-6, 8], [0, 0]]], dtype=np.float32)
    assert field.flow_magnitude(flow).tolist() == [[5.0, 10.0, 0.0]]


@given(FIELDS)
def test_magnitude_agrees_with_the_loops(flow):
    np.testing.assert_allclose(
        field.flow_magnitude(flow), slow.magnitude(flow.tolist()), rtol=1e-6, atol=1e-6
    )


def test_area_mean_by_hand_with_a_partial_block():
    # One row of u = 1 3 8, v = 0, stride 2: blocks (1 + 3) / 2 = 2 and, alone in its block, 8.
    flow = np.zeros((1, 3, 2), dtype=np.float32)
    flow[0, :, 0] = 1, 3, 8
    assert field.area_mean(flow, 2)[..., 0].tolist() == [[2.0, 8.0]]


@given(FIELDS, st.integers(1, 5))
def test_area_mean_agrees_with_the_loops(flow, stride):
    np.testing.assert_allclose(
        field.area_mean(flow, stride), slow.area_mean(flow.tolist(), stride), atol=1e-4
    )


def test_area_mean_refuses_stride_zero():
    with pytest.raises(ValueError, match="stride is 0"):
        field.area_mean(np.zeros((2, 2, 2), np.float32), 0)


@given(FIELDS, st.integers(1, 12), st.integers(1, 12))
def test_regrid_keeps_the_unit_and_the_range(flow, height, width):
    grid = field.regrid_flow(flow, height, width)
    assert grid.shape == (height, width, 2)
    assert grid.min() >= flow.min() - 1e-3
    assert grid.max() <= flow.max() + 1e-3


def numbered(pairs: int, sign: int) -> np.ndarray:
    """Pair p is filled with sign * (p + 1)."""
    values = sign * np.arange(1, pairs + 1, dtype=np.float32)
    return np.broadcast_to(values[:, None, None, None], (pairs, 2, 3, 2)).copy()


def test_the_last_frame_takes_the_way_back_negated():
    # 3 frames, 2 pairs: forward 1, 2; back -10, -20; the last frame: -(-20) = 20.
    fields = field.frame_flow(numbered(2, 1), 10 * numbered(2, -1), 3)
    assert fields[:, 0, 0, 0].tolist() == [1.0, 2.0, 20.0]


def test_each_frame_with_a_successor_needs_no_way_back():
    fields = field.frame_flow(numbered(3, 1), 10 * numbered(3, -1), 3)
    assert fields[:, 0, 0, 0].tolist() == [1.0, 2.0, 3.0]


def test_pairs_ending_between_frames_lend_nothing_to_the_last():
    fields = field.frame_flow(numbered(2, 1), 10 * numbered(2, -1), 3, chained=False)
    assert fields[:, 0, 0, 0].tolist() == [1.0, 2.0, 0.0]


def test_a_single_frame_does_not_move():
    empty = np.zeros((0, 2, 3, 2), np.float32)
    assert np.array_equal(field.frame_flow(empty, empty, 1), np.zeros((1, 2, 3, 2)))


@given(st.integers(1, 8), st.integers(1, 8))
def test_frames_get_the_fields_the_definition_names(length, gap):
    pairs = max(length - gap, 0)
    forward, backward = numbered(pairs, 1), 10 * numbered(pairs, -1)
    fields = field.frame_flow(forward, backward, length)
    for got, chosen in zip(fields, slow.frame_flow(forward, backward, length), strict=True):
        if chosen is None:
            assert not got.any()
        else:
            kind, p = chosen
            expected = forward[p] if kind == "forward" else -backward[p]
            assert np.array_equal(got, expected)


def test_more_pairs_than_frames_are_refused():
    with pytest.raises(ValueError, match="2 frames"):
        field.frame_flow(numbered(3, 1), numbered(3, -1), 2)
