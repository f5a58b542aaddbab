import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from reference.semantic_iou import miou as slow_miou
from reference.semantic_iou import semantic_map as slow_map
from wsvis.evaluation.frame_ap import FrameTruth
from wsvis.evaluation.semantic_iou import (
    BACKGROUND,
    VOID,
    confusion_matrix,
    semantic_map,
    semantic_miou,
    truth_map,
)
from wsvis.masks import encode_masks
from wsvis.types import FrameInstances

CLASSES = 3


def random_instances(rng, count, height=6, width=7):
    masks = rng.random((count, height, width)) < 0.3
    labels = rng.integers(0, CLASSES, count)
    scores = (rng.integers(1, 5, count) / 4).astype(np.float32)  # many ties
    return masks, FrameInstances(labels, scores, tuple(encode_masks(masks)))


@given(seed=st.integers(0, 10_000), cut=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=25, deadline=None)
def test_map_equals_plain_loops(seed, cut):
    rng = np.random.default_rng(seed)
    masks, instances = random_instances(rng, int(rng.integers(0, 6)))
    slow = slow_map(instances.labels, instances.scores, masks, 6, 7, cut)
    assert semantic_map(instances, 6, 7, cut).tolist() == slow


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_miou_equals_plain_loops(seed):
    rng = np.random.default_rng(seed)
    maps = [
        (
            rng.integers(VOID, CLASSES, (4, 5)).astype(np.int16),
            rng.integers(BACKGROUND, CLASSES, (4, 5)).astype(np.int16),
        )
        for _ in range(3)
    ]
    assert semantic_miou(maps, CLASSES)["mIoU"] == pytest.approx(slow_miou(maps, CLASSES))


def test_hand_derived_values():
    # Truth      0 0 1 . void        class 0: TP 1, FN 1 (the second pixel), FP 0 -> 1/2
    # Prediction 0 1 1 1 0           class 1: TP 1, FP 2 (pixels 2 and 4), FN 0   -> 1/3
    # The last pixel is not counted; background: TP 0, FN 1 -> 0; class 2 has no truth.
    truth = np.array([[0, 0, 1, BACKGROUND, VOID]], np.int16)
    predicted = np.array([[0, 1, 1, 1, 0]], np.int16)
    result = semantic_miou([(truth, predicted)], CLASSES)
    assert result["IoU"] == pytest.approx([1 / 2, 1 / 3, math.nan, 0], nan_ok=True)
    assert result["mIoU"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert result["mIoU_with_background"] == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)
    assert confusion_matrix(truth, predicted, CLASSES).sum() == 4


def test_pixels_are_summed_over_frames_before_dividing():
    full, none = np.zeros((1, 8), np.int16), np.full((1, 2), BACKGROUND, np.int16)
    # 8 of 8 pixels found in one frame, 0 of 2 in the other: 8 / 10, not (1 + 0) / 2.
    maps = [(full, full), (np.zeros((1, 2), np.int16), none)]
    assert semantic_miou(maps, 1)["mIoU"] == pytest.approx(0.8)


def test_perfect_is_one_and_nothing_is_nan():
    truth = np.array([[0, 1, 2, BACKGROUND]], np.int16)
    assert semantic_miou([(truth, truth)], CLASSES)["mIoU"] == 1
    assert math.isnan(semantic_miou([], CLASSES)["mIoU"])


def test_truth_map_earlier_object_wins_and_crowds_are_void_elsewhere():
    masks = np.zeros((3, 1, 6), bool)
    masks[0, 0, 0:3] = masks[1, 0, 2:5] = masks[2, 0, 4:6] = True
    truth = FrameTruth(np.array([2, 0, 1]), tuple(encode_masks(masks)), np.array([0, 0, 1], bool))
    assert truth_map(truth, 1, 6).tolist() == [[2, 2, 2, 0, 0, VOID]]


def test_maps_of_different_size_are_refused():
    with pytest.raises((ValueError, TypeCheckError)):  # the type checker may be first
        confusion_matrix(np.zeros((2, 2), np.int16), np.zeros((2, 3), np.int16), 1)
