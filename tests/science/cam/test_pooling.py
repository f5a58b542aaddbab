import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import pooling as slow
from wsvis.cam.pooling import average_pooling, log_sum_exp_pooling


def random_maps(seed: int, shape=(2, 3, 4, 5)) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 2, shape))


def test_both_equal_the_loops():
    maps = random_maps(0)
    torch.testing.assert_close(
        average_pooling(maps), torch.tensor(slow.average_pooling(maps.tolist())).to(maps)
    )
    for sharpness in (0.3, 4.0):
        expected = torch.tensor(slow.log_sum_exp_pooling(maps.tolist(), sharpness)).to(maps)
        torch.testing.assert_close(log_sum_exp_pooling(maps, sharpness), expected)


def test_by_hand():
    """Cells 0 and log 3 at r = 1: mean log(3)/2; log((1 + 3) / 2) = log 2."""
    maps = torch.tensor([[[[0.0, math.log(3)]]]], dtype=torch.float64)
    assert average_pooling(maps).item() == pytest.approx(math.log(3) / 2)
    assert log_sum_exp_pooling(maps, 1.0).item() == pytest.approx(math.log(2))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), sharpness=st.floats(0.05, 50), shift=st.floats(-5, 5))
def test_log_sum_exp_laws(seed, sharpness, shift):
    maps = random_maps(seed)
    pooled = log_sum_exp_pooling(maps, sharpness)
    # between mean and maximum
    assert (pooled >= average_pooling(maps) - 1e-9).all()
    assert (pooled <= maps.amax((-2, -1)) + 1e-9).all()
    # grows with sharpness, commutes with a shift, does not see the order of the cells
    assert (log_sum_exp_pooling(maps, 2 * sharpness) >= pooled - 1e-9).all()
    torch.testing.assert_close(log_sum_exp_pooling(maps + shift, sharpness), pooled + shift)
    torch.testing.assert_close(log_sum_exp_pooling(maps.flip(-1).mT, sharpness), pooled)


def test_log_sum_exp_limits():
    maps = random_maps(1)
    torch.testing.assert_close(
        log_sum_exp_pooling(maps, 1e-5), average_pooling(maps), atol=1e-3, rtol=0
    )
    torch.testing.assert_close(
        log_sum_exp_pooling(maps, 1e4), maps.amax((-2, -1)), atol=1e-3, rtol=0
    )


def test_large_values_stay_finite():
    maps = torch.tensor([[[[1e4, -1e4]]]], requires_grad=True)
    pooled = log_sum_exp_pooling(maps, 8.0)
    pooled.sum().backward()
    assert torch.isfinite(pooled).all()
    assert maps.grad is not None
    torch.testing.assert_close(maps.grad, torch.tensor([[[[1.0, 0.0]]]]))


def test_gradients():
    maps = random_maps(2).requires_grad_()
    assert torch.autograd.gradcheck(average_pooling, (maps,))
    assert torch.autograd.gradcheck(lambda x: log_sum_exp_pooling(x, 3.0), (maps,))


def test_sharpness_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        log_sum_exp_pooling(random_maps(0), 0.0)
