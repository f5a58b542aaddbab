"""Results in YouTube-VIS JSON (a list of tracks) beside their ground truth, video by video."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from wsvis.evaluation.tracks import FoundTrack, VideoTracks
from wsvis.formats.entry_members import check_score
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


def open_results(path: Path, truth: VisTruth) -> Iterator[partial[VideoTracks]]:
    """For each video of the ground truth, ids rising, a function that loads all its tracks.

    The whole file is checked first, masks apart. The functions may be called in other processes.

    Raises:
        InputError: one line that names the file, the entry and the cure.
    """
    places: dict[int, list[Place]] = defaultdict(list)
    for number, element in enumerate(elements(path, "tracks [{video_id, ...}, ...]")):
        where = f"{path}: result {number}"
        video_id, category, frames = track_summary(where, element.value)
        check_track(where, truth.videos, truth.labels, video_id, category, frames)
        check_score(where, element.value)
        places[video_id].append(Place(element.begin, element.end, number))
    return (
        partial(load_video, _only(truth, video), path, video, places.get(video.id, ()))
        for video in truth.videos.values()
    )


def load_video(
    truth: VisTruth, path: Path, video: VideoEntry, places: Sequence[Place]
) -> VideoTracks:
    """Tracks of one video; compressed masks are checked when they are measured."""
    tracks = []
    entries = reread(path, [(place.begin, place.end) for place in places])
    for place, entry in zip(places, entries, strict=True):
        where = f"{path}: result {place.number}"
        masks = [
            segmentation_of(mask, video, f"{where}, frame {t}")
            for t, mask in enumerate(entry["segmentations"])
        ]
        label = truth.labels[entry["category_id"]]
        tracks.append(FoundTrack(label, float(entry["score"]), masks, where))
    return VideoTracks(
        video.id, video.height, video.width, video.length, load_truth(truth, video), tracks
    )


def _only(truth: VisTruth, video: VideoEntry) -> VisTruth:
    """The part of the ground truth that one video needs, small enough to send to a process."""
    places = {video.id: truth.places.get(video.id, ())}
    return VisTruth(truth.path, {video.id: video}, truth.classes, truth.labels, places)
