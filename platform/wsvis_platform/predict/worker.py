"""Detection and tracking of one video after the other in a worker of ``wsvis predict``.

A worker loads the detector once. Each video's results are written to its own folder, whole or not
at all, so that a killed worker's video is simply begun again.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from wsvis.data.frames import iterate_frames
from wsvis.errors import InputError
from wsvis.exports.stored_tracks import stored_tracks
from wsvis.exports.tracked_video import Categories, TrackedVideo, categories_of
from wsvis.files.atomic import write_text
from wsvis.formats.track_results import results_of, write_results
from wsvis.passing_faults import is_passing
from wsvis.tracking.track import track_video
from wsvis.types import Track
from wsvis.viz.movies import write_film
from wsvis.viz.track_overlays import track_film
from wsvis_platform.predict.folder import PredictJob, Working, mark_done
from wsvis_platform.predict.video import Clip, look_at, open_clip, read_detector
from wsvis_platform.store.extract import limit_threads
from wsvis_platform.track.inputs import flow_provider

MOST_DEATHS = 2
"""Processes that may die at a video before it is set aside."""
_PATIENCE = 1.0
"""Seconds between two notes about frames."""


class VideoPredictor:
    """What lives in each worker: a detector and a provider of flow."""

    def __init__(self, job: PredictJob, threads: int) -> None:
        self.job = job
        self.detector = read_detector(job.detector)
        moves = job.flow != "none" and job.method != "iou"
        self.provider = flow_provider(job.flow, job.flow_weights) if moves else None
        limit_threads(threads)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row with a video's ``path`` and ``name``, completed by what became of it."""
        path, name = str(row["path"]), str(row["name"])
        working = Working(self.job.out, name)
        if working.begun >= MOST_DEATHS:
            working.end()
            return _unusable(
                path,
                name,
                f"{path}: the process that looked at it died {working.begun} times (for want of "
                "memory, most often); the same command tries it again, --workers 1 gives it more",
            )
        working.begin()
        try:
            frames, tracks, notes = self._predict(path, name, working)
        except InputError as error:
            if is_passing(error):
                raise
            reason = str(error)
            working.end()
            return _unusable(path, name, reason if path in reason else f"{path}: {reason}")
        mark_done(self.job, name, path, frames, tracks)
        working.end()
        return outcome(path, name, frames, tracks, " | ".join(notes))

    def _predict(self, path: str, name: str, working: Working) -> tuple[int, int, list[str]]:
        job, notes = self.job, list[str]()
        clip = open_clip(path, name, job.frame_step, job.keep_readable, notes.append)
        working.say(0, clip.video.length)
        last = time.monotonic()

        def on_frames(count: int) -> None:
            nonlocal last
            if time.monotonic() - last > _PATIENCE:
                last = time.monotonic()
                working.say(count, clip.video.length)

        instances, backward = look_at(
            clip,
            self.detector,
            self.provider,
            on_frames,
            short_side=self.detector.short_side if job.short_side < 0 else job.short_side,
            score_threshold=job.score,
            detections=job.detections,
            classes=job.classes,
        )
        tracks = track_video(
            instances, backward, method=job.method, min_score=job.score, max_tracks=job.max_tracks
        )
        tracks = [track for track in tracks if track.score >= job.min_score]
        write_video_results(job.place(name), clip, tracks, categories_of(self.detector.class_names))
        return len(instances), len(tracks), notes


def write_video_results(
    place: Path, clip: Clip, tracks: list[Track], categories: Categories
) -> None:
    """The results and the listing of one video, as YouTube-VIS has them for many."""
    video = clip.video
    tracked = TrackedVideo(
        1, video.id, video.height, video.width, video.length, tuple(tracks), file=clip.path
    )
    listing = {"videos": [tracked.entry()], "categories": categories.entries()}
    write_results(str(place / "results.json"), results_of(1, tracks, categories.ids))
    write_text(place / "videos.json", json.dumps(listing, indent=1) + "\n")


def draw_film(row: dict[str, Any], job: PredictJob) -> dict[str, Any]:
    """The film of a video from its stored tracks, for a row whose video has been looked at."""
    path, name = str(row["path"]), str(row["name"])
    film = job.film_of(name)
    if row["status"] != "done" or job.film == "none" or film.is_file():
        return row
    limit_threads(1)
    place = job.place(name)
    try:
        videos, categories = stored_tracks(place / "results.json", place / "videos.json")
        (video,) = videos
        clip = open_clip(path, name, job.frame_step, job.keep_readable)
        frames = track_film(
            iterate_frames(clip.video), video.tracks, categories.names, min_score=job.drawn_score
        )
        write_film(film, frames, fps=clip.fps)
    except InputError as error:
        if is_passing(error):
            raise
        reason = str(error)
        return _unusable(path, name, reason if path in reason else f"{path}: {reason}")
    return row


def outcome(path: str, name: str, frames: int, tracks: int, notes: str = "") -> dict[str, Any]:
    """The row of a video whose results are complete."""
    return {
        "path": path,
        "name": name,
        "status": "done",
        "detail": notes,
        "frames": frames,
        "tracks": tracks,
    }


def _unusable(path: str, name: str, reason: str) -> dict[str, Any]:
    return {**outcome(path, name, 0, 0, reason), "status": "unusable"}
