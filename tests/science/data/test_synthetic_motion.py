"""Exact flow and occlusion of layered motion: by hand, against loops, and by their laws."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from reference import synthetic_motion as slow
from wsvis.data.synthetic_motion import (
    compose,
    inverse,
    render_layer,
    rigid_flow,
    rigid_occlusion,
    similarity,
)

STILL = similarity(1.0, 0.0, 0.0, 0.0)


def poses(seed: int, layers: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            similarity(
                rng.uniform(0.5, 1.5), rng.uniform(-1, 1), rng.uniform(0, 10), rng.uniform(0, 8)
            )
            for _ in range(layers)
        ]
    )


def test_a_shift_is_its_own_flow():
    # canvas point (4, 2) is shown at (4, 2), then at (4 + 3, 2 - 1)
    flow = rigid_flow(
        np.zeros((5, 6), np.int64), STILL[None], similarity(1.0, 0.0, 3.0, -1.0)[None]
    )
    assert_allclose(flow, np.broadcast_to([3.0, -1.0], (5, 6, 2)))


def test_a_quarter_turn_by_hand():
    # (x, y) -> (-y, x) under a turn by 90 degrees in image axes: (2, 1) goes to (-1, 2),
    # which is a flow of (-3, 1)
    turned = similarity(1.0, np.pi / 2, 0.0, 0.0)[None]
    flow = rigid_flow(np.zeros((3, 4), np.int64), STILL[None], turned)
    assert_allclose(flow[1, 2], [-3.0, 1.0], atol=1e-12)


def test_each_pixel_follows_the_layer_it_shows():
    visible = np.array([[0, 1], [1, 0]])
    moved = np.stack([STILL, similarity(1.0, 0.0, 2.0, 5.0)])
    flow = rigid_flow(visible, np.stack([STILL, STILL]), moved)
    assert_allclose(flow[0, 1], [2.0, 5.0])
    assert_allclose(flow[0, 0], [0.0, 0.0])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_flow_equals_the_loops(seed):
    rng = np.random.default_rng(seed)
    visible = rng.integers(0, 3, (4, 5))
    a, b = poses(seed, 3), poses(seed + 1, 3)
    assert_allclose(rigid_flow(visible, a, b), slow.rigid_flow(visible, a, b), atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_occlusion_equals_the_loops(seed):
    rng = np.random.default_rng(seed)
    visible = rng.integers(0, 3, (9, 12))
    coverages = [np.ones((9, 12), np.float32)] + [
        np.pad(np.ones((5, 6), np.float32), 1) for _ in range(2)
    ]
    a, b = poses(seed, 3), poses(seed + 7, 3)
    a[0], b[0] = STILL, similarity(1.0, 0.0, 1.0, -0.5)
    cover = slow.largest_cover(visible, coverages, a, b)
    ours = rigid_occlusion(visible, coverages, a, b)
    clear = np.abs(cover - 0.5) > 0.05  # OpenCV places samples on a 1/32 pixel grid
    assert (ours == (cover >= 0.5))[clear].all()
    assert clear.mean() > 0.7


def test_occlusion_by_hand():
    # layer 1, a 3x3 square on a 5x5 canvas, moves from columns 1-3 to columns 3-5 (rows 1-3)
    square = np.pad(np.ones((3, 3), np.float32), 1)
    before, after = np.stack([STILL, STILL]), np.stack([STILL, similarity(1.0, 0.0, 2.0, 0.0)])
    visible = np.zeros((5, 8), np.int64)
    visible[1:4, 1:4] = 1
    hidden = rigid_occlusion(visible, [np.ones((5, 8), np.float32), square], before, after)
    expected = np.zeros((5, 8), bool)
    expected[1:4, 4:6] = True  # background that the square comes to cover
    assert (hidden == expected).all()


def test_points_that_leave_the_frame_are_occluded():
    hidden = rigid_occlusion(
        np.zeros((4, 6), np.int64),
        [np.ones((4, 6), np.float32)],
        STILL[None],
        similarity(1.0, 0.0, -2.0, 0.0)[None],
    )
    assert hidden[:, :2].all()
    assert not hidden[:, 2:].any()


@given(st.floats(0.2, 4), st.floats(-3, 3), st.floats(-50, 50), st.floats(-50, 50))
def test_inverse_undoes_a_pose(scale, angle, x, y):
    pose = similarity(scale, angle, x, y)
    assert_allclose(compose(inverse(pose), pose), STILL, atol=1e-9)


def test_render_layer_puts_the_canvas_where_the_pose_says():
    canvas = np.zeros((5, 5), np.float32)
    canvas[2, 3] = 1.0
    seen = render_layer(canvas, similarity(1.0, 0.0, 4.0, 1.0), 8, 10, fill=False)
    assert seen.shape == (8, 10)
    assert seen[3, 7] == 1.0
    assert seen.sum() == 1.0
