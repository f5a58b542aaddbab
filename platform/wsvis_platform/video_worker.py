"""One per-video stage at work: inputs from the store, one video, the result back into the store."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.payload import Payload
from wsvis.pipeline import BY_NAME
from wsvis.stage import Stage
from wsvis.types import Dataset, Video
from wsvis_platform.store import WHOLE, CorruptEntryError, Store


@dataclass(frozen=True)
class Task:
    """One video to compute under one configuration."""

    config: Config
    keys: Mapping[str, str]
    video: Video


@dataclass(frozen=True)
class Row:
    """What became of one video in one attempt."""

    video: str
    status: str
    """done, quarantined or corrupt."""
    detail: str = ""
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

    def run(self, video: Video) -> Row:
        """Compute and stage one video. Its failure is its own: the reason is kept, others go on."""
        if self.store.is_staged(self.stage.name, self.key, video.id):
            return Row(video.id, "done")  # by a worker that was killed before it could tell
        try:
            inputs: dict[str, Payload] = {}
            for name in self.video_inputs:
                payload = self.inputs.video(name, video.id)
                if payload is None:
                    raise InputError(f"{video.id}: has no {name}")
                inputs[name] = payload
            self.store.stage_item(self.stage.name, self.key, video.id, self.process(video, inputs))
            return Row(video.id, "done")
        except CorruptEntryError as error:
            return _corrupt(video, error)
        except OSError as error:
            if error.errno == 28:
                raise  # a full disk is nobody's video
            return self._quarantine(video, error)
        except Exception as error:
            return self._quarantine(video, error)

    def _quarantine(self, video: Video, error: Exception) -> Row:
        if isinstance(error, InputError):
            reason = str(error)
        else:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
            reason = f"{type(error).__name__}: {error} ({where})".replace("\n", " ")
        self.store.quarantine(self.stage.name, self.key, video.id, reason)
        return Row(video.id, "quarantined", reason)


def _corrupt(video: Video, error: CorruptEntryError) -> Row:
    return Row(video.id, "corrupt", error.reason, (error.stage, error.key, error.item))


class VideoWorkers:
    """Workers of one stage, set up when a configuration first comes by."""

    def __init__(self, stage: str, store: Store) -> None:
        self.stage, self.store = stage, store
        self.ready: dict[str, VideoWorker] = {}

    def run(self, task: Task) -> Row:
        """Compute and stage one video."""
        key = task.keys[self.stage]
        try:
            if key not in self.ready:
                self.ready[key] = VideoWorker(self.stage, task.config, self.store, task.keys)
        except CorruptEntryError as error:  # of a network
            return _corrupt(task.video, error)
        return self.ready[key].run(task.video)


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
