"""A Mask R-CNN on a backbone, by the library that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from wsvis.backbones.networks import Backbone
from wsvis.config import Config
from wsvis.payload import Payload
from wsvis.systems.config import DetectorConfig
from wsvis.systems.mask_rcnn.config import MaskRcnnConfig
from wsvis.systems.mask_rcnn.detectron2_backend import Detectron2Detector
from wsvis.systems.mask_rcnn.detectron2_parts import need_detectron2
from wsvis.systems.mask_rcnn.torchvision_backend import TorchvisionDetector
from wsvis.systems.networks import build_on_backbone

BACKENDS: dict[str, type[nn.Module]] = {
    "torchvision": TorchvisionDetector,
    "detectron2": Detectron2Detector,
}


def build(settings: Config, trunk: Backbone, classes: int, normalisation: str) -> nn.Module:
    """The network that some settings ask for."""
    kind: Any = BACKENDS[settings.mask_rcnn.backend]
    frozen = settings.detector.frozen_stages
    return kind(trunk, classes, normalisation=normalisation, frozen_stages=frozen)


def rebuild(
    data: Mapping[str, Any], trunk: Backbone, classes: int, normalisation: str
) -> nn.Module:
    """The network of a stored description.

    Raises:
        ValueError: no backend is called so.
    """
    if data["backend"] not in BACKENDS:
        raise ValueError(f"no detector backend is called {data['backend']!r}")
    kind: Any = BACKENDS[data["backend"]]
    return kind(trunk, classes, normalisation=normalisation)


def check(settings: Config) -> None:
    """An ``InputError`` where the library is not installed."""
    if settings.mask_rcnn.backend == "detectron2":
        need_detectron2()


def build_detector(
    classes: int,
    *,
    backend: str = MaskRcnnConfig.backend,
    backbone: str = DetectorConfig.backbone,
    weights: str = "none",
    classifier: Payload | None = None,
    frozen_stages: int = DetectorConfig.frozen_stages,
    normalisation: str = "imagenet",
    stride_two_padding: str = "symmetric",
    seed: int = 0,
) -> nn.Module:
    """A Mask R-CNN (:class:`wsvis.systems.mask_rcnn.backend.MaskRcnn`) in training mode.

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
    if backend not in BACKENDS:
        raise ValueError(f"no detector backend is called {backend!r}")
    kind: Any = BACKENDS[backend]
    return build_on_backbone(
        lambda trunk, expected: kind(
            trunk, classes, normalisation=expected, frozen_stages=frozen_stages
        ),
        backbone=backbone,
        weights=weights,
        classifier=classifier,
        normalisation=normalisation,
        stride_two_padding=stride_two_padding,
        seed=seed,
    )
