"""Whether what the store remembers is still true: reasons of videos, and what results rest on."""

from __future__ import annotations

from dataclasses import dataclass

from wsvis.data.fingerprint import video_fingerprint
from wsvis.plan import Step
from wsvis.types import Dataset, Video
from wsvis_platform.store.manifest import BAD_INPUT, DIED, NO_INPUT, Reason
from wsvis_platform.store.store import Manifest, Store
from wsvis_platform.store.video_worker import usable_videos


@dataclass(frozen=True)
class Outdated:
    """What of a complete entry has to be done again."""

    again: tuple[str, ...] = ()
    """Videos without a result whose reason is void."""
    entirely: bool = False
    """Every item: what it was made from lacked videos that can be used now, or the reverse."""

    def __bool__(self) -> bool:
        return self.entirely or bool(self.again)


def outdated(step: Step, manifest: Manifest, dataset: Dataset, store: Store) -> Outdated:
    """What of a complete entry is no longer true.

    Args:
        step: of the entry; its inputs are complete.
        manifest: of the entry.
        dataset: the videos.
        store: where the entry is.
    """
    recorded = manifest.origin.get("omitted")
    if recorded is not None and recorded != omitted(step, dataset, store):
        return Outdated(entirely=True)
    if not manifest.quarantined:
        return Outdated()
    usable = {video.id: video for video in usable_videos(step, dataset, store).videos}
    void = [v for v, reason in manifest.reasons().items() if not holds(reason, usable.get(v))]
    return Outdated(again=tuple(void))


def holds(reason: Reason, video: Video | None) -> bool:
    """Whether a recorded reason is true today.

    Args:
        reason: as recorded.
        video: the video, or ``None`` where a stage before has no result for it.
    """
    if video is None or reason.kind == NO_INPUT:
        return video is None
    if reason.kind == BAD_INPUT:
        return reason.fingerprint == video_fingerprint(video)
    # older programs did not tell: what they recorded may have been a passing fault
    return reason.kind == DIED


def omitted(step: Step, dataset: Dataset, store: Store) -> list[str]:
    """Videos that the results over the data set behind a step were made without.

    The key of a step says which videos there are, not which could be used. A network that was
    trained without a video is another one once the video can be used.
    """
    names: set[str] = set()
    for source in step.inputs.values():
        manifest = store.manifest(source.stage, source.key)
        names.update(manifest.origin.get("omitted", ()) if manifest else ())
    if step.definition().over_data:
        usable = {video.id for video in usable_videos(step, dataset, store).videos}
        names.update(video.id for video in dataset.videos if video.id not in usable)
    return sorted(names)
