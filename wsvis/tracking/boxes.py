"""Boxes of detections, xyxy in pixels with exclusive right and bottom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from pycocotools import mask as coco_mask

from wsvis.types import Rle


def boxes_of(masks: Sequence[Rle]) -> Float[np.ndarray, "N 4"]:
    """Tight boxes, straight from RLE; of no size for an empty mask."""
    if not masks:
        return np.zeros((0, 4))
    xywh = coco_mask.toBbox(list(masks))  # pyright: ignore[reportArgumentType]
    boxes = np.array(xywh, dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def box_iou(a: Float[np.ndarray, "N 4"], b: Float[np.ndarray, "M 4"]) -> Float[np.ndarray, "N M"]:
    """IoU of every pair; 0 where the union is empty."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    area_a = np.prod(a[:, 2:] - a[:, :2], axis=1)
    area_b = np.prod(b[:, 2:] - b[:, :2], axis=1)
    union = area_a[:, None] + area_b[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
