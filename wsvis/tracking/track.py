"""One video in, tracks out: the trackers behind one door.

T frames, H W pixels, D length of a ReID descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from wsvis.chosen_instances import subset
from wsvis.tracking.config import TrackingConfig
from wsvis.tracking.cutouts import Sampling, sampling_of
from wsvis.tracking.detections import Detection, selected
from wsvis.tracking.forest_path_cutting import forest_path_cutting
from wsvis.tracking.iou_tracker import iou_tracks
from wsvis.tracking.online import online_tracks
from wsvis.tracking.places import place_descriptors
from wsvis.tracking.tracks import Scoring, Voting, tracks_of
from wsvis.types import FrameInstances, Track

Method = Literal["forest", "online", "iou"]
ClassMode = Literal["vote", "split", "per-class"]


def track_video(
    frames: Sequence[FrameInstances],
    backward_flow: Sequence[Float[np.ndarray, "H W 2"]] | None = None,
    descriptors: Sequence[Float[np.ndarray, "_ D"]] | None = None,
    *,
    method: Method = TrackingConfig.method,
    class_mode: ClassMode = TrackingConfig.class_mode,
    scoring: Scoring = TrackingConfig.scoring,
    min_score: float = TrackingConfig.min_score,
    max_overlap: float = TrackingConfig.max_overlap,
    min_link_overlap: float = TrackingConfig.min_link_overlap,
    online_overlap: Literal["box", "mask"] = "box",
    online_min_overlap: float = 0.0,
    iou_min_overlap: float = 0.5,
    max_tracks: int = TrackingConfig.max_tracks,
) -> list[Track]:
    """Follow the objects of a video through its frames.

    Args:
        frames: detections of each of the T frames.
        backward_flow: T - 1 fields F_{t+1 -> t} in pixels of the frame, between the frames given;
            ``None``: nothing moves. The IoU tracker does not look at it.
        descriptors: for each frame a ReID vector per detection (forest only); ``None``: place and
            size stand in (``places.place_descriptors``).
        method: forest: Forest Path Cutting (Liu et al. 2021, Sec. 4.2); online: MaskTrack R-CNN's
            association without its learned term; iou: box overlap alone.
        class_mode: vote: classes play no part in the tracking, then each track gets the class with
            the largest sum of scores (online tracks have one class anyway); split: a track for each
            class that occurs in it; per-class: each class is tracked for itself.
        scoring: ``sum`` or ``mean`` (see ``tracks.Scoring``).
        min_score: lower-scoring detections do not enter (paper Sec. 4.2: 0.05).
        max_overlap: forest: IoU at or above which only the better of two detections is kept.
        min_link_overlap: forest: overlap a warped mask must exceed to be linked.
        online_overlap: online: IoU of boxes or of masks.
        online_min_overlap: online: overlap needed to join an identity of the same class.
        iou_min_overlap: iou: overlap needed to go on.
        max_tracks: keep this many per video (per class if ``per-class``); 0 = all. Forest: by its
            own ranking; otherwise by score.

    Returns:
        Tracks by descending score, numbered from 0.
    """
    voting: Voting = "split" if class_mode == "split" else "score-sum"
    if not frames:
        return []
    labels: Sequence[int | None] = [None]
    if class_mode == "per-class":
        labels = sorted({int(label) for frame in frames for label in frame.labels})
    motion: Sequence[np.ndarray | Sampling] | None = backward_flow
    if motion is not None and len(labels) > 1 and method != "iou":
        motion = [sampling_of(field) for field in motion]  # once for all classes
    groups: list[list[Detection]] = []
    for label in labels:
        entering = selected(frames, min_score=min_score, label=label)
        chosen = [subset(frame, keep) for frame, keep in zip(frames, entering, strict=True)]
        if method == "forest":
            if descriptors is None:
                vectors: Sequence[np.ndarray] = _places(chosen)
            else:
                vectors = [one[keep] for one, keep in zip(descriptors, entering, strict=True)]
            linked = forest_path_cutting(
                chosen,
                motion,
                vectors,
                max_overlap=max_overlap,
                min_link_overlap=min_link_overlap,
                max_tracks=max_tracks,
            )
        elif method == "online":
            linked = online_tracks(
                chosen, motion, overlap=online_overlap, min_overlap=online_min_overlap
            )
        else:
            linked = iou_tracks(chosen, min_overlap=iou_min_overlap)
        if method != "forest" and max_tracks:
            linked = _best(linked, chosen, scoring, max_tracks)
        groups += [[(t, entering[t][n]) for t, n in group] for group in linked]
    return tracks_of(groups, frames, voting=voting, scoring=scoring)


def _places(frames: Sequence[FrameInstances]) -> list[np.ndarray]:
    sizes = [frame.masks[0]["size"] for frame in frames if len(frame)]
    height, width = sizes[0] if sizes else (1, 1)
    return place_descriptors(frames, height, width)


def _best(
    groups: list[list[Detection]], frames: Sequence[FrameInstances], scoring: Scoring, count: int
) -> list[list[Detection]]:
    def value(group: list[Detection]) -> float:
        scores = [float(frames[t].scores[n]) for t, n in group]
        return sum(scores) if scoring == "sum" else sum(scores) / len(scores)

    return sorted(groups, key=value, reverse=True)[:count]
