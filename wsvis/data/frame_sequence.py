"""All frames of many videos behind one index, decoded when asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from wsvis.data.frames import read_frames
from wsvis.data.images import read_image
from wsvis.types import FrameFiles, Video

CACHE_BYTES = 2 << 30
"""Decoded frames kept; training visits every frame once per epoch in random order."""


class FrameSequence(Sequence[np.ndarray]):
    """Index -> frame, uint8 [H, W, 3] RGB, video after video.

    Frames of image files are decoded one by one; those of a video file or a rendered clip come with
    their whole video, since seeking in a video file is not exact.
    """

    def __init__(self, videos: Sequence[Video], cache_bytes: int = CACHE_BYTES) -> None:
        self.videos = videos
        self.where = [(v, t) for v, video in enumerate(videos) for t in range(video.length)]
        self.cache_bytes = cache_bytes
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "H W 3"]:  # pyright: ignore
        """One frame."""
        v, t = self.where[index]
        source = self.videos[v].source
        single = isinstance(source, FrameFiles)
        key = (v, t if single else -1)
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            loaded = read_image(source.paths[t]) if single else read_frames(self.videos[v])
            self._keep(key, loaded)
            if key not in self._kept:
                return loaded if single else loaded[t]
        video_frames = self._kept[key]
        return video_frames if single else video_frames[t]

    def _keep(self, key: tuple[int, int], loaded: np.ndarray) -> None:
        if loaded.nbytes > self.cache_bytes:
            return
        self._kept[key] = loaded
        self._bytes += loaded.nbytes
        while self._bytes > self.cache_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes


def frame_labels(videos: Sequence[Video], classes: int) -> Bool[np.ndarray, "n C"]:
    """Which classes each frame shows, in the order of :class:`FrameSequence`."""
    rows = [labels for video in videos for labels in video.labels]
    table = np.zeros((len(rows), classes), dtype=bool)
    for row, labels in enumerate(rows):
        table[row, list(labels)] = True
    return table
