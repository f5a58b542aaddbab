"""Training clips of stored videos behind one index: frames, labels, flow, read when asked.

T frames, H W pixels. Flow is (u = x, v = y), in pixels of the frame.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wsvis.chosen_instances import kept
from wsvis.data.frame_sequence import FrameSequence
from wsvis.flow.stages import decoded_flow
from wsvis.payload import Payload, payload_to_instances
from wsvis.systems.clips import ClipSample, frame_clips
from wsvis.types import FrameInstances, Video

CACHE_BYTES = 1 << 30
"""Labels and flow, both compressed, of the videos visited last; frames have their own cache."""
Place = tuple[int, tuple[int, ...]]
"""Number of a video, and of its frames."""
RLE_OVERHEAD = 300
"""Bytes of Python objects around each mask's text, about."""


@dataclass(frozen=True)
class _Video:
    """What is kept of one video."""

    labels: list[FrameInstances]
    flow: Payload | None

    @property
    def nbytes(self) -> int:
        masks = [rle for frame in self.labels for rle in frame.masks]
        flow = 0 if self.flow is None else self.flow.nbytes
        return flow + sum(len(rle["counts"]) + RLE_OVERHEAD for rle in masks)


class StoredClips(Sequence[ClipSample]):
    """Index -> clip (t, t + delta, ...), video after video.

    Clips without a label in any frame are left out: nothing could be learned from them, unless all
    are known to show no class and ``background`` asks for them.

    Args:
        videos: in the order of the index.
        labels: video id -> payload of the labels.
        flow: video id -> payload of the flow between frames ``delta`` apart; ``None``: clips come
            without.
        frames: of a clip.
        delta: listed frames from one frame of a clip to the next.
        min_score: labels that score less are left out.
        background: take clips without any class, spread evenly, at most as many as labelled ones.
        cache_bytes: labels and flow kept in memory; one video always is.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        labels: Callable[[str], Payload],
        flow: Callable[[str], Payload] | None,
        *,
        frames: int = 2,
        delta: int,
        min_score: float = 0.0,
        background: bool = False,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.frames = FrameSequence(videos)
        self.labels, self.flow = labels, flow
        self.min_score, self.cache_bytes = min_score, cache_bytes
        self.background = background
        self._begin = np.cumsum([0, *(video.length for video in videos)]).tolist()
        self._kept: OrderedDict[str, _Video] = OrderedDict()
        self._bytes = 0
        self.where: list[Place] = []
        """Video and frames of every clip."""
        empty: list[Place] = []
        for number, video in enumerate(videos):
            counts = [len(frame) for frame in self._labels(video)]
            for clip in frame_clips(video.length, frames, delta):
                if any(counts[t] for t in clip):
                    self.where.append((number, clip))
                elif background and not any(video.labels[t] for t in clip):
                    empty.append((number, clip))
        self.where = sorted(self.where + _evenly(empty, len(self.where)))

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, index: int) -> ClipSample:  # pyright: ignore
        """One clip with all that is known of it."""
        number, clip = self.where[index]
        begin = self._begin[number]
        video = self.frames.videos[number]
        kept = self._video(video)
        flow = []
        for t in clip[:-1] if kept.flow is not None else ():
            assert kept.flow is not None
            forward, backward = decoded_flow(kept.flow, slice(t, t + 1))
            flow.append((forward[0], backward[0]))
        return ClipSample(
            frames=tuple(self.frames[begin + t] for t in clip),
            labels=tuple(kept.labels[t] for t in clip),
            flow=tuple(flow),
            background=tuple(self.background and not video.labels[t] for t in clip),
        )

    def _labels(self, video: Video) -> list[FrameInstances]:
        frames = payload_to_instances(self.labels(video.id))
        return [kept(frame, self.min_score) for frame in frames]

    def _video(self, video: Video) -> _Video:
        if video.id in self._kept:
            self._kept.move_to_end(video.id)
            return self._kept[video.id]
        flow = self.flow(video.id) if self.flow else None
        loaded = _Video(self._labels(video), flow)
        self._kept[video.id] = loaded
        self._bytes += loaded.nbytes
        while self._bytes > self.cache_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return loaded


def _evenly(places: Sequence[Place], most: int) -> list[Place]:
    """At most so many of them, spread over all."""
    count = min(len(places), most)
    return [places[n * len(places) // count] for n in range(count)]
