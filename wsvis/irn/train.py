"""Training of IRN and flowIRN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsvis.flow.gradient import GradientForm
from wsvis.irn.batches import IrnBatch
from wsvis.irn.checkpoint import identity, learned_weights
from wsvis.irn.config import FlowBoundaryConfig, IrnConfig
from wsvis.irn.network import Irn
from wsvis.irn.objective import TERMS, pair_sums, total_loss
from wsvis.irn.tap_memory import TapMemory
from wsvis.learning.loop import Losses, mixed_precision, train
from wsvis.learning.schedule import Optimisation
from wsvis.learning.workers import ALONE, Group

TAP_BYTES = 2 << 30


class IrnLearner:
    """What flowIRN learns from a batch; see :class:`wsvis.learning.loop.Learner`.

    Args:
        model: on the device to train on.
        radius: pairs closer than this many cells are compared.
        learning_rate: of the boundary branch.
        displacement_rate_factor: the displacement branch's rate over it.
        backbone_rate_factor: the backbone's rate over it, where the backbone is not frozen.
        flow_boundary_weight: of Eq. 3; 0 leaves it out, and flow is not needed.
        regularization: lambda of Eq. 3, pixels of the canvas per cell.
        gradient: which derivatives make F'.
        memory: a frozen backbone's outputs, kept where batches have keys; its own if not given.
        group: the workers that train together.
        wrapped: ``model`` made data-parallel, if it is.
    """

    kind, title = "irn training", "flowIRN"
    cure = "lower irn.learning_rate"

    def __init__(
        self,
        model: Irn,
        *,
        radius: int,
        learning_rate: float,
        displacement_rate_factor: float,
        backbone_rate_factor: float,
        flow_boundary_weight: float,
        regularization: float,
        gradient: GradientForm,
        memory: TapMemory | None = None,
        group: Group = ALONE,
        wrapped: nn.Module | None = None,
    ) -> None:
        self.network = model
        self.forward: Any = wrapped or model
        self.radius, self.flow_boundary_weight = radius, flow_boundary_weight
        self.regularization = regularization
        self.gradient: GradientForm = gradient
        self.group = group
        self.rates = {
            "boundary": learning_rate,
            "displacement": learning_rate * displacement_rate_factor,
            "backbone": learning_rate * backbone_rate_factor,
        }
        if memory is None and model.frozen:
            memory = TapMemory(model, TAP_BYTES)
        self.memory = memory

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The two branches, and the backbone where it learns."""
        names = ["boundary", "displacement", *([] if self.network.frozen else ["backbone"])]
        return [
            {"params": list(self.network.get_submodule(name).parameters()), "lr": self.rates[name]}
            for name in names
        ]

    def learned(self) -> dict[str, Tensor]:
        """All weights but those of a frozen backbone."""
        return learned_weights(self.network)

    def about(self) -> dict[str, Any]:
        """Which network, and which losses."""
        text = (
            f"radius {self.radius}, flow boundary {self.flow_boundary_weight:g} "
            f"lambda {self.regularization:g} {self.gradient}"
        )
        return {**identity(self.network), "training": text}

    def parts(self, batch: IrnBatch) -> list[IrnBatch]:
        """A batch passes whole."""
        return [batch]

    def losses(self, part: IrnBatch, step: int, count: int) -> Losses:
        """IRN's losses and Eq. 3, as means over the pairs of all workers."""
        device = self.network.mean_displacement.device
        batch = to_device(part, device)
        with mixed_precision(device):
            seen = self.memory.taps(batch) if self.memory else batch.frames
            logits, displacement = self.forward(seen)
        pairs = pair_sums(
            logits.float().sigmoid(),
            displacement.float(),
            batch,
            radius=self.radius,
            regularization=self.regularization,
            gradient=self.gradient,
            with_flow=self.flow_boundary_weight > 0,
        )
        loss, means = total_loss(pairs, self.flow_boundary_weight, self.group.sum_over_workers)
        valid = pairs.counts[-1]
        numbers = torch.stack([loss.detach(), *means, pairs.separable * valid, valid])
        # data parallelism averages gradients over the workers, where they have to add up
        return Losses(loss * self.group.workers, numbers)

    def row(self, sums: Float[Tensor, " 9"]) -> dict[str, float]:
        """The loss, its six parts, and the share of pairs that Eq. 3 pushes apart."""
        loss, *parts, separable, valid = sums.tolist()
        share = separable / max(valid, 1)
        return {"loss": loss, **dict(zip(TERMS, parts, strict=True)), "separable_share": share}


