"""The frame classifier: its loss, its files, and real weights."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from reference import pooling as slow
from wsvis.backbones.networks import build_backbone
from wsvis.backbones.normalise import normalise_frames
from wsvis.backbones.weights import load_backbone_weights
from wsvis.cam.classifier import (
    build_classifier,
    classifier_from_payload,
    classifier_to_payload,
    multilabel_soft_margin_loss,
)
from wsvis.payload import Payload, from_bytes, to_bytes


def test_loss_equals_the_loops():
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 3, (4, 5)), random.random((4, 5)) < 0.4
    loss = multilabel_soft_margin_loss(torch.from_numpy(logits), torch.from_numpy(labels))
    expected = slow.multilabel_soft_margin_loss(logits.tolist(), labels.tolist())
    assert loss.item() == pytest.approx(expected)


def test_loss_by_hand():
    """All logits 0: log 2 whatever the labels; logit log 3 of a present class: log(4 / 3)."""
    zero = torch.zeros(2, 3)
    assert multilabel_soft_margin_loss(zero, zero > 1).item() == pytest.approx(math.log(2))
    one = torch.tensor([[math.log(3)]])
    assert multilabel_soft_margin_loss(one, one > 0).item() == pytest.approx(math.log(4 / 3))


def test_loss_is_torch_s_own_and_finite_when_sure():
    logits = torch.tensor([[80.0, -80.0], [0.3, 2.0]], requires_grad=True)
    labels = torch.tensor([[False, True], [True, False]])
    loss = multilabel_soft_margin_loss(logits, labels)
    torch.testing.assert_close(
        loss, torch.nn.functional.multilabel_soft_margin_loss(logits, labels.float())
    )
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    exact = logits.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: multilabel_soft_margin_loss(x, labels), (exact,))


def test_classifier_comes_back_from_its_file(tmp_path):
    model = build_classifier(
        "mobilenet_v2",
        ["cat", "dog"],
        stride_two_padding="same",
        pooling="lse",
        lse_sharpness=2.0,
        normalisation="half",
    ).eval()
    path = tmp_path / "classifier.safetensors"
    path.write_bytes(to_bytes(classifier_to_payload(model)))
    back = classifier_from_payload(from_bytes(path.read_bytes()))
    assert back.class_names == ("cat", "dog")
    assert (back.pooling, back.lse_sharpness, back.normalisation) == ("lse", 2.0, "half")
    assert not back.training
    x = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(back(x), model(x), rtol=0, atol=0)
    # and it serves as initial weights for another head
    backbone = build_backbone("mobilenet_v2")
    load_backbone_weights(backbone, str(path))
    first = backbone.stages[0].state_dict()["0.0.weight"]
    assert torch.equal(first, model.backbone.stages[0].state_dict()["0.0.weight"])


def test_payloads_that_are_no_classifier():
    with pytest.raises(ValueError, match="no classifier"):
        classifier_from_payload(Payload(data={"kind": "flow"}))
    payload = classifier_to_payload(build_classifier("small", ["a"]))
    del payload.arrays["head.weight"]
    with pytest.raises(ValueError, match="incomplete"):
        classifier_from_payload(payload)


def test_seeded_build():
    once, again = (build_classifier("small", ["a"], seed=3) for _ in range(2))
    state = torch.get_rng_state()
    build_classifier("small", ["a"], seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(once.head.weight, again.head.weight)


SHARED = Path(os.environ.get("WSVIS_SHARED", Path(__file__).parents[3].parent / "shared"))
MOBILENET = SHARED / "weights" / "mobilenet_v2_imagenet_tfquant.pth"
CLIPS = SHARED / "data" / "davis-mini" / "JPEGImages"


@pytest.mark.slow
@pytest.mark.skipif(not (MOBILENET.exists() and CLIPS.exists()), reason="shared data absent")
def test_imagenet_weights_know_a_bear():
    """The 1001-way head on our backbone: stride 16, 'SAME' padding, (x - 0.5) / 0.5."""
    import cv2

    head = torch.load(MOBILENET, weights_only=True)
    names = (MOBILENET.parent / "imagenet_1001_labels.txt").read_text().splitlines()
    backbone = build_backbone("mobilenet_v2", stride_two_padding="same").eval()
    load_backbone_weights(backbone, str(MOBILENET))
    image = cv2.imread(str(CLIPS / "bear" / "00020.jpg"))
    assert image is not None
    x = normalise_frames(torch.from_numpy(image[..., ::-1].copy())[None], "half")
    with torch.no_grad():
        features = backbone(x)[-1].mean((-2, -1))
        scores = features @ head["classifier.1.weight"].T + head["classifier.1.bias"]
    best = [names[i] for i in scores[0].topk(3).indices]
    assert any("bear" in name for name in best), best
