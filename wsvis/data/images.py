"""One image file or one video file to RGB frames, with every way it can be broken named.

Some versions of OpenCV decode a cut-off JPEG without a word and fill the rest with grey, and all
decode a damaged video without the frames they cannot read. Both would poison a training run
silently, so the end marker of an image and the number of decoded frames of a video are checked.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import Any

from wsvis.data.config import DataConfig

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our error names the file; libav's does not

import cv2
import numpy as np
from jaxtyping import UInt8

from wsvis.data.container_frames import listed_frames
from wsvis.errors import InputError
from wsvis.files.regular_file import open_regular, read_regular

MAX_FRAME_PIXELS = 1 << 26
"""8192 x 8192: a file of 100 KB may claim a picture that fills the memory."""
_HEIGHT = cv2.CAP_PROP_FRAME_HEIGHT
MAX_IMAGE_BYTES = 512 << 20
MAX_FRAMES = 1 << 20
"""A header may claim any number of frames; this many are ten hours of film."""
SLACK = 0.95
"""Share of the listed frames that must come: at a cut without encoding a few cannot be decoded."""


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


def _too_large(data: bytes) -> str | None:
    """Whether an image claims more pixels than a frame may have, asked before it is decoded."""
    width = height = 0
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
    elif data.startswith(b"\xff\xd8"):
        at = 2
        while at + 9 <= len(data) and data[at] == 0xFF:  # from segment to segment
            kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
            if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
                height, width = struct.unpack(">HH", data[at + 5 : at + 9])
                break
            at += 1 if kind == 0xFF else 2 + length
    if width * height > MAX_FRAME_PIXELS:
        return f"it claims {width}x{height} pixels, more than {MAX_FRAME_PIXELS}"
    return None


def read_image(path: str) -> UInt8[np.ndarray, "H W 3"]:
    """One RGB image.

    Raises:
        InputError: the file is absent, empty, cut off or no image.
    """
    data = read_regular(path, MAX_IMAGE_BYTES, "the frame is listed but absent; restore the file")
    fault = image_fault(data) or _too_large(data)
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


def probe_video(
    path: str,
    keep_readable: bool = DataConfig.keep_readable,
    on_note: Callable[[str], None] | None = None,
) -> tuple[int, int, int]:
    """(frames, height, width) of a video file.

    Where the file's tables and its header agree, that is the number; else what can be decoded is
    counted: an edit list hides frames, headers lie, and some containers list none.

    Args:
        path: the file.
        keep_readable: of a video that breaks off, keep what can be decoded.
        on_note: told, in one line, what was lost.

    Raises:
        InputError: the file is absent, no video or too large, or it breaks off.
    """
    capture = _open(path)
    announced = _whole(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    width, height = (_whole(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, _HEIGHT))
    if width * height > MAX_FRAME_PIXELS:
        raise InputError(
            f"{path}: claims frames of {width}x{height}, more than {MAX_FRAME_PIXELS} pixels; "
            "encode it smaller"
        )
    ok, first = capture.read()
    if not ok or first is None:
        raise InputError(f"{path}: holds no frame that can be decoded; encode the video again")
    listed = listed_frames(path)
    frames = announced
    if keep_readable or listed.cut_off or listed.shown is None or listed.shown != announced:
        frames = 1
        while frames <= MAX_FRAMES and capture.grab():
            frames += 1
        expected = listed.shown or 0
        if listed.cut_off and frames < announced <= MAX_FRAMES:
            expected = announced
        elif frames >= SLACK * expected - 2:
            expected = frames
        if frames < expected and not keep_readable:
            raise InputError(_cut_off(path, frames, expected))
        if frames < expected and on_note is not None:
            on_note(f"{path}: breaks off: {frames} of {expected} frames can be read and are used")
    capture.release()
    if frames > MAX_FRAMES:
        raise InputError(f"{path}: has more than {MAX_FRAMES} frames; cut it into parts")
    return frames, int(first.shape[0]), int(first.shape[1])


def _whole(value: float) -> int:
    """A number from a header, which may be anything."""
    return int(value) if 0 < value < 1 << 40 else 0


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
    open_regular(path, "the video is listed but absent; restore the file").close()
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
        f"{path}: only {decoded} of {announced} frames can be decoded: the video is damaged or "
        "cut off; copy or encode it again, or keep what can be read (--data.keep-readable; wsvis "
        "predict and wsvis data check: --keep-readable)"
    )
