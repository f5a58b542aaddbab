import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.cityscapes_ap import average_precision as slow_ap
from reference.cityscapes_cases import random_image
from wsvis.data.cityscapes import THINGS
from wsvis.evaluation.cityscapes_ap import (
    OVERLAPS,
    average_precision,
    cityscapes_ap,
    cityscapes_ap_by_class,
)
from wsvis.evaluation.cityscapes_labels import class_ids, thing_map, void_of_instances
from wsvis.evaluation.semantic_iou import BACKGROUND, VOID
from wsvis.masks import encode_masks
from wsvis.types import FrameInstances

LABEL = {class_id: label for label, class_id in enumerate(THINGS)}
CAR = LABEL[26]
HEIGHT, WIDTH = 10, 40


def instances(predictions, height=HEIGHT, width=WIDTH):
    masks = np.array([p["mask"] for p in predictions], bool).reshape(-1, height, width)
    return FrameInstances(
        np.array([LABEL[p["class_id"]] for p in predictions], np.int64),
        np.array([p["score"] for p in predictions], np.float64),
        tuple(encode_masks(masks)),
    )


def car(score, left, right):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, left:right] = True
    return {"class_id": 26, "score": score, "mask": mask}


def road(**regions):
    """Ground truth of road (7) with columns [left, right) of other values."""
    ids = np.full((HEIGHT, WIDTH), 7, np.int32)
    for value, (left, right) in regions.items():
        ids[:, left:right] = int(value[1:])
    return ids


def car_ap50(ids, *predictions):
    return cityscapes_ap([(ids, instances(predictions))])["classes"]["car"]["AP50"]


@pytest.mark.parametrize("seed", range(3))
def test_equals_plain_loops(seed):
    images = [random_image(10 * seed + n) for n in range(3)]
    frames = [(ids, instances(found, *ids.shape)) for ids, found in images]
    ours = cityscapes_ap_by_class(frames)
    lists = [(ids.tolist(), found) for ids, found in images]
    slow = [[slow_ap(lists, class_id, t) for t in OVERLAPS] for class_id in THINGS]
    np.testing.assert_allclose(ours, slow, atol=1e-12, rtol=0)
    assert np.nanmax(ours) > 0


def test_thresholds_are_those_of_the_official_script():
    assert OVERLAPS[2] == 0.6000000000000001
    assert len(OVERLAPS) == 10


def test_hand_derived_curve():
    # Scores .9 true, .8 false, .7 true; one object missed: 3 objects.
    # Cuts .7: p 2/3, r 2/3; .8: p 1/2, r 1/3; .9: p 1, r 1/3; artificial: p 1, r 0.
    # Weights (r before - r after) / 2: (2/3 - 1/3)/2, (2/3 - 1/3)/2, (1/3 - 0)/2, (1/3 - 0)/2.
    expected = 2 / 3 * 1 / 6 + 1 / 2 * 1 / 6 + 1 * 1 / 6 + 1 * 1 / 6
    value = average_precision(np.array([0.7, 0.9]), np.array([0.8]), 1)
    assert value == pytest.approx(expected, abs=1e-15)


def test_tied_scores_are_one_point_of_the_curve():
    # Both at .5: cut .5: p 1/2, r 1; then p 1, r 0. Weights (1 - 0)/2 and (1 - 0)/2.
    value = average_precision(np.array([0.5]), np.array([0.5]), 0)
    assert value == pytest.approx(0.5 * 0.5 + 1 * 0.5)


def test_a_perfect_prediction_scores_one():
    ids = road(v26000=(0, 20), v26001=(20, 30))
    assert car_ap50(ids, car(0.9, 0, 20), car(0.9, 20, 30)) == 1
    assert cityscapes_ap([(ids, instances([car(0.9, 0, 20), car(0.9, 20, 30)]))])["AP"] == 1


