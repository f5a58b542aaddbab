"""Warping and the forward-backward check."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import flow_warp as slow
from wsvis.flow.warp import backward_warp, occluded, warp_masks

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7))
# eighths: no position lands within rounding of the edge between valid and invalid
STEPS = st.integers(-40, 40).map(lambda n: np.float32(n / 8 + 1 / 32))


def images_and_flows(count: int = 1):
    return SIZES.flatmap(
        lambda size: st.tuples(
            arrays(np.float32, size, elements=st.floats(-8, 8, width=32)),
            *[arrays(np.float32, (*size, 2), elements=STEPS) for _ in range(count)],
        )
    )


@given(images_and_flows())
def test_warp_agrees_with_the_loops(case):
    image, flow = case
    warped, valid = backward_warp(torch.from_numpy(image)[None, None], torch.from_numpy(flow)[None])
    expected, inside = slow.backward_warp(image.tolist(), flow.tolist())
    assert valid[0].tolist() == inside
    np.testing.assert_allclose(warped[0, 0], expected, atol=1e-4)


@given(images_and_flows(2))
def test_occlusion_agrees_with_the_loops(case):
    _, forward, backward = case
    got = occluded(torch.from_numpy(forward)[None], torch.from_numpy(backward)[None], 0.01, 0.51)
    expected = slow.occluded(forward.tolist(), backward.tolist(), 0.01, 0.51)
    # within float32 of the bound either answer is right
    loose = slow.occluded(forward.tolist(), backward.tolist(), 0.01, 0.511)
    tight = slow.occluded(forward.tolist(), backward.tolist(), 0.01, 0.509)
    sure = np.array(loose) == np.array(tight)
    assert np.array_equal(got[0].numpy()[sure], np.array(expected)[sure])


def test_warp_by_hand():
    # A row 10 20 30 40 that frame b shows half a pixel further right: b looks half a pixel to the
    # left. b(1) = (10 + 20) / 2 = 15; b(0) looks at -0.5, the very edge: 10.
    image = torch.tensor([[[[10.0, 20.0, 30.0, 40.0]]]])
    flow = torch.zeros(1, 1, 4, 2)
    flow[..., 0] = -0.5
    warped, valid = backward_warp(image, flow)
    torch.testing.assert_close(warped, torch.tensor([[[[10.0, 15.0, 25.0, 35.0]]]]))
    assert valid.all()


def test_what_was_outside_is_invalid_and_zero_even_beside_infinity():
    image = torch.full((1, 1, 1, 3), float("inf"))
    flow = torch.zeros(1, 1, 3, 2)
    flow[0, 0, 0, 0] = -1
    warped, valid = backward_warp(image, flow)
    assert valid.tolist() == [[[False, True, True]]]
    assert warped[0, 0, 0, 0] == 0


def test_zero_flow_is_the_identity():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 37, 53, generator=generator)
    masks = torch.rand(5, 37, 53, generator=generator) > 0.5
    warped, valid = backward_warp(image, torch.zeros(2, 37, 53, 2))
    torch.testing.assert_close(warped, image, atol=1e-4, rtol=0)
    assert valid.all()
    assert torch.equal(warp_masks(masks, torch.zeros(37, 53, 2))[0], masks)


def test_masks_follow_a_whole_pixel_shift():
    # The object moves 2 right and 1 down from a to b; F_ba = (-2, -1) everywhere.
    mask = torch.zeros(1, 6, 8, dtype=torch.bool)
    mask[0, 1:3, 1:4] = True
    moved, valid = warp_masks(mask, torch.tensor([-2.0, -1.0]).expand(6, 8, 2).contiguous())
    expected = torch.zeros_like(mask)
    expected[0, 2:4, 3:6] = True
    assert torch.equal(moved, expected)
    assert valid.tolist() == [[x >= 2 and y >= 1 for x in range(8)] for y in range(6)]


def test_no_mask_stays_no_mask():
    moved, _ = warp_masks(torch.zeros(0, 4, 5, dtype=torch.bool), torch.zeros(4, 5, 2))
    assert moved.shape == (0, 4, 5)


def test_gradients_of_image_and_flow():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 1, 5, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    # away from pixel centres, where bilinear sampling has a kink
    flow = torch.rand(1, 5, 6, 2, dtype=torch.float64, generator=generator) * 0.3 + 0.1
    flow.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: backward_warp(a, b)[0], (image, flow))


def test_a_consistent_pair_is_visible_and_a_contradicting_one_is_not():
    forward = torch.tensor([2.0, 0.0]).expand(1, 4, 9, 2).contiguous()
    visible = ~occluded(forward, -forward)
    # the two right-most columns leave the image
    assert visible[..., :7].all()
    assert not visible[..., 7:].any()
    # there and back add up to 4 px: 16 >= 0.01 (4 + 4) + 0.5
    assert occluded(forward, forward).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_same_on_the_gpu():
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(2, 3, 16, 20, generator=generator)
    flow = torch.randn(2, 16, 20, 2, generator=generator)
    here, there = backward_warp(image, flow), backward_warp(image.cuda(), flow.cuda())
    torch.testing.assert_close(there[0].cpu(), here[0], atol=1e-4, rtol=0)
