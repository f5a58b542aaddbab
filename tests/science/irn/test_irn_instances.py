import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import centroids as reference
from wsvis.irn.centroids import centroids, instance_map
from wsvis.irn.instances import (
    detections,
    instance_seeds,
    upsample_scores,
)
from wsvis.irn.random_walk import random_walk
from wsvis.masks import decode_masks


def smooth_field(height=8, width=10, seed=0, size=2.0):
    draw = torch.Generator().manual_seed(seed)
    coarse = size * torch.randn((1, 2, 3, 4), generator=draw)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


def towards(centres, height=12, width=20):
    """Displacement of a grid whose columns are shared out among centres (y, x), left to right."""
    field = torch.zeros(1, 2, height, width)
    share = width // len(centres)
    for n, (cy, cx) in enumerate(centres):
        columns = slice(n * share, (n + 1) * share)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width)[columns], indexing="ij")
        field[0, 0, :, columns], field[0, 1, :, columns] = cy - y, cx - x
    return field


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("refinements", [1, 20])
def test_centroids_match_the_definition(seed, refinements):
    field = smooth_field(seed=seed)
    found = centroids(field, refinements)[0]
    expected = reference.centroids(field[0].tolist(), refinements)
    for (y, x), end in expected.items():
        # Just at a half, rounding of the two arithmetics may differ.
        assert abs(found[0, y, x].item() - end[0]) <= 0.5 + 1e-3
        assert abs(found[1, y, x].item() - end[1]) <= 0.5 + 1e-3


def test_one_step_by_hand():
    """1 x 3 cells, D = (0, +1), (0, .4), (0, 0): ends at columns 1, 1.4, 2 -> 1, 1, 2.

    Second step: D(1.0) = .4 -> 1.4; D(1.4) = .4 * .6 = .24 -> 1.64; 2 -> 1, 2, 2.
    """
    field = torch.zeros(1, 2, 1, 3)
    field[0, 1, 0] = torch.tensor([1.0, 0.4, 0.0])
    assert centroids(field, 1)[0, 1, 0].tolist() == [1, 1, 2]
    assert centroids(field, 2)[0, 1, 0].tolist() == [1, 2, 2]


def test_constant_displacement_runs_into_the_corner():
    field = torch.full((1, 2, 5, 7), 0.3)
    ends = centroids(field)[0]
    assert (ends[0] == 4).all()
    assert (ends[1] == 6).all()


def test_zero_displacement_stays():
    ends = centroids(torch.zeros(2, 2, 5, 7))
    assert torch.equal(ends[1, 0], torch.arange(5)[:, None].expand(5, 7))
    assert torch.equal(ends[0, 1], torch.arange(7)[None].expand(5, 7))
    assert centroids(torch.zeros(0, 2, 5, 7)).shape == (0, 2, 5, 7)


@pytest.mark.parametrize("seed", range(3))
def test_instances_match_the_definition(seed):
    field = smooth_field(seed=seed, size=3.0)
    ends = centroids(field, 30)[0].numpy()
    found = instance_map(field[0].numpy(), ends, 1.5)
    cells = {(y, x): tuple(ends[:, y, x]) for y in range(8) for x in range(10)}
    expected = reference.instances(field[0].tolist(), cells, 1.5)
    names = {}
    for cell, key in expected.items():
        assert names.setdefault(key, found[cell]) == found[cell]
    assert len(set(names.values())) == len(names) == found.max() + 1


def test_two_centres_are_two_instances():
    field = towards([(5, 4), (6, 15)])
    found = instance_map(field[0].numpy(), centroids(field)[0].numpy(), 2.5)
    assert (found[:, :10] == found[0, 0]).all()
    assert (found[:, 10:] == found[0, 19]).all()
    assert found[0, 0] != found[0, 19]


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1)])
def test_grids_of_one_row_or_cell(size):
    field = torch.zeros(1, 2, *size)
    found = instance_map(field[0].numpy(), centroids(field)[0].numpy(), 1.0)
    assert found.shape == size
    assert found.max() == 0


def test_displacements_nowhere_small_are_one_instance():
    field = torch.full((1, 2, 6, 7), 9.0)
    found = instance_map(field[0].numpy(), centroids(field)[0].numpy(), 2.5)
    assert found.max() == 0


