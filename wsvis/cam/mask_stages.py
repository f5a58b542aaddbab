"""Stages from class activation maps to class-wise masks: f-CAM and the two baselines.

Kept free of torch: a sweep's trials run nothing else, and their processes start fast.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wsvis.cam.fcam import frame_fcam, moving_mask, upsample_maps
from wsvis.cam.pseudo_masks import motion_masks as masks_of_motion
from wsvis.cam.pseudo_masks import pseudo_masks as masks_of_maps
from wsvis.config import Config
from wsvis.payload import Payload, instances_to_payload
from wsvis.stage import Process
from wsvis.types import FrameInstances, Video


def frame_maps(payload: Payload, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """CAM of one frame, float32 [K, h, w], and the classes it belongs to, int64 [K]."""
    rows = payload.arrays["frame"] == frame
    return payload.arrays["maps"][rows].astype(np.float32), payload.arrays["label"][rows]


def amplified_maps(
    settings: Config, inputs: Mapping[str, Payload], video: Video, frame: int
) -> tuple[np.ndarray, np.ndarray]:
    """f-CAM of one frame at its size (Eq. 2), and the classes; with A = 1 the CAM, without motion.

    Args:
        settings: ``fcam``.
        inputs: ``cam``, and ``motion`` where A > 1.
        video: of the frame.
        frame: its number.
    """
    cam, labels = frame_maps(inputs["cam"], frame)
    if settings.fcam.amplification == 1:
        return upsample_maps(cam, video.height, video.width), labels
    maps = frame_fcam(
        cam,
        magnitude(inputs["motion"], frame),
        video.height,
        video.width,
        amplification=settings.fcam.amplification,
        percentile=settings.fcam.percentile,
        floor=settings.fcam.floor,
    )
    return maps, labels


def magnitude(payload: Payload, frame: int) -> np.ndarray:
    """Length of each pixel's own motion in one frame, float32 [h, w]."""
    return payload.arrays["magnitude"][frame].astype(np.float32)


def pseudo_masks(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """Instance masks straight from f-CAM (Eq. 2)."""

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        maps = (amplified_maps(settings, inputs, video, frame) for frame in range(video.length))
        return instances_to_payload([_masks(settings, each, k, video) for each, k in maps])

    return process


def cam_masks(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """The baseline without motion: masks from the plain CAM."""

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        frames = [frame_maps(inputs["cam"], frame) for frame in range(video.length)]
        return instances_to_payload([_masks(settings, cam, k, video) for cam, k in frames])

    return process


def motion_masks(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """The baseline without CAM: what moves, with each of the frame's classes."""

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        frames = []
        for frame, labels in enumerate(video.labels):
            moving = moving_mask(
                magnitude(inputs["motion"], frame), settings.fcam.percentile, settings.fcam.floor
            )
            frames.append(
                masks_of_motion(
                    moving,
                    np.array(labels, dtype=np.int64),
                    video.height,
                    video.width,
                    settings.pseudo_masks.min_area,
                )
            )
        return instances_to_payload(frames)

    return process


def _masks(settings: Config, maps: np.ndarray, labels: np.ndarray, video: Video) -> FrameInstances:
    return masks_of_maps(
        maps,
        labels,
        video.height,
        video.width,
        settings.ir_labels.foreground_threshold,
        settings.pseudo_masks.min_area,
    )
