import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.warp_masks import iou as slow_iou
from reference.warp_masks import warp_mask as slow_warp
from wsvis.flow.warp import warp_masks as dense_warp_masks
from wsvis.masks import boxes_from_masks, encode_masks, rle_iou
from wsvis.tracking.boxes import box_iou, boxes_of
from wsvis.tracking.cutouts import cutout_iou, cutouts, sampling_of, warp_cutout, warp_masks


def blobs(rng, count, height, width):
    """Random masks with holes, some empty, some touching the border."""
    noise = rng.random((count, height, width))
    return noise < rng.choice([0.0, 0.3, 0.7, 1.0], size=(count, 1, 1))


def test_nothing_moves_without_flow():
    masks = blobs(np.random.default_rng(0), 6, 9, 13)
    np.testing.assert_array_equal(warp_masks(masks, np.zeros((9, 13, 2))), masks)


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, 2), (-4, 1), (5, -3), (30, 0)])
def test_a_whole_pixel_shift_moves_masks_exactly(right, down):
    masks = blobs(np.random.default_rng(1), 5, 10, 14)
    # The object moved by (right, down), so every pixel of the new frame looks back by minus that.
    flow = np.broadcast_to(np.array([-right, -down], np.float32), (10, 14, 2))
    expected = np.zeros_like(masks)
    for y in range(10):
        for x in range(14):
            if 0 <= y - down < 10 and 0 <= x - right < 14:
                expected[:, y, x] = masks[:, y - down, x - right]
    np.testing.assert_array_equal(warp_masks(masks, flow), expected)


def test_half_a_pixel_counts_as_inside():
    mask = np.array([[[False, True, True, False]]])
    flow = np.full((1, 4, 2), 0.0)
    flow[..., 0] = -0.5
    # Pixel x looks at x - 0.5: 0 at the edge (-0.5 repeats pixel 0: 0), 1 -> (0 + 1) / 2 = 0.5,
    # 2 -> 1, 3 -> (1 + 0) / 2 = 0.5; at least 0.5 is inside.
    np.testing.assert_array_equal(warp_masks(mask, flow)[0, 0], [False, True, True, True])
    flow[..., 0] = -0.6  # now pixel 1 looks at 0.4 (value 0.4) and pixel 3 at 2.4 (value 0.6)
    np.testing.assert_array_equal(warp_masks(mask, flow)[0, 0], [False, False, True, True])


def test_flow_that_is_not_finite_shows_background():
    masks = np.ones((1, 3, 4), dtype=bool)
    flow = np.zeros((3, 4, 2))
    flow[0, 0] = np.nan
    flow[1, 1] = np.inf, 0
    flow[2, 2] = 0, -np.inf
    expected = masks.copy()
    expected[0, [0, 1, 2], [0, 1, 2]] = False
    np.testing.assert_array_equal(warp_masks(masks, flow), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 8), st.integers(1, 9), st.integers(1, 11))
def test_agrees_with_the_pixel_loop(seed, spread, height, width):
    rng = np.random.default_rng(seed)
    # Quarters of a pixel: sums of products are exact, so that 0.5 is 0.5 in both.
    flow = np.round(4 * rng.normal(scale=spread, size=(height, width, 2))) / 4
    masks = blobs(rng, 2, height, width)
    for mask, warped in zip(masks, warp_masks(masks, flow), strict=True):
        np.testing.assert_array_equal(warped, slow_warp(mask, flow))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 6))
def test_agrees_with_the_dense_warp_of_the_flow_room(seed, spread):
    rng = np.random.default_rng(seed)
    masks = blobs(rng, 3, 15, 21)
    flow = rng.normal(scale=spread, size=(15, 21, 2)).astype(np.float32)
    dense, _ = dense_warp_masks(torch.from_numpy(masks), torch.from_numpy(flow))
    differing = warp_masks(masks, flow) != dense.numpy()
    assert differing.mean() < 0.003  # rounding of positions where a value is 0.5 within 1e-5


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_cut_out_masks_overlap_as_the_whole_ones_do(seed):
    rng = np.random.default_rng(seed)
    a, b = blobs(rng, 3, 8, 10), blobs(rng, 4, 8, 10)
    rle_a, rle_b = encode_masks(a), encode_masks(b)
    iou = cutout_iou(cutouts(rle_a), cutouts(rle_b))
    np.testing.assert_allclose(iou, rle_iou(rle_a, rle_b), atol=1e-12)
    for i in range(3):
        for j in range(4):
            assert iou[i, j] == pytest.approx(slow_iou(a[i], b[j]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_a_moved_cutout_holds_the_moved_mask(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((1, 20, 30), dtype=bool)
    mask[0, 5:12, 8:20] = rng.random((7, 12)) < 0.8
    flow = rng.normal(scale=3, size=(20, 30, 2)).astype(np.float32)
    (cutout,) = cutouts(encode_masks(mask))
    moved = warp_cutout(cutout, sampling_of(flow))
    whole = np.zeros((20, 30), dtype=bool)
    rows, columns = moved.mask.shape
    whole[moved.top : moved.top + rows, moved.left : moved.left + columns] = moved.mask
    np.testing.assert_array_equal(whole, warp_masks(mask, flow)[0])


def test_boxes_straight_from_rle_are_the_tight_ones():
    masks = blobs(np.random.default_rng(2), 30, 7, 9)
    np.testing.assert_array_equal(boxes_of(encode_masks(masks)), boxes_from_masks(masks))
    assert boxes_of([]).shape == (0, 4)


def test_box_iou_by_hand():
    a = np.array([[0.0, 0, 4, 4], [0, 0, 0, 0]])
    b = np.array([[2.0, 2, 6, 6], [4, 0, 8, 4], [0, 0, 4, 4], [0, 0, 0, 0]])
    # 2 x 2 shared of 16 + 16 - 4 = 28; touching shares nothing; itself; empty with anything is 0.
    np.testing.assert_allclose(box_iou(a, b), [[4 / 28, 0, 1, 0], [0, 0, 0, 0]])
    assert box_iou(a[:0], b).shape == (0, 4)
