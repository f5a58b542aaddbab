"""From groups of detections to tracks: one class, one score, one mask per frame.

T frames, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from wsvis.tracking.config import TrackingConfig
from wsvis.tracking.detections import Detection
from wsvis.types import FrameInstances, Rle, Track

Scoring = Literal["sum", "mean"]
"""sum: scores of the frames that carry the track's class, summed, over the length of the video, so
that long tracks count more; mean: mean score of all its detections (MaskTrack R-CNN's exporter)."""

Voting = Literal["score-sum", "split"]
"""score-sum: the class with the largest sum of detection scores, ties to the lower class; split:
one track per class that occurs, each scored by its own detections (all with all the masks)."""


def class_sums(
    group: Sequence[Detection], frames: Sequence[FrameInstances]
) -> dict[int, tuple[int, float]]:
    """Class -> (detections of that class, sum of their scores), classes ascending."""
    sums: dict[int, tuple[int, float]] = {}
    for t, n in group:
        label = int(frames[t].labels[n])
        count, total = sums.get(label, (0, 0.0))
        sums[label] = (count + 1, total + float(frames[t].scores[n]))
    return dict(sorted(sums.items()))


def tracks_of(
    groups: Iterable[Sequence[Detection]],
    frames: Sequence[FrameInstances],
    *,
    voting: Voting = "score-sum",
    scoring: Scoring = TrackingConfig.scoring,
) -> list[Track]:
    """Tracks of groups of detections, numbered from 0 in descending order of score.

    The paper is silent on class and score of a track; so is UnOVOST, which knows no classes.

    Args:
        groups: detections of one object each, (frame, position), at most one per frame.
        frames: detections of each of the T frames.
        voting: how the class is found.
        scoring: how the score is found.

    Raises:
        ValueError: a group is empty or has two detections in a frame.
    """
    tracks: list[Track] = []
    for group in groups:
        if not group or len({t for t, _ in group}) != len(group):
            raise ValueError(f"a track needs one detection in each of its frames, not {group}")
        masks: list[Rle | None] = [None] * len(frames)
        scores: list[float | None] = [None] * len(frames)
        for t, n in group:
            masks[t], scores[t] = frames[t].masks[n], float(frames[t].scores[n])
        sums = class_sums(group, frames)
        best = max(sums, key=lambda label: sums[label][1])
        labels = list(sums) if voting == "split" else [best]
        for label in labels:
            if scoring == "sum":
                score = sums[label][1] / len(frames)
            elif voting == "split":
                score = sums[label][1] / len(group)
            else:
                score = float(np.mean([score for score in scores if score is not None]))
            tracks.append(Track(0, label, score, tuple(masks), tuple(scores)))
    tracks.sort(key=lambda track: -track.score)
    return [replace(track, id=number) for number, track in enumerate(tracks)]
