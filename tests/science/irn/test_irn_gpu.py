"""The same numbers on a GPU."""

import numpy as np
import pytest
import torch

from wsvis.irn.affinity import affinity
from wsvis.irn.centroids import centroids
from wsvis.irn.random_walk import random_walk
from wsvis.refinement.crf import dense_crf

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def drawn(*size):
    return torch.rand(size, generator=torch.Generator().manual_seed(0))


def test_affinity_and_its_gradient():
    here = drawn(3, 40, 50).requires_grad_()
    there = here.detach().cuda().requires_grad_()
    values = []
    for boundary in (here, there):
        alpha = affinity(boundary, 10)
        alpha.square().sum().backward()
        values.append(alpha)
    assert torch.equal(values[0], values[1].cpu())
    assert here.grad is not None
    assert there.grad is not None
    assert torch.allclose(here.grad, there.grad.cpu(), rtol=1e-4, atol=1e-4)


def test_walk_over_a_batch_of_frames():
    seeds, boundary = drawn(4, 3, 30, 40), drawn(4, 30, 40) ** 3
    expected = random_walk(seeds, boundary)
    found = random_walk(seeds.cuda(), boundary.cuda()).cpu()
    assert (found - expected).abs().max() <= 1e-4 * expected.max()


def test_centroids():
    field = torch.nn.functional.interpolate(drawn(2, 2, 4, 5) - 0.5, (30, 40), mode="bilinear")
    same = (centroids(field) == centroids(field.cuda()).cpu()).float().mean()
    assert same > 0.99


def test_crf():
    images = (drawn(3, 24, 32, 3) * 64).to(torch.uint8)
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (3, 2, 24, 32), np.uint8))
    expected = dense_crf(images, labels, [3, 2, 3])
    found = dense_crf(images.cuda(), labels.cuda(), [3, 2, 3]).cpu()
    assert (found == expected).float().mean() > 0.99
