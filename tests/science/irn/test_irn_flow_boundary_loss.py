import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn import functional

from reference import irn_losses as reference
from wsvis.flow.gradient import flow_gradient
from wsvis.irn.affinity import affinity
from wsvis.irn.flow_boundary_loss import (
    flow_boundary_loss,
    flow_gradient_difference,
    separable_share,
    valid_pairs,
)
from wsvis.irn.paths import pair_offsets


def scene(images=1, height=7, width=9, components=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    boundary = torch.rand((images, height, width), generator=draw)
    gradient = 2 * torch.randn((images, components, height, width), generator=draw)
    inside = torch.rand((images, height, width), generator=draw) > 0.2
    return boundary, gradient, inside


@pytest.mark.parametrize("components", [2, 4])
def test_matches_the_definition(components):
    boundary, gradient, inside = scene(components=components)
    difference, valid = flow_gradient_difference(gradient, 4), valid_pairs(inside, 4)
    loss = flow_boundary_loss(affinity(boundary, 4), difference, valid, 1.5)
    total, count = reference.flow_boundary(
        boundary[0].tolist(), gradient[0].tolist(), inside[0].tolist(), 4, 1.5
    )
    assert loss.item() == pytest.approx(total, rel=1e-5)
    assert valid.sum().item() == count


def test_by_hand():
    """One pair, alpha .25, F' differing by (3, 4): 5 * .25 + 2 * .75 = 2.75."""
    gradient = torch.zeros(1, 2, 2, 3)
    gradient[0, :, 0, 2] = torch.tensor([3.0, 4.0])
    difference = flow_gradient_difference(gradient, 2)
    right = pair_offsets(2).index((0, 1))
    assert difference[0, right].item() == 5
    valid = torch.zeros((1, 4, 1, 1), dtype=torch.bool)
    valid[0, right] = True
    loss = flow_boundary_loss(torch.full((1, 4, 1, 1), 0.25), difference, valid, 2.0)
    assert loss.item() == pytest.approx(2.75)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), u=st.floats(-9, 9), v=st.floats(-9, 9))
def test_constant_flow_leaves_only_the_lambda_term(seed, u, v):
    """Zero or constant flow: F' = 0, so the loss is lambda times the sum of 1 - alpha."""
    boundary = scene(seed=seed)[0]
    flow = torch.tensor([u, v]).expand(1, 7, 9, 2)
    alpha = affinity(boundary, 4)
    valid = torch.ones_like(alpha, dtype=torch.bool)
    difference = flow_gradient_difference(flow_gradient(flow, stride=1), 4)
    loss = flow_boundary_loss(alpha, difference, valid, 2.0)
    assert loss.item() == pytest.approx(2 * (1 - alpha).sum().item(), rel=1e-4)


def test_adding_a_constant_flow_changes_nothing():
    flow = torch.randn((1, 12, 14, 2), generator=torch.Generator().manual_seed(0))
    moved = flow + torch.tensor([4.0, -7.0])
    before = flow_gradient_difference(flow_gradient(flow, stride=1), 4)
    after = flow_gradient_difference(flow_gradient(moved, stride=1), 4)
    assert torch.allclose(before, after, atol=1e-5)


def test_mirroring_only_mirrors_the_pairs():
    """F' of the mirrored frame (u negated) differs in signs; norms of differences do not."""
    flow = torch.randn((1, 8, 12, 2), generator=torch.Generator().manual_seed(0))
    mirrored = flow.flip(2) * torch.tensor([-1.0, 1.0])
    before = flow_gradient_difference(flow_gradient(flow, stride=1), 3)
    after = flow_gradient_difference(flow_gradient(mirrored, stride=1), 3)
    for p, (dy, dx) in enumerate(pair_offsets(3)):
        if dy > 0:
            q = pair_offsets(3).index((dy, -dx))
            assert torch.allclose(after[:, p], before[:, q].flip(2), atol=1e-5)


def test_lambda_decides_each_pair():
    """d loss / d alpha = difference - lambda: pulled together below lambda, apart above it."""
    boundary, gradient, _ = scene()
    alpha = affinity(boundary, 4).requires_grad_()
    difference = flow_gradient_difference(gradient, 4)
    valid = torch.ones_like(alpha, dtype=torch.bool)
    flow_boundary_loss(alpha, difference, valid, 2.0).backward()
    assert alpha.grad is not None
    assert torch.allclose(alpha.grad, difference - 2.0, atol=1e-6)
    share = separable_share(difference, valid, 2.0).item()
    assert share == pytest.approx((alpha.grad > 0).float().mean().item())


