"""Tracks of one video, their areas and their overlaps through time, straight from RLE.

T frames, D found tracks, G true tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from pycocotools import mask as coco_mask

from wsvis.errors import InputError
from wsvis.rle_sums import checked_areas
from wsvis.types import Rle, Track, Video


@dataclass(frozen=True)
class TrueTrack:
    """One annotated object through a video."""

    label: int
    segmentations: Sequence[Rle | None]
    """One entry per frame; ``None`` where the object is absent."""
    crowd: bool = False
    mean_area: float | None = None
    """Mean over frames of the areas that the annotation file states; from the masks if ``None``."""
    where: str = ""
    """What an error names, e.g. ``"instances.json: annotation 7"``."""


@dataclass(frozen=True)
class FoundTrack:
    """One predicted object through a video."""

    label: int
    score: float
    segmentations: Sequence[Rle | None]
    where: str = ""


@dataclass(frozen=True)
class VideoTracks:
    """Everything that the measure needs of one video."""

    id: int
    """Videos are ranked by it where scores tie, as the official tool does."""
    height: int
    width: int
    length: int
    truth: Sequence[TrueTrack]
    predicted: Sequence[FoundTrack] = field(default=())


def tracks_of_video(number: int, video: Video, tracked: Sequence[Track]) -> VideoTracks:
    """Ground truth of a ``Video`` beside the tracks that a tracker found in it."""
    if video.instances is None:
        raise ValueError(f"video {video.id} has no ground truth")
    truth = [
        TrueTrack(i.label, i.segmentations, i.is_crowd, where=f"{video.id}: instance {i.id}")
        for i in video.instances
    ]
    tracks = [
        FoundTrack(t.label, t.score, t.segmentations, where=f"{video.id}: track {t.id}")
        for t in tracked
    ]
    return VideoTracks(number, video.height, video.width, video.length, truth, tracks)


def track_areas(
    tracks: Sequence[TrueTrack | FoundTrack], height: int, width: int, length: int
) -> Int[np.ndarray, "N T"]:
    """Pixels of each track in each frame, 0 where absent.

    Raises:
        InputError: a track has another number of frames, or a mask is not a sound RLE of this size
            (the COCO tools would loop without end on it).
    """
    areas = np.zeros((len(tracks), length), dtype=np.int64)
    masks: list[Rle] = []
    places: list[int] = []
    for n, track in enumerate(tracks):
        if len(track.segmentations) != length:
            raise InputError(
                f"{_name(track, n)}: has {len(track.segmentations)} frames, its video {length}; "
                "give one entry per frame, null where the object is absent"
            )
        shown = [t for t, rle in enumerate(track.segmentations) if rle is not None]
        masks += [rle for rle in track.segmentations if rle is not None]
        places += [n * length + t for t in shown]

    def where(mask: int) -> str:
        n, t = divmod(places[mask], length)
        return f"{_name(tracks[n], n)}, frame {t}"

    areas.reshape(-1)[places] = checked_areas(masks, height, width, where)
    return areas


def mean_visible_area(areas: Int[np.ndarray, "N T"]) -> Float[np.ndarray, " N"]:
    """Mean area over the frames in which a track has pixels; 0 where it never has."""
    visible = (areas > 0).sum(axis=1)
    return areas.sum(axis=1) / np.maximum(visible, 1)


def track_iou(
    predicted: Sequence[FoundTrack],
    truth: Sequence[TrueTrack],
    predicted_areas: Int[np.ndarray, "D T"],
    truth_areas: Int[np.ndarray, "G T"],
) -> Float[np.ndarray, "D G"]:
    """IoU of tracks: the sum of intersections over the sum of unions, both over all frames.

    Liu et al. 2021, Sec. 4.4; Yang et al. 2019 (the YouTube-VIS measure). A frame in which only one
    of the two has pixels adds these to the union. Two tracks without any pixel have IoU 0. Crowds
    get the same plain IoU (unlike in COCO).

    Masks are taken to be sound (``track_areas`` has been called on them).
    """
    # frame by frame: memory does not grow with the length of the video
    shared = np.zeros((len(predicted), len(truth)))
    seen_predicted, seen_truth = predicted_areas > 0, truth_areas > 0
    for t in np.flatnonzero(seen_predicted.any(axis=0) & seen_truth.any(axis=0)).tolist():
        rows, columns = np.flatnonzero(seen_predicted[:, t]), np.flatnonzero(seen_truth[:, t])
        masks: list[Any] = [predicted[d].segmentations[t] for d in rows.tolist()]
        true_masks: list[Any] = [truth[g].segmentations[t] for g in columns.tolist()]
        iou = np.asarray(coco_mask.iou(masks, true_masks, [0] * len(true_masks)), dtype=np.float64)
        both = predicted_areas[rows, t][:, None] + truth_areas[columns, t]
        # iou = i / (both - i), so i = iou * both / (1 + iou), a whole number
        shared[rows[:, None], columns] += np.rint(iou * both / (1 + iou))
    union = predicted_areas.sum(axis=1)[:, None] + truth_areas.sum(axis=1) - shared
    return shared / np.maximum(union, 1)


def _name(track: TrueTrack | FoundTrack, number: int) -> str:
    return track.where or f"track {number}"
