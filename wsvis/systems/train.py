"""Training of a detector on frame pairs, with or without MaskConsist."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from wsvis.errors import InputError
from wsvis.instances import InstanceTensors
from wsvis.learning.schedule import build_optimiser, rate_factor
from wsvis.maskconsist.refine import Pair
from wsvis.payload import Payload
from wsvis.systems.batches import TrainingPair
from wsvis.systems.config import DetectorConfig
from wsvis.systems.mask_rcnn.backend import LOSSES, Refine, Selection
from wsvis.systems.mask_rcnn.checkpoint import detector_training_state, restore_detector_training
from wsvis.types import Report

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
    report: Report | None = None,
    report_every: int = 20,
    checkpoint: Callable[[Payload], None] | None = None,
    checkpoint_every: int = 0,
    resume: Payload | None = None,
    network: nn.Module | None = None,
    workers: int = 1,
    sum_over_workers: Callable[[Tensor], Tensor] = lambda values: values,
) -> dict[str, float]:
    """Train ``model`` in place: Mask R-CNN without ``refine``, MaskConsist with it.

    Liu et al. 2021, Sec. 3.3 and 4.2: SGD, rate 0.002, a tenth of it from 75 % and a hundredth from
    88 % of the steps on; a step sees pairs of frames. The loss is the sum of Mask R-CNN's five, a
    mean over pairs; each pair goes through by itself, with a random seed of its own, so that any
    number of workers compute the same.

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
        report: gets ``step``, ``loss``, its five parts, ``learning_rate``, and per frame
            ``labels``, ``targets`` (after refine) and ``predictions``.
        report_every: steps between reports.
        checkpoint: gets a training state every ``checkpoint_every`` steps.
        checkpoint_every: 0 = never.
        resume: a training state to go on from.
        network: ``model`` wrapped for data parallelism (DistributedDataParallel), if it is.
        workers: how many share each batch.
        sum_over_workers: adds a tensor up over them.

    Returns:
        ``steps`` and ``loss``, the mean over the last tenth of the steps.

    Raises:
        InputError: a resume state of another training, or a loss that is no longer finite.
    """
    updates = build_optimiser(
        model, optimiser, learning_rate, backbone_rate_factor, momentum, weight_decay
    )
    rates = [group["lr"] for group in updates.param_groups]
    identity = (
        f"{steps} steps, {optimiser} {learning_rate:g} {schedule}, "
        f"{'MaskConsist from ' + str(refine_from) if refine else 'Mask R-CNN'}, {settings}"
    )
    start = restore_detector_training(resume, model, updates, identity) if resume else 0
    forward: Any = network or model
    learned = [p for p in model.parameters() if p.requires_grad]
    device = learned[0].device
    selection = selection or Selection(classes_per_box="best")
    stream = batches(start)
    last: deque[float] = deque(
        resume.data.get("losses", ()) if resume else (), maxlen=max(steps // 10, 1)
    )
    model.train()
    for step in range(start, steps):
        factor = rate_factor(step, steps, schedule, warm_up)
        for group, rate in zip(updates.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        batch = next(stream)
        counts = _Counts()
        totals = torch.zeros(len(LOSSES), device=device)
        updates.zero_grad(set_to_none=True)
        for number, pair in enumerate(batch):
            pair = pair_to_device(pair, device)
            torch.manual_seed(pair.seed)
            final = number == len(batch) - 1
            wait = nullcontext() if final or network is None else forward.no_sync()
            with wait:
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    try:
                        parts = forward(
                            list(pair.images),
                            list(pair.targets),
                            counts.counting(pair, refine if step >= refine_from else None),
                            selection,
                            [known or empty_as_background for known in pair.background],
                        )
                    except FloatingPointError:  # detectron2 looks for itself
                        raise _diverged(step) from None
                values = torch.stack([parts[name].float() for name in LOSSES]) / len(batch)
                values.sum().backward()
            totals += values.detach()
        # of all workers: each has only its own pairs
        sums = sum_over_workers(torch.cat([totals, totals.new_tensor(counts.numbers)]))
        totals = sums[: len(LOSSES)] / workers
        now = float(totals.sum())
        last.append(now)
        if not math.isfinite(now):
            raise _diverged(step)
        if clip_norm:
            clip_grad_norm_(learned, clip_norm)
        updates.step()
        done = step + 1
        if report and (done % report_every == 0 or done == steps):
            losses = dict(zip(LOSSES, totals.tolist(), strict=True))
            rate = learning_rate * factor
            frames = 2 * len(batch) * workers
            means = {
                n: v / frames for n, v in zip(COUNTS, sums[len(LOSSES) :].tolist(), strict=True)
            }
            report({"step": done, "loss": now, **losses, "learning_rate": rate, **means})
        if checkpoint and checkpoint_every and done % checkpoint_every == 0:
            checkpoint(detector_training_state(model, updates, done, identity, last))
    model.eval()
    return {"steps": steps, "loss": sum(last) / len(last) if last else math.nan}


def _diverged(step: int) -> InputError:
    return InputError(
        f"the detector diverged at step {step}; lower detector.learning_rate or set "
        f"detector.clip_norm"
    )


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
        self.labels = self.targets = self.predictions = 0

    def counting(self, pair: TrainingPair, refine: RefinePair | None) -> Refine | None:
        """``refine`` with the pair's flow, for the detector's forward pass."""
        given = sum(len(instances) for instances in pair.targets)
        self.labels += given
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
    def numbers(self) -> tuple[int, int, int]:
        """In the order of ``COUNTS``."""
        return self.labels, self.targets, self.predictions
