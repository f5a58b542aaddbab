"""RoIAlign as sums of table rows equals torchvision's, forward and backward."""

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign, roi_align

from wsvis.systems.mask_rcnn.roi_pool import RoiPool

NAMES = ["0", "1", "2"]
SHAPES = [(96, 128), (80, 120)]
"""Of the images; levels belong to the larger one."""


def pyramid(generator):
    return {
        name: torch.randn(2, 5, 96 // stride, 128 // stride, generator=generator)
        for name, stride in zip([*NAMES, "pool"], (4, 8, 16, 32), strict=True)
    }


def random_boxes(count, generator, largest=400.0):
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([160.0, 120.0]) - 20
    side = torch.rand(count, 2, generator=generator) ** 3 * largest
    return torch.cat([corner, corner + side], 1)


def both(levels, boxes, size, samples):
    results = []
    for kind in (MultiScaleRoIAlign, RoiPool):
        leaves = {name: level.clone().requires_grad_() for name, level in levels.items()}
        about = {"strides": (4, 8, 16)} if kind is RoiPool else {}
        pooled = kind(NAMES, size, samples, **about)(leaves, boxes, SHAPES)
        weights = torch.linspace(-1, 1, pooled.numel()).view_as(pooled)
        (pooled * weights).sum().backward()
        results.append((pooled, [leaves[name].grad for name in NAMES], leaves["pool"].grad))
    return results


@pytest.mark.parametrize(("size", "samples"), [(7, 2), (14, 2), (3, 1)])
def test_equals_torchvision_forward_and_backward(size, samples):
    generator = torch.Generator().manual_seed(size)
    boxes = [random_boxes(40, generator), random_boxes(25, generator)]
    (theirs, their_grads, _), (mine, my_grads, unused) = both(
        pyramid(generator), boxes, size, samples
    )
    assert mine.shape == (65, 5, size, size)
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    for a, b in zip(my_grads, their_grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)
    assert unused is None


def test_boxes_of_every_level_at_the_border_and_without_extent():
    generator = torch.Generator().manual_seed(0)
    edges = torch.tensor(
        [
            [0.0, 0, 10, 10],
            [0, 0, 128, 96],
            [-300, -300, 700, 700],
            [50, 50, 50, 50],
            [127, 95, 128, 96],
            [200, 200, 260, 260],
            [-80, -80, -40, -40],
        ]
    )
    (theirs, _, _), (mine, _, _) = both(pyramid(generator), [edges, edges[:2]], 7, 2)
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    assert mine[5].abs().max() == 0  # outside the picture


def test_no_boxes_at_all():
    levels = pyramid(torch.Generator().manual_seed(1))
    none = [torch.zeros(0, 4), torch.zeros(0, 4)]
    assert RoiPool(NAMES, 7, 2, (4, 8, 16))(levels, none, SHAPES).shape == (0, 5, 7, 7)


def test_one_image_may_be_without_boxes():
    generator = torch.Generator().manual_seed(2)
    boxes = [torch.zeros(0, 4), random_boxes(3, generator)]
    (theirs, _, _), (mine, _, _) = both(pyramid(generator), boxes, 7, 2)
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("height", [20, 40, 66])
def test_levels_keep_their_stride_where_padding_hides_it(height):
    """Images of 40 rows are padded to 64, whose level of 16 rows looks like half of them."""
    level = torch.randn(1, 3, -(-height // 32) * 8, 24, generator=torch.Generator().manual_seed(3))
    box = torch.tensor([[5.0, 3.0, 30.0, height - 2.0]])
    expected = roi_align(level, [box], 7, 1 / 4, 2)
    pooled = RoiPool(["0"], 7, 2, (4,))({"0": level}, [box], [(height, 90)])
    torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-5)
