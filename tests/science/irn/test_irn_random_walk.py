import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import random_walk as reference
from wsvis.irn import random_walk as module
from wsvis.irn.random_walk import chebyshev_coefficients, random_walk


def scene(frames=1, channels=3, height=7, width=9, seed=0, power=3.0):
    """Seeds and a boundary map that is mostly low with a few high cells."""
    draw = torch.Generator().manual_seed(seed)
    seeds = torch.rand((frames, channels, height, width), generator=draw)
    boundary = torch.rand((frames, height, width), generator=draw) ** power
    return seeds, boundary


@pytest.fixture(params=["sparse", "shifted"])
def product(request, monkeypatch):
    """Both ways to multiply by the matrix."""
    if request.param == "shifted":
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    return request.param


@pytest.mark.parametrize(("radius", "beta", "steps"), [(3, 2.0, 1), (3, 10.0, 16), (5, 4.0, 256)])
def test_matches_the_definition(product, radius, beta, steps):
    seeds, boundary = scene(frames=2)
    walked = random_walk(seeds, boundary, radius=radius, beta=beta, steps=steps)
    for f in range(2):
        expected = reference.random_walk(seeds[f].numpy(), boundary[f].numpy(), radius, beta, steps)
        error = np.abs(walked[f].numpy() - expected).max()
        assert error <= 1e-5 * expected.max()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (9, 2), (3, 3)])
def test_grids_smaller_than_the_radius(product, height, width):
    seeds, boundary = scene(height=height, width=width)
    walked = random_walk(seeds, boundary, radius=5, steps=20)[0].numpy()
    expected = reference.random_walk(seeds[0].numpy(), boundary[0].numpy(), 5, 10.0, 20)
    assert np.abs(walked - expected).max() <= 1e-5


def test_one_step_by_hand():
    """Two cells side by side, B = [0, .5], beta 1: alpha = .5, degrees 1.5.

    M (1 - B) = [2, 0] (the second seed cell is 0). One step: [2 / 1.5, 2 * .5 / 1.5].
    """
    seeds, boundary = torch.tensor([[[[2.0, 0.0]]]]), torch.tensor([[[0.0, 0.5]]])
    walked = random_walk(seeds, boundary, radius=2, beta=1.0, steps=1)
    assert walked.flatten().tolist() == pytest.approx([4 / 3, 2 / 3])


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 64, 256])
def test_coefficients_are_those_of_the_power(steps):
    """x^t = sum of c_k cos(k arccos x) at points of [-1, 1]; all of them sum to 1."""
    exact = chebyshev_coefficients(steps)
    assert sum(exact) == pytest.approx(1)
    for x in (-1.0, -0.7, 0.0, 0.3, 0.99, 1.0):
        series = sum(c * math.cos(k * math.acos(x)) for k, c in enumerate(exact))
        assert series == pytest.approx(x**steps, abs=1e-12)


@pytest.mark.parametrize(("tolerance", "products"), [(1e-4, 62), (1e-6, 78), (1e-7, 84)])
def test_products_for_256_steps(tolerance, products):
    kept = chebyshev_coefficients(256, tolerance)
    assert len(kept) - 1 == products
    assert 1 - sum(kept) <= tolerance


def test_no_steps_give_the_seeds(product):
    seeds, boundary = scene()
    walked = random_walk(seeds, boundary, steps=0)
    assert torch.allclose(walked, seeds * (1 - boundary), atol=1e-6)


def test_walls_hold_seeds_in(product):
    """A closed wall of boundary 1 lets nothing through, and the wall itself carries no seed."""
    boundary = torch.zeros(1, 11, 11)
    boundary[0, 5] = 1.0
    seeds = torch.zeros(1, 1, 11, 11)
    seeds[0, 0, :6] = 1.0
    walked = random_walk(seeds, boundary)
    assert walked[0, 0, 5:].max() < 1e-20
    assert torch.allclose(walked[0, 0, :5], torch.ones(5, 11), atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 3.0))
def test_laws(seed, scale):
    """Non-negative, never above the largest start, linear, and blind to the order of channels."""
    seeds, boundary = scene(seed=seed)
    walked = random_walk(seeds, boundary, steps=32)
    start = (seeds * (1 - boundary[:, None])).amax(dim=(2, 3), keepdim=True)
    assert walked.min() >= 0
    assert (walked <= start * (1 + 1e-5)).all()
    assert torch.allclose(
        random_walk(seeds * scale, boundary, steps=32), walked * scale, atol=1e-5 * scale
    )
    total = random_walk(seeds.sum(1, keepdim=True), boundary, steps=32)
    assert torch.allclose(walked.sum(1, keepdim=True), total, atol=1e-5)
    swapped = random_walk(seeds[:, [2, 0, 1]], boundary, steps=32)
    assert torch.allclose(swapped, walked[:, [2, 0, 1]], atol=1e-6)


def test_batched_frames_equal_single_frames(product, monkeypatch):
    """One block-diagonal matrix, as an accelerator gets it, gives what frame by frame gives."""
    seeds, boundary = scene(frames=3)
    single = random_walk(seeds, boundary, steps=64)
    monkeypatch.setattr(module, "frames_at_once", lambda *_: 2)
    assert torch.allclose(random_walk(seeds, boundary, steps=64), single, atol=1e-6)


def test_empty_channel_stays_empty_and_no_channel_is_fine():
    seeds, boundary = scene()
    seeds[:, 1] = 0
    walked = random_walk(seeds, boundary)
    assert walked[:, 1].max() == 0
    assert walked[:, 0].min() > 0
    assert random_walk(seeds[:, :0], boundary).shape == (1, 0, 7, 9)


def test_point_seed_far_from_numbers_that_vanish():
    """Far cells would be denormal numbers; the result stays exact to 1e-4 of a small peak."""
    boundary = scene(height=14, width=15, power=2.0)[1]
    seeds = torch.zeros(1, 1, 14, 15)
    seeds[0, 0, 3, 4] = 1
    expected = reference.random_walk(seeds[0].numpy(), boundary[0].numpy(), 3, 10.0, 256)
    error = np.abs(random_walk(seeds, boundary, radius=3)[0].numpy() - expected).max()
    assert error <= 1e-4 * expected.max()


def test_programming_errors():
    seeds, boundary = scene()
    with pytest.raises(ValueError, match="positive"):
        random_walk(seeds, boundary, beta=0.0)
    with pytest.raises(ValueError, match="0 or more"):
        random_walk(seeds, boundary, steps=-1)
