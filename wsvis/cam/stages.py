"""The stages with a network: classifier, its quality, and class activation maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from wsvis.backbones.imagenet_head import imagenet_head, input_conventions
from wsvis.backbones.networks import Backbone, build_backbone
from wsvis.backbones.weights import load_backbone_weights
from wsvis.cam.cam import fold_batch_norm, multi_scale_cam
from wsvis.cam.class_map import class_map
from wsvis.cam.classification_ap import evaluate_classifier
from wsvis.cam.classifier import (
    Classifier,
    build_classifier,
    classifier_from_payload,
    classifier_to_payload,
)
from wsvis.cam.config import ClassifierConfig
from wsvis.cam.train_classifier import classifier_steps, train_classifier
from wsvis.config import Config
from wsvis.data.frame_sequence import FrameSequence, frame_labels
from wsvis.data.frames import read_frames
from wsvis.device import default_device
from wsvis.learning.curve import Curve
from wsvis.learning.share import Share
from wsvis.payload import Payload
from wsvis.seeds import stage_seed
from wsvis.stage import Inputs, Process
from wsvis.types import Dataset, Report, Video


def initial_classifier(config: Config, dataset: Dataset) -> Classifier:
    """The classifier as training finds it: initial weights, random head.

    Raises:
        InputError: the weights file is absent or of another architecture.
    """
    settings = config.classifier
    normalisation, padding = input_form(settings)
    imagenet = None
    if settings.head == "imagenet":
        kinds = class_map(dataset.classes, settings.class_map).imagenet
        imagenet = imagenet_head(settings.backbone, settings.weights, kinds)
    return build_classifier(
        settings.backbone,
        dataset.classes,
        weights=settings.weights,
        stride_two_padding=padding,
        pooling=settings.pooling,
        lse_sharpness=settings.lse_sharpness,
        normalisation=normalisation,
        imagenet=imagenet,
        seed=stage_seed(config.seed, "classifier"),
    )


def input_form(settings: ClassifierConfig) -> tuple[str, str]:
    """Normalisation and stride-2 padding in use: as set, or as the weights expect."""
    chosen = settings.normalisation, settings.stride_two_padding
    if "auto" not in chosen:
        return chosen
    fitting = input_conventions(settings.backbone, settings.weights)
    normalisation, padding = (
        expected if given == "auto" else given
        for given, expected in zip(chosen, fitting, strict=True)
    )
    return normalisation, padding


def initial_backbone(settings: Config) -> tuple[Backbone, str]:
    """The classifier's backbone before any training, and the normalisation that it expects.

    Raises:
        InputError: the weights file is absent or of another architecture.
    """
    chosen = settings.classifier
    normalisation, padding = input_form(chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stage_seed(settings.seed, "classifier"))
        backbone = build_backbone(chosen.backbone, stride_two_padding=padding)
    load_backbone_weights(backbone, chosen.weights)
    return backbone, normalisation


def train_stage(settings: Config, dataset: Dataset, inputs: Inputs, share: Share) -> Payload:
    """The frame classifier trained on the data set's frames; its loss curve travels with it.

    Where ImageNet's head knows every class there is nothing to train.
    """
    chosen = settings.classifier
    model = initial_classifier(settings, dataset).to(default_device())
    if model.imagenet is not None and all(model.imagenet.of_class):
        done = classifier_to_payload(model)
        return Payload(done.arrays, {**done.data, "training": {"steps": 0}, "curve": []})
    frames = FrameSequence(dataset.videos)
    steps = classifier_steps(
        len(frames), chosen.batch_size, chosen.epochs, chosen.min_steps, chosen.max_steps
    )
    curve = Curve(share, steps)
    scores = train_classifier(
        model,
        frames,
        frame_labels(dataset.videos, len(dataset.classes)),
        seed=stage_seed(settings.seed, "classifier"),
        optimiser=chosen.optimiser,
        learning_rate=chosen.learning_rate,
        head_rate_factor=chosen.head_rate_factor,
        momentum=chosen.momentum,
        weight_decay=chosen.weight_decay,
        epochs=chosen.epochs,
        min_steps=chosen.min_steps,
        max_steps=chosen.max_steps,
        batch_size=chosen.batch_size,
        crop=chosen.crop,
        resize_long_side=chosen.resize_long_side,
        trainable=chosen.trainable,
        report=curve.report,
        checkpoint=curve.checkpoint,
        checkpoint_every=share.checkpoint_every,
        resume=share.resume,
    )
    payload = classifier_to_payload(model)
    return Payload(payload.arrays, {**payload.data, "training": scores, "curve": curve.rows})


def classifier_quality(
    settings: Config, dataset: Dataset, inputs: Inputs, report: Report | None
) -> Payload:
    """AP of each class and their mean, over the frames of the data set."""
    model = classifier_from_payload(inputs.whole("classifier")).to(default_device())
    labels = frame_labels(dataset.videos, len(dataset.classes))
    return Payload(data=evaluate_classifier(model, FrameSequence(dataset.videos), labels))


def cam(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """Class activation maps of the classes each frame shows, on the stride-4 grid."""
    device = default_device()
    model = fold_batch_norm(classifier_from_payload(wholes["classifier"])).to(device)
    classes = len(model.class_names)

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        maps = multi_scale_cam(
            model,
            torch.from_numpy(read_frames(video)).to(device),
            torch.from_numpy(frame_labels([video], classes)),
            scales=settings.cam.scales,
            flip=settings.cam.flip,
            long_side=settings.cam.long_side,
        )
        each = [len(labels) for labels in video.labels]
        flat = [label for labels in video.labels for label in labels]
        return Payload(
            {
                "maps": torch.cat(maps).half().cpu().numpy(),
                "frame": np.repeat(np.arange(video.length, dtype=np.int64), each),
                "label": np.array(flat, dtype=np.int64),
            }
        )

    return process