def test_pairs_outside_the_frame_do_not_count():
    boundary, gradient, _ = scene()
    inside = torch.zeros((1, 7, 9), dtype=torch.bool)
    inside[:, :, 4:] = True
    valid = valid_pairs(inside, 4)
    spoilt = gradient.clone()
    spoilt[..., :4] = 1e6
    losses = [
        flow_boundary_loss(affinity(boundary, 4), flow_gradient_difference(g, 4), valid, 2.0)
        for g in (gradient, spoilt)
    ]
    assert losses[0].item() == losses[1].item()
    nowhere = valid_pairs(inside & False, 4)
    nothing = flow_boundary_loss(
        affinity(boundary, 4), flow_gradient_difference(gradient, 4), nowhere, 2.0
    )
    assert nothing.item() == 0
    assert separable_share(flow_gradient_difference(gradient, 4), nowhere, 2.0).item() == 0


def test_gradcheck():
    boundary, gradient, inside = scene(height=4, width=6)
    difference = flow_gradient_difference(gradient.double(), 3)
    valid = valid_pairs(inside, 3)
    logit = torch.logit(boundary.double()).requires_grad_()
    assert gradcheck(
        lambda x: flow_boundary_loss(affinity(x.sigmoid(), 3), difference, valid, 2.0), logit
    )


def two_rectangles(jump, blur_cells=0, form="jacobian"):
    """Flow 0 on the left half, ``jump`` pixels to the right on the right half; 40 x 60 cells.

    Returns ||F'(i) - F'(j)|| at radius 10. The edge lies between columns 29 and 30.
    """
    flow = torch.zeros(1, 40, 60, 2)
    flow[:, :, 30:, 0] = jump
    if blur_cells:
        padded = functional.pad(flow.permute(0, 3, 1, 2), (1, 1, 0, 0), mode="replicate")
        flow = functional.avg_pool2d(padded, (1, blur_cells), 1).permute(0, 2, 3, 1)
    return flow_gradient_difference(flow_gradient(flow, stride=1, form=form), 10)


def gain_of_a_contour(difference, regularization=2.0):
    """How much Eq. 3 falls when a boundary is drawn on the edge (columns 29 and 30)."""
    contour = torch.zeros(1, 40, 60)
    contour[:, :, 29:31] = 1
    valid = torch.ones_like(difference, dtype=torch.bool)
    with_contour, without = (
        flow_boundary_loss(affinity(b, 10), difference, valid, regularization).item()
        for b in (contour, torch.zeros_like(contour))
    )
    return without - with_contour


@pytest.mark.parametrize(("blur_cells", "below", "above"), [(0, 6.5, 8.0), (3, 9.5, 11.5)])
def test_break_even_of_a_whole_contour(blur_cells, below, above):
    """lambda 2, units of network-input pixels: 7 to 8 px for a sharp step, 10 to 11.5 px blurred.

    The naive reading per pair (F' = jump / 2 > lambda) would say 4.
    """
    assert gain_of_a_contour(two_rectangles(below, blur_cells)) < 0
    assert gain_of_a_contour(two_rectangles(above, blur_cells)) > 0


def test_dimensionless_flow_gradients_could_only_erase():
    """Divided by the 4 pixels of a cell, even a jump of 24 px would not pay for a boundary."""
    assert gain_of_a_contour(two_rectangles(24.0)) > 0
    assert gain_of_a_contour(two_rectangles(24.0) / 4) < 0


@pytest.mark.parametrize(("jump", "finds_edge"), [(4.0, False), (16.0, True)])
def test_descent_draws_or_erases_the_edge(jump, finds_edge):
    """Free boundary logits under Eq. 3 alone: a large jump is found, a small one is erased."""
    difference = two_rectangles(jump)
    logits = torch.full((1, 40, 60), -1.0, requires_grad=True)
    valid = torch.ones_like(difference, dtype=torch.bool)
    optimiser = torch.optim.Adam([logits], lr=0.5)
    for _ in range(25):
        loss = flow_boundary_loss(affinity(logits.sigmoid(), 10), difference, valid, 2.0)
        optimiser.zero_grad()
        (loss / valid.sum()).backward()
        optimiser.step()
    boundary = logits.sigmoid()[0, 10:30]
    at_edge, elsewhere = boundary[:, 29:31].amax(1).min(), boundary[:, 12:26].max()
    assert elsewhere < 0.1
    assert (at_edge > 0.9) if finds_edge else (boundary.max() < 0.3)


def test_motions_that_the_forms_cannot_see():
    """Magnitude is blind to equal speeds in opposite directions, diagonal to shear."""
    opposite = torch.zeros(1, 40, 60, 2)
    opposite[:, :, :30, 0], opposite[:, :, 30:, 0] = -8, 8
    shear = torch.zeros(1, 40, 60, 2)
    shear[:, :, 30:, 1] = 16
    seen = {
        form: [
            flow_gradient_difference(flow_gradient(f, stride=1, form=form), 10).max().item() > 2
            for f in (opposite, shear)
        ]
        for form in ("jacobian", "diagonal", "magnitude")
    }
    assert seen == {
        "jacobian": [True, True],
        "diagonal": [True, False],
        "magnitude": [False, True],
    }
