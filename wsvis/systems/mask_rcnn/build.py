"""A detector from its settings, with initial weights from wherever they are."""

from __future__ import annotations

import torch
from torch import nn

from wsvis.backbones.networks import Backbone, build_backbone
from wsvis.backbones.weights import load_backbone_weights
from wsvis.cam.classifier import classifier_from_payload
from wsvis.errors import InputError
from wsvis.payload import Payload
from wsvis.systems.config import DetectorConfig
from wsvis.systems.mask_rcnn.detectron2_backend import Detectron2Detector
from wsvis.systems.mask_rcnn.torchvision_backend import TorchvisionDetector


def build_detector(
    classes: int,
    *,
    backend: str = DetectorConfig.backend,
    backbone: str = DetectorConfig.backbone,
    weights: str = "none",
    classifier: Payload | None = None,
    frozen_stages: int = DetectorConfig.frozen_stages,
    normalisation: str = "imagenet",
    stride_two_padding: str = "symmetric",
    seed: int = 0,
) -> nn.Module:
    """A detector (:class:`wsvis.systems.mask_rcnn.backend.Detector`) in training mode.

    Args:
        classes: of objects, without background.
        backend: ``torchvision`` or ``detectron2``.
        backbone: ``small``, ``resnet18``, ``resnet50`` or ``mobilenet_v2``.
        weights: see :func:`wsvis.backbones.weights.load_backbone_weights`; or ``classifier``:
            the backbone of the trained classifier, with its way to normalise and to pad.
        classifier: that classifier, where it is asked for.
        frozen_stages: first stages that do not learn.
        normalisation: of frames, as the weights expect.
        stride_two_padding: likewise.
        seed: all that starts at random follows from it.

    Raises:
        InputError: weights absent or of another architecture; detectron2 not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if weights == "classifier":
            trunk, normalisation = _from_classifier(classifier, backbone)
        else:
            trunk = build_backbone(backbone, stride_two_padding=stride_two_padding)
            load_backbone_weights(trunk, weights)
        if backend == "torchvision":
            model: nn.Module = TorchvisionDetector(
                trunk, classes, normalisation=normalisation, frozen_stages=frozen_stages
            )
        elif backend == "detectron2":
            model = Detectron2Detector(
                trunk, classes, normalisation=normalisation, frozen_stages=frozen_stages
            )
        else:
            raise ValueError(f"no detector backend is called {backend!r}")
    return model.train()


def _from_classifier(classifier: Payload | None, name: str) -> tuple[Backbone, str]:
    if classifier is None:
        raise ValueError("weights 'classifier' need the trained classifier")
    start = classifier_from_payload(classifier)
    if start.backbone.name != name:
        raise InputError(
            f"detector.weights is classifier, whose backbone is {start.backbone.name}, not {name}; "
            f"set detector.backbone to {start.backbone.name} or name other weights"
        )
    return start.backbone.train(), start.normalisation
