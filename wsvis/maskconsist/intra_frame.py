"""Intra-frame matching: fragments that lie over one pseudo-label are also tried as one object.

P predictions of a frame, Q pseudo-labels of it, H W pixels.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import box_iou

from wsvis.instances import InstanceTensors, concatenate, from_masks, pairwise_iou

Overlap = Literal["box", "mask"]


def same_class_overlap(
    a: InstanceTensors, b: InstanceTensors, overlap: Overlap
) -> Float[Tensor, "N M"]:
    """[c_i = c_j] IoU(i, j) of boxes or masks, the gate of both matching steps.

    Liu et al. 2021, Algorithm 1, line 4, compares boxes b; Sec. 3.3's text speaks of masks
    ("overlap greater than 0.5 with any of the original masks"). Boxes are the default: IRN's masks
    are partial, and Sec. 4.2 calls the threshold "bounding-box IoU".
    """
    values = box_iou(a.boxes, b.boxes) if overlap == "box" else pairwise_iou(a.masks, b.masks)
    return values * (a.labels[:, None] == b.labels[None])


def intra_frame_matching(
    predictions: InstanceTensors,
    labels: InstanceTensors,
    *,
    box_iou_threshold: float,
    overlap: Overlap,
) -> InstanceTensors:
    """P_exp: the predictions, then the unions of those over the same pseudo-label.

    Liu et al. 2021, Sec. 3.3 "Intra-frame matching" and Sec. 4.2. For each pseudo-label q,
    S(q) = {p in P : c_p = c_q, IoU(p, q) > threshold}; where S(q) has two or more members, the
    union of their masks is added with its tight box, the class of q, and the highest score.

    The paper is silent: on what "good overlap" is (box IoU, as in Algorithm 1), on whether unions
    are taken per pseudo-label (they are: Fig. 3's caption may also be read otherwise), and on the
    union of one, which would only repeat it.

    Args:
        predictions: P of this frame.
        labels: pseudo-labels of the same frame.
        box_iou_threshold: strictly exceeded by members (paper: 0.5).
        overlap: of boxes or of masks.
    """
    values = same_class_overlap(labels, predictions, overlap)
    members = (values > box_iou_threshold).cpu()
    sets = [(q, torch.nonzero(row)[:, 0]) for q, row in enumerate(members) if int(row.sum()) > 1]
    if not sets:
        return predictions
    device = predictions.masks.device
    chosen = [indices.to(device) for _, indices in sets]
    unions = from_masks(
        torch.stack([predictions.masks[indices].any(0) for indices in chosen]),
        labels.labels[torch.tensor([q for q, _ in sets], device=device)],
        torch.stack([predictions.scores[indices].max() for indices in chosen]),
    )
    return concatenate([predictions, unions])
