"""The instances of one frame as tensors: predictions, pseudo-labels, candidates.

N instances, H W pixels of the network's input. Boxes xyxy in those pixels, right and bottom
exclusive; labels 0..C-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class InstanceTensors:
    """What is in one frame; all tensors on one device."""

    boxes: Float[Tensor, "N 4"]
    labels: Int64[Tensor, " N"]
    masks: Bool[Tensor, "N H W"]
    scores: Float[Tensor, " N"]
    """In no way comparable between a detector and pseudo-labels."""

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> InstanceTensors:
        """Those at the given numbers, or where a bool tensor is true."""
        return InstanceTensors(
            self.boxes[index], self.labels[index], self.masks[index], self.scores[index]
        )


def from_masks(
    masks: Bool[Tensor, "N H W"], labels: Int64[Tensor, " N"], scores: Float[Tensor, " N"]
) -> InstanceTensors:
    """Instances whose boxes are the tight boxes of their masks."""
    return InstanceTensors(tight_boxes(masks), labels, masks, scores)


def concatenate(parts: Sequence[InstanceTensors]) -> InstanceTensors:
    """All instances, in order."""
    return InstanceTensors(
        torch.cat([part.boxes for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.masks for part in parts]),
        torch.cat([part.scores for part in parts]),
    )


def tight_boxes(masks: Bool[Tensor, "N H W"]) -> Float[Tensor, "N 4"]:
    """Smallest box of each mask; zeros for an empty mask."""
    sides = []
    for used in (masks.any(1), masks.any(2)):  # columns, then rows
        length = used.shape[1]
        first = used.to(torch.uint8).argmax(1)
        last = length - used.flip(1).to(torch.uint8).argmax(1)
        sides.append((first * used.any(1), last * used.any(1)))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], dim=1).float()


def pairwise_iou(a: Bool[Tensor, "N ..."], b: Bool[Tensor, "M ..."]) -> Float[Tensor, "N M"]:
    """|a & b| / |a | b| of every pair; 0 where both are empty."""
    both, area_a, area_b = _overlaps(a, b)
    return both / (area_a[:, None] + area_b[None] - both).clamp_min(1)


def pairwise_iom(a: Bool[Tensor, "N ..."], b: Bool[Tensor, "M ..."]) -> Float[Tensor, "N M"]:
    """|a & b| / min(|a|, |b|) of every pair; 0 where the smaller is empty (paper Sec. 3.3)."""
    both, area_a, area_b = _overlaps(a, b)
    return both / torch.minimum(area_a[:, None], area_b[None]).clamp_min(1)


def _overlaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shared pixels of every pair, and the areas: whole numbers, exact up to 2^24."""
    # a product in half precision would round the counts
    with torch.autocast(a.device.type, enabled=False):
        flat_a = a.flatten(1).float()
        flat_b = flat_a if b is a else b.flatten(1).float()
        return flat_a @ flat_b.T, flat_a.sum(1), flat_b.sum(1)
