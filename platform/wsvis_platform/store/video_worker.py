"""One per-video stage at work: inputs from the store, one video, the result back into the store."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace

from wsvis.config import Config
from wsvis.data.fingerprint import video_fingerprint
from wsvis.errors import InputError
from wsvis.passing_faults import folder_is_away, is_passing, passing_fault
from wsvis.payload import Payload
from wsvis.pipeline import BY_NAME
from wsvis.stage import Stage
from wsvis.types import Dataset, Video
from wsvis_platform.store.manifest import BAD_INPUT
from wsvis_platform.store.store import WHOLE, CorruptEntryError, Store

MOST_DEATHS = 2
"""Processes that may die at a video before it is tried alone."""


@dataclass(frozen=True)
class Task:
    """One video to compute under one configuration."""

    config: Config
    keys: Mapping[str, str]
    video: Video
    folder: str = ""
    """That holds the data set's files; with it gone, no file of it is to blame."""


@dataclass(frozen=True)
class Row:
    """What became of one video in one attempt."""

    video: str
    status: str
    """done, quarantined, corrupt (an input), stopped (the machine failed, the run has to end), or
    suspect (processes died at it)."""
    detail: str = ""
    """The reason; of a suspect the key of its entry."""
    corrupt: tuple[str, str, str] | None = None
    """stage, key and item of the corrupt input."""


class StoreInputs:
    """Reads the stages before a stage from the store."""

    def __init__(self, store: Store, keys: Mapping[str, str]) -> None:
        self.store, self.keys = store, keys

    def whole(self, stage: str) -> Payload:
        """Result of a whole-data-set stage."""
        return self.store.read(stage, self.keys[stage], WHOLE)

    def video(self, stage: str, video_id: str) -> Payload | None:
        """Result of a per-video stage; ``None`` where that video is quarantined."""
        try:
            return self.store.read(stage, self.keys[stage], video_id)
        except KeyError:
            return None


class VideoWorker:
    """Runs one per-video stage: set up once (a network is loaded), then video after video."""

    def __init__(self, stage: str, config: Config, store: Store, keys: Mapping[str, str]) -> None:
        self.stage = BY_NAME[stage]
        self.store, self.key, self.inputs = store, keys[stage], StoreInputs(store, keys)
        assert self.stage.per_video is not None
        wholes = {n: self.inputs.whole(n) for n in self.stage.inputs if BY_NAME[n].whole}
        self.video_inputs = [n for n in self.stage.inputs if BY_NAME[n].per_video]
        self.process = self.stage.per_video(config, wholes)

    def compute(self, video: Video) -> Payload:
        """The stage's result for one video."""
        inputs: dict[str, Payload] = {}
        for name in self.video_inputs:
            payload = self.inputs.video(name, video.id)
            if payload is None:
                raise InputError(f"{video.id}: has no {name}")
            inputs[name] = payload
        return self.process(video, inputs)


class VideoWorkers:
    """Workers of one stage, set up when a configuration first comes by."""

    def __init__(self, stage: str, store: Store) -> None:
        self.stage, self.store = stage, store
        self.ready: dict[str, VideoWorker] = {}

    def run(self, task: Task, deaths_allowed: int = MOST_DEATHS - 1) -> Row:
        """Compute and stage one video. Its failure is its own: the reason is kept, others go on.

        Args:
            task: the video.
            deaths_allowed: processes that may have died at it; after more it is ``suspect`` and not
                touched here, so that no further process dies unwatched.
        """
        key, video = task.keys[self.stage], task.video
        staging = self.store.staging(self.stage, key)
        if staging.has(video.id):
            return Row(video.id, "done")  # by a worker that was killed before it could tell
        if staging.deaths(video.id) > deaths_allowed:
            return Row(video.id, "suspect", key)
        try:
            with staging.attempt(video.id):
                return self._attempt(task, key)
        except CorruptEntryError as error:
            return Row(video.id, "corrupt", error.reason, (error.stage, error.key, error.item))
        except Exception as error:
            if is_passing(error):
                return _stopped(self.stage, video, error)
            if isinstance(error, InputError):  # of the place where the reason is to be kept
                return Row(video.id, "stopped", str(error))
            raise

    def _attempt(self, task: Task, key: str) -> Row:
        video = task.video
        if key not in self.ready:
            try:
                self.ready[key] = VideoWorker(self.stage, task.config, self.store, task.keys)
            except InputError as error:  # of a network, which is no video's
                return Row(video.id, "stopped", str(error))
        try:
            payload = self.ready[key].compute(video)
        except CorruptEntryError:
            raise
        except Exception as error:
            if is_passing(error):
                return _stopped(self.stage, video, error)
            return self._set_aside(task, key, error)
        self.store.stage_item(self.stage, key, video.id, payload)
        return Row(video.id, "done")

    def _set_aside(self, task: Task, key: str, error: Exception) -> Row:
        """Record that the video is bad, unless its files cannot be reached: then nobody knows."""
        video = task.video
        if folder_is_away(task.folder):
            return Row(
                video.id,
                "stopped",
                f"{task.folder}: the folder of the data is gone or empty ({video.id} was being "
                "read); bring the disk back, or go to the folder where the command was run before, "
                "and run the same command again",
            )
        fingerprint = video_fingerprint(video)  # an error of the disk shows here at the latest
        reason = reason_text(error)
        self.store.quarantine(self.stage, key, video.id, reason, BAD_INPUT, fingerprint)
        return Row(video.id, "quarantined", reason)


def reason_text(error: Exception) -> str:
    """Why a video has no result: one line."""
    if isinstance(error, InputError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
    return f"{type(error).__name__}: {error} ({where})".replace("\n", " ")


def _stopped(stage: str, video: Video, error: Exception) -> Row:
    return Row(video.id, "stopped", str(passing_fault(f"{stage} of {video.id}", error)))


def usable_videos(stage: Stage, dataset: Dataset, store: Store, keys: Mapping[str, str]) -> Dataset:
    """The videos as the stage sees them, without those that a per-video input has quarantined."""
    dataset = stage.shown(dataset)
    have: set[str] | None = None
    for name in stage.inputs:
        manifest = store.manifest(name, keys[name])
        if BY_NAME[name].per_video and manifest:
            items = set(manifest.items)
            have = items if have is None else have & items
    if have is None:
        return dataset
    return replace(dataset, videos=tuple(v for v in dataset.videos if v.id in have))


def why_unusable(stage: Stage, video: str, store: Store, keys: Mapping[str, str]) -> str:
    """The reason why an earlier stage set the video aside."""
    for name in stage.inputs:
        manifest = store.manifest(name, keys[name])
        if manifest and video in manifest.quarantined:
            return manifest.quarantined[video]
    return "an earlier stage has no result for it"
