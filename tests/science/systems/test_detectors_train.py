"""Training, checkpoints and inference of a detector."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from reference.maskconsist_scenes import PAPER
from science.systems.test_detectors_batches import HEIGHT, WIDTH, marked, moving_sample
from wsvis.cam.classifier import build_classifier, classifier_to_payload
from wsvis.chosen_instances import subset
from wsvis.errors import InputError
from wsvis.learning.schedule import rate_factor
from wsvis.maskconsist import refine as refine_file
from wsvis.masks import decode_masks
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis.systems.checkpoint import detector_from_payload, detector_to_payload
from wsvis.systems.clips import ClipBatches
from wsvis.systems.detector import Selection
from wsvis.systems.mask_rcnn.backend import LOSSES
from wsvis.systems.mask_rcnn.build import build_detector
from wsvis.systems.mask_rcnn.learner import train_detector
from wsvis.systems.predict import predict_frames

refine = partial(refine_file.refine, **PAPER)

QUICK = {"optimiser": "adamw", "learning_rate": 1e-3, "schedule": "cosine"}


def small_detector(seed=0):
    return build_detector(5, backbone="small", weights="standin", frozen_stages=0, seed=seed)


def train(model, steps, **settings):
    curve = []
    batches = ClipBatches(marked(4), batch_size=settings.pop("pairs", 1), seed=1)
    result = train_detector(
        model, batches, steps, report=curve.append, report_every=1, **{**QUICK, **settings}
    )
    return result, curve


def weights_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same_weights(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_training_goes_on_exactly_where_it_stopped():
    states: list[Payload] = []
    whole = small_detector()
    settings = {"refine": refine, "refine_from": 2}
    train(whole, 4, checkpoint=states.append, checkpoint_every=2, **settings)
    assert [s.data["step"] for s in states] == [2, 4]
    resumed = small_detector(seed=5)
    _, curve = train(resumed, 4, resume=from_bytes(to_bytes(states[0])), **settings)
    assert [row["step"] for row in curve] == [3, 4]
    assert same_weights(whole.state_dict(), resumed.state_dict())


def test_the_final_loss_counts_steps_made_before_a_stop():
    states: list[Payload] = []
    # a tenth of the steps is two: one before the state, one after
    whole, _ = train(small_detector(), 20, checkpoint=states.append, checkpoint_every=19)
    resumed, curve = train(small_detector(seed=5), 20, resume=from_bytes(to_bytes(states[0])))
    assert len(curve) == 1
    assert resumed == whole
    assert resumed["loss"] != curve[0]["loss"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 5e-4}, "was made with training"),
        ({"refine": refine}, "was made with training"),
        ({"settings": "delta 3"}, "was made with training"),
    ],
)
def test_a_state_of_another_training_is_refused(change, message):
    states: list[Payload] = []
    train(small_detector(), 1, checkpoint=states.append, checkpoint_every=1)
    with pytest.raises(InputError, match=message):
        train(small_detector(), 1, resume=states[0], **change)
    with pytest.raises(InputError, match="not a state of detector training"):
        train(small_detector(), 1, resume=detector_to_payload(small_detector()))


def test_reports_hold_every_loss_and_the_counts():
    _, curve = train(small_detector(), 2, refine=partial(refine, box_iou_threshold=0.4))
    for row in curve:
        assert {"step", "loss", "learning_rate", "labels", "targets", "predictions"} <= set(row)
        assert row["loss"] == pytest.approx(sum(row[name] for name in LOSSES), rel=1e-5)
        assert all(math.isfinite(value) for value in row.values())
        assert row["labels"] == 1


def test_without_refine_targets_are_the_labels():
    _, curve = train(small_detector(), 1)
    assert (curve[0]["labels"], curve[0]["targets"], curve[0]["predictions"]) == (1, 1, 0)


def test_nothing_is_carried_into_a_frame_known_to_show_nothing():
    def run(background):
        samples = [
            replace(
                sample,
                labels=(sample.labels[0], subset(sample.labels[1], [])),
                background=(False, background),
            )
            for sample in marked(2)
        ]

        def both(predictions, labels, flow_ab, flow_ba):
            return labels[0], labels[0]

        curve = []
        batches = ClipBatches(samples, batch_size=1, seed=1)
        train_detector(small_detector(), batches, 1, refine=both, report=curve.append, **QUICK)
        return curve[0]

    known, unknown = run(True), run(False)
    assert (known["labels"], known["targets"]) == (0.5, 0.5)
    assert (unknown["labels"], unknown["targets"]) == (0.5, 1)
    assert known["cls"] != unknown["cls"]  # the frame gives a loss, as background


def test_refine_gets_the_pair_it_was_made_for():
    flows = []

    def watch(predictions, labels, flow_ab, flow_ba):
        flows.append((float(flow_ab[..., 0].mean()), float(flow_ba[..., 0].mean())))
        assert [len(found) for found in labels] == [1, 1]
        assert predictions[0].masks.shape[1:] == (HEIGHT, WIDTH)
        return labels

    train(small_detector(), 2, pairs=2, refine=watch)
    assert len(flows) == 4
    # mirrored pairs move to the left
    assert {abs(a) for a, _ in flows} == {8.0}
    assert all(a == -b for a, b in flows)


@pytest.mark.parametrize("with_refine", [False, True])
def test_a_diverging_training_stops_with_one_line(with_refine):
    settings = {"refine": refine if with_refine else None, "optimiser": "sgd"}
    with pytest.raises(InputError, match=r"diverged at step \d+; lower detector.learning_rate"):
        train(small_detector(), 30, learning_rate=1e6, **settings)


def test_the_papers_schedule():
    # 90,000 steps: decays at 67,500 and 79,200
    rate = partial(rate_factor, steps=90_000, schedule="steps", warm_up=1000)
    assert rate(0) == pytest.approx(0.001)
    assert rate(999) == rate(67_499) == 1
    assert rate(67_500) == rate(79_199) == pytest.approx(0.1)
    assert rate(79_200) == rate(89_999) == pytest.approx(0.01)
    # a short training warms up over a tenth of itself
    assert rate_factor(9, 100, "steps", 1000) == 1
    assert rate_factor(50, 100, "cosine", 0) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="schedule"):
        rate_factor(0, 1, "linear", 0)


def test_the_backbone_learns_at_its_own_rate():
    model = small_detector()
    before = weights_of(model)
    train(model, 1, backbone_rate_factor=0.0, weight_decay=0.0)
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert not any(name.startswith("net.backbone.backbone.") for name in changed)


def test_a_detector_survives_being_a_file():
    model = small_detector().eval()
    payload = from_bytes(to_bytes(detector_to_payload(model, {"class_names": ["a"] * 5})))
    again = detector_from_payload(payload)
    assert payload.data["class_names"] == ["a"] * 5
    assert same_weights(model.state_dict(), again.state_dict())
    with pytest.raises(InputError, match="holds 'no network', not a detector"):
        detector_from_payload(Payload(), "x.safetensors")
    cut = Payload({k: v for k, v in payload.arrays.items() if "fpn" not in k}, payload.data)
    with pytest.raises(InputError, match="incomplete"):
        detector_from_payload(cut)


def test_the_backbone_may_be_the_classifiers():
    classifier = build_classifier("small", ["a", "b"], seed=4, normalisation="half")
    payload = classifier_to_payload(classifier)
    model = build_detector(2, backbone="small", weights="classifier", classifier=payload)
    assert model.normalisation == "half"
    assert same_weights(classifier.backbone.state_dict(), model.backbone.state_dict())
    with pytest.raises(InputError, match=r"set detector\.backbone to small"):
        build_detector(2, backbone="resnet18", weights="classifier", classifier=payload)


def test_the_seed_decides_what_starts_at_random():
    a, b, c = (build_detector(2, backbone="small", seed=s).state_dict() for s in (1, 1, 2))
    assert same_weights(a, b)
    assert not same_weights(a, c)


def test_predictions_have_the_size_of_each_frame():
    model = small_detector()
    frames = [moving_sample().frames[0], np.zeros((40, 80, 3), np.uint8)]
    found = predict_frames(
        model, frames, short_side=64, score_threshold=0.0, detections=6, batch_size=2
    )
    assert [len(f) > 0 for f in found] == [True, True]
    for instances, frame in zip(found, frames, strict=True):
        assert len(instances) <= 6
        assert decode_masks(instances.masks, *frame.shape[:2]).any((1, 2)).all()
        assert (np.diff(instances.scores) <= 0).all()
        assert instances.labels.dtype == np.int64
        assert set(instances.labels.tolist()) <= set(range(5))
    one_by_one = predict_frames(
        model, frames, short_side=64, score_threshold=0.0, detections=6, batch_size=1
    )
    for a, b in zip(found, one_by_one, strict=True):
        np.testing.assert_allclose(a.scores, b.scores, rtol=1e-4)
    assert predict_frames(model, []) == []


@pytest.mark.slow
def test_it_learns_one_object_and_keeps_it_with_maskconsist():
    def without_the_second_label(number):
        sample = moving_sample(number)
        none = type(sample.labels[0])(np.zeros(0, np.int64), np.zeros(0, np.float32), ())
        return type(sample)(sample.frames, (sample.labels[0], none), sample.flow)

    model = small_detector()
    batches = ClipBatches([without_the_second_label(n) for n in range(201, 205)], seed=1)
    curve = []
    train_detector(
        model,
        batches,
        100,
        refine=refine,
        selection=Selection(classes_per_box="best"),
        report=curve.append,
        report_every=1,
        **QUICK,
    )
    losses = [row["loss"] for row in curve]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    # the frame without a label gets it from the other
    targets = [row["targets"] for row in curve]
    assert np.mean(targets[:5]) == pytest.approx(0.5)
    assert np.mean(targets[-20:]) > 0.8
    best = predict_frames(model, [moving_sample().frames[1]], short_side=0)[0]
    assert best.labels[0] == 3
    assert decode_masks(best.masks[:1], HEIGHT, WIDTH)[0, 8:24, 16:28].mean() > 0.8
