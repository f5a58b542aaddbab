import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.utils import flow_to_image

from wsvis.viz.flow_wheel import add_flow_legend, clip_maximum, flow_to_colour, flow_wheel


def test_rest_is_white_and_full_rightward_motion_is_red():
    flow = np.array([[[0.0, 0.0], [4.0, 0.0], [2.0, 0.0], [9.0, 0.0]]])
    colours = flow_to_colour(flow, 4.0)
    # Half the magnitude: 1 - 0.5 * (1 - (1, 0, 0)) = (1, 0.5, 0.5) -> (255, 128, 128).
    expected = [[255, 255, 255], [255, 0, 0], [255, 128, 128], [255, 0, 0]]
    np.testing.assert_array_equal(colours[0], expected)


def test_the_corners_of_the_wheel_sit_where_the_steps_end():
    # 15 of 55 steps after red comes pure yellow, 6 later green, and so on.
    turns = np.cumsum([0, 15, 6, 4, 11, 13]) / 55 * 2 * np.pi
    flow = np.stack([np.cos(turns), np.sin(turns)], -1)[None]
    corners = [[255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255]]
    # Saturation is 1 up to rounding of cos^2 + sin^2.
    np.testing.assert_allclose(flow_to_colour(flow, 1.0)[0], corners, atol=1)


def test_agrees_with_torchvision_where_its_integer_wheel_allows():
    rng = np.random.default_rng(0)
    flow = rng.normal(size=(24, 30, 2)).astype(np.float32)
    theirs = flow_to_image(torch.from_numpy(flow).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    difference = np.abs(flow_to_colour(flow).astype(int) - theirs.astype(int))
    # Their wheel has 55 colours with ncols - 1 = 54 spaces, ours is continuous: at most one step
    # of the shortest segment (255 / 4) where hues turn over, hardly anything elsewhere.
    assert difference.max() <= 64
    assert difference.mean() < 4


def test_what_is_not_finite_is_black_and_does_not_set_the_scale():
    flow = np.zeros((1, 3, 2))
    flow[0, 0] = np.nan
    flow[0, 1] = np.inf, 0
    flow[0, 2] = 1, 0
    np.testing.assert_array_equal(flow_to_colour(flow)[0], [[0, 0, 0], [0, 0, 0], [255, 0, 0]])


def test_a_still_clip_is_white():
    assert (flow_to_colour(np.zeros((3, 4, 2))) == 255).all()
    assert clip_maximum([np.zeros((3, 4, 2))]) == 0
    assert clip_maximum([]) == 0


def test_clip_maximum_is_the_largest_percentile_of_a_frame():
    slow = np.zeros((1, 101, 2))
    slow[0, :, 0] = np.arange(101) / 100
    fast = 10 * slow
    fast[0, 0] = np.nan  # the vector of length 0: the rest is 0.1, 0.2, ..., 10
    # 99 % of 100 values 0.1 .. 10: position 0.99 * 99 = 98.01 -> 9.9 + 0.01 * 0.1.
    assert np.isclose(clip_maximum([slow, fast]), 9.901)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100), st.floats(0.1, 20), st.integers(0, 1000))
def test_colours_depend_on_flow_over_maximum_only(factor, maximum, seed):
    flow = np.random.default_rng(seed).normal(scale=5, size=(4, 5, 2))
    one = flow_to_colour(flow, maximum).astype(int)
    other = flow_to_colour(factor * flow, factor * maximum).astype(int)
    assert np.abs(one - other).max() <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_opposite_directions_never_share_a_colour(seed):
    turn = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    flow = np.array([[[np.cos(turn), np.sin(turn)], [-np.cos(turn), -np.sin(turn)]]])
    colours = flow_to_colour(flow, 1.0).astype(int)[0]
    assert np.abs(colours[0] - colours[1]).max() > 60


def test_the_wheel_shows_the_colours_of_its_directions():
    wheel = flow_wheel(101)
    assert wheel.shape == (101, 101, 4)
    np.testing.assert_allclose(wheel[50, 50, :3], 1, atol=1e-2)  # the middle is rest
    assert wheel[0, 0, 3] == 0  # outside the disc
    assert wheel[50, 50, 3] == 1
    right = flow_to_colour(np.array([[[1.0, 0.0]]]), 1.0)[0, 0] / 255
    np.testing.assert_allclose(wheel[50, 99, :3], right, atol=0.05)


def test_the_legend_changes_its_corner_only_and_not_its_argument():
    picture = np.full((80, 120, 3), 100, np.uint8)
    out = add_flow_legend(picture, 3.2)
    assert (picture == 100).all()
    assert (out[:30] == 100).all()
    assert (out[:, :60] == 100).all()
    assert (out[50:, 90:] != 100).any()


def test_a_picture_too_small_for_the_legend_stays_as_it_is():
    picture = np.full((10, 10, 3), 7, np.uint8)
    np.testing.assert_array_equal(add_flow_legend(picture, 1.0), picture)
