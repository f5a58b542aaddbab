"""Training pairs of stored videos behind one index: frames, pseudo-labels, flow, read when asked.

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
from wsvis.systems.batches import PairSample, frame_pairs
from wsvis.types import FrameInstances, Video

CACHE_BYTES = 1 << 30
"""Labels and flow, both compressed, of the videos visited last; frames have their own cache."""
RLE_OVERHEAD = 300
"""Bytes of Python objects around each mask's text, about."""


@dataclass(frozen=True)
class _Video:
    """What is kept of one video."""

    labels: list[FrameInstances]
    flow: Payload

    @property
    def nbytes(self) -> int:
        masks = [rle for frame in self.labels for rle in frame.masks]
        return self.flow.nbytes + sum(len(rle["counts"]) + RLE_OVERHEAD for rle in masks)


class StoredPairs(Sequence[PairSample]):
    """Index -> pair (t, t + delta), video after video.

    Pairs without a label in either frame are left out: nothing could be learned from them, unless
    both are known to show no class and ``background`` asks for them.

    Args:
        videos: in the order of the index.
        labels: video id -> payload of the pseudo-labels.
        flow: video id -> payload of the flow between frames ``delta`` apart.
        delta: listed frames from one frame of a pair to the other.
        min_score: labels that score less are left out.
        background: take pairs without any class, spread evenly, at most as many as labelled ones.
        cache_bytes: labels and flow kept in memory; one video always is.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        labels: Callable[[str], Payload],
        flow: Callable[[str], Payload],
        *,
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
        self.where: list[tuple[int, int, int]] = []
        """Video, first frame, second frame of every pair."""
        empty: list[tuple[int, int, int]] = []
        for number, video in enumerate(videos):
            counts = [len(frame) for frame in self._labels(video)]
            for a, b in frame_pairs(video.length, delta):
                if counts[a] + counts[b]:
                    self.where.append((number, a, b))
                elif background and not video.labels[a] and not video.labels[b]:
                    empty.append((number, a, b))
        self.where = sorted(self.where + _evenly(empty, len(self.where)))

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, index: int) -> PairSample:  # pyright: ignore
        """One pair with all that is known of it."""
        number, a, b = self.where[index]
        begin = self._begin[number]
        video = self.frames.videos[number]
        kept = self._video(video)
        forward, backward = decoded_flow(kept.flow, slice(a, a + 1))
        return PairSample(
            frames=(self.frames[begin + a], self.frames[begin + b]),
            labels=(kept.labels[a], kept.labels[b]),
            flow=(forward[0], backward[0]),
            background=(
                self.background and not video.labels[a],
                self.background and not video.labels[b],
            ),
        )

    def _labels(self, video: Video) -> list[FrameInstances]:
        frames = payload_to_instances(self.labels(video.id))
        return [kept(frame, self.min_score) for frame in frames]

    def _video(self, video: Video) -> _Video:
        if video.id in self._kept:
            self._kept.move_to_end(video.id)
            return self._kept[video.id]
        loaded = _Video(self._labels(video), self.flow(video.id))
        self._kept[video.id] = loaded
        self._bytes += loaded.nbytes
        while self._bytes > self.cache_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return loaded


def _evenly(pairs: Sequence[tuple[int, int, int]], most: int) -> list[tuple[int, int, int]]:
    """At most so many of the pairs, spread over all of them."""
    count = min(len(pairs), most)
    return [pairs[n * len(pairs) // count] for n in range(count)]
