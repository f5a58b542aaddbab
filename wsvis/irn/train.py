"""Training of IRN and flowIRN."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from wsvis.errors import InputError
from wsvis.flow.gradient import GradientForm
from wsvis.irn.batches import IrnBatch
from wsvis.irn.checkpoint import irn_training_state, restore_irn_training
from wsvis.irn.config import FlowBoundaryConfig, IrnConfig
from wsvis.irn.network import Irn
from wsvis.irn.objective import TERMS, pair_sums, total_loss
from wsvis.irn.tap_memory import TapMemory
from wsvis.payload import Payload
from wsvis.types import Report

TAP_BYTES = 2 << 30


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
    report: Report | None = None,
    report_every: int = 10,
    checkpoint: Callable[[Payload], None] | None = None,
    checkpoint_every: int = 0,
    resume: Payload | None = None,
    network: nn.Module | None = None,
    workers: int = 1,
    sum_over_workers: Callable[[Tensor], Tensor] = lambda values: values,
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
        report: gets ``step``, ``loss``, its parts, ``separable_share`` and ``learning_rate``.
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
    updates = _build_optimiser(
        model,
        optimiser,
        learning_rate,
        displacement_rate_factor,
        backbone_rate_factor,
        momentum,
        weight_decay,
    )
    rates = [group["lr"] for group in updates.param_groups]
    identity = (
        f"{steps} steps, radius {radius}, {optimiser} {learning_rate:g}, flow boundary "
        f"{flow_boundary_weight:g} lambda {regularization:g} {gradient}"
    )
    start = restore_irn_training(resume, model, updates, identity) if resume else 0
    if memory is None and model.frozen:
        memory = TapMemory(model, TAP_BYTES)
    forward = network or model
    device = model.mean_displacement.device
    stream = batches(start)
    last: deque[float] = deque(
        resume.data.get("losses", ()) if resume else (), maxlen=max(steps // 10, 1)
    )
    model.train()
    for step in range(start, steps):
        factor = (1 - step / steps) ** 0.9
        for group, rate in zip(updates.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        batch = to_device(next(stream), device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits, displacement = forward(memory.taps(batch) if memory else batch.frames)
        pairs = pair_sums(
            logits.float().sigmoid(),
            displacement.float(),
            batch,
            radius=radius,
            regularization=regularization,
            gradient=gradient,
            with_flow=flow_boundary_weight > 0,
        )
        loss, means = total_loss(pairs, flow_boundary_weight, sum_over_workers)
        updates.zero_grad(set_to_none=True)
        # Data parallelism averages gradients over the workers, where they have to add up.
        (loss * workers).backward()
        updates.step()
        valid = pairs.counts[-1]
        sums = torch.stack([loss.detach(), *means, pairs.separable * valid, valid])
        # of all workers: each has only its own share of every number
        now, *parts, separable, valid = sum_over_workers(sums).tolist()
        last.append(now)
        if not math.isfinite(now):
            raise InputError(f"flowIRN diverged at step {step}; lower irn.learning_rate")
        done = step + 1
        if report and (done % report_every == 0 or done == steps):
            numbers = {"step": done, "loss": now, **dict(zip(TERMS, parts, strict=True))}
            share = separable / max(valid, 1)
            report({**numbers, "separable_share": share, "learning_rate": rates[0] * factor})
        if checkpoint and checkpoint_every and done % checkpoint_every == 0:
            checkpoint(irn_training_state(model, updates, done, identity, last))
    model.eval()
    return {"steps": steps, "loss": sum(last) / len(last) if last else math.nan}


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


def _build_optimiser(
    model: Irn,
    name: str,
    rate: float,
    displacement_factor: float,
    backbone_factor: float,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    groups = [
        {"params": list(model.boundary.parameters()), "lr": rate},
        {"params": list(model.displacement.parameters()), "lr": rate * displacement_factor},
    ]
    if not model.frozen:
        groups.append({"params": list(model.backbone.parameters()), "lr": rate * backbone_factor})
    if name == "sgd":
        return SGD(groups, lr=rate, momentum=momentum, weight_decay=weight_decay)
    if name == "adamw":
        return AdamW(groups, lr=rate, weight_decay=weight_decay)
    raise ValueError(f"optimiser {name!r} is neither sgd nor adamw")
