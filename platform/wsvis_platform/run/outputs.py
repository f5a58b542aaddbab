"""What ``wsvis run`` leaves of each video: a film, masks, tracks; and the files over all videos."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import ray
from jaxtyping import UInt8

from wsvis.config import Config
from wsvis.data.frames import iterate_frames
from wsvis.data.images import frame_rate
from wsvis.exports.coco import write_coco
from wsvis.exports.davis_masks import write_davis_masks
from wsvis.exports.tracked_video import Categories, TrackedVideo, categories_of
from wsvis.files.atomic import write_text
from wsvis.flow.field import regrid_flow
from wsvis.flow.stages import decoded_flow
from wsvis.formats.track_results import results_of, write_results
from wsvis.payload import payload_to_instances
from wsvis.tracking.stages import payload_to_tracks
from wsvis.tracking.track import track_video
from wsvis.types import Dataset, FrameFiles, Track, Video, VideoFile
from wsvis.viz.movies import write_film
from wsvis.viz.track_overlays import track_film
from wsvis_platform.run.steps import Step
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import StoreInputs

FRAMES_PER_SECOND = 10.0
"""Of films from frames that carry no rate."""
FILM_SIDE = 960
"""Pixels of the longer side of a film at most: VP9 codes ten frames of 854 x 480 in a second."""


@dataclass(frozen=True)
class OutputPlan:
    """How the outputs of every video are made."""

    config: Config
    step: Step
    """Whose result is shown."""
    keys: Mapping[str, str]
    store: str
    out: Path
    class_names: tuple[str, ...]
    film: str
    """webm, mp4, gif or none."""
    drawn_score: float


def write_outputs(
    plan: OutputPlan, dataset: Dataset, on_video: Callable[[int, int], None]
) -> list[TrackedVideo]:
    """Films, masks and tracks of every video that has a result, over all workers; then the files.

    Args:
        plan: what to make, and of what.
        dataset: the videos.
        on_video: called with (videos done, videos in all).

    Raises:
        InputError: a file cannot be written.
    """
    store = Store(plan.store)
    manifest = store.manifest(plan.step.stage, plan.keys[plan.step.stage])
    usable = [
        (number, video)
        for number, video in numbered(dataset)
        if manifest and video.id in manifest.items
    ]
    remote = ray.remote(num_cpus=1)(video_outputs)
    waiting = [remote.remote(plan, number, video) for number, video in usable]
    done: list[TrackedVideo] = []
    on_video(0, len(usable))
    while waiting:
        ready, waiting = ray.wait(waiting, timeout=1.0)
        done += ray.get(ready)
        on_video(len(done), len(usable))
    done.sort(key=lambda video: video.number)
    write_files(plan.out, done, categories_of(dataset.classes, dataset.category_ids))
    return done


def numbered(dataset: Dataset) -> list[tuple[int, Video]]:
    """The videos with the ids that they carry in files: those of their own file, or 1, 2, ..."""
    own = [video.number for video in dataset.videos]
    numbers = own if all(own) else range(1, len(own) + 1)
    return list(zip(numbers, dataset.videos, strict=True))


def video_outputs(plan: OutputPlan, number: int, video: Video) -> TrackedVideo:
    """Film and masks of one video, written; its tracks."""
    tracks = _tracks(plan, video)
    source = video.source
    tracked = TrackedVideo(
        number,
        video.id,
        video.height,
        video.width,
        video.length,
        tuple(tracks),
        file=source.path if isinstance(source, VideoFile) else "",
        frame_names=_frame_names(video),
    )
    write_davis_masks(plan.out / "masks", tracked)
    if plan.film != "none":
        least = plan.drawn_score if plan.step.learnt_from else 0.0
        frames = track_film(iterate_frames(video), tracks, plan.class_names, min_score=least)
        place = plan.out / "films" / f"{video.id}.{plan.film}"
        write_film(place, map(_fitted, frames), fps=_rate(video))
    return tracked


def _fitted(frame: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """The frame, shrunk where it is too large for a film."""
    height, width = frame.shape[:2]
    scale = FILM_SIDE / max(height, width)
    if scale >= 1:
        return frame
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def _tracks(plan: OutputPlan, video: Video) -> list[Track]:
    """The stored tracks; those of masks and labels, which have none, are made here."""
    inputs = StoreInputs.of_keys(Store(plan.store), plan.keys)
    payload = inputs.video(plan.step.stage, video.id)
    assert payload is not None  # videos without it are not asked for
    if plan.step.name == "tracks":
        return payload_to_tracks(payload)
    flow = inputs.video("step_flow", video.id)
    backward = decoded_flow(flow)[1] if flow is not None else ()
    settings = plan.config.tracking
    return track_video(
        payload_to_instances(payload),
        [regrid_flow(field, video.height, video.width) for field in backward] or None,
        method=settings.method,
        class_mode=settings.class_mode,
        scoring=settings.scoring,
        min_score=0.0 if plan.step.name in ("masks", "labels") else settings.min_score,
        max_tracks=settings.max_tracks,
        max_overlap=settings.max_overlap,
        min_link_overlap=settings.min_link_overlap,
    )


def _frame_names(video: Video) -> tuple[str, ...]:
    """Frames as they are called in the data set's own folder of frames."""
    if not isinstance(video.source, FrameFiles):
        return ()
    return tuple(f"{Path(path).parent.name}/{Path(path).name}" for path in video.source.paths)


def _rate(video: Video) -> float:
    if isinstance(video.source, VideoFile):
        return max(frame_rate(video.source.path) / video.source.step, 1.0)
    return FRAMES_PER_SECOND


def write_files(out: Path, videos: Sequence[TrackedVideo], categories: Categories) -> None:
    """``results.json`` (YouTube-VIS), ``videos.json`` (what its ids mean) and ``coco.json``."""
    entries: list[dict[str, Any]] = []
    for video in videos:
        entries += results_of(video.number, video.tracks, categories.ids)
    write_results(str(out / "results.json"), entries)
    listed = {
        "videos": [video.entry() for video in videos],
        "categories": categories.entries(),
    }
    write_text(str(out / "videos.json"), json.dumps(listed, indent=1) + "\n")
    write_coco(out / "coco.json", videos, categories)
