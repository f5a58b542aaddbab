"""One per-video stage at work: inputs from the store, one video, the result back into the store."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from wsvis.data.fingerprint import video_fingerprint
from wsvis.errors import InputError
from wsvis.passing_faults import folder_is_away, is_passing, passing_fault
from wsvis.payload import Payload
from wsvis.pipeline import BY_NAME
from wsvis.plan import TEACHER, Source, Step
from wsvis.types import Dataset, Video
from wsvis_platform.store.manifest import BAD_INPUT
from wsvis_platform.store.store import WHOLE, CorruptEntryError, Store

MOST_DEATHS = 2
"""Processes that may die at a video before it is tried alone."""


@dataclass(frozen=True)
class Task:
    """One video of a step."""

    step: Step
    video: Video
    folder: str = ""
    """That holds the data set's files; with it gone, no file of it is to blame."""


@dataclass(frozen=True)
class VideoOutcome:
    """What became of one video in one attempt."""

    video: str
    status: str
    """done, quarantined, corrupt (an input), stopped (the machine failed, the run has to end), or
    suspect (processes died at it)."""
    detail: str = ""
    """The reason; of a suspect the key of its entry."""
    corrupt: tuple[str, str, str] | None = None
    """stage, key and item of the corrupt input."""


OnVideo = Callable[[VideoOutcome], None]
"""Called with each finished video."""


class StoreInputs:
    """Reads the inputs of a step from the store, by role."""

    def __init__(self, store: Store, inputs: Mapping[str, Source]) -> None:
        self.store, self.inputs = store, inputs

    @classmethod
    def of_keys(cls, store: Store, keys: Mapping[str, str]) -> StoreInputs:
        """The results of a whole run, by the names of its steps (:meth:`wsvis.plan.Plan.keys`)."""
        return cls(store, {n: Source(n.removeprefix(TEACHER), key) for n, key in keys.items()})

    def whole(self, role: str) -> Payload:
        """Result of a whole-data-set stage."""
        source = self.inputs[role]
        return self.store.read(source.stage, source.key, WHOLE)

    def video(self, role: str, video_id: str) -> Payload | None:
        """Result of a per-video stage; ``None`` where that video is quarantined."""
        source = self.inputs[role]
        try:
            return self.store.read(source.stage, source.key, video_id)
        except KeyError:
            return None


class VideoWorker:
    """Runs one per-video stage: set up once (a network is loaded), then video after video."""

    def __init__(self, step: Step, store: Store) -> None:
        stage = step.definition()
        self.store, self.key, self.inputs = store, step.key, StoreInputs(store, step.inputs)
        assert stage.per_video is not None
        networks = [role for role, source in step.inputs.items() if over_data(source)]
        self.video_inputs = [role for role in step.inputs if role not in networks]
        wholes = {role: self.inputs.whole(role) for role in networks}
        self.process = stage.per_video(stage.view(step.config), wholes)

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

    def run(self, task: Task, deaths_allowed: int = MOST_DEATHS - 1) -> VideoOutcome:
        """Compute and stage one video. Its failure is its own: the reason is kept, others go on.

        Args:
            task: the video.
            deaths_allowed: processes that may have died at it; after more it is ``suspect`` and not
                touched here, so that no further process dies unwatched.
        """
        key, video = task.step.key, task.video
        staging = self.store.staging(self.stage, key)
        if staging.has(video.id):
            return VideoOutcome(
                video.id, "done"
            )  # by a worker that was killed before it could tell
        if staging.deaths(video.id) > deaths_allowed:
            return VideoOutcome(video.id, "suspect", key)
        try:
            with staging.attempt(video.id):
                return self._attempt(task, key)
        except CorruptEntryError as error:
            return VideoOutcome(
                video.id, "corrupt", error.reason, (error.stage, error.key, error.item)
            )
        except Exception as error:
            if is_passing(error):
                return _stopped(self.stage, video, error)
            if isinstance(error, InputError):  # of the place where the reason is to be kept
                return VideoOutcome(video.id, "stopped", str(error))
            raise

    def _attempt(self, task: Task, key: str) -> VideoOutcome:
        video = task.video
        if key not in self.ready:
            try:
                self.ready[key] = VideoWorker(task.step, self.store)
            except InputError as error:  # of a network, which is no video's
                return VideoOutcome(video.id, "stopped", str(error))
        try:
            payload = self.ready[key].compute(video)
        except CorruptEntryError:
            raise
        except Exception as error:
            if is_passing(error):
                return _stopped(self.stage, video, error)
            return self._set_aside(task, key, error)
        self.store.stage_item(self.stage, key, video.id, payload)
        return VideoOutcome(video.id, "done")

    def _set_aside(self, task: Task, key: str, error: Exception) -> VideoOutcome:
        """Record that the video is bad, unless its files cannot be reached: then nobody knows."""
        video = task.video
        if folder_is_away(task.folder):
            return VideoOutcome(
                video.id,
                "stopped",
                f"{task.folder}: the folder of the data is gone or empty ({video.id} was being "
                "read); bring the disk back, or go to the folder where the command was run before, "
                "and run the same command again",
            )
        fingerprint = video_fingerprint(video)  # an error of the disk shows here at the latest
        reason = reason_text(error)
        self.store.quarantine(self.stage, key, video.id, reason, BAD_INPUT, fingerprint)
        return VideoOutcome(video.id, "quarantined", reason)


def reason_text(error: Exception) -> str:
    """Why a video has no result: one line."""
    if isinstance(error, InputError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
    return f"{type(error).__name__}: {error} ({where})".replace("\n", " ")


def _stopped(stage: str, video: Video, error: Exception) -> VideoOutcome:
    return VideoOutcome(video.id, "stopped", str(passing_fault(f"{stage} of {video.id}", error)))


def over_data(source: Source) -> bool:
    """Whether an input is one result for the whole data set."""
    return BY_NAME[source.stage].over_data


def usable_videos(step: Step, dataset: Dataset, store: Store) -> Dataset:
    """The videos as a step sees them, without those that a per-video input has quarantined."""
    dataset = step.definition().shown(dataset)
    have: set[str] | None = None
    for source in step.inputs.values():
        manifest = store.manifest(source.stage, source.key)
        if not over_data(source) and manifest:
            items = set(manifest.items)
            have = items if have is None else have & items
    if have is None:
        return dataset
    return replace(dataset, videos=tuple(v for v in dataset.videos if v.id in have))


def why_unusable(step: Step, video: str, store: Store) -> str:
    """The reason why an earlier stage set the video aside."""
    for source in step.inputs.values():
        manifest = store.manifest(source.stage, source.key)
        if manifest and video in manifest.quarantined:
            return manifest.quarantined[video]
    return "an earlier stage has no result for it"
