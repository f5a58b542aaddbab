"""Detectors as training finds them: a backbone with its weights, and heads at random."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from wsvis.backbones.networks import Backbone, build_backbone
from wsvis.backbones.weights import load_backbone_weights
from wsvis.cam.classifier import classifier_from_payload
from wsvis.cam.stages import input_form
from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.payload import Payload
from wsvis.seeds import stage_seed
from wsvis.systems import SYSTEMS
from wsvis.types import Dataset


def build_on_backbone(
    build: Callable[[Backbone, str], nn.Module],
    *,
    backbone: str,
    weights: str,
    classifier: Payload | None,
    normalisation: str,
    stride_two_padding: str,
    seed: int,
) -> nn.Module:
    """A detector on a backbone with initial weights from wherever they are, in training mode.

    Args:
        build: from the backbone and the normalisation that its weights expect.
        backbone: its name.
        weights: see :func:`wsvis.backbones.weights.load_backbone_weights`; or ``classifier``:
            the backbone of the trained classifier, with its way to normalise and to pad.
        classifier: that classifier, where it is asked for.
        normalisation: of frames, as the weights expect.
        stride_two_padding: likewise.
        seed: all that starts at random follows from it.

    Raises:
        InputError: weights absent or of another architecture; a library not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if weights == "classifier":
            trunk, normalisation = _from_classifier(classifier, backbone)
        else:
            trunk = build_backbone(backbone, stride_two_padding=stride_two_padding)
            load_backbone_weights(trunk, weights)
        model = build(trunk, normalisation)
    return model.train()


def initial_network(
    settings: Config, dataset: Dataset, classifier: Payload | None = None
) -> nn.Module:
    """The detector as training finds it; what is random comes from the seed.

    Detectors on other labels start and go on from the same random numbers: their differences are
    those of the labels.

    Args:
        settings: of the stage ``system``.
        dataset: gives the number of classes.
        classifier: the trained one, where ``detector.weights`` is ``classifier``.

    Raises:
        InputError: weights absent or of another architecture; a library is not installed.
    """
    normalisation, padding = input_form(settings.classifier)
    system, classes = SYSTEMS[settings.system], len(dataset.classes)
    return build_on_backbone(
        lambda trunk, expected: system.build(settings, trunk, classes, expected),
        backbone=settings.detector.backbone,
        weights=settings.detector.weights,
        classifier=classifier,
        normalisation=normalisation,
        stride_two_padding=padding,
        seed=stage_seed(settings.seed, "detector"),
    )


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
