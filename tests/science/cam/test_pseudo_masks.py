"""Masks straight from class maps, and from motion alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import fcam as slow
from wsvis.cam.pseudo_masks import motion_masks, pseudo_masks
from wsvis.masks import decode_masks, rle_areas

VALUES = st.integers(0, 8).map(lambda n: np.float32(n / 8))
MAPS = st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda size: arrays(np.float32, size, elements=VALUES)
)
AREAS = st.sampled_from([0.0, 0.05, 0.2])


def pixels_of(instances, height, width):
    masks = decode_masks(instances.masks, height, width)
    return [frozenset(map(tuple, np.argwhere(mask).tolist())) for mask in masks]


@given(MAPS, st.sampled_from([0.0, 0.25, 0.5]), AREAS)
def test_agrees_with_the_loops(maps, threshold, min_area):
    count, height, width = maps.shape
    class_ids = [7, 2, 11][:count]
    got = pseudo_masks(
        maps, np.array(class_ids, dtype=np.int64), height, width, threshold, min_area
    )
    expected = slow.pseudo_masks(maps.tolist(), class_ids, threshold, min_area, height, width)
    assert {
        (label, round(score, 4), pixels)
        for label, score, pixels in zip(
            got.labels.tolist(), got.scores.tolist(), pixels_of(got, height, width), strict=True
        )
    } == {(label, round(float(np.float32(score)), 4), pixels) for label, score, pixels in expected}
    assert len(got) == len(expected)


def test_by_hand():
    # One class (id 3), threshold .5, a frame of 4 pixels. Above it: the pair .78, 1.22 at the left,
    # mean 1, half of the frame: sqrt(1 / 2) = .7071; and the single .64 at the right, a quarter of
    # the frame: sqrt(.64 / 4) = .4; .5 itself is not above.
    maps = np.array([[[0.78, 1.22, 0.5, 0.64]]], dtype=np.float32)
    found = pseudo_masks(maps, np.array([3]), 1, 4, 0.5, 0.0)
    assert found.labels.tolist() == [3, 3]
    np.testing.assert_allclose(found.scores, [0.70710678, 0.4], rtol=1e-6)
    masks = decode_masks(found.masks, 1, 4)
    assert masks.tolist() == [[[True, True, False, False]], [[False, False, False, True]]]
    # a component of one pixel is a quarter of the frame: kept at .25, dropped above
    assert len(pseudo_masks(maps, np.array([3]), 1, 4, 0.5, 0.25)) == 2
    assert len(pseudo_masks(maps, np.array([3]), 1, 4, 0.5, 0.26)) == 1


def test_components_do_not_join_at_corners():
    maps = np.eye(2, dtype=np.float32)[None]
    assert len(pseudo_masks(maps, np.array([0]), 2, 2, 0.5, 0.0)) == 2


def test_classes_share_no_pixel_and_the_larger_map_wins():
    maps = np.array([[[0.6, 0.9]], [[0.7, 0.8]]], dtype=np.float32)
    found = pseudo_masks(maps, np.array([5, 1]), 1, 2, 0.5, 0.0)
    assert found.labels.tolist() == [5, 1]
    assert decode_masks(found.masks, 1, 2).tolist() == [[[False, True]], [[True, False]]]


@given(MAPS)
def test_a_higher_threshold_never_covers_more(maps):
    count, height, width = maps.shape
    ids = np.arange(count)
    areas = [
        rle_areas(pseudo_masks(maps, ids, height, width, threshold, 0.0).masks).sum()
        for threshold in (0.2, 0.6)
    ]
    assert areas[1] <= areas[0]


def test_maps_on_a_coarser_grid_give_masks_of_the_frame():
    # A 2 x 2 half of a 4 x 4 map, shown at 8 x 12: bilinear, .5 is crossed at the middle.
    maps = np.zeros((1, 4, 4), dtype=np.float16)
    maps[0, :, :2] = 1
    found = pseudo_masks(maps, np.array([0]), 8, 12, 0.5, 0.0)
    expected = np.zeros((8, 12), dtype=bool)
    expected[:, :6] = True
    assert np.array_equal(decode_masks(found.masks, 8, 12)[0], expected)


@pytest.mark.parametrize("maps", [np.zeros((0, 3, 4), np.float32), np.zeros((2, 3, 4), np.float32)])
def test_nothing_found_is_nothing(maps):
    found = pseudo_masks(maps, np.arange(len(maps)), 6, 8, 0.3, 0.01)
    assert len(found) == 0
    assert found.labels.dtype == np.int64
    assert found.scores.dtype == np.float32
    assert len(motion_masks(np.zeros((3, 4), bool), np.arange(2), 6, 8, 0.0)) == 0


def test_motion_masks_by_hand():
    # Moving cells of 2 x 2 pixels in a frame of 32: a pair (8 px) and a single one (4 px); two
    # classes, so each component comes twice, with sqrt(8/32) = .5 and sqrt(4/32) = .35355.
    moving = np.array([[True, True, False, False], [False, False, False, True]])
    found = motion_masks(moving, np.array([4, 9]), 4, 8, 0.0)
    assert found.labels.tolist() == [4, 9, 4, 9]
    np.testing.assert_allclose(found.scores, [0.5, 0.5, 0.35355339, 0.35355339], rtol=1e-6)
    assert rle_areas(found.masks).tolist() == [8, 8, 4, 4]
    # 4 of 32 pixels is .125: dropped above it
    assert rle_areas(motion_masks(moving, np.array([4]), 4, 8, 0.13).masks).tolist() == [8]


@given(arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8))))
def test_motion_masks_of_one_class_are_the_components(moving):
    height, width = moving.shape
    found = motion_masks(moving, np.array([0]), height, width, 0.0)
    expected = {frozenset(pixels) for pixels in slow.components(moving.tolist())}
    assert set(pixels_of(found, height, width)) == expected
    assert np.square(found.scores).sum() == pytest.approx(moving.mean())
