"""Camera motion is taken out; what moves against the background stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import camera_motion as slow
from wsvis.flow.camera_motion import camera_flow, frame_motion, residual_flow, tukey_weights
from wsvis.flow.field import flow_magnitude

HEIGHT, WIDTH = 30, 40
SMALL = st.floats(-0.04, 0.04)
SHIFT = st.floats(-12, 12)
AFFINE = st.tuples(st.tuples(SMALL, SMALL, SHIFT), st.tuples(SMALL, SMALL, SHIFT))
PERSPECTIVE = st.tuples(st.floats(-4e-4, 4e-4), st.floats(-4e-4, 4e-4))
FIELDS = st.tuples(st.integers(1, 8), st.integers(1, 8)).flatmap(
    lambda size: arrays(np.float32, (*size, 2), elements=st.floats(-32, 32, width=32))
)
MODELS = ["none", "median", "affine", "homography"]


def affine(matrix):
    return np.array(slow.affine_field(HEIGHT, WIDTH, matrix), dtype=np.float32)


def homography(matrix, perspective, spacing=2.0):
    full = [
        [1 + matrix[0][0], matrix[0][1], matrix[0][2]],
        [matrix[1][0], 1 + matrix[1][1], matrix[1][2]],
        [*perspective, 1.0],
    ]
    return np.array(slow.homography_field(HEIGHT, WIDTH, full, spacing), dtype=np.float32)


def block(share: float, corner: tuple[float, float]) -> np.ndarray:
    """A rectangle over a share of the frame; its corner anywhere it fits (0..1 each way)."""
    height, width = round(HEIGHT * share**0.5), round(WIDTH * share**0.5)
    top, left = round(corner[0] * (HEIGHT - height)), round(corner[1] * (WIDTH - width))
    inside = np.zeros((HEIGHT, WIDTH), dtype=bool)
    inside[top : top + height, left : left + width] = True
    return inside


@given(FIELDS)
def test_median_agrees_with_the_loops(flow):
    expected = slow.median_residual(flow.tolist())
    np.testing.assert_allclose(residual_flow(flow, "median"), expected, atol=1e-5)


def test_median_by_hand():
    # u = 1 1 1 5 9: median 1, residual 0 0 0 4 8; v = 0 0 0 0 3: median 0.
    flow = np.stack([[[1, 1, 1, 5, 9]], [[0, 0, 0, 0, 3]]], axis=-1).astype(np.float32)
    residual = residual_flow(flow, "median")
    assert residual[0, :, 0].tolist() == [0, 0, 0, 4, 8]
    assert residual[0, :, 1].tolist() == [0, 0, 0, 0, 3]


@given(FIELDS, SHIFT, SHIFT)
def test_a_constant_added_changes_nothing_under_median(flow, u, v):
    moved = residual_flow(flow + np.float32([u, v]), "median")
    np.testing.assert_allclose(moved, residual_flow(flow, "median"), atol=2e-5)


@pytest.mark.parametrize("model", MODELS[1:])
@given(SHIFT, SHIFT)
def test_a_pure_translation_leaves_nothing(model, u, v):
    flow = np.broadcast_to(np.float32([u, v]), (HEIGHT, WIDTH, 2)).copy()
    assert np.abs(residual_flow(flow, model, 2.0)).max() < 1e-4


@pytest.mark.parametrize("model", ["affine", "homography"])
@given(AFFINE)
def test_a_pure_affine_field_leaves_nothing(model, matrix):
    assert np.abs(residual_flow(affine(matrix), model, 2.0)).max() < 1e-3


@given(AFFINE, PERSPECTIVE)
def test_a_pure_homography_leaves_nothing(matrix, perspective):
    residual = residual_flow(homography(matrix, perspective), "homography", 2.0)
    assert np.abs(residual).max() < 1e-3


@given(AFFINE, AFFINE)
def test_an_affine_camera_added_changes_nothing_under_affine(matrix, other):
    """Even with an object in front, as long as the background is the majority."""
    flow = affine(matrix)
    flow[block(0.3, (0.5, 0.2))] += np.float32([6, -3])
    moved = residual_flow(flow + affine(other), "affine")
    np.testing.assert_allclose(moved, residual_flow(flow, "affine"), atol=1e-2)


@pytest.mark.parametrize("model", ["median", "affine", "homography"])
@given(
    share=st.floats(0.02, 0.39),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    angle=st.floats(0, 6.28),
    speed=st.floats(2, 12),
    matrix=AFFINE,
    perspective=PERSPECTIVE,
)
def test_an_object_on_less_than_40_percent_keeps_its_relative_motion(
    model, share, corner, angle, speed, matrix, perspective
):
    camera = {
        "median": lambda: np.broadcast_to(
            np.float32([matrix[0][2], matrix[1][2]]), (HEIGHT, WIDTH, 2)
        ).copy(),
        "affine": lambda: affine(matrix),
        "homography": lambda: homography(matrix, perspective),
    }[model]()
    inside = block(share, corner)
    relative = speed * np.float32([np.cos(angle), np.sin(angle)])
    flow = camera + inside[..., None] * relative
    residual = residual_flow(flow.astype(np.float32), model, 2.0)
    np.testing.assert_allclose(residual[inside] - relative, 0, atol=0.02)
    np.testing.assert_allclose(residual[~inside], 0, atol=0.02)


@pytest.mark.parametrize("model", ["affine", "homography"])
def test_noise_of_the_flow_is_averaged_out(model):
    rng = np.random.default_rng(0)
    camera = affine(((0.02, -0.01, 4.0), (0.01, 0.02, -3.0)))
    inside = block(0.3, (0.3, 0.6))
    flow = camera + inside[..., None] * np.float32([5, 0])
    flow += rng.normal(scale=0.3, size=flow.shape).astype(np.float32)
    found = camera_flow(flow.astype(np.float32), model, 2.0)
    # 302 background points of 432, three unknowns each: well below the noise of one vector
    assert np.abs(found - camera).max() < 0.15


@given(FIELDS)
def test_none_is_the_literal_field(flow):
    assert np.array_equal(residual_flow(flow, "none"), flow)


@pytest.mark.parametrize("model", MODELS)
@given(FIELDS)
def test_any_field_gives_a_finite_answer_and_always_the_same(model, flow):
    residual = residual_flow(flow, model)
    assert np.isfinite(residual).all()
    assert np.array_equal(residual_flow(flow, model), residual)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=9), st.floats(0.01, 3))
def test_tukey_weights_agree_with_the_loops(residuals, smallest_cut):
    got = tukey_weights(np.array(residuals), smallest_cut)
    np.testing.assert_allclose(got, slow.tukey_weights(residuals, smallest_cut), atol=1e-9)


def test_tukey_weights_by_hand():
    # Residuals 0 0 0 1 5: the median is 0, so the cut is the smallest one, 2: weights 1 1 1,
    # (1 - 1/4)^2 = .5625, and 0 beyond the cut.
    weights = tukey_weights(np.array([0.0, 0.0, 0.0, 1.0, 5.0]), 2.0)
    assert weights.tolist() == [1.0, 1.0, 1.0, 0.5625, 0.0]


def test_frame_motion_by_hand():
    # Two frames, one pair; the camera pans by (3, 0), one cell of nine moves by (3, 4) on top.
    # Frame 0: forward; the last frame: the way back (-3, 0) negated, where nothing else moves.
    forward = np.zeros((1, 3, 3, 2), dtype=np.float32)
    forward[..., 0] = 3
    forward[0, 1, 1] += 3, 4
    backward = np.zeros_like(forward)
    backward[..., 0] = -3
    literal = frame_motion(forward, backward, 2, "none")
    assert literal[0, 0, 0] == 3
    assert literal[0, 1, 1] == pytest.approx(np.hypot(6, 4))
    assert (literal[1] == 3).all()
    relative = frame_motion(forward, backward, 2, "median")
    assert relative[0, 1, 1] == pytest.approx(5)
    assert relative[0].sum() == pytest.approx(5)
    assert not relative[1].any()


@pytest.mark.parametrize("model", MODELS)
def test_frame_motion_is_the_length_of_the_residual(model):
    rng = np.random.default_rng(1)
    forward = rng.normal(size=(2, 6, 7, 2)).astype(np.float32)
    motion = frame_motion(forward, -forward, 2, model, 2.0)
    expected = [flow_magnitude(residual_flow(field, model, 2.0)) for field in forward]
    assert np.array_equal(motion, np.stack(expected))
