"""F' of Eq. 3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import flow_field as slow
from wsvis.flow.gradient import flow_gradient

FIELDS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda size: arrays(np.float32, (*size, 2), elements=st.floats(-64, 64, width=32))
)


@given(FIELDS, st.integers(1, 4), st.sampled_from(["jacobian", "diagonal", "magnitude"]))
def test_agrees_with_the_loops(flow, stride, form):
    got = flow_gradient(torch.from_numpy(flow)[None], stride, form)[0]
    expected = slow.gradient(flow.tolist(), stride, form)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_jacobian_by_hand():
    # u = 2x + 3y, v = -x on a 3 x 3 grid; at the centre du/dx = 2, du/dy = 3, dv/dx = -1,
    # dv/dy = 0. At the left edge the border is repeated: du/dx = (u(1) - u(0)) / 2 = 2 / 2 = 1.
    y, x = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="ij")
    gradient = flow_gradient(torch.stack([2 * x + 3 * y, -x], -1)[None], stride=1)[0]
    assert gradient[:, 1, 1].tolist() == [2.0, 3.0, -1.0, 0.0]
    assert gradient[0, 1].tolist() == [1.0, 2.0, 1.0]


def test_a_sharp_step_shows_half_its_height_on_both_sides():
    # u = 0 0 8 8: (0-0)/2, (8-0)/2, (8-0)/2, (8-8)/2
    flow = torch.zeros(1, 1, 4, 2)
    flow[0, 0, 2:, 0] = 8
    assert flow_gradient(flow, stride=1)[0, 0].tolist() == [[0.0, 4.0, 4.0, 0.0]]


def test_values_stay_in_pixels_of_the_input_on_the_coarser_grid():
    # u = x: blocks of 4 average 1.5, 5.5, 9.5 px, so 4 px per cell at the middle one.
    flow = torch.arange(12.0).expand(4, 12)[None, ..., None].repeat(1, 1, 1, 2)
    assert flow_gradient(flow, stride=4)[0, 0, 0, 1].item() == 4.0


@pytest.mark.parametrize("form", ["jacobian", "diagonal"])
def test_a_constant_added_changes_nothing(form):
    flow = torch.randn(2, 8, 9, 2, generator=torch.Generator().manual_seed(0))
    moved = flow_gradient(flow + torch.tensor([5.0, -7.0]), 2, form)
    torch.testing.assert_close(moved, flow_gradient(flow, 2, form), atol=1e-5, rtol=0)


def test_what_each_form_cannot_see():
    # Shear, u = y: only du/dy, which the diagonal leaves out. Opposite motion, u = -1 | 1: equal
    # lengths, so that the magnitude's gradient is zero.
    shear = torch.zeros(1, 5, 5, 2)
    shear[..., 0] = torch.arange(5.0)[:, None]
    opposite = torch.ones(1, 4, 4, 2)
    opposite[:, :, :2] = -1
    assert flow_gradient(shear, 1, "jacobian").any()
    assert not flow_gradient(shear, 1, "diagonal").any()
    assert flow_gradient(opposite, 1, "jacobian").any()
    assert not flow_gradient(opposite, 1, "magnitude").any()


@pytest.mark.parametrize("form", ["jacobian", "diagonal", "magnitude"])
def test_gradcheck(form):
    flow = torch.rand(1, 5, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: flow_gradient(f, 2, form), (flow,))


def test_stride_zero_is_refused():
    with pytest.raises(ValueError, match="stride is 0"):
        flow_gradient(torch.zeros(1, 4, 4, 2), 0)
