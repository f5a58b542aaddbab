"""IR labels: pixels sure to be a class, sure to be background, and unsure ones (IRN).

K classes of the frame, H W pixels. In label maps 0 is background, c + 1 is class c, 255 is unsure.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8

from wsvis.cam.config import IrLabelsConfig

UNSURE = 255


def label_map(
    maps: Float[np.ndarray, "K H W"], class_ids: Int[np.ndarray, " K"], threshold: float
) -> UInt8[np.ndarray, "H W"]:
    """Class with the largest value at each pixel, background where none exceeds ``threshold``.

    Ahn et al. 2019 (IRN), Sec. 3.2: argmax over [threshold; maps]. On ties the background wins,
    then the class that comes first.

    Args:
        maps: CAM or f-CAM of the frame's classes.
        class_ids: which class each map belongs to, 0..253.
        threshold: the background's constant value.

    Raises:
        ValueError: a class id that the map cannot hold.
    """
    if len(class_ids) != len(maps) or (
        len(class_ids) and not 0 <= class_ids.min() <= class_ids.max() < UNSURE - 1
    ):
        raise ValueError(f"class ids {class_ids.tolist()} do not fit {len(maps)} maps and 0..253")
    best = np.full(maps.shape[1:], threshold, dtype=np.float32)
    labels = np.zeros(maps.shape[1:], dtype=np.uint8)
    for single, class_id in zip(maps, class_ids.tolist(), strict=True):
        labels[single > best] = class_id + 1
        np.maximum(best, single, out=best)
    return labels


def combine_labels(
    foreground: UInt8[np.ndarray, "H W"], background: UInt8[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W"]:
    """Foreground where the strict map has a class, background where the lenient map has none.

    Args:
        foreground: label map at the foreground threshold (after a CRF, where one is used).
        background: label map at the background threshold (after a CRF, where one is used).

    Returns:
        0 background, c + 1 class, 255 unsure.
    """
    unsure_or_background = np.where(background == 0, np.uint8(0), np.uint8(UNSURE))
    return np.where(foreground > 0, foreground, unsure_or_background)


def ir_labels(
    maps: Float[np.ndarray, "K H W"],
    class_ids: Int[np.ndarray, " K"],
    foreground_threshold: float = IrLabelsConfig.foreground_threshold,
    background_threshold: float = IrLabelsConfig.background_threshold,
) -> UInt8[np.ndarray, "H W"]:
    """IR labels straight from the maps.

    Ahn et al. 2019 (IRN), Sec. 3.2, with the thresholds of the authors' code. With f-CAM the
    thresholds are in effect divided by A on moving pixels.

    Differs from IRN: no dense CRF between the two label maps and their combination; whoever wants
    one refines the two :func:`label_map` and calls :func:`combine_labels`.

    Args:
        maps: CAM or f-CAM at full size.
        class_ids: which class each map belongs to.
        foreground_threshold: above it a pixel is its best class.
        background_threshold: pixels where no map exceeds it are background.

    Returns:
        0 background, c + 1 class, 255 unsure.
    """
    return combine_labels(
        label_map(maps, class_ids, foreground_threshold),
        label_map(maps, class_ids, background_threshold),
    )
