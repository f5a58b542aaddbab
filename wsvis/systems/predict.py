"""Instances of frames by a trained detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from wsvis.instances import InstanceTensors
from wsvis.masks import encode_masks
from wsvis.systems.clips import as_image, resize_frame, resized
from wsvis.systems.config import InferenceConfig
from wsvis.systems.detector import Detector, Selection
from wsvis.types import FrameInstances


@torch.inference_mode()
def predict_frames(
    model: nn.Module,
    frames: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    *,
    short_side: int = InferenceConfig.short_side,
    score_threshold: float = InferenceConfig.score_threshold,
    nms_threshold: float = InferenceConfig.nms_threshold,
    detections: int = InferenceConfig.detections,
    batch_size: int = 4,
) -> list[FrameInstances]:
    """What the detector finds in each frame, best first, at the frame's own size.

    Liu et al. 2021, Sec. 4.2: plain Mask R-CNN at a short side of 480 pixels; the score threshold
    0.05 and box NMS 0.5 are those of its library. Masks are put in place at the frame's size, not
    resized from the network's.

    Args:
        model: a detector of ours; put into evaluation mode.
        frames: RGB, of any sizes.
        short_side: pixels the network reads; 0 = frames as they are.
        score_threshold: less is no detection.
        nms_threshold: box IoU, within a class.
        detections: most per frame.
        batch_size: frames at a time.
    """
    model.eval()
    assert isinstance(model, Detector)
    device = next(model.parameters()).device
    selection = Selection(most=detections, score=score_threshold, nms=nms_threshold)
    results: list[FrameInstances] = []
    for part in _of_one_size(frames, batch_size):
        size = (part[0].shape[0], part[0].shape[1])
        images = [as_image(resize_frame(frame, *resized(*size, short_side))) for frame in part]
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            passed = model.run([image.to(device) for image in images])
            predictions = passed.predictions(selection, [size] * len(part))
        results.extend(to_frame_instances(p) for p in predictions)
    return results


def _of_one_size(frames: Sequence[np.ndarray], most: int) -> Iterator[list[np.ndarray]]:
    """Batches in order; padding to a larger frame would change what is found in a smaller one."""
    batch: list[np.ndarray] = []
    for frame in frames:
        if batch and (len(batch) == most or frame.shape != batch[0].shape):
            yield batch
            batch = []
        batch.append(frame)
    if batch:
        yield batch


def to_frame_instances(instances: InstanceTensors) -> FrameInstances:
    """As RLE; instances without a pixel are left out."""
    masks = instances.masks.cpu().numpy()
    kept = masks.any((1, 2))
    return FrameInstances(
        labels=instances.labels.cpu().numpy()[kept],
        scores=instances.scores.float().cpu().numpy()[kept],
        masks=tuple(encode_masks(masks[kept])),
    )
