"""What CondInst and BoxInst learn from frames: FCOS's losses, and masks from masks or from boxes.

N objects of a frame, P positive locations, H W cells of the mask grid.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from wsvis.config import Config
from wsvis.instances import InstanceTensors
from wsvis.learning.loop import Losses, mixed_precision
from wsvis.learning.workers import Group
from wsvis.settings import flatten
from wsvis.systems.boxinst.config import BoxInstConfig
from wsvis.systems.boxinst.locations import assign, centreness, decode, distances
from wsvis.systems.boxinst.losses import (
    colour_similarity,
    dice,
    pairwise_loss,
    projection_loss,
    rgb_to_lab,
)
from wsvis.systems.boxinst.network import CondInstPass
from wsvis.systems.clips import Clip
from wsvis.systems.learner import ClipLearner

LOSSES = ("cls", "box", "centre", "mask", "pairwise")
"""Reported; ``mask`` is dice on masks (CondInst) or the projection loss (BoxInst)."""


class BoxInstLearner(ClipLearner):
    """CondInst on masks, BoxInst on boxes; see :class:`wsvis.learning.loop.Learner`.

    Every frame passes by itself, and its losses are means over its own locations, so that any
    number of workers compute the same.

    Args:
        model: a :class:`wsvis.systems.boxinst.network.CondInst`.
        chosen: the system's settings.
        boxes: learn masks from boxes alone.
        empty_as_background: every frame without labels gives a loss.
        warm_up: steps over which the pairwise loss rises.
        shared: rates and workers: see :class:`wsvis.systems.learner.ClipLearner`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        chosen: BoxInstConfig,
        boxes: bool,
        empty_as_background: bool,
        warm_up: int,
        **shared: Any,
    ) -> None:
        super().__init__(model, **shared)
        self.chosen, self.boxes = chosen, boxes
        self.empty_as_background, self.warm_up = empty_as_background, warm_up

    def losses(self, part: Clip, step: int, count: int) -> Losses:
        """The sum of FCOS's three losses and the mask's, a mean over the frames of the step."""
        clip = part.to(self.device)
        target, background = clip.targets[0], clip.background[0] or self.empty_as_background
        torch.manual_seed(clip.seed)
        with mixed_precision(self.device):
            passed: CondInstPass = self.forward(list(clip.images))
        if len(target) or background:
            values = self._losses(passed, clip.images[0], target, step)
        else:  # something is there, and nobody knows where: every output, times nothing
            values = torch.stack([_nothing(passed)] * len(LOSSES))
        values = values / count
        return Losses(values.sum(), torch.cat([values.detach(), values.new_tensor([len(target)])]))

    def row(self, sums: Float[Tensor, " 6"]) -> dict[str, float]:
        """The loss, its parts, and the labels of a step."""
        totals = sums[: len(LOSSES)] / self.group.workers
        losses = dict(zip(LOSSES, totals.tolist(), strict=True))
        return {"loss": float(totals.sum()), **losses, "labels": float(sums[-1])}

    def _losses(
        self, passed: CondInstPass, image: Tensor, target: InstanceTensors, step: int
    ) -> Float[Tensor, " 5"]:
        where = passed.where
        matched = assign(where, target.boxes, self.chosen.centre_radius)
        positive = torch.nonzero(matched >= 0)[:, 0]
        objects = matched[positive]
        truth = torch.zeros_like(passed.logits[0])
        truth[positive, target.labels[objects]] = 1
        cls = sigmoid_focal_loss(passed.logits[0], truth, reduction="sum") / max(len(positive), 1)
        if not len(positive):
            zero = _nothing(passed)
            return torch.stack([cls, zero, zero, zero, zero])
        sides = distances(where.centres[positive], target.boxes)
        sides = sides[torch.arange(len(positive), device=sides.device), objects]
        middle = centreness(sides)
        predicted = decode(where.centres[positive], passed.sides[0][positive])
        giou = generalized_box_iou_loss(predicted, target.boxes[objects])
        box = (giou * middle).sum() / middle.sum().clamp_min(1e-6)
        centre = functional.binary_cross_entropy_with_logits(passed.centreness[0][positive], middle)
        learnt = self._best(passed, positive, objects, target)
        logits = passed.masks(0, positive[learnt])
        mask, pairwise = self._mask_losses(logits, image, target, objects[learnt], passed, step)
        return torch.stack([cls, box, centre, mask, pairwise])

    @torch.no_grad()
    def _best(
        self, passed: CondInstPass, positive: Tensor, objects: Tensor, target: InstanceTensors
    ) -> Tensor:
        """Positive locations whose masks are learnt: as many of each object, best first."""
        labels = target.labels[objects]
        scores = passed.logits[0][positive, labels].sigmoid()
        scores = scores * passed.centreness[0][positive].sigmoid()
        each = max(self.chosen.positives // max(len(target), 1), 1)
        chosen = []
        for number in range(len(target)):
            own = torch.nonzero(objects == number)[:, 0]
            chosen.append(own[scores[own].topk(min(each, len(own))).indices])
        return torch.cat(chosen)

    def _mask_losses(
        self,
        logits: Float[Tensor, "P H W"],
        image: Tensor,
        target: InstanceTensors,
        objects: Tensor,
        passed: CondInstPass,
        step: int,
    ) -> tuple[Tensor, Tensor]:
        stride, shape = passed.stride // 2, (logits.shape[1], logits.shape[2])
        if not self.boxes:
            masks = cell_masks(target.masks, shape, stride)[objects].float()
            loss = dice(logits.sigmoid().flatten(1), masks.flatten(1)).mean()
            return loss, loss.new_zeros(())
        boxes = box_masks(target.boxes, shape, stride)[objects].float()
        loss = projection_loss(logits, boxes).mean()
        if not self.chosen.pairwise:
            return loss, loss.new_zeros(())
        with torch.no_grad():
            similar = cell_similarity(image, shape, stride, self.chosen.dilation)
            weights = (similar >= self.chosen.colour_threshold).float()[None] * boxes[:, None]
        rise = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        pairs = pairwise_loss(logits, weights, self.chosen.dilation)
        return loss, pairs * self.chosen.pairwise * rise


def box_masks(
    boxes: Float[Tensor, "N 4"], shape: tuple[int, int], stride: int
) -> Bool[Tensor, "N H W"]:
    """Cells of a grid that a box reaches: of these its shadows are made.

    Differs from BoxInst's program, which takes cells whose middle lies in the box: a box smaller
    than a cell would have none.
    """
    y = torch.arange(shape[0], device=boxes.device) * stride
    x = torch.arange(shape[1], device=boxes.device) * stride
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    rows = (y < bottom) & (y + stride > top)
    columns = (x < right) & (x + stride > left)
    return rows[:, :, None] & columns[:, None, :]


def cell_masks(
    masks: Bool[Tensor, "N h w"], shape: tuple[int, int], stride: int
) -> Bool[Tensor, "N H W"]:
    """Masks on the mask grid: a cell belongs to what covers at least half of it."""
    height, width = shape[0] * stride, shape[1] * stride
    padded = functional.pad(masks.float(), (0, width - masks.shape[2], 0, height - masks.shape[1]))
    return functional.avg_pool2d(padded[:, None], stride)[:, 0] >= 0.5


def cell_similarity(
    image: Float[Tensor, "3 h w"], shape: tuple[int, int], stride: int, dilation: int
) -> Float[Tensor, "8 H W"]:
    """Colour similarity of the cells of the mask grid; 0 where the image does not reach."""
    height, width = image.shape[1:]
    spare = (0, shape[1] * stride - width, 0, shape[0] * stride - height)
    colours = functional.avg_pool2d(functional.pad(image, spare)[None], stride)[0]
    inside = torch.zeros(shape, dtype=torch.bool, device=image.device)
    inside[: height // stride, : width // stride] = True
    return colour_similarity(rgb_to_lab(colours), inside, dilation)


def _nothing(passed: CondInstPass) -> Tensor:
    """Zero, tied to every output so that data parallelism finds a gradient."""
    outputs = (passed.logits, passed.sides, passed.centreness, passed.parameters, passed.features)
    return torch.stack([output.sum() for output in outputs]).sum() * 0


def learner(
    settings: Config, network: nn.Module, group: Group, wrapped: nn.Module | None
) -> BoxInstLearner:
    """The learner that some settings ask for."""
    chosen, training = settings.boxinst, settings.detector
    return BoxInstLearner(
        network,
        chosen=chosen,
        boxes=settings.system == "boxinst",
        empty_as_background=training.empty_as_background,
        warm_up=min(chosen.pairwise_warm_up, training.steps // 9),
        learning_rate=training.learning_rate,
        backbone_rate_factor=training.backbone_rate_factor,
        settings=f"{settings.system} {json.dumps(flatten(chosen), sort_keys=True)}",
        group=group,
        wrapped=wrapped,
    )
