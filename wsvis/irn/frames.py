"""Training frames of IRN behind one index: picture, IR labels and flow, read when asked for.

T frames, H W pixels, h w cells of the stride-4 grid. Flow is (u = x, v = y).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from wsvis.data.frame_sequence import FrameSequence
from wsvis.flow.field import area_mean, frame_flow
from wsvis.flow.stages import decoded_flow
from wsvis.irn.batches import IrnSample
from wsvis.irn.network import GRID
from wsvis.payload import Payload
from wsvis.types import Video

CACHE_BYTES = 1 << 30
"""Labels (compressed) and flow of the videos visited last; frames have a cache of their own."""


@dataclass(frozen=True)
class _Video:
    """What is kept of one video."""

    labels: list[np.ndarray]
    """One PNG per frame."""
    flow: np.ndarray | None

    @property
    def nbytes(self) -> int:
        flow = 0 if self.flow is None else self.flow.nbytes
        return flow + sum(png.nbytes for png in self.labels)


class IrnFrames(Sequence[IrnSample]):
    """Index -> sample, video after video.

    Args:
        videos: in the order of the index.
        labels: video id -> payload of :func:`labels_to_payload`.
        flow: video id -> payload of the flow stage; ``None`` where training needs none.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        labels: Callable[[str], Payload],
        flow: Callable[[str], Payload] | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.frames = FrameSequence(videos)
        self.labels, self.flow, self.cache_bytes = labels, flow, cache_bytes
        self._kept: OrderedDict[str, _Video] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> IrnSample:  # pyright: ignore
        """One frame with all that is known of it."""
        number, frame = self.frames.where[index]
        kept = self._video(self.frames.videos[number])
        return IrnSample(
            frame=self.frames[index],
            labels=_decoded(kept.labels[frame]),
            flow=None if kept.flow is None else kept.flow[frame].astype(np.float32),
        )

    def _video(self, video: Video) -> _Video:
        if video.id in self._kept:
            self._kept.move_to_end(video.id)
            return self._kept[video.id]
        flow = None if self.flow is None else _grid_flow(self.flow(video.id), video)
        loaded = _Video(_pngs(self.labels(video.id)), flow)
        self._kept[video.id] = loaded
        self._bytes += loaded.nbytes
        while self._bytes > self.cache_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return loaded


def labels_to_payload(labels: UInt8[np.ndarray, "T H W"]) -> Payload:
    """Label maps of one video, one PNG per frame."""
    pngs = [cv2.imencode(".png", single)[1].ravel() for single in labels]
    return Payload(
        {
            "png": np.concatenate(pngs or [np.zeros(0, np.uint8)]),
            "offsets": np.cumsum([0, *map(len, pngs)], dtype=np.int64),
        }
    )


def flow_per_frame(payload: Payload, length: int) -> Float32[np.ndarray, "T h w 2"]:
    """Flow of every frame of a video to the next, not a number for frames in no pair.

    Args:
        payload: of the flow stage.
        length: frames of the video.
    """
    forward, backward = decoded_flow(payload)
    chained = payload.data["chained"]
    fields = frame_flow(forward, backward, length, chained)
    # frame_flow says zero where nothing is known; Eq. 3 must not take that for "nothing moves"
    pairs = len(forward)
    fields[pairs : length - pairs if chained else length] = np.nan
    return fields


def _grid_flow(payload: Payload, video: Video) -> np.ndarray:
    fields = flow_per_frame(payload, video.length)
    stride = max(round(GRID * fields.shape[2] / video.width), 1)
    return np.stack([area_mean(field, stride) for field in fields]).astype(np.float16)


def _pngs(payload: Payload) -> list[np.ndarray]:
    ends = payload.arrays["offsets"]
    png = payload.arrays["png"]
    return [png[a:b] for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]


def _decoded(png: np.ndarray) -> UInt8[np.ndarray, "H W"]:
    return np.asarray(cv2.imdecode(png, cv2.IMREAD_GRAYSCALE))
