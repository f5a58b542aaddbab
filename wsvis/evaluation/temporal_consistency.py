"""Temporal consistency (TC): do predictions of neighbouring frames agree along the flow?

T frames, P = T - 1 pairs, H W pixels. Liu et al. 2021, Sec. 4.5 and Table 6.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32

from wsvis.chosen_instances import kept
from wsvis.evaluation.config import ConsistencyConfig
from wsvis.evaluation.frame_ap import FrameAp, FrameTruth
from wsvis.flow.warp import warp_masks
from wsvis.masks import decode_masks, encode_masks
from wsvis.types import FrameInstances


@dataclass(frozen=True)
class PredictedVideo:
    """Predictions of a video's frames with the flow between consecutive ones."""

    frames: Sequence[FrameInstances]
    forward: Float32[np.ndarray, "P H W 2"]
    """F_{t -> t+1} in pixels of the masks, between the frames listed."""
    backward: Float32[np.ndarray, "P H W 2"] | None = None
    """F_{t+1 -> t}; needed for ``symmetric``."""


def temporal_consistency(
    videos: Iterable[PredictedVideo],
    classes: int,
    truth_score: float = ConsistencyConfig.truth_score,
    detection_score: float = 0.05,
    symmetric: bool = ConsistencyConfig.symmetric,
) -> dict[str, float]:
    """AP50 of predictions against the next frame's predictions carried back along the flow.

    Liu et al. 2021, Sec. 4.5: "the AP50 between mask predictions and flow warped masks on
    consecutive frames". The paper is silent on which side counts as truth, on score cuts, on the
    direction and on classes. Here, for every pair (t, t + 1) of consecutive evaluated frames:

    - ground truth of image t: the predictions of t + 1 with score >= ``truth_score``, sampled
      backward with F_{t -> t+1}; masks that leave the picture are dropped;
    - detections of image t: the predictions of t with score >= ``detection_score``;
    - TC: COCO's AP at IoU 0.5 over all pairs as images (100 detections per class), mean over the
      classes that have warped masks; NaN where none has.

    A low ``truth_score`` makes ground truth of every weak detection, so values are comparable only
    at equal cuts and with the same flow. The measure rewards stability, not correctness: nothing
    predicted in two frames costs nothing.

    Differs from the paper: unknown; its values (72 to 84) are not reproducible from the text.

    Args:
        videos: predictions and flow.
        classes: C; labels are 0..C-1.
        truth_score: least score of a prediction that serves as ground truth.
        detection_score: least score of a detection (paper Sec. 4.2: 0.05).
        symmetric: also carry frame t forward to t + 1 (with F_{t+1 -> t}), and give the mean.

    Returns:
        ``TC`` in [0, 1] and ``pairs``; if ``symmetric`` also ``TC_forward`` (the definition above)
        and ``TC_backward``.
    """
    measures = [FrameAp(classes, (0.5,)) for _ in range(2 if symmetric else 1)]
    pairs = 0
    for video in videos:
        _check(video, symmetric)
        for t, flow in enumerate(video.forward):
            earlier, later = video.frames[t], video.frames[t + 1]
            measures[0].add(warped_truth(later, flow, truth_score), kept(earlier, detection_score))
            if video.backward is not None and symmetric:
                real = warped_truth(earlier, video.backward[t], truth_score)
                measures[1].add(real, kept(later, detection_score))
            pairs += 1
    values = [measure.numbers()["AP50"] for measure in measures]
    result = {"TC": float(np.mean(values)), "pairs": float(pairs)}
    return result | (
        dict(zip(("TC_forward", "TC_backward"), values, strict=True) if symmetric else ())
    )


def warped_truth(
    other: FrameInstances, flow: Float32[np.ndarray, "H W 2"], min_score: float
) -> FrameTruth:
    """Predictions of the other frame of a pair as ground truth of this one.

    Args:
        other: predictions of the frame that ``flow`` points to.
        flow: F_{this -> other}, pixels: each pixel of this frame looks up where it went.
        min_score: predictions with a lower score are left out.
    """
    height, width = flow.shape[:2]
    chosen = kept(other, min_score)
    masks = torch.from_numpy(decode_masks(chosen.masks, height, width).copy())
    warped = warp_masks(masks, torch.from_numpy(flow))[0].numpy()
    visible = warped.any(axis=(1, 2))
    return FrameTruth(
        chosen.labels[visible], tuple(encode_masks(warped[visible])), np.zeros(visible.sum(), bool)
    )


def _check(video: PredictedVideo, symmetric: bool) -> None:
    pairs = max(len(video.frames) - 1, 0)
    if len(video.forward) != pairs:
        raise ValueError(f"{len(video.frames)} frames need {pairs} flows, not {len(video.forward)}")
    if symmetric and (video.backward is None or len(video.backward) != pairs):
        raise ValueError(f"symmetric needs {pairs} backward flows")
    size = list(video.forward.shape[1:3])
    for frame in video.frames:
        for rle in frame.masks:
            if pairs and list(rle["size"]) != size:
                raise ValueError(f"a mask is {rle['size']}, the flow {size}; resize the flow")
