"""Instance masks straight from class maps, and from motion alone: threshold, components, score.

What f-CAM is worth before any further network sees it. K classes of the frame, h w cells, H W
pixels, N instances.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from wsvis.cam.fcam import upsample_maps, upsample_mask
from wsvis.cam.ir_labels import label_map
from wsvis.masks import encode_masks
from wsvis.types import FrameInstances, Rle

Found = tuple[int, float, Rle]
"""Label, score and mask of one component."""


def pseudo_masks(
    maps: Float[np.ndarray, "K h w"],
    class_ids: Int[np.ndarray, " K"],
    height: int,
    width: int,
    threshold: float,
    min_area: float,
) -> FrameInstances:
    """One instance per connected region where a class wins over the background.

    IRN's last step (argmax against a background constant, 4-connected components) without its
    network. Overlapping classes are settled per pixel by the larger map.

    Differs from IRN in the score: the geometric mean of the map's mean over the component and the
    component's share of the frame, not the map's maximum, which after max-normalisation is 1 (A
    where the peak moves) in nearly every frame and ranks nothing. Chosen on the plain CAM, see
    docs/motion_and_masks.md.

    Args:
        maps: CAM or f-CAM on any grid; upsampled bilinearly where it is not the frame's.
        class_ids: which class each map belongs to.
        height: rows of the frame.
        width: columns of the frame.
        threshold: the background's constant value.
        min_area: smaller components are dropped; share of the frame, 0..1.
    """
    if maps.shape[1:] != (height, width):
        maps = upsample_maps(maps, height, width)
    labels = label_map(maps, class_ids, threshold)
    components: list[Found] = []
    for single, class_id in zip(maps, class_ids.tolist(), strict=True):
        for mask, box in _components(labels == class_id + 1, min_area):
            # mean * share: the component's area cancels
            score = math.sqrt(float(single[box][mask[box]].sum()) / mask.size)
            components.append((class_id, score, encode_masks(mask[None])[0]))
    return _frame_instances(components)


def motion_masks(
    moving: Bool[np.ndarray, "h w"],
    class_ids: Int[np.ndarray, " K"],
    height: int,
    width: int,
    min_area: float,
) -> FrameInstances:
    """The moving mask alone, each component once with each of the frame's classes.

    The baseline f-CAM is held against: what motion and the frame's labels give without any map. The
    score is that of :func:`pseudo_masks` for a map that is 1 where something moves: the root of
    the component's share of the frame.

    Args:
        moving: which cells move.
        class_ids: classes of the frame.
        height: rows of the frame.
        width: columns of the frame.
        min_area: smaller components are dropped; share of the frame, 0..1.
    """
    full = upsample_mask(moving, height, width)
    components: list[Found] = []
    for mask, box in _components(full, min_area):
        score, rle = math.sqrt(mask[box].sum() / mask.size), encode_masks(mask[None])[0]
        components.extend((class_id, score, rle) for class_id in class_ids.tolist())
    return _frame_instances(components)


def _components(
    region: np.ndarray, min_area: float
) -> Iterable[tuple[np.ndarray, tuple[slice, slice]]]:
    """Mask and box of each 4-connected component that is large enough."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        region.view(np.uint8), connectivity=4
    )
    for component in range(1, count):
        left, top, width, height, area = stats[component].tolist()
        if area >= min_area * region.size:
            yield (
                labels == component,
                (slice(top, top + height), slice(left, left + width)),
            )


def _frame_instances(components: list[Found]) -> FrameInstances:
    return FrameInstances(
        labels=np.array([label for label, _, _ in components], dtype=np.int64),
        scores=np.array([score for _, score, _ in components], dtype=np.float32),
        masks=tuple(rle for _, _, rle in components),
    )
