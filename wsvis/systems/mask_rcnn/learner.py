"""Training of Mask R-CNN on frame pairs, with or without MaskConsist."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsvis.config import Config
from wsvis.instances import InstanceTensors
from wsvis.learning.loop import Losses, mixed_precision, train
from wsvis.learning.schedule import Optimisation
from wsvis.learning.workers import ALONE, Group
from wsvis.maskconsist.config import MaskConsistConfig
from wsvis.maskconsist.refine import Pair, refine
from wsvis.settings import flatten
from wsvis.systems.clips import Clip
from wsvis.systems.config import DetectorConfig
from wsvis.systems.detector import Selection
from wsvis.systems.learner import ClipLearner
from wsvis.systems.mask_rcnn.backend import LOSSES, Refine

COUNTS = ("labels", "targets", "predictions")
"""Reported per frame: labels given, targets after refine, predictions it saw."""


@runtime_checkable
class RefinePair(Protocol):
    """:func:`wsvis.maskconsist.refine.refine`, its thresholds already given."""

    def __call__(
        self, predictions: Pair, labels: Pair, flow_ab: Tensor, flow_ba: Tensor, /
    ) -> Pair:
        """Targets of both frames."""
        ...


class MaskRcnnLearner(ClipLearner):
    """What Mask R-CNN learns from frame pairs; see :class:`wsvis.learning.loop.Learner`.

    Each pair passes by itself, with a random seed of its own, so that any number of workers compute
    the same.

    Args:
        model: a detector of ours, on the device to train on.
        refine: makes targets from predictions and labels; ``None``: labels as they are.
        refine_from: the step from which it does.
        selection: which predictions it gets.
        empty_as_background: every frame without labels gives a loss, not only those that are known
            to show no class.
        settings: what else tells this training from others (refine's thresholds), for resuming.
        shared: rates and workers: see :class:`wsvis.systems.learner.ClipLearner`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        refine: RefinePair | None,
        refine_from: int,
        selection: Selection,
        empty_as_background: bool,
        settings: str = "",
        **shared: Any,
    ) -> None:
        how = f"MaskConsist from {refine_from}" if refine else "Mask R-CNN"
        super().__init__(model, settings=f"{how}, {settings}", **shared)
        self.refine, self.refine_from, self.selection = refine, refine_from, selection
        self.empty_as_background = empty_as_background

    def losses(self, part: Clip, step: int, count: int) -> Losses:
        """The sum of Mask R-CNN's five losses, a mean over the pairs of the step."""
        pair = part.to(self.device)
        counts = _Counts()
        refine_pair = counts.counting(pair, self.refine if step >= self.refine_from else None)
        background = [known or self.empty_as_background for known in pair.background]
        torch.manual_seed(pair.seed)
        with mixed_precision(self.device):
            parts = self.forward(
                list(pair.images), list(pair.targets), refine_pair, self.selection, background
            )
        values = torch.stack([parts[name].float() for name in LOSSES]) / count
        numbers = torch.cat([values.detach(), values.new_tensor(counts.numbers)])
        return Losses(values.sum(), numbers)

    def row(self, sums: Float[Tensor, " 9"]) -> dict[str, float]:
        """The loss, its five parts, and per frame how many labels went in and came out."""
        totals = sums[: len(LOSSES)] / self.group.workers
        *counts, frames = sums[len(LOSSES) :].tolist()
        means = {name: count / frames for name, count in zip(COUNTS, counts, strict=True)}
        losses = dict(zip(LOSSES, totals.tolist(), strict=True))
        return {"loss": float(totals.sum()), **losses, **means}


def learner(
    settings: Config, network: nn.Module, group: Group, wrapped: nn.Module | None
) -> MaskRcnnLearner:
    """The learner that some settings ask for."""
    consist = settings.maskconsist
    return MaskRcnnLearner(
        network,
        learning_rate=settings.detector.learning_rate,
        backbone_rate_factor=settings.detector.backbone_rate_factor,
        refine=refiner(consist),
        refine_from=consist.start_step,
        selection=Selection(
            most=consist.predictions, score=consist.prediction_score, classes_per_box="best"
        ),
        empty_as_background=settings.detector.empty_as_background,
        settings=json.dumps(flatten(consist), sort_keys=True),
        group=group,
        wrapped=wrapped,
    )


def refiner(settings: MaskConsistConfig) -> RefinePair | None:
    """MaskConsist with its thresholds and switches; ``None`` where labels are used as they are."""
    if not settings.enabled:
        return None
    return partial(
        refine,
        box_iou_threshold=settings.box_iou_threshold,
        iom_threshold=settings.iom_threshold if settings.iom_nms else None,
        intra=settings.intra,
        inter=settings.inter,
        overlap=settings.overlap,
        min_match_iou=settings.min_match_iou,
        labels_first=settings.labels_first,
    )


