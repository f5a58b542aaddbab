"""Some of the instances of one frame: what every filter by score, class or place comes down to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsvis.types import FrameInstances


def subset(instances: FrameInstances, positions: Sequence[int]) -> FrameInstances:
    """The instances at these positions, in the order given."""
    index = np.asarray(positions, dtype=np.int64)
    masks = tuple(instances.masks[n] for n in positions)
    return FrameInstances(instances.labels[index], instances.scores[index], masks)


def kept(instances: FrameInstances, min_score: float) -> FrameInstances:
    """The instances that score at least so much."""
    return subset(instances, np.flatnonzero(instances.scores >= min_score).tolist())


def none_found() -> FrameInstances:
    """A frame without instances."""
    return FrameInstances(np.zeros(0, np.int64), np.zeros(0, np.float32), ())
