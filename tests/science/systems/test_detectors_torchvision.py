"""torchvision's Mask R-CNN behind the narrow interface: stock losses, stock predictions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reference.maskconsist_scenes import rectangle, scene
from wsvis.backbones.networks import build_backbone
from wsvis.systems.detector import Selection
from wsvis.systems.mask_rcnn.backend import LOSSES
from wsvis.systems.mask_rcnn.torchvision_backend import TorchvisionDetector

STOCK = {
    "loss_classifier": "cls",
    "loss_box_reg": "box",
    "loss_mask": "mask",
    "loss_objectness": "rpn_cls",
    "loss_rpn_box_reg": "rpn_box",
}
HEIGHT, WIDTH = 64, 96


def frames_and_targets(height=HEIGHT, width=WIDTH):
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(3, height, width, generator=generator) for _ in range(2)]
    targets = [
        scene((rectangle(4, 8, 40, 50, height, width), 0)),
        scene(
            (rectangle(10, 30, 60, 90, height, width), 2),
            (rectangle(0, 0, 20, 20, height, width), 1),
        ),
    ]
    return images, targets


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return TorchvisionDetector(build_backbone("small"), 3)


def as_torchvision(targets):
    return [
        {"boxes": t.boxes, "labels": t.labels + 1, "masks": t.masks.to(torch.uint8)}
        for t in targets
    ]


@pytest.mark.parametrize(
    "name",
    [
        "small",
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", marks=pytest.mark.slow),
        pytest.param("resnet50", marks=pytest.mark.slow),
    ],
)
def test_losses_are_the_stock_losses_bit_for_bit(name):
    torch.manual_seed(0)
    detector = TorchvisionDetector(build_backbone(name), 3).train()
    images, targets = frames_and_targets()
    torch.manual_seed(1)
    ours = detector(images, targets)
    torch.manual_seed(1)
    stock = detector.net(images, as_torchvision(targets))
    assert set(ours) == set(LOSSES)
    for theirs, name in STOCK.items():
        assert ours[name].item() == stock[theirs].item(), name
    torch.stack(list(ours.values())).sum().backward()
    gradients = [p.grad.clone() for p in detector.parameters() if p.grad is not None]
    detector.zero_grad()
    torch.stack(list(stock.values())).sum().backward()
    expected = [p.grad for p in detector.parameters() if p.grad is not None]
    assert len(gradients) == len(expected) > 10
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))


def test_predictions_are_the_stock_predictions(detector):
    detector.eval()
    images, _ = frames_and_targets()
    net = detector.net
    net.transform.min_size, net.transform.max_size = (HEIGHT,), WIDTH
    net.roi_heads.score_thresh, net.roi_heads.detections_per_img = 0.2, 7
    with torch.no_grad():
        stock = net(images)
        ours = detector.run(images).predictions(Selection(most=7, score=0.2))
    for theirs, found in zip(stock, ours, strict=True):
        assert len(found) == 7
        torch.testing.assert_close(found.boxes, theirs["boxes"])
        assert torch.equal(found.labels, theirs["labels"] - 1)
        torch.testing.assert_close(found.scores, theirs["scores"])
        assert torch.equal(found.masks, theirs["masks"][:, 0] >= 0.5)


def test_a_box_is_its_best_class_alone(detector):
    detector.eval()
    images, _ = frames_and_targets()
    every, best = (
        detector.run(images).predictions(Selection(score=0.0, nms=1.0, classes_per_box=mode))
        for mode in ("every", "best")
    )
    assert len(every[0]) == 100
    assert 0 < len(best[0]) <= 50  # one for each proposal
    assert float(best[0].scores[0]) == float(every[0].scores[0])


def test_masks_come_at_the_size_that_is_asked_for(detector):
    detector.eval()
    images, _ = frames_and_targets()
    passed = detector.run(images)
    selection = Selection(score=0.0, most=5)
    same = passed.predictions(selection)
    twice = passed.predictions(selection, [(2 * HEIGHT, 2 * WIDTH)] * 2)
    assert twice[0].masks.shape == (5, 2 * HEIGHT, 2 * WIDTH)
    torch.testing.assert_close(twice[0].boxes, 2 * same[0].boxes)


def test_refine_sees_predictions_and_its_answer_is_trained_on(detector):
    detector.train()
    images, targets = frames_and_targets()
    seen = {}

    def refine(predictions, given):
        seen["predictions"], seen["given"] = predictions, given
        seen["gradient"] = torch.is_grad_enabled()
        return list(reversed(given))

    torch.manual_seed(1)
    refined = detector(images, targets, refine, Selection(score=0.0))
    torch.manual_seed(1)
    swapped = detector(images, list(reversed(targets)))
    assert {k: v.item() for k, v in refined.items()} == {k: v.item() for k, v in swapped.items()}
    assert seen["given"] == targets
    assert not seen["gradient"]
    assert len(seen["predictions"][0]) > 0
    assert not seen["predictions"][0].boxes.requires_grad


def test_no_target_box_is_among_the_predictions(detector):
    # a decoder that moves nothing gives back proposals as they are: none may be the target's box
    detector.train()
    images, targets = frames_and_targets()
    predictor = detector.net.roi_heads.box_predictor.bbox_pred
    before = [p.detach().clone() for p in predictor.parameters()]
    found = []
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.zero_()
        selection = Selection(score=0.0, nms=1.0)
        detector(images, targets, lambda p, t: found.extend(p) or t, selection)
        for parameter, value in zip(predictor.parameters(), before, strict=True):
            parameter.copy_(value)
    for predictions, target in zip(found, targets, strict=True):
        assert len(predictions) > 10
        distance = torch.cdist(predictions.boxes, target.boxes, p=1)
        assert float(distance.min()) > 0


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
    torch.manual_seed(1)
    background = detector(images, [targets[0], empty], background=[False, True])
    torch.manual_seed(1)
    stock = detector.net(images, as_torchvision([targets[0], empty]))
    assert float(background["cls"]) == float(stock["loss_classifier"])
    assert float(background["cls"]) != float(half["cls"])


def test_a_batch_without_any_target_has_zero_losses_and_gradients(detector):
    detector.train()
    images, _ = frames_and_targets()
    losses = detector(images, [scene(height=HEIGHT, width=WIDTH)] * 2)
    assert all(value.item() == 0 for value in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    learned = [p for p in detector.parameters() if p.requires_grad]
    assert all(p.grad is not None and not p.grad.any() for p in learned)
    detector.zero_grad()


@pytest.mark.parametrize(
    ("name", "padding", "strides"),
    [
        ("small", "symmetric", (4, 8, 16, 32)),
        ("resnet18", "symmetric", (4, 8, 16, 32, 64)),
        ("resnet50", "symmetric", (4, 8, 16, 32, 64)),
        ("mobilenet_v2", "symmetric", (4, 8, 16, 32, 64)),
        ("mobilenet_v2", "same", (4, 8, 16, 32, 64)),
    ],
)
def test_levels_have_their_strides(name, padding, strides):
    backbone = build_backbone(name, stride_two_padding=padding)
    pyramid = TorchvisionDetector(backbone, 2).net.backbone
    with torch.no_grad():
        levels = pyramid(torch.rand(1, 3, 128, 192))
    assert [tuple(x.shape[2:]) for x in levels.values()] == [
        (-(-128 // s), -(-192 // s)) for s in strides
    ]
    assert pyramid.strides == strides


def test_what_is_frozen_stays_frozen():
    detector = TorchvisionDetector(build_backbone("resnet18"), 2, frozen_stages=2).train()
    backbone = detector.backbone
    assert not any(p.requires_grad for stage in backbone.stages[:2] for p in stage.parameters())
    assert any(p.requires_grad for p in backbone.stages[2].parameters())
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert not module.training
            assert not module.weight.requires_grad


def test_the_first_mask_loss_is_that_of_guessing(detector):
    images, targets = frames_and_targets()
    torch.manual_seed(0)
    fresh = TorchvisionDetector(build_backbone("small"), 3).train()
    assert float(fresh(images, targets)["mask"].detach()) == pytest.approx(0.693, abs=0.03)


def test_in_half_precision_predictions_for_refine_take_no_gradient_away(detector):
    """The heads run twice in one autocast region, first without gradient."""
    detector.train()
    images, targets = frames_and_targets()
    lengths = []
    for refine in (None, lambda _, given: given):
        detector.zero_grad()
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16):
            losses = detector(images, targets, refine, Selection(score=0.0))
        torch.stack(list(losses.values())).sum().backward()
        heads = detector.net.roi_heads.named_parameters()
        lengths.append({name: float(p.grad.norm()) for name, p in heads if p.grad is not None})
    assert lengths[0].keys() == lengths[1].keys()
    assert len(lengths[0]) > 10
    assert min(lengths[0].values()) > 0
    assert lengths[1] == pytest.approx(lengths[0], rel=0.05)
