"""MaskConsist for a frame pair: predictions and pseudo-labels in, training targets out.

Frames a = t and b = t + delta; H W pixels of the network's input; flow in those pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wsvis.instances import InstanceTensors, concatenate
from wsvis.maskconsist.assignment import supported, temporally_consistent_labels
from wsvis.maskconsist.inter_frame import inter_frame_matching
from wsvis.maskconsist.intra_frame import Overlap, intra_frame_matching
from wsvis.maskconsist.iom_nms import iom_nms

Pair = tuple[InstanceTensors, InstanceTensors]


@torch.no_grad()
def refine(
    predictions: Pair,
    labels: Pair,
    flow_ab: Float[Tensor, "H W 2"],
    flow_ba: Float[Tensor, "H W 2"],
    *,
    box_iou_threshold: float,
    iom_threshold: float | None,
    intra: bool,
    inter: bool,
    overlap: Overlap,
    min_match_iou: float,
    labels_first: bool,
) -> Pair:
    """Targets of both frames: IoM-NMS(pseudo-labels + labels carried over from the other frame).

    Liu et al. 2021, Sec. 3.3 and Algorithm 1, without gradients. ``intra``, ``inter`` and
    ``iom_threshold`` switch the three components of Table 5 off.

    The paper is silent: on how Table 5 goes without inter-frame matching (here a frame's own
    candidates with support among its own pseudo-labels become its labels, nothing is warped), and
    on whether the two directions share a matching (each has its own: their warps differ).

    Args:
        predictions: P_a and P_b, the model's own, without gradient.
        labels: pseudo-labels of a and b.
        flow_ab: from a to b.
        flow_ba: from b to a.
        box_iou_threshold: of intra-frame matching and of Algorithm 1 (paper: 0.5).
        iom_threshold: of IoM-NMS (paper: 0.5); ``None`` keeps everything.
        intra: expand predictions by unions.
        inter: match and carry over.
        overlap: what ``box_iou_threshold`` compares.
        min_match_iou: pairs need more than this.
        labels_first: IoM-NMS asks pseudo-labels before what was carried over, however small they
            are: objects without a label are added, but none that has one grows.
    """
    gate = {"box_iou_threshold": box_iou_threshold, "overlap": overlap}
    a, b = predictions
    if intra:
        a = intra_frame_matching(a, labels[0], **gate)
        b = intra_frame_matching(b, labels[1], **gate)
    if inter:
        a_to_b = inter_frame_matching(a, b, flow_ba, min_match_iou=min_match_iou)
        b_to_a = inter_frame_matching(b, a, flow_ab, min_match_iou=min_match_iou)
        for_b = temporally_consistent_labels(a, b, a_to_b, labels[0], flow_ba, **gate)
        for_a = temporally_consistent_labels(b, a, b_to_a, labels[1], flow_ab, **gate)
    else:
        for_a, for_b = a[supported(a, labels[0], **gate)], b[supported(b, labels[1], **gate)]

    def combined(own: InstanceTensors, carried: InstanceTensors) -> InstanceTensors:
        # an object that has left the frame is carried over as an empty mask
        together = concatenate([own, carried[carried.masks.flatten(1).any(1)]])
        if iom_threshold is None:
            return together
        return together[iom_nms(together, iom_threshold, first=len(own) if labels_first else 0)]

    return combined(labels[0], for_a), combined(labels[1], for_b)
