"""Training of the frame classifier.

B frames of a batch, C classes. Every random number follows from (seed, step) or (seed, epoch), so
a run that resumes from a checkpoint ends exactly as one that never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool
from torch.optim import SGD, AdamW, Optimizer

from wsvis.cam.classification_ap import evaluate_classifier
from wsvis.cam.classifier import Classifier, multilabel_soft_margin_loss
from wsvis.cam.config import ClassifierConfig
from wsvis.cam.frozen_features import frozen_stage_count
from wsvis.cam.training_batches import Frames, TrainingBatches
from wsvis.errors import InputError
from wsvis.learning.length import bounded_steps
from wsvis.learning.state import restore_training, training_state
from wsvis.payload import Payload
from wsvis.types import Report

TRAINING = "classifier training"


def train_classifier(
    model: Classifier,
    frames: Frames,
    labels: Bool[np.ndarray, "n C"],
    *,
    seed: int,
    optimiser: str = ClassifierConfig.optimiser,
    learning_rate: float = ClassifierConfig.learning_rate,
    head_rate_factor: float = ClassifierConfig.head_rate_factor,
    momentum: float = ClassifierConfig.momentum,
    weight_decay: float = ClassifierConfig.weight_decay,
    epochs: float = ClassifierConfig.epochs,
    min_steps: int = ClassifierConfig.min_steps,
    max_steps: int = ClassifierConfig.max_steps,
    batch_size: int = ClassifierConfig.batch_size,
    crop: int = ClassifierConfig.crop,
    resize_long_side: tuple[int, int] = ClassifierConfig.resize_long_side,
    trainable: str = ClassifierConfig.trainable,
    validation: tuple[Frames, Bool[np.ndarray, "m C"]] | None = None,
    report: Report | None = None,
    report_every: int = 10,
    checkpoint: Callable[[Payload], None] | None = None,
    checkpoint_every: int = 0,
    resume: Payload | None = None,
) -> dict[str, float]:
    """Train ``model`` in place, as IRN's released code trains its CAM network.

    floor(n / B) * epochs steps over frames in a new random order per epoch, an incomplete batch
    dropped; SGD with the rate falling as (1 - step / steps)^0.9, or AdamW with a cosine; BatchNorm
    by stored statistics; bfloat16 autocast on a GPU.

    Args:
        model: from ``build_classifier``, on the device to train on.
        frames: training frames.
        labels: which classes each frame shows.
        seed: of order and augmentation; initial weights come with the model.
        optimiser: ``sgd`` or ``adamw``.
        learning_rate: of the backbone at step 0.
        head_rate_factor: the head's rate over the backbone's.
        momentum: SGD only; 0 is what IRN's code amounts to.
        weight_decay: of all that learns.
        epochs: passes over the frames; may be a fraction.
        min_steps: updates at least, unless ``epochs`` is 0.
        max_steps: updates at most; 0 = any number.
        batch_size: B; all frames when there are fewer.
        crop: side of the training canvas in pixels; 0 = whole frames.
        resize_long_side: range of the random resize; (0, 0) = none.
        trainable: ``last-stages``, ``head`` or ``all``. Where frames are whole and not resized, the
            frozen stages run once per frame and mirror image.
        validation: frames and labels to score a quarter of the way and at the end.
        report: gets ``step``, ``loss``, ``learning_rate``, and the validation's numbers.
        report_every: steps between reports.
        checkpoint: gets a training state every ``checkpoint_every`` steps.
        checkpoint_every: 0 = never.
        resume: a training state to go on from.

    Returns:
        ``steps``, ``loss`` (mean over the last epoch's steps made here) and, with a validation,
        ``mAP`` and ``AP/<class>``.

    Raises:
        InputError: no frame at all, a resume state of another training, or a loss that is no
            longer finite.
    """
    if len(frames) == 0 or not labels.any():
        raise InputError("no training frame has a label; check the data set's labels or data.split")
    frozen = frozen_stage_count(trainable)
    for index, stage in enumerate(model.backbone.stages):
        stage.requires_grad_(index >= frozen)
    size = min(batch_size, len(frames))
    per_epoch = len(frames) // size
    steps = classifier_steps(len(frames), batch_size, epochs, min_steps, max_steps)
    updates = _build_optimiser(
        model, optimiser, learning_rate, head_rate_factor, momentum, weight_decay
    )
    start = 0
    if resume:
        start = restore_training(resume, TRAINING, model, model.state_dict(), updates, {})
    base_rates = [learning_rate, learning_rate * head_rate_factor]
    device = model.head.weight.device
    batches = TrainingBatches(
        model,
        frames,
        batch_size=size,
        seed=seed,
        crop=crop,
        resize_long_side=resize_long_side,
        frozen_stages=frozen,
    )
    targets = torch.from_numpy(labels)
    losses: list[float] = []
    scores: dict[str, float] = {}
    model.to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
    for step in range(start, steps):
        factor = rate_factor(step, steps, optimiser)
        for group, rate in zip(updates.param_groups, base_rates, strict=True):
            group["lr"] = rate * factor
        chosen = batches.indices(step)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            x = batches.after_frozen(step, chosen)
            x = x.contiguous(memory_format=torch.channels_last)
            for stage in model.backbone.stages[frozen:]:
                x = stage(x)
            logits = model.pooled(x)
        loss = multilabel_soft_margin_loss(logits, targets[chosen].to(device))
        updates.zero_grad(set_to_none=True)
        loss.backward()
        updates.step()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise InputError(f"training diverged at step {step}; lower classifier.learning_rate")
        done = step + 1
        if report and (done % report_every == 0 or done == steps):
            report({"step": done, "loss": losses[-1], "learning_rate": base_rates[0] * factor})
        if validation and done in (-(-steps // 4), steps):
            scores = evaluate_classifier(model, *validation, batch_size=batch_size)
            model.train()
            if report:
                report({"step": done, **scores})
        if checkpoint and checkpoint_every and done % checkpoint_every == 0:
            checkpoint(training_state(TRAINING, model.state_dict(), updates, done, {}))
    model.eval()
    last = losses[-per_epoch:]
    return {"steps": steps, "loss": sum(last) / len(last) if last else math.nan, **scores}


def classifier_steps(
    frames: int, batch_size: int, epochs: float, least: int = 0, most: int = 0
) -> int:
    """Updates of a training: whole batches per epoch, times epochs, within bounds; 0 epochs, 0."""
    per_epoch = frames // max(min(batch_size, frames), 1)
    return bounded_steps(max(1, int(per_epoch * epochs)), least, most) if epochs else 0


def rate_factor(step: int, steps: int, optimiser: str) -> float:
    """Share of the learning rate left at a step: poly 0.9 (sgd, IRN) or half a cosine (adamw)."""
    if optimiser == "sgd":
        return (1 - step / steps) ** 0.9
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def _build_optimiser(
    model: Classifier,
    name: str,
    rate: float,
    head_factor: float,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    groups = [
        {"params": [p for p in model.backbone.parameters() if p.requires_grad], "lr": rate},
        {"params": list(model.head.parameters()), "lr": rate * head_factor},
    ]
    if name == "sgd":
        return SGD(groups, lr=rate, momentum=momentum, weight_decay=weight_decay)
    if name == "adamw":
        return AdamW(groups, lr=rate, weight_decay=weight_decay)
    raise ValueError(f"optimiser {name!r} is neither sgd nor adamw")
