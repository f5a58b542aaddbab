"""IR labels refined by a dense CRF: the labels that IRN learns from.

T frames of one video, K classes of a frame, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int, UInt8

from wsvis.cam.ir_labels import combine_labels
from wsvis.refinement.crf import dense_crf


def refined_ir_labels(
    frames: UInt8[np.ndarray, "T H W 3"],
    foreground: UInt8[np.ndarray, "T H W"],
    background: UInt8[np.ndarray, "T H W"],
    class_ids: Sequence[Int[np.ndarray, " _"]],
    *,
    device: torch.device | None = None,
    **crf: float,
) -> UInt8[np.ndarray, "T H W"]:
    """Sure classes, sure background and unsure pixels, after a CRF on both label maps.

    Ahn et al. 2019 (IRN) as released: a CRF refines the labels at the strict threshold and
    those at the lenient one; a class stands where the first has it, background where both have
    none, everything else is unsure.

    Args:
        frames: RGB.
        foreground: :func:`wsvis.cam.ir_labels.label_map` at the foreground threshold.
        background: the same at the background threshold.
        class_ids: classes of each frame, 0..253; a label map holds 0 and class + 1 of these.
        device: where to run the CRF.
        crf: parameters of :func:`wsvis.refinement.crf.dense_crf`.

    Returns:
        0 background, c + 1 class, 255 unsure.
    """
    if len(frames) == 0:
        return foreground
    compact = np.stack([foreground, background], axis=1)
    wide = np.zeros((len(frames), 256), dtype=np.uint8)
    narrow = np.zeros_like(wide)
    for t, ids in enumerate(class_ids):
        narrow[t, ids + 1] = np.arange(1, len(ids) + 1)
        wide[t, 1 : len(ids) + 1] = ids + 1
    compact = _lookup(narrow, compact)
    refined = dense_crf(
        torch.from_numpy(frames).to(device),
        torch.from_numpy(compact).to(device),
        [len(ids) + 1 for ids in class_ids],
        **crf,  # pyright: ignore[reportArgumentType]
    )
    named = _lookup(wide, refined.cpu().numpy())
    return np.stack([combine_labels(strict, lenient) for strict, lenient in named])


def _lookup(table: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """table[t, labels[t]] for every frame."""
    return np.stack([row[maps] for row, maps in zip(table, labels, strict=True)])
