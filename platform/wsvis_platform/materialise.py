"""Bring stages into the store: reuse what is there, compute what is not, once, whoever asks.

The order of events for one stage: its inputs first; then, if its entry is complete, nothing; else
the lease, a second look, and the missing items. A corrupt file is found when it is read, its entry
is reopened without it, and only that item is computed again.
"""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wsvis.config import Config
from wsvis.config_checks import config_slice
from wsvis.errors import InputError
from wsvis.payload import Payload
from wsvis.pipeline import BY_NAME, needed, stage_keys
from wsvis.seeds import stage_seed
from wsvis.stage import Stage
from wsvis.types import Dataset, Report, Video
from wsvis_platform.leases import lease
from wsvis_platform.store import WHOLE, CorruptEntryError, Store

Progress = Callable[[str, int, int], None]
"""Stage name, videos done, videos in all."""


@dataclass(frozen=True)
class Outcome:
    """What happened to one stage."""

    stage: str
    key: str
    status: str
    """reused, computed, or waited (another process computed it meanwhile)."""
    seconds: float
    items: int
    quarantined: int

    def line(self) -> str:
        """One line for the log."""
        what = "1 result" if BY_NAME[self.stage].whole else f"{self.items} videos"
        bad = f", {self.quarantined} quarantined" if self.quarantined else ""
        return f"{self.stage}: {self.status} {what}{bad} [{self.key[:8]}] {self.seconds:.1f} s"


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
            return Row(video.id, "corrupt", str(error), (error.stage, error.key, error.item))
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


Runner = Callable[
    [str, Config, Sequence[Video], Store, Mapping[str, str], Callable[[Row], None]], None
]
"""Stage name, config, videos to do, store, keys, and whom to tell about each finished video."""


def run_here(
    stage: str,
    config: Config,
    videos: Sequence[Video],
    store: Store,
    keys: Mapping[str, str],
    told: Callable[[Row], None],
) -> None:
    """The plain runner: one video after another in this process."""
    worker = VideoWorker(stage, config, store, keys)
    for video in videos:
        told(worker.run(video))


