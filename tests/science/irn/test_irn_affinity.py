import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from reference import affinity as reference
from wsvis.irn.affinity import affinity, line_maximum
from wsvis.irn.paths import (
    line_cells,
    pair_offsets,
    pair_sources,
    pair_targets,
    union_plan,
    window_size,
)


def random_boundary(*size, seed=0, dtype=torch.float32):
    return torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("radius", "pairs"), [(2, 4), (5, 34), (10, 152)])
def test_pairs_of_a_radius(radius, pairs):
    """Radius 2: (0,1), (1,-1), (1,0), (1,1); the counts for 5 and 10 are those of IRN's code."""
    assert len(pair_offsets(radius)) == pairs
    assert list(pair_offsets(radius)) == reference.offsets(radius)


def test_line_of_a_knights_move():
    """(0,0)-(1,2): |2y - x| / sqrt(5) < 1 means |2y - x| <= 2: all six cells of the box."""
    assert line_cells(1, 2) == ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))


def test_straight_line_is_one_cell_wide():
    """(0,0)-(0,3): the neighbouring rows are outside the box, so only the row itself."""
    assert line_cells(0, 3) == ((0, 0), (0, 1), (0, 2), (0, 3))


@pytest.mark.parametrize("radius", [2, 5, 10])
def test_lines_match_the_definition(radius):
    for dy, dx in pair_offsets(radius):
        box = [(y, x) for y in range(-radius, radius) for x in range(-radius, radius)]
        assert set(line_cells(dy, dx)) == {c for c in box if reference.on_line(*c, dy, dx)}


@pytest.mark.parametrize("radius", [2, 5, 8, 10])
def test_unions_give_every_line(radius):
    """Each planned shape is exactly the union of its parts, and each line is its shape, moved."""
    plan = union_plan(radius)
    for shape, parts in zip(plan.shapes[1:], plan.parts[1:], strict=True):
        assert len(parts) >= 2
        union = {(y + my, x + mx) for k, (my, mx) in parts for y, x in plan.shapes[k]}
        assert union == set(shape)
    for offset, (k, (fy, fx)) in zip(pair_offsets(radius), plan.lines, strict=True):
        assert {(y + fy, x + fx) for y, x in plan.shapes[k]} == set(line_cells(*offset))


def test_affinity_by_hand():
    """Radius 2 on 2 x 3 has the single source (0, 1).

    B = [[.1 .2 .9], [.3 .4 .5]]. (0,1): max(.2, .9) -> .1. (1,-1): the 2x2 block on the left,
    max(.1 .2 .3 .4) -> .6. (1,0): max(.2, .4) -> .6. (1,1): the block on the right -> .1.
    """
    boundary = torch.tensor([[[0.1, 0.2, 0.9], [0.3, 0.4, 0.5]]])
    assert affinity(boundary, 2).flatten().tolist() == pytest.approx([0.1, 0.6, 0.6, 0.1])


@pytest.mark.parametrize(("radius", "height", "width"), [(2, 2, 3), (3, 5, 7), (5, 8, 12)])
def test_values_and_gradients_match_the_definition(radius, height, width):
    """Levels of 1/8 make ties certain; gradients of whole numbers add up exactly."""
    boundary = (random_boundary(2, height, width) * 8).round() / 8
    boundary.requires_grad_()
    alpha = affinity(boundary, radius)
    pull = torch.randint(-9, 9, alpha.shape, generator=torch.Generator().manual_seed(1)).float()
    alpha.backward(pull)
    assert boundary.grad is not None
    for b in range(2):
        expected = torch.zeros(height, width)
        pairs = reference.affinity(boundary[b].tolist(), radius)
        for ((y, x), offset), (value, (ky, kx)) in pairs.items():
            place = (b, pair_offsets(radius).index(offset), y, x - (radius - 1))
            assert alpha[place].item() == value
            expected[ky, kx] -= pull[place]
        assert torch.equal(boundary.grad[b], expected)


def test_both_ways_to_the_value_agree():
    boundary = random_boundary(3, 30, 40)
    with torch.no_grad():
        plain = affinity(boundary, 10)
    assert torch.equal(affinity(boundary.requires_grad_(), 10), plain)


def test_gradcheck():
    boundary = random_boundary(2, 4, 6, dtype=torch.float64).requires_grad_()
    assert gradcheck(lambda b: affinity(b, 3), boundary)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_saturated_boundary(level):
    """No boundary anywhere: alpha 1. Boundary everywhere: alpha 0. Gradients stay finite."""
    boundary = torch.full((1, 6, 9), level, requires_grad=True)
    alpha = affinity(boundary, 5)
    alpha.sum().backward()
    assert torch.equal(alpha, torch.full_like(alpha, 1 - level))
    assert boundary.grad is not None
    assert boundary.grad.sum().item() == -alpha.numel()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), radius=st.integers(2, 6))
def test_laws(seed, radius):
    """In [0, 1]; falls where the boundary rises; mirroring the grid mirrors the pairs."""
    boundary = random_boundary(1, 9, 14, seed=seed)
    alpha = affinity(boundary, radius)
    assert 0 <= alpha.min() <= alpha.max() <= 1
    higher = (boundary + 0.3 * random_boundary(1, 9, 14, seed=seed + 1)).clamp(max=1)
    assert (affinity(higher, radius) <= alpha).all()
    mirrored = affinity(boundary.flip(2), radius)
    for p, (dy, dx) in enumerate(pair_offsets(radius)):
        if dy > 0:
            q = pair_offsets(radius).index((dy, -dx))
            assert torch.equal(mirrored[:, p], alpha[:, q].flip(2))


def test_maximum_of_integers():
    values = torch.arange(24, dtype=torch.int32).view(1, 4, 6)
    assert line_maximum(values, 2)[0, -1, 0].tolist() == [8, 9, 10, 11]


def test_ends_of_pairs():
    """Offsets of radius 2 from the source (0, 1): right, below left, below, below right."""
    values = torch.arange(6).view(2, 3)
    assert pair_sources(values, 2).flatten().tolist() == [1]
    assert pair_targets(values, 2).flatten().tolist() == [2, 3, 4, 5]


def test_programming_errors():
    with pytest.raises(ValueError, match="at least 5x9"):
        window_size(5, 8, 5)
    with pytest.raises(ValueError, match="at least 2"):
        pair_offsets(1)
