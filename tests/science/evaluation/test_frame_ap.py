import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from reference.coco_ap import frame_ap as slow_frame_ap
from wsvis.evaluation.frame_ap import (
    FrameAp,
    FrameTruth,
    frame_ap,
    frame_truths,
    instances_per_frame,
)
from wsvis.evaluation.greedy_matching import COCO_THRESHOLDS
from wsvis.masks import decode_masks, encode_masks
from wsvis.types import FrameFiles, FrameInstances, Instance, Video

CLASSES = 3


def strip(*columns, width=10):
    """A 1 x width mask with the given columns set."""
    mask = np.zeros((1, width), dtype=bool)
    mask[0, list(columns)] = True
    return mask


def truth_of(labels, masks, crowd=None):
    crowd = np.zeros(len(labels), bool) if crowd is None else np.array(crowd, bool)
    return FrameTruth(np.array(labels, np.int64), tuple(encode_masks(np.array(masks, bool))), crowd)


def found_of(labels, scores, masks):
    masks = np.array(masks).reshape(len(labels), *np.shape(masks)[1:]) if len(labels) else masks
    rles = tuple(encode_masks(masks)) if len(labels) else ()
    return FrameInstances(np.array(labels, np.int64), np.array(scores, np.float32), rles)


NOTHING = found_of([], [], [])


def random_blob(rng, height=12, width=14):
    mask = np.zeros((height, width), bool)
    top, left = rng.integers(0, height - 3), rng.integers(0, width - 3)
    mask[top : top + rng.integers(1, 7), left : left + rng.integers(1, 7)] = True
    return mask


def random_frames(seed, count=8, crowds=True, many=False):
    """Frames in which detections are shifted copies of objects, with tied scores and strays."""
    rng = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(count):
        objects = [random_blob(rng) for _ in range(rng.integers(0, 5))]
        labels = rng.integers(0, CLASSES - 1, len(objects))  # the last class has no ground truth
        crowd = rng.random(len(objects)) < (0.25 if crowds else 0)
        truths.append(
            truth_of(labels, objects, crowd) if objects else truth_of([], np.zeros((0, 12, 14)))
        )
        masks, classes = [], []
        for mask, label in zip(objects, labels, strict=True):
            for _ in range(rng.integers(0, 60 if many else 3)):
                masks.append(np.roll(mask, rng.integers(-1, 2, 2), (0, 1)))
                classes.append(label if rng.random() < 0.8 else rng.integers(0, CLASSES))
        masks += [random_blob(rng) for _ in range(rng.integers(0, 3))]
        classes += list(rng.integers(0, CLASSES, len(masks) - len(classes)))
        scores = rng.integers(1, 6, len(masks)) / 5
        predictions.append(found_of(classes, scores, masks) if masks else NOTHING)
    return truths, predictions


def official_by_class(truths, predictions, thresholds):
    """COCOeval itself, fed with dicts; [K, C] with NaN for its -1."""
    annotations, results = [], []
    for image, (real, found) in enumerate(zip(truths, predictions, strict=True)):
        for label, mask, crowd in zip(real.labels, real.masks, real.crowd, strict=True):
            area = int(decode_masks([mask], *mask["size"]).sum())
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": int(label)}
                | {"segmentation": mask, "area": area, "bbox": [0, 0, 1, 1], "iscrowd": int(crowd)}
            )
        for label, score, mask in zip(found.labels, found.scores, found.masks, strict=True):
            results.append(
                {"image_id": image, "category_id": int(label), "score": float(score)}
                | {"segmentation": dict(mask)}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i, "height": 12, "width": 14} for i in range(len(truths))],
            "categories": [{"id": c, "name": str(c)} for c in range(CLASSES)],
            "annotations": annotations,
            "info": {},
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "segm")
        evaluation.params.iouThrs = np.array(thresholds)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 2].mean(axis=1)
    return np.where(precision < 0, np.nan, precision)


