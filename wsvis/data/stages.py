"""The first stage: can every frame of a video be read?"""

from __future__ import annotations

from collections.abc import Mapping

from wsvis.config import Config
from wsvis.data.frames import read_frames
from wsvis.payload import Payload
from wsvis.stage import Process
from wsvis.types import Video


def check_frames(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """Decode every frame once, so that a bad video is out before anything is trained on it."""

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        frames = read_frames(video)
        return Payload(data={"frames": len(frames), "size": [video.height, video.width]})

    return process