@dataclass
class Materialiser:
    """Ensures stages in a store, with a way to run per-video work and somebody to tell."""

    store: Store
    runner: Runner = run_here
    progress: Progress | None = None
    report: Report | None = None
    told: Callable[[Outcome], None] | None = None

    def ensure(
        self,
        config: Config,
        dataset: Dataset,
        targets: Iterable[str],
        given: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, str], list[Outcome]]:
        """Keys of all stages the targets need, each complete in the store, and what it took.

        Args:
            config: the whole run's settings.
            dataset: the videos.
            targets: stages wanted.
            given: keys of stages taken as they are (a classifier trained on another split).

        Raises:
            InputError: not one video could be processed.
        """
        targets = list(targets)
        keys = stage_keys(config, dataset, targets, given)
        outcomes: list[Outcome] = []
        for stage in needed(targets, given or ()):
            outcomes.append(self._ensure_stage(stage, config, dataset, keys))
            if self.told:
                self.told(outcomes[-1])
        return keys, outcomes

    def _ensure_stage(
        self, stage: Stage, config: Config, dataset: Dataset, keys: Mapping[str, str]
    ) -> Outcome:
        key, started, repairs = keys[stage.name], time.perf_counter(), 0
        while True:
            try:
                status = self._complete(stage, config, dataset, keys)
                break
            except CorruptEntryError as error:
                repairs += 1
                if repairs > 3:
                    raise
                self._repair(error, config, dataset, keys)
        manifest = self.store.manifest(stage.name, key)
        assert manifest is not None
        if not manifest.items:
            reason = next(iter(manifest.quarantined.values()), "the data set has no video")
            raise InputError(f"no video is left after stage {stage.name!r}; first: {reason}")
        seconds = time.perf_counter() - started
        return Outcome(
            stage.name, key, status, seconds, len(manifest.items), len(manifest.quarantined)
        )

    def _complete(
        self, stage: Stage, config: Config, dataset: Dataset, keys: Mapping[str, str]
    ) -> str:
        key = keys[stage.name]
        if self.store.manifest(stage.name, key):
            return "reused"
        with lease(self.store, key) as waited:
            if self.store.manifest(stage.name, key):
                return "waited" if waited else "reused"
            started = time.perf_counter()
            if stage.whole:
                self._run_whole(stage, config, dataset, keys)
            else:
                self._run_videos(stage, config, dataset, keys)
            seconds = time.perf_counter() - started
            self.store.commit(stage.name, key, _origin(stage, config, dataset, keys), seconds)
        return "computed"

    def _run_whole(
        self, stage: Stage, config: Config, dataset: Dataset, keys: Mapping[str, str]
    ) -> None:
        assert stage.whole is not None
        usable = _usable(stage, dataset, self.store, keys)
        payload = stage.whole(config, usable, StoreInputs(self.store, keys), self.report)
        self.store.stage_item(stage.name, keys[stage.name], WHOLE, payload)

    def _run_videos(
        self, stage: Stage, config: Config, dataset: Dataset, keys: Mapping[str, str]
    ) -> None:
        key = keys[stage.name]
        have = self.store.staged(stage.name, key)
        usable = {video.id for video in _usable(stage, dataset, self.store, keys).videos}
        for video in dataset.videos:
            if video.id not in usable:
                reason = _why_unusable(stage, video.id, self.store, keys)
                self.store.quarantine(stage.name, key, video.id, reason)
        # annotations are for measuring only: the methods never see them
        todo = [
            replace(video, instances=None)
            for video in dataset.videos
            if video.id in usable and video.id not in have
        ]
        total, done = len(dataset.videos), len(dataset.videos) - len(todo)
        corrupt: list[Row] = []

        def told(row: Row) -> None:
            nonlocal done
            done += 1
            if row.corrupt:
                corrupt.append(row)
            if self.progress:
                self.progress(stage.name, done, total)

        if todo:
            self.runner(stage.name, config, todo, self.store, keys, told)
        if corrupt:
            assert corrupt[0].corrupt is not None
            name, key, item = corrupt[0].corrupt
            raise CorruptEntryError(name, key, item, corrupt[0].detail)

    def _repair(
        self, error: CorruptEntryError, config: Config, dataset: Dataset, keys: Mapping[str, str]
    ) -> None:
        with lease(self.store, error.key):
            if self.store.manifest(error.stage, error.key):
                bad = self.store.corrupt_items(error.stage, error.key)
                if bad:
                    self.store.reopen(error.stage, error.key, bad)
        if keys.get(error.stage) != error.key:
            raise error
        for stage in needed([error.stage]):
            if stage.name in keys:
                self._ensure_stage(stage, config, dataset, keys)


def _usable(stage: Stage, dataset: Dataset, store: Store, keys: Mapping[str, str]) -> Dataset:
    """The data set without the videos that a per-video input has quarantined."""
    have: set[str] | None = None
    for name in stage.inputs:
        manifest = store.manifest(name, keys[name])
        if BY_NAME[name].per_video and manifest:
            items = set(manifest.items)
            have = items if have is None else have & items
    if have is None:
        return dataset
    return dataclasses.replace(dataset, videos=tuple(v for v in dataset.videos if v.id in have))


def _why_unusable(stage: Stage, video: str, store: Store, keys: Mapping[str, str]) -> str:
    for name in stage.inputs:
        manifest = store.manifest(name, keys[name])
        if manifest and video in manifest.quarantined:
            return manifest.quarantined[video]
    return "an earlier stage has no result for it"


def _origin(
    stage: Stage, config: Config, dataset: Dataset, keys: Mapping[str, str]
) -> dict[str, Any]:
    origin: dict[str, Any] = {
        "settings": config_slice(config, stage.settings),
        "inputs": {name: keys[name] for name in stage.inputs},
        "data": dataset.fingerprint,
        "data_name": dataset.name,
        "stage_version": stage.version,
    }
    if stage.seeded:
        origin["seed"] = stage_seed(config.seed, stage.name)
    return origin
