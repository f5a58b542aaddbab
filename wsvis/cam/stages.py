"""Stages from frames to class-wise masks: classifier, CAM, f-CAM masks and the two baselines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from wsvis.cam.cam import fold_batch_norm, multi_scale_cam
from wsvis.cam.classification_ap import evaluate_classifier
from wsvis.cam.classifier import (
    build_classifier,
    classifier_from_payload,
    classifier_to_payload,
)
from wsvis.cam.fcam import frame_fcam, moving_mask
from wsvis.cam.pseudo_masks import motion_masks as masks_of_motion
from wsvis.cam.pseudo_masks import pseudo_masks as masks_of_maps
from wsvis.cam.train_classifier import train_classifier
from wsvis.config import Config
from wsvis.data.frame_sequence import FrameSequence, frame_labels
from wsvis.data.frames import read_frames
from wsvis.payload import Payload, instances_to_payload
from wsvis.seeds import stage_seed
from wsvis.stage import Inputs, Process
from wsvis.types import Dataset, FrameInstances, Report, Video


def classifier(config: Config, dataset: Dataset, inputs: Inputs, report: Report | None) -> Payload:
    """The frame classifier trained on the data set's frames; its loss curve travels with it."""
    settings = config.classifier
    seed = stage_seed(config.seed, "classifier")
    model = build_classifier(
        settings.backbone,
        dataset.classes,
        weights=settings.weights,
        stride_two_padding=settings.stride_two_padding,
        pooling=settings.pooling,
        lse_sharpness=settings.lse_sharpness,
        normalisation=settings.normalisation,
        seed=seed,
    ).to(_device())
    frames = FrameSequence(dataset.videos)
    steps = int(len(frames) // min(settings.batch_size, max(len(frames), 1)) * settings.epochs)
    curve: list[dict[str, float]] = []

    def note(numbers: Mapping[str, float]) -> None:
        curve.append(dict(numbers))
        if report:
            report({**numbers, "steps": steps})

    scores = train_classifier(
        model,
        frames,
        frame_labels(dataset.videos, len(dataset.classes)),
        seed=seed,
        optimiser=settings.optimiser,
        learning_rate=settings.learning_rate,
        head_rate_factor=settings.head_rate_factor,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        crop=settings.crop,
        resize_long_side=settings.resize_long_side,
        trainable=settings.trainable,
        report=note,
    )
    payload = classifier_to_payload(model)
    return Payload(payload.arrays, {**payload.data, "training": scores, "curve": curve})


def classifier_quality(
    config: Config, dataset: Dataset, inputs: Inputs, report: Report | None
) -> Payload:
    """AP of each class and their mean, over the frames of the data set."""
    model = classifier_from_payload(inputs.whole("classifier")).to(_device())
    labels = frame_labels(dataset.videos, len(dataset.classes))
    return Payload(data=evaluate_classifier(model, FrameSequence(dataset.videos), labels))


def cam(config: Config, wholes: Mapping[str, Payload]) -> Process:
    """Class activation maps of the classes each frame shows, on the stride-4 grid."""
    device = _device()
    model = fold_batch_norm(classifier_from_payload(wholes["classifier"])).to(device)
    classes = len(model.class_names)

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        maps = multi_scale_cam(
            model,
            torch.from_numpy(read_frames(video)).to(device),
            torch.from_numpy(frame_labels([video], classes)),
            scales=config.cam.scales,
            flip=config.cam.flip,
            long_side=config.cam.long_side,
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


def frame_maps(payload: Payload, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """CAM of one frame, float32 [K, h, w], and the classes it belongs to, int64 [K]."""
    mine = payload.arrays["frame"] == frame
    return payload.arrays["maps"][mine].astype(np.float32), payload.arrays["label"][mine]


def pseudo_masks(config: Config, wholes: Mapping[str, Payload]) -> Process:
    """Instance masks straight from f-CAM (Eq. 2)."""

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        found = []
        for frame in range(video.length):
            cam, labels = frame_maps(inputs["cam"], frame)
            maps = frame_fcam(
                cam,
                _magnitude(inputs["motion"], frame),
                video.height,
                video.width,
                amplification=config.fcam.amplification,
                percentile=config.fcam.percentile,
                floor=config.fcam.floor,
            )
            found.append(_masks(config, maps, labels, video))
        return instances_to_payload(found)

    return process


def cam_masks(config: Config, wholes: Mapping[str, Payload]) -> Process:
    """The baseline without motion: masks from the plain CAM."""

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        frames = [frame_maps(inputs["cam"], frame) for frame in range(video.length)]
        return instances_to_payload([_masks(config, cam, k, video) for cam, k in frames])

    return process


def motion_masks(config: Config, wholes: Mapping[str, Payload]) -> Process:
    """The baseline without CAM: what moves, with each of the frame's classes."""

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        found = []
        for frame, labels in enumerate(video.labels):
            moving = moving_mask(
                _magnitude(inputs["motion"], frame), config.fcam.percentile, config.fcam.floor
            )
            found.append(
                masks_of_motion(
                    moving,
                    np.array(labels, dtype=np.int64),
                    video.height,
                    video.width,
                    config.pseudo_masks.min_area,
                )
            )
        return instances_to_payload(found)

    return process


def _masks(config: Config, maps: np.ndarray, labels: np.ndarray, video: Video) -> FrameInstances:
    return masks_of_maps(
        maps,
        labels,
        video.height,
        video.width,
        config.ir_labels.foreground_threshold,
        config.pseudo_masks.min_area,
    )


def _magnitude(payload: Payload, frame: int) -> np.ndarray:
    return payload.arrays["magnitude"][frame].astype(np.float32)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
