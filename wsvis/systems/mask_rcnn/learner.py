"""Training of Mask R-CNN on frame pairs, with or without MaskConsist."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsvis.instances import InstanceTensors
from wsvis.learning.loop import Losses, mixed_precision, train
from wsvis.learning.schedule import Optimisation
from wsvis.learning.workers import ALONE, Group
from wsvis.maskconsist.refine import Pair
from wsvis.systems.batches import TrainingPair
from wsvis.systems.config import DetectorConfig
from wsvis.systems.mask_rcnn.backend import BACKBONE, LOSSES, Refine, Selection
from wsvis.systems.mask_rcnn.checkpoint import identity

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


class MaskRcnnLearner:
    """What Mask R-CNN learns from frame pairs; see :class:`wsvis.learning.loop.Learner`.

    Each pair passes by itself, with a random seed of its own, so that any number of workers compute
    the same.

    Args:
        model: a detector of ours, on the device to train on.
        learning_rate: of all but the backbone.
        backbone_rate_factor: the backbone's rate over it.
        refine: makes targets from predictions and labels; ``None``: labels as they are.
        refine_from: the step from which it does.
        selection: which predictions it gets.
        empty_as_background: every frame without labels gives a loss, not only those that are known
            to show no class.
        settings: what else tells this training from others (refine's thresholds), for resuming.
        group: the workers that train together.
        wrapped: ``model`` made data-parallel, if it is.
    """

    kind, title = "detector training", "the detector"
    cure = "lower detector.learning_rate or set detector.clip_norm"

    def __init__(
        self,
        model: nn.Module,
        *,
        learning_rate: float,
        backbone_rate_factor: float,
        refine: RefinePair | None,
        refine_from: int,
        selection: Selection,
        empty_as_background: bool,
        settings: str = "",
        group: Group = ALONE,
        wrapped: nn.Module | None = None,
    ) -> None:
        self.network = model
        self.forward: Any = wrapped or model
        self.device = next(p for p in model.parameters() if p.requires_grad).device
        self.learning_rate, self.backbone_rate_factor = learning_rate, backbone_rate_factor
        self.refine, self.refine_from, self.selection = refine, refine_from, selection
        self.empty_as_background, self.settings = empty_as_background, settings
        self.group = group

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The backbone, and all else that learns."""
        rate = self.learning_rate
        trunk = {id(p) for p in self.network.get_submodule(BACKBONE).parameters()}
        learned = [p for p in self.network.parameters() if p.requires_grad]
        return [
            {
                "params": [p for p in learned if id(p) in trunk],
                "lr": rate * self.backbone_rate_factor,
            },
            {"params": [p for p in learned if id(p) not in trunk], "lr": rate},
        ]

    def learned(self) -> dict[str, Tensor]:
        """All weights."""
        return self.network.state_dict()

    def about(self) -> dict[str, Any]:
        """Which network, and how labels are made consistent."""
        how = f"MaskConsist from {self.refine_from}" if self.refine else "Mask R-CNN"
        return {**identity(self.network), "training": f"{how}, {self.settings}"}

    def parts(self, batch: list[TrainingPair]) -> list[TrainingPair]:
        """One pair after the other."""
        return batch

    def losses(self, part: TrainingPair, step: int, count: int) -> Losses:
        """The sum of Mask R-CNN's five losses, a mean over the pairs of the step."""
        pair = pair_to_device(part, self.device)
        counts = _Counts()
        refine = counts.counting(pair, self.refine if step >= self.refine_from else None)
        background = [known or self.empty_as_background for known in pair.background]
        torch.manual_seed(pair.seed)
        with mixed_precision(self.device):
            parts = self.forward(
                list(pair.images), list(pair.targets), refine, self.selection, background
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


def train_detector(
    model: nn.Module,
    batches: Callable[[int], Iterator[list[TrainingPair]]],
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
        batches: step -> batches from that step on (:class:`wsvis.systems.batches.PairBatches`).
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


def pair_to_device(pair: TrainingPair, device: torch.device) -> TrainingPair:
    """The same pair on another device."""
    if pair.flow_ab.device == device:
        return pair

    def moved(instances: InstanceTensors) -> InstanceTensors:
        parts = (instances.boxes, instances.labels, instances.masks, instances.scores)
        return InstanceTensors(*(part.to(device, non_blocking=True) for part in parts))

    def sent(values: Tensor) -> Tensor:
        return values.to(device, non_blocking=True)

    return TrainingPair(
        images=(sent(pair.images[0]), sent(pair.images[1])),
        targets=(moved(pair.targets[0]), moved(pair.targets[1])),
        flow_ab=sent(pair.flow_ab),
        flow_ba=sent(pair.flow_ba),
        seed=pair.seed,
        background=pair.background,
    )


class _Counts:
    """How many labels went in, and what became of them."""

    def __init__(self) -> None:
        self.labels = self.targets = self.predictions = self.frames = 0

    def counting(self, pair: TrainingPair, refine: RefinePair | None) -> Refine | None:
        """``refine`` with the pair's flow, for the detector's forward pass."""
        given = sum(len(instances) for instances in pair.targets)
        self.labels += given
        self.frames += len(pair.images)
        if refine is None:
            self.targets += given
            return None

        def refined(
            predictions: list[InstanceTensors], targets: list[InstanceTensors]
        ) -> list[InstanceTensors]:
            (a, b), (of_a, of_b) = predictions, targets
            made = refine((a, b), (of_a, of_b), pair.flow_ab, pair.flow_ba)
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
