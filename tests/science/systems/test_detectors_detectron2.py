"""detectron2's Mask R-CNN behind the narrow interface: its own losses and predictions."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from reference.maskconsist_scenes import scene
from science.systems.test_detectors_batches import marked, moving_sample
from science.systems.test_detectors_torchvision import HEIGHT, WIDTH, frames_and_targets
from wsvis.errors import InputError
from wsvis.maskconsist.refine import refine
from wsvis.systems.checkpoint import detector_from_payload, detector_to_payload
from wsvis.systems.clips import ClipBatches
from wsvis.systems.detector import Selection
from wsvis.systems.mask_rcnn.backend import LOSSES
from wsvis.systems.mask_rcnn.build import build_detector
from wsvis.systems.mask_rcnn.learner import train_detector
from wsvis.systems.predict import predict_frames


def test_without_detectron2_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "detectron2.layers", None)
    monkeypatch.setitem(sys.modules, "detectron2", None)
    with pytest.raises(InputError, match=r"set mask_rcnn\.backend to torchvision"):
        build_detector(2, backend="detectron2", backbone="small")


@pytest.fixture(scope="module")
def detector():
    pytest.importorskip("detectron2")
    return build_detector(3, backend="detectron2", backbone="small")


def stock_losses(net, images, targets):
    """The library's own forward passes of its two parts."""
    from detectron2.structures import ImageList
    from detectron2.utils.events import EventStorage

    from wsvis.backbones.normalise import MEAN_STD
    from wsvis.systems.mask_rcnn.detectron2_backend import _instances

    mean, std = (torch.tensor(v)[:, None, None] for v in MEAN_STD["imagenet"])
    batch = ImageList.from_tensors([(image - mean) / std for image in images], 32)
    truth = [_instances(t, (HEIGHT, WIDTH)) for t in targets]
    with EventStorage():
        features = net.backbone(batch.tensor)
        proposals, of_rpn = net.rpn(batch, features, truth)
        _, of_heads = net.roi_heads(batch, features, proposals, truth)
    return {**of_rpn, **of_heads}


STOCK = {
    "loss_cls": "cls",
    "loss_box_reg": "box",
    "loss_mask": "mask",
    "loss_rpn_cls": "rpn_cls",
    "loss_rpn_loc": "rpn_box",
}


def test_losses_are_the_stock_losses_bit_for_bit(detector):
    detector.train()
    images, targets = frames_and_targets()
    torch.manual_seed(1)
    ours = detector(images, targets)
    torch.manual_seed(1)
    stock = stock_losses(detector.net, images, targets)
    assert set(ours) == set(LOSSES)
    for theirs, name in STOCK.items():
        assert ours[name].item() == stock[theirs].item(), name


def test_predictions_are_the_stock_predictions(detector):
    from detectron2.layers.mask_ops import paste_masks_in_image

    detector.eval()
    images, _ = frames_and_targets()
    predictor = detector.net.roi_heads.box_predictor
    predictor.test_score_thresh, predictor.test_topk_per_image = 0.2, 7
    with torch.no_grad():
        passed = detector.run(images)
        ours = passed.predictions(Selection(most=7, score=0.2))
        stock, _ = detector.net.roi_heads(None, passed.features, passed.proposals)
    for theirs, found in zip(stock, ours, strict=True):
        assert len(found) == 7
        torch.testing.assert_close(found.boxes, theirs.pred_boxes.tensor)
        assert torch.equal(found.labels, theirs.pred_classes)
        torch.testing.assert_close(found.scores, theirs.scores)
        pasted = paste_masks_in_image(theirs.pred_masks[:, 0], theirs.pred_boxes, (HEIGHT, WIDTH))
        assert torch.equal(found.masks, pasted)


def test_no_target_box_is_among_the_predictions(detector):
    detector.train()
    images, targets = frames_and_targets()
    deltas = detector.net.roi_heads.box_predictor.bbox_pred
    before = [p.detach().clone() for p in deltas.parameters()]
    found = []
    with torch.no_grad():
        for parameter in deltas.parameters():
            parameter.zero_()
        selection = Selection(score=0.0, nms=1.0)
        detector(images, targets, lambda p, t: found.extend(p) or t, selection)
        for parameter, value in zip(deltas.parameters(), before, strict=True):
            parameter.copy_(value)
    for predictions, target in zip(found, targets, strict=True):
        assert len(predictions) > 10
        assert float(torch.cdist(predictions.boxes, target.boxes, p=1).min()) > 0


def test_an_image_without_targets_gives_no_loss(detector):
    detector.train()
    images, targets = frames_and_targets()
    empty = scene(height=HEIGHT, width=WIDTH)
    torch.manual_seed(1)
    half = detector(images, [targets[0], empty])
    torch.manual_seed(1)
    alone = detector(images[:1], targets[:1])
    for name in LOSSES:
        torch.testing.assert_close(half[name], alone[name])
    assert all(v.item() == 0 for v in detector(images, [empty, empty]).values())


def test_it_trains_and_survives_being_a_file(detector):
    model = build_detector(5, backend="detectron2", backbone="small", weights="standin")
    curve = []
    train_detector(
        model,
        ClipBatches(marked(4), seed=1),
        3,
        refine=refine,
        optimiser="adamw",
        learning_rate=1e-3,
        report=curve.append,
        report_every=1,
    )
    assert all(np.isfinite(row["loss"]) for row in curve)
    again = detector_from_payload(detector_to_payload(model))
    frames = [moving_sample().frames[0]]
    a, b = (predict_frames(m, frames, short_side=0, score_threshold=0.0)[0] for m in (model, again))
    assert len(a) > 0
    assert a.masks == b.masks


def test_a_network_without_a_proposal_left_finds_nothing():
    pytest.importorskip("detectron2")
    broken = build_detector(3, backend="detectron2", backbone="small")
    with torch.no_grad():
        for parameter in broken.net.rpn.parameters():
            parameter.fill_(float("nan"))
    frames = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)]
    assert [len(found) for found in predict_frames(broken, frames, short_side=0)] == [0]
