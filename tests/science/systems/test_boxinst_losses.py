"""The dynamic mask head and BoxInst's losses: hand cases, laws, slow twins, gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference import boxinst as slow
from wsvis.systems.boxinst.dynamic_head import (
    dynamic_masks,
    parameter_count,
    relative_coordinates,
)
from wsvis.systems.boxinst.learner import box_masks, cell_masks, cell_similarity
from wsvis.systems.boxinst.losses import (
    colour_similarity,
    dice,
    neighbours,
    pairwise_loss,
    projection_loss,
    rgb_to_lab,
)

SURE = 30.0
"""A logit whose sigmoid is 1 to the last digit."""


def random(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("channels", "count"), [(8, 169), (16, 233), (32, 361)])
def test_a_head_has_as_many_parameters_as_the_papers_say(channels, count):
    assert parameter_count(channels) == count


@given(seed=st.integers(0, 2**31), instances=st.integers(0, 4), channels=st.integers(1, 5))
def test_dynamic_heads_are_explicit_convolutions_one_by_one(seed, instances, channels):
    draw = random(seed)
    features = torch.randn(channels, 4, 5, generator=draw)
    coordinates = torch.randn(instances, 2, 4, 5, generator=draw)
    parameters = torch.randn(instances, parameter_count(channels), generator=draw)
    fast = dynamic_masks(features, coordinates, parameters)
    assert fast.shape == (instances, 4, 5)
    if instances:
        torch.testing.assert_close(fast, slow.dynamic_masks(features, coordinates, parameters))


def test_instances_do_not_meet_in_the_dynamic_head():
    draw = random(3)
    features = torch.randn(4, 6, 6, generator=draw)
    coordinates = torch.randn(3, 2, 6, 6, generator=draw)
    parameters = torch.randn(3, parameter_count(4), generator=draw)
    whole = dynamic_masks(features, coordinates, parameters)
    torch.testing.assert_close(
        dynamic_masks(features, coordinates[1:2], parameters[1:2]), whole[1:2]
    )


def test_a_head_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="10 parameters for 4 channels"):
        dynamic_masks(torch.zeros(4, 2, 2), torch.zeros(1, 2, 2, 2), torch.zeros(1, 10))


def test_relative_coordinates_by_hand():
    found = relative_coordinates(torch.tensor([[10.0, 6.0]]), torch.tensor([64.0]), 2, 3, 4)
    # middles of cells of 4 pixels: x 2, 6, 10; y 2, 6
    assert (found[0, 0] * 64).tolist() == [[8, 4, 0], [8, 4, 0]]
    assert (found[0, 1] * 64).tolist() == [[4, 4, 4], [0, 0, 0]]


def boxes(*corners, size=8):
    filled = torch.zeros(len(corners), size, size)
    for mask, (top, left, bottom, right) in zip(filled, corners, strict=True):
        mask[top:bottom, left:right] = 1
    return filled


def logits_of(masks):
    return (masks * 2 - 1) * SURE


def test_a_mask_that_fills_its_box_has_no_projection_loss():
    box = boxes((1, 2, 5, 7), (0, 0, 8, 8))
    assert projection_loss(logits_of(box), box).tolist() == pytest.approx([0, 0], abs=1e-4)


def test_a_cross_that_reaches_every_side_has_none_either():
    """The projection sees shadows alone: what fills a box it cannot tell."""
    box, cross = boxes((1, 1, 6, 6)), torch.zeros(1, 8, 8)
    cross[0, 3, 1:6] = cross[0, 1:6, 3] = 1
    assert float(projection_loss(logits_of(cross), box)) == pytest.approx(0, abs=1e-4)


def test_a_mask_elsewhere_and_half_a_mask_by_hand():
    box = boxes((0, 0, 4, 4))
    assert float(projection_loss(logits_of(boxes((4, 4, 8, 8))), box)) == pytest.approx(2, abs=1e-4)
    half = logits_of(boxes((0, 0, 2, 4)))  # rows 2 of 4, columns all: dice 2 * 2 / 6 and 1
    assert float(projection_loss(half, box)) == pytest.approx(1 / 3, abs=1e-4)


@given(seed=st.integers(0, 2**31))
def test_the_projection_loss_is_its_slow_twin_and_lies_in_its_range(seed):
    draw = random(seed)
    logits = torch.randn(2, 5, 6, generator=draw) * 3
    box = torch.zeros(2, 5, 6)
    box[0, 1:4, 2:5], box[1, 0:2, 0:1] = 1, 1
    found = projection_loss(logits, box)
    assert found.tolist() == pytest.approx(slow.projection_loss(logits, box), rel=1e-4)
    assert all(0 <= value <= 2 for value in found.tolist())


def test_dice_by_hand():
    x, y = torch.tensor([[1.0, 1, 0, 0]]), torch.tensor([[1.0, 0, 1, 0]])
    assert float(dice(x, y)) == pytest.approx(0.5, abs=1e-4)
    assert float(dice(x, x)) == pytest.approx(0, abs=1e-4)
    assert float(dice(x, 1 - x)) == pytest.approx(1, abs=1e-4)


@given(seed=st.integers(0, 2**31), dilation=st.integers(1, 2))
def test_the_pairwise_loss_is_its_slow_twin(seed, dilation):
    draw = random(seed)
    logits = torch.randn(2, 5, 4, generator=draw) * 2
    inside = neighbours(torch.ones(5, 4), dilation)
    weights = (torch.rand(2, 8, 5, 4, generator=draw) > 0.5).float() * inside
    found = float(pairwise_loss(logits, weights, dilation))
    assert found == pytest.approx(slow.pairwise_loss(logits, weights, dilation), rel=1e-4)


@given(seed=st.integers(0, 2**31))
def test_it_does_not_matter_which_side_is_the_object(seed):
    logits = torch.randn(1, 6, 6, generator=random(seed))
    weights = neighbours(torch.ones(6, 6), 2)[None]
    one, other = pairwise_loss(logits, weights, 2), pairwise_loss(-logits, weights, 2)
    assert float(one) == pytest.approx(float(other), rel=1e-5)
    assert float(one) >= 0


def test_sure_and_equal_neighbours_cost_nothing_undecided_ones_log_two():
    weights = neighbours(torch.ones(6, 6), 1)[None]
    assert float(pairwise_loss(torch.full((1, 6, 6), SURE), weights, 1)) == pytest.approx(
        0, abs=1e-4
    )
    undecided = float(pairwise_loss(torch.zeros(1, 6, 6), weights, 1))
    assert undecided == pytest.approx(np.log(2), rel=1e-5)
    assert float(pairwise_loss(torch.zeros(1, 6, 6), weights * 0, 1)) == 0


def test_gradients():
    draw = random(1)
    logits = torch.randn(2, 4, 4, generator=draw, dtype=torch.float64, requires_grad=True)
    weights = neighbours(torch.ones(4, 4, dtype=torch.float64), 1)[None].expand(2, -1, -1, -1)
    assert torch.autograd.gradcheck(lambda x: pairwise_loss(x, weights, 1), logits)
    box = torch.zeros(2, 4, 4, dtype=torch.float64)
    box[:, 1:3, 1:4] = 1
    assert torch.autograd.gradcheck(lambda x: projection_loss(x, box), logits)
    features = torch.randn(2, 3, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    coordinates = torch.randn(2, 2, 3, 3, generator=draw, dtype=torch.float64)
    numbers = torch.randn(
        2, parameter_count(2), generator=draw, dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(
        lambda f, p: dynamic_masks(f, coordinates, p), (features, numbers)
    )


def test_neighbours_come_row_by_row_and_zero_from_outside():
    x = torch.arange(9.0).view(3, 3) + 1
    assert neighbours(x, 1)[:, 1, 1].tolist() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert neighbours(x, 1)[:, 0, 0].tolist() == [0, 0, 0, 0, 2, 0, 4, 5]
    assert neighbours(x, 2)[7, 0, 0] == 9


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # the values that every colour table has
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (100, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
)
def test_colours_in_lab(rgb, lab):
    found = rgb_to_lab(torch.tensor(rgb, dtype=torch.float32).view(3, 1, 1)).flatten()
    assert found.tolist() == pytest.approx(lab, abs=0.05)


def test_alike_are_equal_colours_and_none_beyond_the_image():
    lab = torch.zeros(3, 5, 5)
    lab[0, :, 3:] = 10.0  # two halves; exp(-10 / 2) = .0067
    inside = torch.ones(5, 5, dtype=torch.bool)
    inside[4] = False
    found = colour_similarity(lab, inside, 1)
    assert found[:, 2, 1].tolist() == [1] * 8
    assert found[4, 2, 2] == pytest.approx(np.exp(-5), rel=1e-4)  # its neighbour to the right
    assert found[3, 2, 2] == 1
    assert found[5:, 3].sum() == 0  # the row below is padding
    assert found[:, 4].sum() == 0
    assert found[0, 0].sum() == 0  # nothing is above


def test_boxes_and_masks_on_the_mask_grid():
    box = torch.tensor([[2.0, 0.0, 5.0, 3.0], [7.2, 7.2, 7.4, 7.4]])
    cells = box_masks(box, (4, 4), 2)
    assert cells[0].float().tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0] * 4, [0] * 4]
    assert cells[1].nonzero().tolist() == [[3, 3]]  # smaller than a cell, and still somewhere
    mask = torch.zeros(1, 7, 8, dtype=torch.bool)
    mask[0, 0:2, 0:1] = mask[0, 2:4, 2:4] = mask[0, 4, 4] = True
    assert cell_masks(mask, (4, 4), 2)[0].nonzero().tolist() == [[0, 0], [1, 1]]


def test_what_pads_an_image_is_like_nothing():
    image = torch.full((3, 6, 8), 0.5)
    found = cell_similarity(image, (4, 4), 2, 1)
    assert found[:, 1, 1].tolist() == pytest.approx([1] * 8)
    assert found[:, 3].sum() == 0
    assert found[5:, 2].sum() == 0
