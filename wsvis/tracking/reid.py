"""What a detection looks like as a vector, to recognise the object again after a gap.

N detections of a frame, H W pixels, D channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch.nn import functional

from wsvis.backbones.networks import Backbone
from wsvis.backbones.normalise import normalise_frames
from wsvis.tracking.boxes import boxes_of
from wsvis.types import FrameInstances


def box_crops(
    frame: UInt8[np.ndarray, "H W 3"], boxes: Float[np.ndarray, "N 4"], size: int
) -> UInt8[np.ndarray, "N size size 3"]:
    """Each box cut out and resized to a square; an empty box gives a black one.

    Args:
        frame: RGB.
        boxes: xyxy in pixels, exclusive right and bottom, inside the frame.
        size: side of the squares in pixels.
    """
    out = np.zeros((len(boxes), size, size, 3), dtype=np.uint8)
    for n, (x0, y0, x1, y1) in enumerate(boxes.astype(int).tolist()):
        if x1 > x0 and y1 > y0:
            smaller = (x1 - x0) * (y1 - y0) > size * size
            method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            out[n] = cv2.resize(frame[y0:y1, x0:x1], (size, size), interpolation=method)
    return out


def reid_descriptors(
    backbone: Backbone,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    detections: Sequence[FrameInstances],
    *,
    normalisation: str = "imagenet",
    crop: int = 224,
    batch: int = 64,
) -> list[Float32[np.ndarray, "_ D"]]:
    """L2-normalised average-pooled features of each detection's box.

    Differs from UnOVOST, whose 128-d ReID network was trained with identity labels that weak
    supervision does not have: any backbone serves here. Only distances between descriptors matter.

    Args:
        backbone: its last stage is used; runs on the device it is on.
        frames: RGB, one per entry of ``detections``.
        detections: of each frame.
        normalisation: of the pixels, as the backbone was trained (``imagenet`` or ``half``).
        crop: side of the squares the boxes are resized to, pixels.
        batch: crops per pass.

    Returns:
        For each frame one vector of length 1 per detection.
    """
    device = next(backbone.parameters()).device
    crops = [
        box_crops(frame, boxes_of(instances.masks), crop)
        for frame, instances in zip(frames, detections, strict=True)
    ]
    if not crops:
        return []
    every = np.concatenate(crops)
    training = backbone.training
    backbone.eval()
    parts = [np.zeros((0, backbone.channels[-1]), dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(every), batch):
            pixels = torch.from_numpy(every[start : start + batch]).to(device)
            features = backbone(normalise_frames(pixels, normalisation))[-1]
            pooled = functional.normalize(features.mean(dim=(2, 3)).float(), dim=1)
            parts.append(pooled.cpu().numpy())
    backbone.train(training)
    ends = np.cumsum([len(one) for one in crops])[:-1]
    return np.split(np.concatenate(parts), ends)
