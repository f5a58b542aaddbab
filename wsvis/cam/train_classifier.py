"""Training of the frame classifier.

B frames of a batch, C classes. Every random number follows from (seed, step) or (seed, epoch), so
a run that resumes from a checkpoint ends exactly as one that never stopped.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsvis.cam.classification_ap import evaluate_classifier
from wsvis.cam.classifier import Classifier, multilabel_soft_margin_loss
from wsvis.cam.config import ClassifierConfig
from wsvis.cam.frozen_features import frozen_stage_count
from wsvis.cam.training_batches import Frames, TrainingBatches
from wsvis.errors import InputError
from wsvis.learning.length import bounded_steps
from wsvis.learning.loop import Losses, mixed_precision, train
from wsvis.learning.schedule import Optimisation
from wsvis.types import Report


class ClassifierLearner:
    """What the frame classifier learns; see :class:`wsvis.learning.loop.Learner`.

    Args:
        model: on the device to train on.
        batches: which frames a step sees.
        labels: which classes each frame shows.
        frozen: first stages that do not learn.
        learning_rate: of the backbone.
        head_rate_factor: the head's rate over it.
    """

    kind, title = "classifier training", "training"
    cure = "lower classifier.learning_rate"

    def __init__(
        self,
        model: Classifier,
        batches: TrainingBatches,
        labels: Bool[np.ndarray, "n C"],
        frozen: int,
        learning_rate: float,
        head_rate_factor: float,
    ) -> None:
        self.network, self.batches, self.frozen = model, batches, frozen
        self.targets = torch.from_numpy(labels)
        self.learning_rate, self.head_rate_factor = learning_rate, head_rate_factor

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What learns of the backbone, and the head."""
        model, rate = self.network, self.learning_rate
        return [
            {"params": [p for p in model.backbone.parameters() if p.requires_grad], "lr": rate},
            {"params": list(model.head.parameters()), "lr": rate * self.head_rate_factor},
        ]

    def learned(self) -> dict[str, Tensor]:
        """All weights."""
        return self.network.state_dict()

    def about(self) -> dict[str, Any]:
        """Nothing beside the weights' names and shapes."""
        return {}

    def parts(self, batch: int) -> list[int]:
        """A batch is the number of a step, whose frames pass together."""
        return [batch]

    def losses(self, part: int, step: int, count: int) -> Losses:
        """Multi-label soft margin loss of the frames' classes."""
        device, chosen = self.network.head.weight.device, self.batches.indices(part)
        with mixed_precision(device):
            x = self.batches.after_frozen(part, chosen)
            x = x.contiguous(memory_format=torch.channels_last)
            for stage in self.network.backbone.stages[self.frozen :]:
                x = stage(x)
            logits = self.network.pooled(x)
        loss = multilabel_soft_margin_loss(logits, self.targets[chosen].to(device))
        return Losses(loss, loss.detach()[None])

    def row(self, sums: Float[Tensor, " 1"]) -> dict[str, float]:
        """The loss alone."""
        return {"loss": float(sums)}


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
    **loop: Any,
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
        loop: more on reports, and training states: see :func:`wsvis.learning.loop.train`.

    Returns:
        ``steps``, ``loss`` (mean over the last epoch's steps) and, with a validation,
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
    steps = classifier_steps(len(frames), batch_size, epochs, min_steps, max_steps)
    batches = TrainingBatches(
        model,
        frames,
        batch_size=size,
        seed=seed,
        crop=crop,
        resize_long_side=resize_long_side,
        frozen_stages=frozen,
    )
    scores: dict[str, float] = {}

    def validate(done: int) -> None:
        if validation and done in (-(-steps // 4), steps):
            scores.update(evaluate_classifier(model, *validation, batch_size=batch_size))
            model.train()
            if report:
                report({"step": done, **scores})

    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    result = train(
        ClassifierLearner(model, batches, labels, frozen, learning_rate, head_rate_factor),
        itertools.count,
        steps,
        Optimisation(
            optimiser=optimiser,
            learning_rate=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule="poly" if optimiser == "sgd" else "cosine",
        ),
        mean_over=len(frames) // size,
        report=report,
        on_step=validate,
        **{"report_every": 10, **loop},
    )
    return {**result, **scores}


def classifier_steps(
    frames: int, batch_size: int, epochs: float, least: int = 0, most: int = 0
) -> int:
    """Updates of a training: whole batches per epoch, times epochs, within bounds; 0 epochs, 0."""
    per_epoch = frames // max(min(batch_size, frames), 1)
    return bounded_steps(max(1, int(per_epoch * epochs)), least, most) if epochs else 0
