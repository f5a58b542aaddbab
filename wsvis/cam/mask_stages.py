"""Stages from class activation maps to class-wise masks: f-CAM and the two baselines.

Kept free of torch: a sweep's trials run nothing else, and their processes start fast.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wsvis.cam.fcam import frame_fcam, moving_mask
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


def pseudo_masks(config: Config, wholes: Mapping[str, Payload]) -> Process:
    """Instance masks straight from f-CAM (Eq. 2)."""

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        frames = []
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
            frames.append(_masks(config, maps, labels, video))
        return instances_to_payload(frames)

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
        frames = []
        for frame, labels in enumerate(video.labels):
            moving = moving_mask(
                _magnitude(inputs["motion"], frame), config.fcam.percentile, config.fcam.floor
            )
            frames.append(
                masks_of_motion(
                    moving,
                    np.array(labels, dtype=np.int64),
                    video.height,
                    video.width,
                    config.pseudo_masks.min_area,
                )
            )
        return instances_to_payload(frames)

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