def test_seeds_cut_each_class_by_instance():
    """Two classes x two instances, of which class 5 has nothing in the second."""
    activation = np.array([[[1.0, 0.5]], [[0.25, 0.0]]])
    seeds = instance_seeds(activation, np.array([3, 5]), np.array([[0, 1]]))
    assert seeds.labels.tolist() == [3, 3, 5]
    assert seeds.maps.tolist() == [[[1.0, 0.0]], [[0.0, 0.5]], [[0.25, 0.0]]]
    assert np.allclose(seeds.maps.sum(0), activation.sum(0))


def test_frame_without_any_activation():
    """No class, or a class that fires nowhere: no seed, no detection, no crash."""
    for maps, ids in ((np.zeros((0, 3, 4)), []), (np.zeros((1, 3, 4)), [2])):
        seeds = instance_seeds(maps, np.array(ids, dtype=np.int64), np.zeros((3, 4), dtype=int))
        assert seeds.maps.shape == (0, 3, 4)
        scores = upsample_scores(torch.from_numpy(seeds.maps), (12, 16), (12, 16)).numpy()
        assert len(detections(scores, seeds.labels)) == 0


def test_upsampling_cuts_and_divides_by_the_largest():
    walked = torch.zeros(2, 3, 4)
    walked[0, :, :2], walked[1, :, 2:] = 4.0, 1.0
    scores = upsample_scores(walked, (11, 14), (11, 14))
    assert scores.shape == (2, 11, 14)
    assert scores[0, 0, 0].item() == 1
    assert scores[1, 0, 13].item() == 0.25
    assert upsample_scores(walked, (12, 16), (48, 64)).shape == (2, 48, 64)
    assert upsample_scores(walked * 0, (12, 16), (12, 16)).max() == 0


def test_detections_by_hand():
    """Two seeds of class 7 side by side, and one too weak for the background of .25."""
    scores = np.zeros((3, 4, 8))
    scores[0, :, :3], scores[1, :, 3:6], scores[2, :, 6:] = 1.0, 0.5, 0.2
    found = detections(scores, np.array([7, 7, 1]))
    assert found.labels.tolist() == [7, 7]
    assert found.scores.tolist() == [1.0, 0.5]
    masks = decode_masks(found.masks, 4, 8)
    assert masks[0, :, :3].all()
    assert masks[0].sum() == 12
    assert masks[1, :, 3:6].all()


def test_components_of_one_seed_and_the_smallest_of_them():
    """4-connected: the diagonal neighbour is another component; below min_area it is dropped."""
    scores = np.zeros((1, 10, 10))
    scores[0, :3, :3], scores[0, 3, 3], scores[0, 8:, 8:] = 0.5, 1.0, 0.9
    found = detections(scores, np.array([0]), min_area=0.02)
    assert found.scores.tolist() == [pytest.approx(0.9), pytest.approx(0.5)]
    assert len(detections(scores, np.array([0]), min_area=0.01)) == 3


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_walks_of_a_classs_instances_add_up_to_the_walk_of_the_class(seed):
    """The walk is linear and instances partition the grid."""
    draw = np.random.default_rng(seed)
    activation, instances = draw.random((2, 6, 7)), draw.integers(0, 3, (6, 7))
    boundary = torch.from_numpy(draw.random((1, 6, 7))).float() ** 3
    seeds = instance_seeds(activation, np.array([1, 4]), instances)
    walked = random_walk(torch.from_numpy(seeds.maps)[None], boundary, steps=64)[0].numpy()
    sums = np.stack([walked[seeds.labels == label].sum(0) for label in (1, 4)])
    direct = random_walk(torch.from_numpy(activation)[None].float(), boundary, steps=64)[0].numpy()
    assert np.allclose(sums, direct, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_seeds_does_not_count(seed):
    draw = np.random.default_rng(seed)
    scores, labels = draw.random((4, 9, 11)), np.array([0, 0, 3, 5])
    order = draw.permutation(4)
    found, shuffled = detections(scores, labels), detections(scores[order], labels[order])
    assert found.scores.tolist() == shuffled.scores.tolist()
    assert sorted(found.labels.tolist()) == sorted(shuffled.labels.tolist())
    areas = [decode_masks(f.masks, 9, 11).sum() for f in (found, shuffled)]
    assert areas[0] == areas[1]
