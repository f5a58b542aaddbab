"""One image file or one video file to RGB frames, with every way it can be broken named.

Some versions of OpenCV decode a cut-off JPEG without a word and fill the rest with grey, and all
decode a damaged video without the frames they cannot read. Both would poison a training run
silently, so the end marker of an image and the number of decoded frames of a video are checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our error names the file; libav's does not

import cv2
import numpy as np
from jaxtyping import UInt8

from wsvis.errors import InputError

EXACT_COUNT_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi")
"""Containers whose header lists every frame; others only give a duration."""
ESTIMATE_SLACK = 0.9
"""A duration times a frame rate may be wrong by this much before the file counts as cut off."""


def image_fault(data: bytes) -> str | None:
    """What is wrong with the bytes of an image file, or ``None``.

    A JPEG must have its end marker after its last start of scan (inside a scan the marker's two
    bytes cannot occur, and an embedded preview lies before it); a PNG must have its end chunk.
    """
    if not data:
        return "it is empty"
    if data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        return "the JPEG is cut off before its end"
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-4096:]:
        return "the PNG is cut off before its end"
    return None


def read_image(path: str) -> UInt8[np.ndarray, "H W 3"]:
    """One RGB image.

    Raises:
        InputError: the file is absent, empty, cut off or no image.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise InputError(f"{path}: the frame is listed but absent; restore the file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from None
    fault = image_fault(data)
    image = None
    if fault is None:
        try:
            image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:  # a size that OpenCV refuses
            image = None
        fault = "it is not an image that OpenCV reads" if image is None else None
    if image is None:
        raise InputError(f"{path}: {fault}; copy or export the frame again")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image))


def probe_video(path: str) -> tuple[int, int, int]:
    """(frames, height, width) of a video file.

    The frames are those the header lists, or, where the container only has a duration, those that
    can be decoded.

    Raises:
        InputError: the file is absent or no video, or is cut off.
    """
    capture = _open(path)
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    ok, first = capture.read()
    if not ok or first is None:
        raise InputError(f"{path}: holds no frame that can be decoded; encode the video again")
    if not path.lower().endswith(EXACT_COUNT_SUFFIXES):
        decoded = 1
        while capture.grab():
            decoded += 1
        if decoded < ESTIMATE_SLACK * announced - 1:
            raise InputError(_cut_off(path, decoded, announced))
        announced = decoded
    capture.release()
    return announced, int(first.shape[0]), int(first.shape[1])


def frame_rate(path: str, unknown: float = 10.0) -> float:
    """Frames per second of a video file; ``unknown`` where its header says nothing sensible.

    Raises:
        InputError: the file is absent or no video.
    """
    capture = _open(path)
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    return rate if 0.1 <= rate <= 240 else unknown


def decode_video(
    path: str, frames: int, keep: Callable[[int], bool]
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The frames with ``keep(index)`` among the first ``frames`` of a video, in sequence, RGB.

    Seeking is never used: in most codecs it lands on the wrong frame.

    Raises:
        InputError: the file is absent or no video, or ends before ``frames`` frames.
    """
    capture = _open(path)
    try:
        for index in range(frames):
            ok, image = capture.grab(), None
            if ok and keep(index):
                ok, image = capture.retrieve()
            if not ok:
                raise InputError(_cut_off(path, index, frames))
            if image is not None:
                yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    finally:
        capture.release()


def _open(path: str) -> cv2.VideoCapture:
    if not os.path.isfile(path):
        raise InputError(f"{path}: the video is listed but absent; restore the file")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        # bytes: given a name that is no UTF-8 as text, OpenCV crashes
        name: Any = os.fsencode(path)
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise InputError(f"{path}: is not a video that can be decoded; copy or encode it again")
    return capture


def _cut_off(path: str, decoded: int, announced: int) -> str:
    return (
        f"{path}: only {decoded} of {announced} frames can be decoded: the video is damaged or cut "
        "off; copy or encode it again"
    )