def train_detector(
    model: nn.Module,
    batches: Callable[[int], Iterator[list[Clip]]],
    steps: int,
    *,
    refine: RefinePair | None = None,
    refine_from: int = 0,
    selection: Selection | None = None,
    empty_as_background: bool = DetectorConfig.empty_as_background,
    optimiser: str = DetectorConfig.optimiser,
    learning_rate: float = DetectorConfig.learning_rate,
    backbone_rate_factor: float = DetectorConfig.backbone_rate_factor,
    momentum: float = DetectorConfig.momentum,
    weight_decay: float = DetectorConfig.weight_decay,
    schedule: str = DetectorConfig.schedule,
    warm_up: int = DetectorConfig.warm_up,
    clip_norm: float = DetectorConfig.clip_norm,
    settings: str = "",
    group: Group = ALONE,
    **loop: Any,
) -> dict[str, float]:
    """Train ``model`` in place: Mask R-CNN without ``refine``, MaskConsist with it.

    Liu et al. 2021, Sec. 3.3 and 4.2: SGD, rate 0.002, a tenth of it from 75 % and a hundredth from
    88 % of the steps on; a step sees pairs of frames.

    The paper is silent: on momentum 0.9, weight decay 1e-4 and the warm-up.

    Args:
        model: a detector of ours, on the device to train on.
        batches: step -> batches from that step on (:class:`wsvis.systems.clips.ClipBatches`).
        steps: updates in all.
        refine: makes targets from predictions and labels; ``None``: labels as they are.
        refine_from: the step from which it does.
        selection: which predictions it gets; default: the best 100, one class per box.
        empty_as_background: every frame without labels gives a loss, not only those that are known
            to show no class.
        optimiser: ``sgd`` or ``adamw``.
        learning_rate: after the warm-up.
        backbone_rate_factor: the backbone's rate over it.
        momentum: SGD only.
        weight_decay: of all that learns.
        schedule: ``steps`` (paper) or ``cosine``.
        warm_up: steps of a rising rate.
        clip_norm: greatest length of the gradient; 0 = any.
        settings: what else tells this training from others (refine's thresholds), for resuming.
        group: the workers that train together.
        loop: reports, training states: see :func:`wsvis.learning.loop.train`. Reports have
            ``loss``, its five parts, and per frame ``labels``, ``targets`` (after refine) and
            ``predictions``.

    Returns:
        ``steps`` and ``loss``, the mean over the last tenth of the steps.

    Raises:
        InputError: a resume state of another training, or a loss that is no longer finite.
    """
    wrapped = group.wrap(model) if group.wrap else None
    learner = MaskRcnnLearner(
        model,
        learning_rate=learning_rate,
        backbone_rate_factor=backbone_rate_factor,
        refine=refine,
        refine_from=refine_from,
        selection=selection or Selection(classes_per_box="best"),
        empty_as_background=empty_as_background,
        settings=settings,
        group=group,
        wrapped=wrapped,
    )
    optimisation = Optimisation(
        optimiser=optimiser,
        learning_rate=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule,
        warm_up=warm_up,
        clip_norm=clip_norm,
        fused=True,
    )
    return train(learner, batches, steps, optimisation, group=group, wrapped=wrapped, **loop)


class _Counts:
    """How many labels went in, and what became of them."""

    def __init__(self) -> None:
        self.labels = self.targets = self.predictions = self.frames = 0

    def counting(self, pair: Clip, refine_pair: RefinePair | None) -> Refine | None:
        """``refine_pair`` with the pair's flow, for the detector's forward pass."""
        given = sum(len(instances) for instances in pair.targets)
        self.labels += given
        self.frames += len(pair.images)
        if refine_pair is None:
            self.targets += given
            return None

        def refined(
            predictions: list[InstanceTensors], targets: list[InstanceTensors]
        ) -> list[InstanceTensors]:
            (a, b), (of_a, of_b) = predictions, targets
            made = refine_pair((a, b), (of_a, of_b), *pair.flow[0])
            # nothing is carried into a frame that is known to show nothing
            both = zip(made, targets, pair.background, strict=True)
            kept = [given if known else new for new, given, known in both]
            self.predictions += len(a) + len(b)
            self.targets += sum(map(len, kept))
            return kept

        return refined

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """In the order of ``COUNTS``, and the frames."""
        return self.labels, self.targets, self.predictions, self.frames
