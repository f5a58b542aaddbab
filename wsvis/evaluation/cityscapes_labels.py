"""Which pixels of Cityscapes' ground truth are measured as what.

H W pixels; ``instance_ids`` are the values of a ``gtFine_instanceIds`` png.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from wsvis.data.cityscapes import THINGS
from wsvis.evaluation.semantic_iou import BACKGROUND, VOID

VOID_IDS = (*range(7), 9, 10, 14, 15, 16, 18, 29, 30)
"""Ids that the benchmark leaves out of every measure (license plate, -1, cannot be in a png)."""

_IDS = 34


def void_of_instances(instance_ids: Int[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Void pixels as the instance measure sees them: by the raw value of the png.

    A single caravan or trailer (29xxx, 30xxx) is therefore not void, only a group of them is.
    """
    return np.isin(instance_ids, VOID_IDS)


def class_ids(instance_ids: Int[np.ndarray, "H W"]) -> Int[np.ndarray, "H W"]:
    """Label id of each pixel: values from 1000 on are id * 1000 + number, smaller ones the id."""
    return np.where(instance_ids >= 1000, instance_ids // 1000, instance_ids)


def thing_map(instance_ids: Int[np.ndarray, "H W"]) -> Int[np.ndarray, "H W"]:
    """Semantic ground truth of the eight classes; all other classes are background."""
    lookup = np.full(_IDS, BACKGROUND, dtype=np.int16)
    lookup[list(VOID_IDS)] = VOID
    lookup[list(THINGS)] = np.arange(len(THINGS))
    ids = class_ids(instance_ids)
    if ids.min() < 0 or ids.max() >= len(lookup):
        raise ValueError(f"no label has the id {ids.max()} or {ids.min()}")
    return lookup[ids]
