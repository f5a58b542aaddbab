"""Predictions of single frames in JSON beside YouTube-VIS ground truth, video by video.

The file is a list of ``{video_id, frame, category_id, score, segmentation}``, frames counted from
0. A list of tracks (``segmentations``, one per frame) will do as well: each mask counts in its
frame with the score of its track.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsvis.errors import InputError
from wsvis.evaluation.frame_ap import FrameTruth
from wsvis.evaluation.tracks import track_areas
from wsvis.formats.entry_members import check_score, whole_number
from wsvis.formats.json_elements import elements, reread
from wsvis.formats.vis_truth import (
    Place,
    VideoEntry,
    VisTruth,
    check_track,
    load_truth,
    segmentation_of,
    track_summary,
)
from wsvis.rle_sums import checked_areas
from wsvis.types import FrameInstances, Rle

Places = Mapping[int, Sequence[Place]]
"""Entries of the file by video id."""


def open_frame_results(path: Path, truth: VisTruth) -> Places:
    """Check the whole file, masks apart, and note where the predictions of each video lie.

    Raises:
        InputError: one line that names the file, the entry and the cure.
    """
    places: dict[int, list[Place]] = defaultdict(list)
    for number, element in enumerate(elements(path, "predictions [{video_id, ...}, ...]")):
        where = f"{path}: result {number}"
        entry = element.value
        if isinstance(entry, dict) and "segmentations" in entry:
            video_id, category, frames = track_summary(where, entry)
            check_track(where, truth.videos, truth.labels, video_id, category, frames)
        else:
            video_id = whole_number(where, entry, "video_id")
            category = whole_number(where, entry, "category_id")
            check_track(where, truth.videos, truth.labels, video_id, category)
            frame, length = whole_number(where, entry, "frame"), truth.videos[video_id].length
            if not 0 <= frame < length:
                raise InputError(f"{where}: frame {frame} is not in 0..{length - 1} of its video")
            if not entry.get("segmentation"):
                raise InputError(f"{where}: has no segmentation; leave the entry out")
        check_score(where, entry)
        places[video_id].append(Place(element.begin, element.end, number))
    return places


def found_frames(
    truth: VisTruth, path: Path, video: VideoEntry, places: Places
) -> list[FrameInstances]:
    """The predictions in each frame of one video, in the order of the file, masks checked.

    Scores keep the precision of the file.
    """
    listed = places.get(video.id, ())
    labels: list[list[int]] = [[] for _ in range(video.length)]
    scores: list[list[float]] = [[] for _ in range(video.length)]
    masks: list[list[Rle]] = [[] for _ in range(video.length)]
    every: list[Rle] = []
    names: list[str] = []
    entries = reread(path, [place[:2] for place in listed])
    for place, entry in zip(listed, entries, strict=True):
        for t, segmentation in _masks_of(entry):
            where = f"{path}: result {place.number}, frame {t}"
            rle = segmentation_of(segmentation, video, where)
            if rle is not None:
                labels[t].append(truth.labels[entry["category_id"]])
                scores[t].append(float(entry["score"]))
                masks[t].append(rle)
                every.append(rle)
                names.append(where)
    checked_areas(every, video.height, video.width, names.__getitem__)
    return [
        FrameInstances(np.array(labels[t], np.int64), np.array(scores[t]), tuple(masks[t]))
        for t in range(video.length)
    ]


def true_frames(truth: VisTruth, video: VideoEntry) -> list[FrameTruth]:
    """The ground truth of each frame of one video; objects without a visible pixel are absent."""
    tracks = load_truth(truth, video)
    areas = track_areas(tracks, video.height, video.width, video.length)
    frames = []
    for t in range(video.length):
        seen = [(track, track.segmentations[t]) for track in tracks]
        visible = [(track, rle) for n, (track, rle) in enumerate(seen) if rle and areas[n, t]]
        frames.append(
            FrameTruth(
                np.array([track.label for track, _ in visible], np.int64),
                tuple(rle for _, rle in visible),
                np.array([track.crowd for track, _ in visible], bool),
            )
        )
    return frames


def _masks_of(entry: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    if "segmentations" in entry:
        yield from enumerate(entry["segmentations"])
    else:
        yield entry["frame"], entry["segmentation"]
