"""From matched detections to precision, recall and average precision (COCO and YouTube-VIS).

D detections of one class over the whole data set, K IoU thresholds, R = 101 recall samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

RECALL_SAMPLES = 101
_RECALLS = np.linspace(0.0, 1.0, RECALL_SAMPLES)


def precision_at_recalls(
    scores: Float[np.ndarray, " D"],
    matched: Bool[np.ndarray, "K D"],
    ignored: Bool[np.ndarray, "K D"],
    positives: int,
) -> tuple[Float[np.ndarray, "K R"], Float[np.ndarray, " K"]]:
    """Interpolated precision at recalls 0, .01, ..., 1, and the recall reached in the end.

    Detections are taken in order of falling score (ties keep their order); precision is made
    non-increasing from the right and read at the first detection that reaches each recall, 0 where
    none does. Average precision is the mean over the R samples.

    Args:
        scores: any real numbers, no NaN.
        matched: found a ground-truth object at the threshold.
        ignored: counts neither as true nor as false positive.
        positives: ground-truth objects that count.

    Returns:
        Precision [K, R] and final recall [K]; all NaN when ``positives`` is 0.
    """
    if positives == 0:
        return np.full((len(matched), RECALL_SAMPLES), np.nan), np.full(len(matched), np.nan)
    order = np.argsort(-scores, kind="stable")
    true = np.cumsum((matched & ~ignored)[:, order], axis=1, dtype=np.float64)
    false = np.cumsum((~matched & ~ignored)[:, order], axis=1, dtype=np.float64)
    recall = true / positives
    precision = true / (true + false + np.spacing(1))
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([falling, np.zeros((len(matched), 1))], axis=1)
    sampled = np.stack(
        [values[np.searchsorted(r, _RECALLS)] for values, r in zip(padded, recall, strict=True)]
    )
    return sampled, recall[:, -1] if len(scores) else np.zeros(len(matched))


def mean_over_classes(values: Sequence[float] | np.ndarray) -> float:
    """Mean without the classes that have no ground truth (NaN); NaN when none has any."""
    array = np.asarray(values, dtype=np.float64)
    present = array[~np.isnan(array)]
    return float(present.mean()) if present.size else float("nan")
