"""Temporally consistent labels (paper Algorithm 1): matched candidates carried to the other frame.

Frames a and b of a pair; H W pixels; flow in pixels of these frames.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wsvis.flow.warp import warp_masks
from wsvis.instances import InstanceTensors, from_masks
from wsvis.maskconsist.inter_frame import Matching
from wsvis.maskconsist.intra_frame import Overlap, same_class_overlap


def supported(
    candidates: InstanceTensors,
    labels: InstanceTensors,
    *,
    box_iou_threshold: float,
    overlap: Overlap,
) -> Tensor:
    """Bool [N]: which candidates overlap some pseudo-label of their class (Algorithm 1, line 4)."""
    return (same_class_overlap(candidates, labels, overlap) > box_iou_threshold).any(1)


def temporally_consistent_labels(
    a: InstanceTensors,
    b: InstanceTensors,
    matching: Matching,
    labels_a: InstanceTensors,
    flow_ba: Float[Tensor, "H W 2"],
    *,
    box_iou_threshold: float,
    overlap: Overlap,
) -> InstanceTensors:
    """P_maskCon of frame b: Merge(W_ab(p_i), p_j) for matched pairs whose p_i has support in a.

    Liu et al. 2021, Algorithm 1: a pair is transferred, once, if some pseudo-label q of frame a has
    c_q = c_i and IoU(b_i, b_q) > 0.5. Merge is the union of the two masks.

    The paper is silent: on the merged box (tight around the union), class (c_i, equal to c_j by the
    matching) and score (the higher; nothing reads it), and on how masks are carried (backward
    along F_ba, bilinear, at least half; 0 where the flow leaves the frame). Only the source frame's
    labels decide, as in the algorithm.

    Args:
        a: candidates of the source frame.
        b: candidates of the frame that gets the labels.
        matching: pairs (i of a, j of b).
        labels_a: pseudo-labels of the source frame.
        flow_ba: flow from b to a.
        box_iou_threshold: strictly exceeded.
        overlap: of boxes or of masks.
    """
    known = supported(
        a[matching.first], labels_a, box_iou_threshold=box_iou_threshold, overlap=overlap
    )
    source, partner = a[matching.first[known]], b[matching.second[known]]
    carried, _ = warp_masks(source.masks, flow_ba)
    return from_masks(
        carried | partner.masks, source.labels, torch.maximum(source.scores, partner.scores)
    )
