"""Which videos to look at first: those where predictions fit the ground truth least.

D found tracks, G true ones. Only an order for looking at pictures; the measure is ``video_ap``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from wsvis.evaluation.tracks import VideoTracks, track_areas, track_iou


def fit(
    iou: Float[np.ndarray, "D G"],
    found_labels: Int[np.ndarray, " D"],
    true_labels: Int[np.ndarray, " G"],
    scores: Float[np.ndarray, " D"],
) -> float:
    """How well the tracks of one video fit, 0 to 1.

    The IoUs of a one-to-one matching within classes, summed, over the number of true tracks plus
    the scores of the found ones left over: 1 when every object is there and nothing else is. Ours;
    a per-video AP would not punish classes that the video does not show.

    Args:
        iou: of whole tracks.
        found_labels: class of each found track.
        true_labels: class of each true one.
        scores: of the found ones, in [0, 1].
    """
    overlap = np.where(found_labels[:, None] == true_labels[None, :], iou, 0.0)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    used = overlap[rows, columns] > 0
    extra = np.delete(scores, rows[used]).clip(0, 1).sum()
    total = len(true_labels) + float(extra)
    return float(overlap[rows, columns].sum()) / total if total else 1.0


def video_fit(video: VideoTracks) -> float:
    """:func:`fit` of a video's tracks."""
    shape = video.height, video.width, video.length
    predicted, truth = list(video.predicted), [track for track in video.truth if not track.crowd]
    return fit(
        track_iou(predicted, truth, track_areas(predicted, *shape), track_areas(truth, *shape)),
        np.array([track.label for track in predicted], dtype=np.int64),
        np.array([track.label for track in truth], dtype=np.int64),
        np.array([track.score for track in predicted], dtype=np.float64),
    )


def worst_first(fits: Mapping[int, float]) -> list[int]:
    """Video ids by rising fit; equal ones by id."""
    return sorted(fits, key=lambda video: (fits[video], video))
