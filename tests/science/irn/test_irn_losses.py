import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from reference import irn_losses as reference
from wsvis.irn.affinity import affinity
from wsvis.irn.batches import IrnBatch
from wsvis.irn.losses import (
    background_displacement_loss,
    foreground_displacement_loss,
    negative_affinity_loss,
    pair_kinds,
    positive_affinity_loss,
)
from wsvis.irn.objective import TERMS, pair_sums, total_loss
from wsvis.irn.paths import pair_offsets, window_size

RADIUS = 3


def scene(images=2, height=6, width=9, seed=0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    boundary = torch.rand((images, height, width), generator=draw, dtype=dtype)
    displacement = 3 * torch.randn((images, 2, height, width), generator=draw, dtype=dtype)
    levels = torch.tensor([0, 0, 1, 1, 4, 255], dtype=torch.uint8)
    labels = levels[torch.randint(0, 6, (images, height, width), generator=draw)]
    return boundary, displacement, labels


def batch_of(labels, flow=None, inside=None):
    inside = torch.ones(labels.shape, dtype=torch.bool) if inside is None else inside
    return IrnBatch(torch.zeros(len(labels), 3, 16, 16), labels, inside, flow, None)


def sums_of(boundary, displacement, batch, **changes):
    chosen = {"radius": RADIUS, "regularization": 2.0, "gradient": "jacobian", "with_flow": False}
    return pair_sums(boundary, displacement, batch, **(chosen | changes))


def test_kinds_by_hand():
    """Radius 2 on 2 x 3, source (0, 1) of class 1 (label 2).

    Targets: (0, 2) unsure -> none; (1, 0) background -> negative; (1, 1) same class -> foreground;
    (1, 2) another class -> negative.
    """
    labels = torch.tensor([[[0, 2, 255], [0, 2, 3]]], dtype=torch.uint8)
    kinds = pair_kinds(labels, 2)
    assert kinds.background.flatten().tolist() == [False, False, False, False]
    assert kinds.foreground.flatten().tolist() == [False, False, True, False]
    assert kinds.negative.flatten().tolist() == [False, True, False, True]


def test_losses_by_hand():
    """One pair of each kind with alpha .5: -log(.50001) for both affinity terms.

    Displacement: i = (0, 0) points (1, 2), j = (0, 1) points (0, 0). Foreground wants D(i) - D(j) =
    (0, 1): |1 - 0| + |2 - 1| = 2. Background wants (0, 0): 1 + 2 = 3.
    """
    alpha, here = torch.full((1, 1, 1, 1), 0.5), torch.ones((1, 1, 1, 1), dtype=torch.bool)
    expected = -math.log(0.50001)
    assert positive_affinity_loss(alpha, here).item() == pytest.approx(expected)
    assert negative_affinity_loss(alpha, here).item() == pytest.approx(expected)
    field = torch.zeros(1, 2, 2, 4)
    field[0, :, 0, 1] = torch.tensor([1.0, 2.0])
    first = torch.zeros((1, 4, 1, 2), dtype=torch.bool)
    first[0, pair_offsets(2).index((0, 1)), 0, 0] = True
    assert foreground_displacement_loss(field, first, 2).item() == pytest.approx(2)
    assert background_displacement_loss(field, first, 2).item() == pytest.approx(3)


@pytest.mark.parametrize("seed", range(3))
def test_each_sum_matches_the_definition(seed):
    boundary, displacement, labels = scene(seed=seed)
    pairs = sums_of(boundary, displacement, batch_of(labels))
    expected = {name: [0.0, 0] for name in TERMS}
    for b in range(2):
        single = reference.irn_sums(
            boundary[b].tolist(), displacement[b].tolist(), labels[b].tolist(), RADIUS
        )
        for name, (total, count) in single.items():
            expected[name][0] += total
            expected[name][1] += count
    for name, total, count in zip(TERMS, pairs.sums, pairs.counts, strict=True):
        assert total.item() == pytest.approx(expected[name][0], rel=1e-5)
        assert count.item() == expected[name][1]


def test_total_matches_the_definition():
    boundary, displacement, labels = scene(images=1)
    loss, _ = total_loss(sums_of(boundary, displacement, batch_of(labels)), 1.0)
    expected = reference.irn_loss(
        boundary[0].tolist(), displacement[0].tolist(), labels[0].tolist(), RADIUS
    )
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_gradcheck():
    boundary, displacement, labels = scene(images=1, height=4, width=6, dtype=torch.float64)
    flow = torch.randn((1, 4, 6, 2), generator=torch.Generator().manual_seed(3)).double() * 5

    def loss(b, d):
        return total_loss(sums_of(b, d, batch_of(labels, flow), with_flow=True), 1.0)[0]

    assert gradcheck(loss, (boundary.requires_grad_(), displacement.requires_grad_()))


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_finite_at_saturated_boundaries(level):
    _, displacement, labels = scene()
    boundary = torch.full((2, 6, 9), level, requires_grad=True)
    loss, _ = total_loss(sums_of(boundary, displacement, batch_of(labels)), 0.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert boundary.grad is not None
    assert torch.isfinite(boundary.grad).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-5, 5))
