"""Bring stages into the store: reuse what is there, compute what is not, once, whoever asks.

The order of events for one stage: its inputs first; then, if its entry is complete, nothing; else
the lease, a second look, and the missing items. A corrupt file is found when it is read, its entry
is reopened without it, and only that item is computed again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from wsvis.config import Config
from wsvis.data.fingerprint import data_folder
from wsvis.learning.share import Share
from wsvis.passing_faults import PassingFault, is_passing, passing_fault
from wsvis.payload import Payload
from wsvis.pipeline import BY_NAME
from wsvis.plan import Plan, Step, make_plan
from wsvis.types import Dataset, Report
from wsvis_platform.store.leases import lease
from wsvis_platform.store.lone_video import try_alone
from wsvis_platform.store.manifest import NO_INPUT
from wsvis_platform.store.still_true import holds, omitted, outdated
from wsvis_platform.store.store import WHOLE, CorruptEntryError, Store
from wsvis_platform.store.video_worker import (
    OnVideo,
    StoreInputs,
    Task,
    VideoOutcome,
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
        what = "1 result" if BY_NAME[self.stage].over_data else f"{self.items} videos"
        bad = f", {self.quarantined} quarantined" if self.quarantined else ""
        return f"{self.stage}: {self.status} {what}{bad} [{self.key[:8]}] {self.seconds:.1f} s"


Runner = Callable[[str, Sequence[Task], Store, OnVideo], None]
"""Stage name, what to do, store, and whom to tell about each finished video."""


Trainer = Callable[[Step, Dataset, Store, Report | None], None]
"""Trains the network of a step in its own way and leaves it staged in the store."""


def run_here(stage: str, tasks: Sequence[Task], store: Store, on_row: OnVideo) -> None:
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
    trainer: Trainer | None = None
    """How to train the networks that several workers can train; ``None``: in this process."""

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
            trained_on: networks are taken that were trained on these videos.

        Raises:
            InputError: not one video could be processed.
        """
        plan = make_plan(config, dataset, targets, trained_on)
        return plan.keys(), self.carry_out(plan)

    def carry_out(self, plan: Plan) -> list[Outcome]:
        """Every step of a plan, complete in the store; what it took, without networks at hand."""
        outcomes: list[Outcome] = []
        for network in plan.networks.values():
            last = network.steps[-1]
            if self.store.manifest(last.stage, last.key) is None:
                outcomes += self.carry_out(network)
        for step in plan.steps:
            outcomes.append(self.ensure_step(step, plan))
            if self.on_outcome:
                self.on_outcome(outcomes[-1])
        return outcomes

    def result(self, name: str, plan: Plan) -> Payload:
        """What a step over the whole data set gives; made again where its file is damaged."""
        step = plan.step(name)
        try:
            return self.store.read(step.stage, step.key)
        except CorruptEntryError as error:
            self._repair(error, plan)
            return self.store.read(step.stage, step.key)

    def ensure_step(self, step: Step, plan: Plan) -> Outcome:
        """One step, complete in the store; its inputs are."""
        started, repairs = time.perf_counter(), 0
        while True:
            try:
                status = self._complete(step, plan.dataset(step))
                break
            except CorruptEntryError as error:
                repairs += 1
                if repairs > 3:
                    raise
                self._repair(error, plan)
            except Exception as error:
                if isinstance(error, PassingFault) or not is_passing(error):
                    raise
                raise passing_fault(step.stage, error) from error
        manifest = self.store.manifest(step.stage, step.key)
        if manifest is None:
            raise CorruptEntryError(step.stage, step.key, WHOLE, "the entry vanished")
        seconds = time.perf_counter() - started
        items, aside = len(manifest.items), len(manifest.quarantined)
        return Outcome(step.stage, step.key, status, seconds, items, aside)

    def _complete(self, step: Step, dataset: Dataset) -> str:
        if self._is_complete(step, dataset):
            return "reused"
        with lease(self.store, step.key) as waited:
            if self._is_complete(step, dataset):
                return "waited" if waited else "reused"
            started = time.perf_counter()
            self._reopen_outdated(step, dataset)
            if step.definition().over_data:
                self._run_whole(step, dataset)
            else:
                self._run_tasks(step.stage, self._todo(step, dataset), len(dataset.videos))
            seconds = time.perf_counter() - started
            origin = step.origin(dataset)
            origin["omitted"] = omitted(step, dataset, self.store)
            self.store.commit(step.stage, step.key, origin, seconds)
        return "computed"

    def _is_complete(self, step: Step, dataset: Dataset) -> bool:
        manifest = self.store.manifest(step.stage, step.key)
        if manifest is None or not manifest.items:
            return False
        return not outdated(step, manifest, dataset, self.store)

    def _reopen_outdated(self, step: Step, dataset: Dataset) -> None:
        """Move an entry that is no longer true out of the way, or back into work."""
        manifest = self.store.manifest(step.stage, step.key)
        if manifest is None:
            return
        void = outdated(step, manifest, dataset, self.store)
        if void.entirely or not manifest.items:
            self.store.discard(step.stage, step.key)
        else:
            self.store.reopen(step.stage, step.key, again=void.again)

    def _run_whole(self, step: Step, dataset: Dataset) -> None:
        stage, without = step.definition(), omitted(step, dataset, self.store)
        if WHOLE in self.store.staged(step.stage, step.key, without):
            return  # by a run that was killed before it could complete the entry
        usable = usable_videos(step, dataset, self.store)
        settings, inputs = stage.view(step.config), StoreInputs(self.store, step.inputs)
        if stage.training is None:
            assert stage.whole is not None
            payload = stage.whole(settings, usable, inputs, self.report)
        elif self.trainer and stage.training.steps:
            self.trainer(step, usable, self.store, self.report)
            return
        else:
            payload = stage.training.train(settings, usable, inputs, Share(report=self.report))
        self.store.stage_item(step.stage, step.key, WHOLE, payload)

    def stage_together(self, steps: Sequence[Step], plan: Plan) -> None:
        """Compute the videos of several entries of one stage as one job, without completing them.

        Workers then start once for all of them; :meth:`ensure_step` finds every item there. The
        inputs must be complete.

        Args:
            steps: of one per-video stage.
            plan: that has them.
        """
        by_key = {step.key: step for step in steps}
        with contextlib.ExitStack() as held:
            tasks: list[Task] = []
            total = 0
            # always in one order: two drivers that ask for the same entries cannot block each other
            for key in sorted(by_key):
                held.enter_context(lease(self.store, key))
                step, dataset = by_key[key], plan.dataset(by_key[key])
                if not self._is_complete(step, dataset):
                    self._reopen_outdated(step, dataset)
                    total += len(dataset.videos)
                    tasks += self._todo(step, dataset)
            with contextlib.suppress(
                CorruptEntryError
            ):  # ensure_step() repairs what it meets again
                self._run_tasks(steps[0].stage, tasks, total)

    def _todo(self, step: Step, dataset: Dataset) -> list[Task]:
        """The videos still to do; those without input are set aside with the input's reason."""
        name, key = step.stage, step.key
        have = self.store.staged(name, key, omitted(step, dataset, self.store))
        usable = {video.id: video for video in usable_videos(step, dataset, self.store).videos}
        for video in dataset.videos:
            if video.id not in usable:
                reason = why_unusable(step, video.id, self.store)
                self.store.quarantine(name, key, video.id, reason, NO_INPUT)
        staging, folder = self.store.staging(name, key), data_folder(dataset)
        for video_id, reason in staging.reasons().items():
            video = usable.get(video_id)
            if holds(reason, video):
                usable.pop(video_id, None)
            else:
                staging.forget(video_id)
        return [
            Task(step, video, folder) for video_id, video in usable.items() if video_id not in have
        ]

    def _run_tasks(self, stage: str, tasks: Sequence[Task], total: int) -> None:
        done = total - len(tasks)
        corrupt: list[VideoOutcome] = []

        def on_row(row: VideoOutcome) -> None:
            nonlocal done
            done += 1
            if row.status == "stopped":
                raise PassingFault(row.detail)
            if row.corrupt:
                corrupt.append(row)
            if self.progress:
                self.progress(stage, done, total)

        if tasks:
            self.runner(stage, tasks, self.store, on_row)
        if corrupt:
            assert corrupt[0].corrupt is not None
            name, key, item = corrupt[0].corrupt
            raise CorruptEntryError(name, key, item, corrupt[0].detail)

    def _repair(self, error: CorruptEntryError, plan: Plan) -> None:
        with lease(self.store, error.key):
            if self.store.manifest(error.stage, error.key):
                bad = self.store.corrupt_items(error.stage, error.key)
                if bad:
                    self.store.reopen(error.stage, error.key, bad)
        if error.key in plan.networks:  # never on the videos at hand
            self.carry_out(plan.networks[error.key])
            return
        damaged = next((step for step in plan.steps if step.key == error.key), None)
        if damaged is None:
            raise error
        part = plan.until(damaged)
        for step in part.steps:
            self.ensure_step(step, part)
