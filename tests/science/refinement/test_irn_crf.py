import math

import pytest
import torch

from reference import dense_crf as reference
from wsvis.refinement import crf as module
from wsvis.refinement.crf import appearance_offsets, dense_crf, mean_field, unary_energy
from wsvis.stencil import Stencil


def scene(frames=1, maps=2, height=6, width=7, count=3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (frames, height, width, 3), generator=draw, dtype=torch.uint8)
    labels = torch.randint(0, count, (frames, maps, height, width), generator=draw)
    return images // 16, labels.to(torch.uint8)


def two_halves(height=24, width=32, at=16):
    """Dark on the left, bright on the right."""
    images = torch.full((1, height, width, 3), 40, dtype=torch.uint8)
    images[:, :, at:] = 200
    return images


@pytest.mark.parametrize("iterations", [0, 1, 4])
def test_matches_every_pair_on_its_own(iterations):
    """On 6 x 7 cells a window of 2.5 sigma = 10 holds every other cell."""
    images, labels = scene()
    offsets = appearance_offsets(4.0, 1000)
    settings = {"colour_sigma": 6.0, "appearance_weight": 5.0, "smoothness_sigma": 2.0}
    settings |= {"smoothness_weight": 3.0, "iterations": iterations}
    q = mean_field(
        unary_energy(labels, [3], 0.7, 1), images.permute(0, 3, 1, 2).float(), offsets, **settings
    )
    for m in range(2):
        expected = reference.mean_field(
            images[0].tolist(),
            labels[0, m].tolist(),
            3,
            certainty=0.7,
            appearance_sigma=4.0,
            **settings,
        )
        for ((y, x), c), value in expected.items():
            assert q[0, m, c, y, x].item() == pytest.approx(value, abs=2e-5)


def test_unary_by_hand():
    """L = 3, certainty .7: -log .7 for the label given, -log .15 for others; blocks average."""
    labels = torch.tensor([[[[0, 0], [0, 2]]]], dtype=torch.uint8)
    right, wrong = -math.log(0.7), -math.log(0.15)
    energy = unary_energy(labels, [3], 0.7, 2).flatten().tolist()
    expected = [0.75 * right + 0.25 * wrong, wrong, 0.25 * right + 0.75 * wrong]
    assert energy == pytest.approx(expected)


def test_border_moves_to_the_edge_of_the_image():
    """The label stops 3 pixels short of where the colour changes."""
    labels = torch.zeros((1, 1, 24, 32), dtype=torch.uint8)
    labels[..., :13] = 1
    for stride in (1, 2):
        refined = dense_crf(two_halves(), labels, [2], appearance_sigma=8.0, stride=stride)
        assert (refined[..., :15] == 1).all()
        assert (refined[..., 17:] == 0).all()


def test_sampled_neighbours_agree_with_all_of_them():
    labels = torch.zeros((1, 1, 24, 32), dtype=torch.uint8)
    labels[..., 3:21, :13] = 1
    noise = torch.randint(0, 6, (1, 24, 32, 3), generator=torch.Generator().manual_seed(0))
    images = two_halves() + noise.to(torch.uint8)
    assert len(appearance_offsets(8.0, 32)) <= 32 < len(appearance_offsets(8.0, 5000))
    sampled = dense_crf(images, labels, [2], appearance_sigma=8.0, stride=1, neighbours=32)
    every = dense_crf(images, labels, [2], appearance_sigma=8.0, stride=1, neighbours=5000)
    assert (sampled == every).float().mean() > 0.98


def test_sampled_weights_sum_like_the_gaussian():
    """Half the plane under exp(-d^2 / 2 sigma^2) is pi sigma^2."""
    total = sum(w for _, _, w in appearance_offsets(12.0, 64))
    assert total == pytest.approx(math.pi * 144, rel=0.02)
    every = sum(w for _, _, w in appearance_offsets(12.0, 5000))
    assert every == pytest.approx(math.pi * 144, rel=0.06)


def test_permuting_labels_permutes_the_result():
    images, labels = scene(height=10, width=12)
    order = torch.tensor([2, 0, 1], dtype=torch.uint8)
    refined = dense_crf(images, labels, [3], appearance_sigma=6.0, stride=1)
    permuted = dense_crf(images, order[labels.long()], [3], appearance_sigma=6.0, stride=1)
    assert torch.equal(order[refined.long()], permuted)


@pytest.mark.parametrize("sparse", [True, False])
def test_frames_in_one_batch_do_not_meet(monkeypatch, sparse):
    """Frames with different numbers of labels, two at a time, give what one at a time gives."""
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: sparse)
    images, labels = scene(frames=3, height=10, width=11)
    labels[1] = labels[1].clamp(max=1)
    counts = [3, 2, 3]
    settings = {"appearance_sigma": 6.0, "stride": 1, "colour_sigma": 5.0}
    together = []
    for group in (1, 2):
        monkeypatch.setattr(module, "frames_at_once", lambda *_, g=group: g)
        together.append(dense_crf(images, labels, counts, **settings))
    assert torch.equal(*together)
    alone = dense_crf(images[1:2], labels[1:2], [2], **settings)
    assert torch.equal(alone, together[0][1:2])


@pytest.mark.parametrize("sparse", [True, False])
def test_memory_nobody_wrote_has_no_part_in_it(monkeypatch, sparse):
    """A product into new memory is the product, whatever the memory held."""
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: sparse)
    links = torch.zeros((1, 1, 5))
    links[..., 1] = 3.0  # between the second cell and the third
    matrix = Stencil(torch.full((1, 5), 2.0), links, [1])
    packed = matrix.pack(torch.arange(5.0).view(1, 1, 5))
    product = matrix.multiply(torch.full_like(packed, math.nan), packed, beta=0, alpha=1)
    assert matrix.unpack(product, 1).tolist() == [[[0, 2 + 6, 4 + 3, 6, 8]]]


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_sizes_that_stride_does_not_divide(stride):
    images, labels = scene(height=7, width=9)
    assert dense_crf(images, labels, [3], stride=stride).shape == labels.shape


def test_only_background_stays_background():
    images, labels = scene()
    assert dense_crf(images, labels * 0, [1]).max() == 0
    assert dense_crf(images[:0], labels[:0], []).shape == (0, 2, 6, 7)


def test_programming_errors():
    images, labels = scene()
    with pytest.raises(ValueError, match="label counts"):
        dense_crf(images, labels, [3, 3])