def test_the_overlap_must_exceed_the_threshold():
    # 10 of 20 columns: IoU exactly .5 is not enough; the prediction is false, the object missed.
    assert car_ap50(road(v26000=(0, 20)), car(0.9, 0, 10)) == 0
    assert car_ap50(road(v26000=(0, 20)), car(0.9, 0, 11)) == 1


def test_the_second_prediction_on_an_object_is_false():
    # Higher score true, lower one false: p 1/2, r 1 | p 1, r 1 | p 1, r 0 with weights 0, 1/2, 1/2.
    ids = road(v26000=(0, 20))
    assert car_ap50(ids, car(0.5, 0, 20), car(0.9, 0, 19)) == pytest.approx(1)
    # Higher score false: cut .5: p 1/2, r 1; cut .9: p 0, r 0; weights 1/2, 1/2, 0.
    stray = car(0.9, 30, 40)
    assert car_ap50(ids, stray, car(0.5, 0, 20)) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("ids", "excused"),
    [
        (road(v26000=(0, 20), v26=(30, 40)), True),  # a group of cars
        (road(v26000=(0, 20), v33=(30, 40)), False),  # a group of something else
        (road(v26000=(0, 20), v3=(30, 40)), True),  # void
        (road(v26000=(0, 20), v29=(30, 40)), True),  # a group of caravans is void
        (road(v26000=(0, 20), v29000=(30, 40)), False),  # a single caravan is not
        (road(v26000=(0, 20), v26001=(31, 40)), True),  # 90 pixels: too small to count
    ],
)
def test_what_excuses_a_prediction_without_object(ids, excused):
    value = car_ap50(ids, car(0.5, 0, 20), car(0.9, 30, 40))
    assert value == pytest.approx(1 if excused else 0.25)


def test_where_the_official_script_crashes_the_answer_is_zero():
    ids = road(v26000=(0, 20), v26=(30, 40))
    assert car_ap50(ids, car(0.9, 30, 40)) == 0  # the only prediction is ignored
    assert car_ap50(ids) == 0


def test_classes_without_ground_truth_are_left_out():
    result = cityscapes_ap([(road(v26000=(0, 20)), instances([car(0.9, 0, 20)]))])
    assert result["AP"] == 1
    assert math.isnan(result["classes"]["person"]["AP"])
    assert math.isnan(cityscapes_ap([])["AP"])


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_order_of_images_and_predictions_is_free(seed):
    rng = np.random.default_rng(seed)
    frames, shuffled = [], []
    for n in range(3):
        ids, found = random_image(seed + n, 20, 30)
        frames.append((ids, instances(found, 20, 30)))
        mixed = [found[i] for i in rng.permutation(len(found))]
        shuffled.insert(0, (ids, instances(mixed, 20, 30)))
    ours, other = cityscapes_ap_by_class(frames), cityscapes_ap_by_class(shuffled)
    np.testing.assert_allclose(ours, other, atol=1e-12)


def test_semantic_truth():
    ids = np.array([[26, 26001, 7, 0, 29, 29001, 24003]], np.int32)
    assert class_ids(ids).tolist() == [[26, 26, 7, 0, 29, 29, 24]]
    car_person = [CAR, CAR, BACKGROUND, VOID, VOID, VOID, LABEL[24]]
    assert thing_map(ids).tolist() == [car_person]
    assert void_of_instances(ids).tolist() == [[False, False, False, True, True, False, False]]
    with pytest.raises(ValueError, match="no label"):
        thing_map(np.array([[99]], np.int32))


def test_wrong_calls_are_refused():
    ids = road(v26000=(0, 20))
    with pytest.raises(ValueError, match="its image"):
        cityscapes_ap([(ids[:, :30], instances([car(0.9, 0, 20)]))])
    with pytest.raises(ValueError, match="NaN"):
        cityscapes_ap([(ids, instances([car(math.nan, 0, 20)]))])
    bad = instances([car(0.9, 0, 20)])
    bad = FrameInstances(bad.labels + 8, bad.scores, bad.masks)
    with pytest.raises(ValueError, match="labels must be"):
        cityscapes_ap([(ids, bad)])
