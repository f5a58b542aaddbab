"""Bring stages into the store: reuse what is there, compute what is not, once, whoever asks.

The order of events for one stage: its inputs first; then, if its entry is complete, nothing; else
the lease, a second look, and the missing items. A corrupt file is found when it is read, its entry
is reopened without it, and only that item is computed again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsvis.config import Config
from wsvis.data.fingerprint import data_folder
from wsvis.passing_faults import PassingFault, is_passing, passing_fault
from wsvis.payload import Payload
from wsvis.pipeline import BY_NAME
from wsvis.seeds import stage_seed
from wsvis.settings import config_slice
from wsvis.stage import Stage
from wsvis.stage_keys import needed, stage_keys, trained_networks
from wsvis.types import Dataset, Report
from wsvis_platform.store.leases import lease
from wsvis_platform.store.lone_video import try_alone
from wsvis_platform.store.manifest import NO_INPUT
from wsvis_platform.store.still_true import holds, omitted, outdated
from wsvis_platform.store.store import WHOLE, CorruptEntryError, Store
from wsvis_platform.store.video_worker import (
    Row,
    StoreInputs,
    Task,
    VideoWorkers,
    usable_videos,
    why_unusable,
)

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


Runner = Callable[[str, Sequence[Task], Store, Callable[[Row], None]], None]
"""Stage name, what to do, store, and whom to tell about each finished video."""


Trainer = Callable[[Config, Dataset, Store, Mapping[str, str], Report | None], None]
"""Computes a whole-data-set stage in its own way and leaves it staged in the store."""


def run_here(
    stage: str, tasks: Sequence[Task], store: Store, on_row: Callable[[Row], None]
) -> None:
    """The plain runner: one video after another in this process."""
    workers = VideoWorkers(stage, store)
    suspects: list[Task] = []
    for task in tasks:
        # this process may be a whole trial: it does not die a second time at a video
        row = workers.run(task, deaths_allowed=0)
        if row.status == "suspect":
            suspects.append(task)
        else:
            on_row(row)
    for task in suspects:
        on_row(try_alone(stage, task, store))


@dataclass
class Materialiser:
    """Ensures stages in a store, with a way to run per-video work and somebody to tell."""

    store: Store
    runner: Runner = run_here
    progress: Progress | None = None
    report: Report | None = None
    on_outcome: Callable[[Outcome], None] | None = None
    trainers: Mapping[str, Trainer] = field(default_factory=dict)
    """Stage -> how to train it, where not in this process."""

    def ensure(
        self,
        config: Config,
        dataset: Dataset,
        targets: Iterable[str],
        trained_on: Dataset | None = None,
    ) -> tuple[dict[str, str], list[Outcome]]:
        """Keys of all stages the targets need, each complete in the store, and what it took.

        Args:
            config: the whole run's settings.
            dataset: the videos.
            targets: stages wanted.
            trained_on: networks are taken that were trained on these videos, and are complete.

        Raises:
            InputError: not one video could be processed.
        """
        targets = list(targets)
        given = trained_networks(config, targets, trained_on)
        keys = stage_keys(config, dataset, targets, given)
        outcomes: list[Outcome] = []
        for stage in needed(targets, given):
            outcomes.append(self._ensure_stage(stage, config, dataset, keys, trained_on))
            if self.on_outcome:
                self.on_outcome(outcomes[-1])
        return keys, outcomes

    def result(
        self,
        stage: str,
        keys: Mapping[str, str],
        config: Config,
        dataset: Dataset,
        trained_on: Dataset | None = None,
    ) -> Payload:
        """What an ensured whole-data-set stage gives; made again where its file is damaged."""
        try:
            return self.store.read(stage, keys[stage])
        except CorruptEntryError as error:
            self._repair(error, config, dataset, keys, trained_on)
            return self.store.read(stage, keys[stage])

    def _ensure_stage(
        self,
        stage: Stage,
        config: Config,
        dataset: Dataset,
        keys: Mapping[str, str],
        trained_on: Dataset | None,
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
                self._repair(error, config, dataset, keys, trained_on)
            except Exception as error:
                if isinstance(error, PassingFault) or not is_passing(error):
                    raise
                raise passing_fault(stage.name, error) from error
        manifest = self.store.manifest(stage.name, key)
        if manifest is None:
            raise CorruptEntryError(stage.name, key, WHOLE, "the entry vanished")
        seconds = time.perf_counter() - started
        return Outcome(
            stage.name, key, status, seconds, len(manifest.items), len(manifest.quarantined)
        )

    def _complete(
        self, stage: Stage, config: Config, dataset: Dataset, keys: Mapping[str, str]
    ) -> str:
        key = keys[stage.name]
        if self._is_complete(stage, dataset, keys):
            return "reused"
        with lease(self.store, key) as waited:
            if self._is_complete(stage, dataset, keys):
                return "waited" if waited else "reused"
            started = time.perf_counter()
            self._reopen_outdated(stage, dataset, keys)
            if stage.whole:
                self._run_whole(stage, config, dataset, keys)
            else:
                self._run_videos(stage, config, dataset, keys)
            seconds = time.perf_counter() - started
            origin = _origin(stage, config, dataset, keys)
            origin["omitted"] = omitted(stage, dataset, self.store, keys)
            self.store.commit(stage.name, key, origin, seconds)
        return "computed"

    def _is_complete(self, stage: Stage, dataset: Dataset, keys: Mapping[str, str]) -> bool:
        manifest = self.store.manifest(stage.name, keys[stage.name])
        if manifest is None or not manifest.items:
            return False
        return not outdated(stage, manifest, dataset, self.store, keys)

    def _reopen_outdated(self, stage: Stage, dataset: Dataset, keys: Mapping[str, str]) -> None:
        """Move an entry that is no longer true out of the way, or back into work."""
        name, key = stage.name, keys[stage.name]
        manifest = self.store.manifest(name, key)
        if manifest is None:
            return
        void = outdated(stage, manifest, dataset, self.store, keys)
        if void.entirely or not manifest.items:
            self.store.discard(name, key)
        else:
            self.store.reopen(name, key, again=void.again)

    def _run_whole(
        self, stage: Stage, config: Config, dataset: Dataset, keys: Mapping[str, str]
    ) -> None:
        assert stage.whole is not None
        without = omitted(stage, dataset, self.store, keys)
        if WHOLE in self.store.staged(stage.name, keys[stage.name], without):
            return  # by a run that was killed before it could complete the entry
        usable = usable_videos(stage, dataset, self.store, keys)
        if stage.name in self.trainers:
            self.trainers[stage.name](config, usable, self.store, keys, self.report)
            return
        payload = stage.whole(config, usable, StoreInputs(self.store, keys), self.report)
        self.store.stage_item(stage.name, keys[stage.name], WHOLE, payload)

    def _run_videos(
        self, stage: Stage, config: Config, dataset: Dataset, keys: Mapping[str, str]
    ) -> None:
        tasks = self._todo(stage, config, dataset, keys)
        self._run_tasks(stage, tasks, len(dataset.videos))

    def stage_together(
        self, name: str, runs: Sequence[tuple[Config, Dataset, Mapping[str, str]]]
    ) -> None:
        """Compute the videos of several entries of one stage as one job, without completing them.

        Workers then start once for all of them; :meth:`ensure` finds every item there. The inputs
        must be complete.

        Args:
            name: a per-video stage.
            runs: configuration, data and keys of each entry.
        """
        stage = BY_NAME[name]
        by_key = {keys[name]: (config, dataset, keys) for config, dataset, keys in runs}
        with contextlib.ExitStack() as held:
            tasks: list[Task] = []
            total = 0
            # always in one order: two drivers that ask for the same entries cannot block each other
            for key in sorted(by_key):
                held.enter_context(lease(self.store, key))
                config, dataset, keys = by_key[key]
                if not self._is_complete(stage, dataset, keys):
                    self._reopen_outdated(stage, dataset, keys)
                    total += len(dataset.videos)
                    tasks += self._todo(stage, config, dataset, keys)
            with contextlib.suppress(CorruptEntryError):  # ensure() repairs what it meets again
                self._run_tasks(stage, tasks, total)

    def _todo(
        self, stage: Stage, config: Config, dataset: Dataset, keys: Mapping[str, str]
    ) -> list[Task]:
        """The videos still to do; those without input are set aside with the input's reason."""
        name, key = stage.name, keys[stage.name]
        have = self.store.staged(name, key, omitted(stage, dataset, self.store, keys))
        usable = {
            video.id: video for video in usable_videos(stage, dataset, self.store, keys).videos
        }
        for video in dataset.videos:
            if video.id not in usable:
                reason = why_unusable(stage, video.id, self.store, keys)
                self.store.quarantine(name, key, video.id, reason, NO_INPUT)
        staging, folder = self.store.staging(name, key), data_folder(dataset)
        for video_id, reason in staging.reasons().items():
            video = usable.get(video_id)
            if holds(reason, video):
                usable.pop(video_id, None)
            else:
                staging.forget(video_id)
        return [
            Task(config, keys, video, folder)
            for video_id, video in usable.items()
            if video_id not in have
        ]

    def _run_tasks(self, stage: Stage, tasks: Sequence[Task], total: int) -> None:
        done = total - len(tasks)
        corrupt: list[Row] = []

        def on_row(row: Row) -> None:
            nonlocal done
            done += 1
            if row.status == "stopped":
                raise PassingFault(row.detail)
            if row.corrupt:
                corrupt.append(row)
            if self.progress:
                self.progress(stage.name, done, total)

        if tasks:
            self.runner(stage.name, tasks, self.store, on_row)
        if corrupt:
            assert corrupt[0].corrupt is not None
            name, key, item = corrupt[0].corrupt
            raise CorruptEntryError(name, key, item, corrupt[0].detail)

    def _repair(
        self,
        error: CorruptEntryError,
        config: Config,
        dataset: Dataset,
        keys: Mapping[str, str],
        trained_on: Dataset | None,
    ) -> None:
        with lease(self.store, error.key):
            if self.store.manifest(error.stage, error.key):
                bad = self.store.corrupt_items(error.stage, error.key)
                if bad:
                    self.store.reopen(error.stage, error.key, bad)
        if keys.get(error.stage) != error.key:
            raise error
        given = trained_networks(config, [error.stage], trained_on)
        if trained_on is not None and error.stage in given:
            self.ensure(config, trained_on, [error.stage])  # never on the videos at hand
            return
        for stage in needed([error.stage], given):
            self._ensure_stage(stage, config, dataset, keys, trained_on)


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
