"""The training loop that every network shares: classifier, flowIRN and all detectors.

A learner says what is learnt from a batch; all else is here: the optimiser and its schedule,
gradients added up over the parts of a step and over the workers, reports, training states from
which a training goes on exactly, an averaged copy of the weights, and the end of one that diverged.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from wsvis.errors import InputError
from wsvis.learning.average import WeightAverage
from wsvis.learning.schedule import Optimisation, build_optimiser, rate_factor
from wsvis.learning.state import restore_training, training_state
from wsvis.learning.workers import ALONE, Group
from wsvis.payload import Payload
from wsvis.types import Report


@dataclass(frozen=True)
class Losses:
    """What a learner makes of one part of a batch."""

    total: Float[Tensor, ""]
    """Goes backward. Data parallelism averages gradients over the workers, so this is a worker's
    part of a sum times their number, or its part of a mean as it is."""
    numbers: Float[Tensor, " K"]
    """What the report is made of, without gradient; added up over parts and workers."""


@runtime_checkable
class Learner(Protocol):
    """What is learnt, and by what losses. The loop knows no network and no loss by name."""

    kind: str
    """Of training; a training state of another kind is refused."""
    title: str
    """What messages call it."""
    cure: str
    """What helps where it diverges."""

    @property
    def network(self) -> nn.Module:
        """On the device to train on; changed in place."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters that learn, as torch's optimisers take them, each group with its ``lr``."""
        ...

    def learned(self) -> Mapping[str, Tensor]:
        """Weights that a training state holds, by name; the rest comes with the network."""
        ...

    def about(self) -> dict[str, Any]:
        """What tells this network from others, and its ``training`` from others, as plain data."""
        ...

    def parts(self, batch: Any) -> Sequence[Any]:
        """What passes the network one after the other; their gradients add up."""
        ...

    def losses(self, part: Any, step: int, count: int) -> Losses:
        """Of one part of the ``count`` of a step."""
        ...

    def row(self, sums: Float[Tensor, " K"]) -> dict[str, float]:
        """The report of a step, ``loss`` among it, from the numbers added up."""
        ...


def mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where a GPU trains; elsewhere nothing changes."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def train(
    learner: Learner,
    batches: Callable[[int], Iterator[Any]],
    steps: int,
    optimisation: Optimisation,
    *,
    wrapped: nn.Module | None = None,
    group: Group = ALONE,
    average: WeightAverage | None = None,
    mean_over: int = 0,
    report: Report | None = None,
    report_every: int = 20,
    checkpoint: Callable[[Payload], None] | None = None,
    checkpoint_every: int = 0,
    resume: Payload | None = None,
    on_step: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Train a learner's network in place.

    Args:
        learner: what is learnt.
        batches: step -> batches from that step on.
        steps: updates in all.
        optimisation: the optimiser, its rate and how that falls.
        wrapped: the network made data-parallel (DistributedDataParallel), which the learner calls.
        group: the workers that train together.
        average: a running mean of the weights, which the network has at the end.
        mean_over: last steps whose mean loss is returned; 0 = a tenth of all.
        report: gets ``step``, ``loss``, ``learning_rate`` and what the learner adds.
        report_every: steps between reports.
        checkpoint: gets a training state every ``checkpoint_every`` steps.
        checkpoint_every: 0 = never.
        resume: a training state to go on from.
        on_step: called with the number of updates made, after each.

    Returns:
        ``steps`` and ``loss``, the mean over the last steps.

    Raises:
        InputError: a resume state of another training, or a loss that is no longer finite.
    """
    network = learner.network
    updates = build_optimiser(learner.parameter_groups(), optimisation)
    rates = [each["lr"] for each in updates.param_groups]
    about = learner.about()
    about["training"] = f"{steps} steps, {optimisation.text()}, {about.get('training', '')}"
    start, earlier = 0, ()
    if resume:
        start = restore_training(
            resume, learner.kind, network, learner.learned(), updates, about, average=average
        )
        earlier = resume.data.get("losses", ())
    last: deque[float] = deque(earlier, maxlen=mean_over or max(steps // 10, 1))
    parameters = [p for p in network.parameters() if p.requires_grad]
    stream = batches(start)
    network.train()
    for step in range(start, steps):
        factor = rate_factor(step, steps, optimisation.schedule, optimisation.warm_up)
        for each, rate in zip(updates.param_groups, rates, strict=True):
            each["lr"] = rate * factor
        parts = learner.parts(next(stream))
        updates.zero_grad(set_to_none=True)
        sums: Tensor | None = None
        for number, part in enumerate(parts):
            waits = wrapped is not None and number < len(parts) - 1
            with wrapped.no_sync() if waits and wrapped is not None else nullcontext():  # pyright: ignore
                try:
                    losses = learner.losses(part, step, len(parts))
                except FloatingPointError:  # a library that looks for itself
                    raise _diverged(learner, step) from None
                losses.total.backward()
            sums = losses.numbers if sums is None else sums + losses.numbers
        assert sums is not None
        # of all workers: each has only its own share of every number
        row = learner.row(group.sum_over_workers(sums))
        last.append(row["loss"])
        if not math.isfinite(row["loss"]):
            raise _diverged(learner, step)
        if optimisation.clip_norm:
            clip_grad_norm_(parameters, optimisation.clip_norm)
        updates.step()
        if average is not None:
            average.update(network)
        done = step + 1
        if report and (done % report_every == 0 or done == steps):
            report({"step": done, **row, "learning_rate": optimisation.learning_rate * factor})
        if on_step:
            on_step(done)
        if checkpoint and checkpoint_every and done % checkpoint_every == 0:
            state = training_state(
                learner.kind, learner.learned(), updates, done, about, last, average=average
            )
            checkpoint(state)
    if average is not None:
        average.copy_to(network)
    network.eval()
    return {"steps": steps, "loss": sum(last) / len(last) if last else math.nan}


def _diverged(learner: Learner, step: int) -> InputError:
    return InputError(f"{learner.title} diverged at step {step}; {learner.cure}")