def train_irn(
    model: Irn,
    batches: Callable[[int], Iterator[IrnBatch]],
    steps: int,
    *,
    radius: int = 10,
    optimiser: str = IrnConfig.optimiser,
    learning_rate: float = IrnConfig.learning_rate,
    displacement_rate_factor: float = IrnConfig.displacement_rate_factor,
    backbone_rate_factor: float = IrnConfig.backbone_rate_factor,
    momentum: float = IrnConfig.momentum,
    weight_decay: float = IrnConfig.weight_decay,
    flow_boundary_weight: float = 1.0,
    regularization: float = FlowBoundaryConfig.regularization,
    gradient: GradientForm = FlowBoundaryConfig.gradient,
    memory: TapMemory | None = None,
    group: Group = ALONE,
    **loop: Any,
) -> dict[str, float]:
    """Train ``model`` in place: IRN with flow_boundary_weight 0, flowIRN with 1.

    Ahn et al. 2019 (IRN) as its released code runs, and Liu et al. 2021, Sec. 4.2: SGD whose
    rate falls as (1 - step / steps)^0.9. AdamW (the same fall) suits small data on small machines.

    Args:
        model: on the device to train on.
        batches: step -> batches from that step on (:class:`wsvis.irn.batches.IrnBatches`).
        steps: updates in all.
        radius: pairs closer than this many cells are compared.
        optimiser: ``sgd`` or ``adamw``.
        learning_rate: of the boundary branch at step 0.
        displacement_rate_factor: the displacement branch's rate over it.
        backbone_rate_factor: the backbone's rate over it, where the backbone is not frozen.
        momentum: SGD only; 0 is what IRN's code amounts to.
        weight_decay: of all that learns.
        flow_boundary_weight: of Eq. 3; 0 leaves it out, and flow is not needed.
        regularization: lambda of Eq. 3, pixels of the canvas per cell.
        gradient: which derivatives make F'.
        memory: a frozen backbone's outputs, kept where batches have keys; its own if not given.
        group: the workers that train together.
        loop: reports, training states: see :func:`wsvis.learning.loop.train`.

    Returns:
        ``steps`` and ``loss``, the mean over the last tenth of the steps.

    Raises:
        InputError: a resume state of another training, or a loss that is no longer finite.
    """
    wrapped = group.wrap(model) if group.wrap else None
    learner = IrnLearner(
        model,
        radius=radius,
        learning_rate=learning_rate,
        displacement_rate_factor=displacement_rate_factor,
        backbone_rate_factor=backbone_rate_factor,
        flow_boundary_weight=flow_boundary_weight,
        regularization=regularization,
        gradient=gradient,
        memory=memory,
        group=group,
        wrapped=wrapped,
    )
    optimisation = Optimisation(
        optimiser=optimiser,
        learning_rate=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule="poly",
    )
    options = {"report_every": 10, **loop}
    return train(learner, batches, steps, optimisation, group=group, wrapped=wrapped, **options)


@torch.no_grad()
def set_mean_displacement(
    model: Irn,
    batches: Iterator[IrnBatch],
    steps: int,
    sum_over_workers: Callable[[Tensor], Tensor] = lambda values: values,
    memory: TapMemory | None = None,
) -> Float[Tensor, " 2"]:
    """Mean of D over the cells of the training frames, which the model then subtracts (mean shift).

    Ahn et al. 2019 (IRN): a constant added to every displacement costs the losses nothing, so
    it is taken out after training.

    Differs from IRN's code: cells around the frame on the canvas do not count.

    Args:
        model: trained; the mean is stored in it.
        batches: of training frames, best as they are (no random resize, no mirror).
        steps: how many batches to take.
        sum_over_workers: adds a tensor up over data-parallel workers.
        memory: of the training; saves passing frames through a frozen backbone again.
    """
    model.eval()
    model.mean_displacement.zero_()
    device = model.mean_displacement.device
    total = torch.zeros(3, dtype=torch.float64, device=device)
    for _ in range(steps):
        batch = to_device(next(batches), device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            taps = memory.taps(batch) if memory else model.taps(batch.frames)
            displacement = model.centred_displacement(taps).double()
        inside = batch.inside.unsqueeze(1)
        total[:2] += (displacement * inside).sum((0, 2, 3))
        total[2] += inside.sum()
    total = sum_over_workers(total)
    model.mean_displacement.copy_(total[:2] / total[2].clamp_min(1))
    return model.mean_displacement


def to_device(batch: IrnBatch, device: torch.device) -> IrnBatch:
    """The same batch on another device."""
    if batch.frames.device == device:
        return batch
    return IrnBatch(
        frames=batch.frames.to(device, non_blocking=True),
        labels=batch.labels.to(device, non_blocking=True),
        inside=batch.inside.to(device, non_blocking=True),
        flow=None if batch.flow is None else batch.flow.to(device, non_blocking=True),
        keys=batch.keys,
    )
