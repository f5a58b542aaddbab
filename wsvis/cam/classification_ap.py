"""How well frame scores rank the frames that show a class."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float

from wsvis.backbones.normalise import normalise_frames
from wsvis.cam.classifier import Classifier
from wsvis.cam.training_batches import Frames


def average_precision(scores: Float[np.ndarray, " B"], positives: Bool[np.ndarray, " B"]) -> float:
    """AP = sum_n (R_n - R_{n-1}) P_n over the distinct scores, from high to low.

    Precision P_n and recall R_n are taken over all frames that score at least the n-th value, so
    equal scores count together and their order does not matter. No interpolation.

    Args:
        scores: one number per frame.
        positives: whether the frame shows the class.

    Returns:
        0..1; NaN where no frame shows the class.
    """
    total = int(positives.sum())
    if total == 0:
        return math.nan
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_value = np.append(ranked[1:] != ranked[:-1], True)
    hits = np.cumsum(positives[order])[last_of_value]
    kept = np.flatnonzero(last_of_value) + 1
    return float(np.sum(np.diff(hits, prepend=0) / total * (hits / kept)))


def class_aps(
    scores: Float[np.ndarray, "B C"], labels: Bool[np.ndarray, "B C"]
) -> Float[np.ndarray, " C"]:
    """AP of each class; NaN where no frame shows it."""
    return np.array([average_precision(s, p) for s, p in zip(scores.T, labels.T, strict=True)])


def mean_average_precision(aps: Float[np.ndarray, " C"]) -> float:
    """Mean over the classes that some frame shows; NaN if there is none."""
    known = aps[~np.isnan(aps)]
    return float(known.mean()) if len(known) else math.nan


@torch.inference_mode()
def frame_logits(
    model: Classifier, frames: Frames, *, batch_size: int = 16
) -> Float[np.ndarray, "n C"]:
    """Logits of whole frames; neighbours of one size share a forward pass."""
    device = model.head.weight.device
    rows: list[np.ndarray] = []

    def score(batch: list[np.ndarray]) -> None:
        x = normalise_frames(torch.from_numpy(np.stack(batch)).to(device), model.normalisation)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            rows.append(model(x).float().cpu().numpy())

    model.eval()
    waiting: list[np.ndarray] = []
    for index in range(len(frames)):
        frame = frames[index]
        if waiting and (len(waiting) == batch_size or frame.shape != waiting[0].shape):
            score(waiting)
            waiting = []
        waiting.append(frame)
    if waiting:
        score(waiting)
    return np.concatenate(rows) if rows else np.zeros((0, len(model.class_names)), np.float32)


def evaluate_classifier(
    model: Classifier, frames: Frames, labels: Bool[np.ndarray, "m C"], *, batch_size: int = 16
) -> dict[str, float]:
    """``mAP`` and ``AP/<class>`` for the classes that some frame shows."""
    aps = class_aps(frame_logits(model, frames, batch_size=batch_size), labels)
    named = {f"AP/{name}": float(ap) for name, ap in zip(model.class_names, aps, strict=True)}
    return {
        "mAP": mean_average_precision(aps),
        **{name: ap for name, ap in named.items() if not math.isnan(ap)},
    }
