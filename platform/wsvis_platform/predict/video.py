"""A trained detector at work on the frames of a video file.

A video is decoded twice, once to be looked at and once to be drawn on, and is never in memory as a
whole: what is kept of a frame are its masks (RLE) and its compressed flow.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from wsvis.chosen_instances import subset
from wsvis.data.frames import iterate_frames
from wsvis.data.images import frame_rate, probe_video
from wsvis.data.outside import listed_names
from wsvis.data.video_files import VIDEO_SUFFIXES
from wsvis.device import default_device
from wsvis.errors import InputError
from wsvis.flow.codec import decode_flow, encode_flow
from wsvis.flow.field import regrid_flow
from wsvis.flow.provider import FlowProvider, prepare_frames
from wsvis.systems.checkpoint import detector_from_payload
from wsvis.systems.predict import predict_frames
from wsvis.types import FrameInstances, Video, VideoFile
from wsvis.weights_input import read_payload

CHUNK = 8
"""Frames in memory at a time."""
FLOW_STRIDE = 2
"""Pixels between the vectors kept."""


@dataclass(frozen=True)
class TrainedDetector:
    """A detector from a file, ready to look at frames."""

    model: Any
    class_names: tuple[str, ...]
    short_side: int
    """Pixels of the shorter side it was trained on; 0 = unknown."""


def read_detector(path: str) -> TrainedDetector:
    """The detector in a file as the ``system`` stage stores it.

    Raises:
        InputError: the file is absent, unreadable, or holds something else; one line.
    """
    payload = read_payload(path, "there is no such file; give a detector that was trained")
    model = detector_from_payload(payload, path)
    count, names = payload.data["classes"], payload.data.get("class_names")
    if not isinstance(names, list) or len(names) != count:
        names = [f"class {n + 1}" for n in range(count)]
    side = payload.data.get("short_side", 0)
    return TrainedDetector(
        model.to(default_device()),
        tuple(map(str, names)),
        side if isinstance(side, int) and 0 <= side <= 8192 else 0,
    )


def find_videos(places: Sequence[str]) -> list[str]:
    """The files named, and those with a video's suffix in the folders named, each once.

    Raises:
        InputError: a place does not exist, or a folder holds no video.
    """
    paths: list[str] = []
    for place in places:
        if os.path.isdir(place):
            names = [n for n in listed_names(place) if n.lower().endswith(VIDEO_SUFFIXES)]
            if not names:
                raise InputError(
                    f"{place}: holds no video ({', '.join(VIDEO_SUFFIXES)}); give another folder"
                )
            paths += [os.path.join(place, name) for name in names]
        elif os.path.exists(place):
            paths.append(place)
        else:
            raise InputError(f"{place}: there is no such file or folder; check --videos")
    if not paths:
        raise InputError("--videos is empty; give a folder or files")
    return list({os.path.realpath(path): path for path in paths}.values())


def film_names(paths: Sequence[str]) -> list[str]:
    """The files' names without suffix, told apart by a number where several are alike."""
    names: list[str] = []
    taken: set[str] = set()
    for path in paths:
        stem = os.path.splitext(os.path.basename(path))[0]
        stem = re.sub(r"[^\w. -]", "_", stem).lstrip(". -") or "video"
        name, number = stem, 1
        while name.lower() in taken:  # some file systems know no case
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        names.append(name)
    return names


@dataclass(frozen=True)
class Clip:
    """A video file that can be opened."""

    video: Video
    path: str
    fps: float
    """Of the frames that are looked at."""


def open_clip(
    path: str,
    name: str,
    frame_step: int,
    keep_readable: bool = False,
    on_note: Callable[[str], None] | None = None,
) -> Clip:
    """What opening a file tells.

    Args:
        path: the video file.
        name: what to call it.
        frame_step: look at every n-th frame.
        keep_readable: of a video that breaks off, take what can be read.
        on_note: called with one line about what was lost.

    Raises:
        InputError: it is no video, or cut off.
    """
    frames, height, width = probe_video(path, keep_readable, on_note)
    length = -(-frames // frame_step)
    return Clip(
        Video(name, height, width, ((),) * length, VideoFile(path, frame_step)),
        path,
        frame_rate(path) / frame_step,
    )


class BackwardFlow(Sequence[np.ndarray]):
    """F_{t+1 -> t} of every frame but the last, kept compressed, decoded when asked for."""

    def __init__(self, height: int, width: int) -> None:
        self.size = height, width
        self._parts: list[dict[str, np.ndarray]] = []
        self._where: list[tuple[int, int]] = []

    def add(self, fields: Float32[np.ndarray, "P H W 2"]) -> None:
        """The next fields, in order."""
        self._where += [(len(self._parts), pair) for pair in range(len(fields))]
        self._parts.append(encode_flow(fields, FLOW_STRIDE))

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, index: int) -> Float32[np.ndarray, "H W 2"]:  # pyright: ignore
        part, pair = self._where[index]
        return regrid_flow(decode_flow(self._parts[part], slice(pair, pair + 1))[0], *self.size)


def look_at(
    clip: Clip,
    detector: TrainedDetector,
    provider: FlowProvider | None,
    on_frames: Callable[[int], None],
    *,
    short_side: int,
    score_threshold: float,
    detections: int,
    classes: Sequence[str] = (),
) -> tuple[list[FrameInstances], BackwardFlow | None]:
    """Instances of every frame, and the flow back between the frames where a provider is given.

    Args:
        clip: the video.
        detector: the network.
        provider: of flow; ``None``: nothing moves.
        on_frames: called with the number of frames done, now and then.
        short_side: pixels the network reads; 0 = frames as they are.
        score_threshold: less is no detection.
        detections: most per frame.
        classes: names of those that are kept; empty: all.

    Raises:
        InputError: a frame cannot be decoded.
    """
    kept_labels = [n for n, name in enumerate(detector.class_names) if name in classes]
    instances: list[FrameInstances] = []
    flow = BackwardFlow(clip.video.height, clip.video.width) if provider else None
    before: list[np.ndarray] = []
    for frames in _chunks(iterate_frames(clip.video), CHUNK):
        predicted = predict_frames(
            detector.model,
            frames,
            short_side=short_side,
            score_threshold=score_threshold,
            detections=detections,
        )
        if classes:
            predicted = [
                subset(frame, np.flatnonzero(np.isin(frame.labels, kept_labels)).tolist())
                for frame in predicted
            ]
        instances += predicted
        if provider is not None and flow is not None:
            together = [*before, *frames]
            if len(together) > 1:
                seen = prepare_frames(np.stack(together), provider.gray)
                flow.add(provider.flow(seen[1:], seen[:-1]))
            before = frames[-1:]
        on_frames(len(instances))
    return instances, flow


def _chunks(frames: Iterator[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    while part := list(itertools.islice(frames, size)):
        yield part
