"""Scenes of rectangles for the tests of the trackers."""

import numpy as np

from wsvis.masks import encode_masks
from wsvis.types import FrameInstances

HEIGHT, WIDTH = 40, 60


def frame_of(*boxes, height=HEIGHT, width=WIDTH):
    """Instances from (left, top, right, bottom, score, label)."""
    masks = np.zeros((len(boxes), height, width), dtype=bool)
    for n, (left, top, right, bottom, *_) in enumerate(boxes):
        masks[n, top:bottom, left:right] = True
    return FrameInstances(
        np.array([box[5] for box in boxes], dtype=np.int64),
        np.array([box[4] for box in boxes], dtype=np.float32),
        tuple(encode_masks(masks)),
    )


def random_frames(rng, frames, most, *, classes=3, height=12, width=16):
    """Overlapping random rectangles with distinct scores."""
    out = []
    for _ in range(frames):
        boxes = []
        for score in rng.permutation(20)[: rng.integers(0, most + 1)]:
            left, top = rng.integers(0, width - 3), rng.integers(0, height - 3)
            right = rng.integers(left + 2, width + 1)
            bottom = rng.integers(top + 2, height + 1)
            boxes.append(
                (left, top, right, bottom, 0.05 + 0.045 * score, int(rng.integers(classes)))
            )
        out.append(frame_of(*boxes, height=height, width=width))
    return out


def shuffled(frames, rng):
    """The same detections in another order, and where each went: frame -> old positions."""
    orders = [rng.permutation(len(frame)) for frame in frames]
    moved = [
        FrameInstances(
            frame.labels[order], frame.scores[order], tuple(frame.masks[n] for n in order)
        )
        for frame, order in zip(frames, orders, strict=True)
    ]
    return moved, orders
