"""Where a detection is, as a vector: the stand-in for its looks where nothing computes them.

N detections of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from wsvis.tracking.boxes import boxes_of
from wsvis.types import FrameInstances, Rle


def place_descriptors(
    detections: Sequence[FrameInstances], height: int, width: int
) -> list[Float32[np.ndarray, "_ 4"]]:
    """Centre and size of each box, in units of the frame's diagonal: where there is no ReID.

    Objects of one clip stay near where they were, so this tells them apart better than nothing.
    Ours; UnOVOST has no such fallback.

    Args:
        detections: of each frame.
        height: rows of the frame.
        width: columns of the frame.
    """
    return [_places(instances.masks, float(np.hypot(height, width))) for instances in detections]


def _places(masks: Sequence[Rle], diagonal: float) -> np.ndarray:
    boxes = boxes_of(masks)
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return (np.concatenate([centres, sizes], axis=1) / diagonal).astype(np.float32)