def test_laws(seed, shift):
    """A constant added to D costs nothing; order of images and names of classes do not count."""
    boundary, displacement, labels = scene(seed=seed)
    before, _ = total_loss(sums_of(boundary, displacement, batch_of(labels)), 0.0)
    after, _ = total_loss(sums_of(boundary, displacement + shift, batch_of(labels)), 0.0)
    assert after.item() == pytest.approx(before.item(), rel=1e-4)
    swapped = sums_of(boundary.flip(0), displacement.flip(0), batch_of(labels.flip(0)))
    assert total_loss(swapped, 0.0)[0].item() == pytest.approx(before.item(), rel=1e-5)
    names = torch.arange(256, dtype=torch.uint8)
    names[1], names[4] = 9, 2
    renamed = sums_of(boundary, displacement, batch_of(names[labels.long()]))
    assert total_loss(renamed, 0.0)[0].item() == pytest.approx(before.item(), rel=1e-6)


def test_perfect_displacement_costs_nothing():
    """One object whose every cell points at (2, 4): D(i) - D(j) = j - i exactly."""
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(9.0), indexing="ij")
    field = torch.stack([2 - y, 4 - x])[None]
    kinds = pair_kinds(torch.ones((1, 6, 9), dtype=torch.uint8), RADIUS)
    assert foreground_displacement_loss(field, kinds.foreground, RADIUS).item() == 0


def test_unsure_frames_and_missing_kinds_are_harmless():
    boundary, displacement, labels = scene()
    boundary.requires_grad_()
    loss, _ = total_loss(sums_of(boundary, displacement, batch_of(labels * 0 + 255)), 0.0)
    loss.backward()
    assert loss.item() == 0
    assert boundary.grad is not None
    assert boundary.grad.abs().max() == 0
    background = sums_of(boundary, displacement, batch_of(labels * 0))
    rows, columns = window_size(6, 9, RADIUS)
    everything = 2 * len(pair_offsets(RADIUS)) * rows * columns
    assert background.counts.tolist() == [everything, 0, 0, 0, 2 * everything, 0]


def test_workers_add_up_to_one_machine():
    """Two workers with one image each: losses and gradients add up to those of both images."""
    boundary, displacement, labels = scene()
    whole = boundary.clone().requires_grad_()
    loss, means = total_loss(sums_of(whole, displacement, batch_of(labels)), 0.0)
    loss.backward()
    halves, losses, parts, gradients = [], [], [], []
    for b in range(2):
        half = boundary[b : b + 1].clone().requires_grad_()
        sums = sums_of(half, displacement[b : b + 1], batch_of(labels[b : b + 1]))
        halves.append((half, sums))
    counts = halves[0][1].counts + halves[1][1].counts
    for half, sums in halves:
        part, mean = total_loss(sums, 0.0, lambda _: counts)
        part.backward()
        losses.append(part.item())
        parts.append(mean)
        gradients.append(half.grad)
    assert sum(losses) == pytest.approx(loss.item(), rel=1e-6)
    assert torch.allclose(parts[0] + parts[1], means, rtol=1e-5)
    assert whole.grad is not None
    assert torch.allclose(torch.cat(gradients), whole.grad, atol=1e-7)
    assert affinity(boundary, RADIUS).shape[1] == len(pair_offsets(RADIUS))