def by_class(truths, predictions, thresholds):
    measure = FrameAp(CLASSES, thresholds)
    for truth, prediction in zip(truths, predictions, strict=True):
        measure.add(truth, prediction)
    return measure.by_class()


@pytest.mark.parametrize("seed", range(6))
def test_equals_cocoeval(seed):
    truths, predictions = random_frames(seed)
    thresholds = (0.25, *COCO_THRESHOLDS)
    ours = by_class(truths, predictions, thresholds)
    np.testing.assert_allclose(
        ours, official_by_class(truths, predictions, thresholds), atol=1e-9, rtol=0
    )
    assert np.isnan(ours[:, CLASSES - 1]).all()
    assert np.nanmax(ours) > 0


def test_equals_cocoeval_with_more_than_100_detections_of_a_class():
    truths, predictions = random_frames(5, count=6, many=True)
    assert max(np.bincount(found.labels).max(initial=0) for found in predictions) > 100
    ours = by_class(truths, predictions, (0.5,))
    np.testing.assert_allclose(
        ours, official_by_class(truths, predictions, (0.5,)), atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("seed", range(4))
def test_equals_plain_loops(seed):
    truths, predictions = random_frames(seed + 50, count=5)
    frames = []
    for real, found in zip(truths, predictions, strict=True):
        shape = (12, 14)
        objects = zip(real.labels, decode_masks(real.masks, *shape), real.crowd, strict=True)
        detected = zip(found.labels, found.scores, decode_masks(found.masks, *shape), strict=True)
        frames.append(
            (
                [{"label": c, "mask": m, "crowd": bool(i)} for c, m, i in objects],
                [{"label": c, "score": float(s), "mask": m} for c, s, m in detected],
            )
        )
    for threshold in (0.25, 0.5, 0.75):
        ours = frame_ap(truths, predictions, CLASSES, (threshold,))
        slow = slow_frame_ap(frames, CLASSES, threshold)
        assert ours[f"AP{round(100 * threshold)}"] == pytest.approx(slow, abs=1e-9)


def test_hand_derived_ap50():
    # Two objects; detections by score: IoU 2/4 = .5 (true: the threshold is inclusive), IoU 1/5
    # (false), exact (true). Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1; interpolated 1 up to .5
    # (51 samples), 2/3 beyond (50 samples).
    truth = truth_of([0, 0], [strip(0, 1, 2, 3), strip(6, 7)])
    found = found_of([0, 0, 0], [0.9, 0.8, 0.7], [strip(0, 1), strip(3, 4), strip(6, 7)])
    result = frame_ap([truth], [found], 1, (0.5,))
    assert result == {"AP50": pytest.approx((51 * 1 + 50 * 2 / 3) / 101, abs=1e-12)}


def test_hand_derived_ap25_and_two_classes():
    # Class 0: IoU 1/3, true at .25 and false at .5. Class 1: never found. Class 2: no ground truth.
    truth = truth_of([0, 1], [strip(0, 1, 2), strip(8, 9)])
    found = found_of([0, 2], [0.5, 0.9], [strip(0), strip(4)])
    assert frame_ap([truth], [found], 3) == {"AP25": pytest.approx(0.5), "AP50": 0.0}


def test_a_detection_inside_a_crowd_is_no_false_positive():
    truth = truth_of([0, 0], [strip(0, 1), strip(4, 5, 6, 7, 8)], [False, True])
    found = found_of(
        [0, 0, 0], [0.9, 0.8, 0.7], [strip(4, 5), strip(6, 7), strip(0, 1)]
    )  # the first two lie in the crowd and are ignored
    assert frame_ap([truth], [found], 1)["AP50"] == pytest.approx(1.0)


def test_false_positives_in_frames_without_objects_count():
    truth = truth_of([0], [strip(0, 1)])
    empty = truth_of([], np.zeros((0, 1, 10)))
    good, stray = found_of([0], [0.5], [strip(0, 1)]), found_of([0], [0.9], [strip(5)])
    assert frame_ap([truth, empty], [good, NOTHING], 1)["AP50"] == pytest.approx(1.0)
    assert frame_ap([truth, empty], [good, stray], 1)["AP50"] == pytest.approx(0.5)


def test_nothing_to_measure_is_nan_and_nothing_found_is_zero():
    empty = truth_of([], np.zeros((0, 1, 10)))
    stray = found_of([0], [0.9], [strip(5)])
    assert math.isnan(frame_ap([empty], [stray], 2)["AP50"])
    assert math.isnan(frame_ap([], [], 2)["AP50"])
    assert frame_ap([truth_of([0], [strip(1)])], [NOTHING], 2)["AP50"] == 0


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_perfect_predictions_score_one_and_frame_order_is_free_without_ties(seed):
    truths, predictions = random_frames(seed, count=4, crowds=False)
    perfect = [
        FrameInstances(t.labels, np.ones(len(t.labels), np.float32), t.masks) for t in truths
    ]
    value = frame_ap(truths, perfect, CLASSES, COCO_THRESHOLDS)
    if any(len(t.labels) for t in truths):
        assert all(v == pytest.approx(1.0) for v in value.values())
    rng = np.random.default_rng(seed)
    untied = [
        FrameInstances(p.labels, rng.permutation(len(p)).astype(np.float32) + 100 * n, p.masks)
        for n, p in enumerate(predictions)
    ]
    order = rng.permutation(len(truths))
    shuffled = frame_ap([truths[i] for i in order], [untied[i] for i in order], CLASSES)
    assert shuffled == pytest.approx(frame_ap(truths, untied, CLASSES), nan_ok=True)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_only_the_order_of_scores_matters(seed):
    truths, predictions = random_frames(seed, count=4)
    squeezed = [FrameInstances(p.labels, p.scores**3 * 0.1, p.masks) for p in predictions]
    assert frame_ap(truths, squeezed, CLASSES) == pytest.approx(
        frame_ap(truths, predictions, CLASSES), nan_ok=True
    )


def test_truth_of_a_video_leaves_out_absent_and_invisible_objects():
    visible, hidden = encode_masks(np.array([strip(1, 2), strip()]))
    objects = (
        Instance(1, 2, (visible, None)),
        Instance(2, 0, (hidden, visible), is_crowd=True),
    )
    video = Video("v", 1, 10, ((0, 2), (0,)), FrameFiles(("a", "b")), objects)
    first, second = frame_truths(video)
    assert first.labels.tolist() == [2]
    assert first.masks == (visible,)
    assert second.labels.tolist() == [0]
    assert second.crowd.tolist() == [True]
    with pytest.raises(ValueError, match="no ground truth"):
        frame_truths(Video("v", 1, 10, ((0,),), FrameFiles(("a",))))


def test_wrong_calls_are_refused():
    truth, found = truth_of([0], [strip(0)]), found_of([0], [0.5], [strip(0)])
    with pytest.raises(ValueError, match="differ in their number"):
        frame_ap([truth], [found, found], 1)
    with pytest.raises(ValueError, match="labels must be"):
        frame_ap([truth], [found_of([3], [0.5], [strip(0)])], 1)
    with pytest.raises(ValueError, match="NaN"):
        frame_ap([truth], [found_of([0], [math.nan], [strip(0)])], 1)
    with pytest.raises(ValueError, match="differ in size"):
        frame_ap([truth], [found_of([0], [0.5], [strip(0, width=11)])], 1)


def test_instances_per_frame():
    frames = [found_of([0, 1], [0.9, 0.1], [strip(0), strip(1)]), NOTHING]
    assert instances_per_frame(frames) == 1.0
    assert instances_per_frame(frames, 0.5) == 0.5
    assert math.isnan(instances_per_frame([]))
