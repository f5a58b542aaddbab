"""Pictures and films as files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from wsvis.errors import InputError

Frames = Iterable[UInt8[np.ndarray, "H W 3"]]
T = TypeVar("T")


def write_png(path: Path, picture: UInt8[np.ndarray, "H W 3"]) -> None:
    """An RGB picture as PNG."""
    _write_whole(path, lambda part: Image.fromarray(picture).save(part, format="PNG"))


def write_mp4(path: Path, frames: Frames, *, fps: float = 10.0) -> int:
    """RGB frames as MPEG-4 film; gives their number.

    MPEG-4 part 2 ("mp4v") is what OpenCV's wheels can always write; most players show it, most
    browsers do not (use a GIF there). Odd sides get one more row or column, a copy of the last.

    Raises:
        InputError: no frame at all, or the film cannot be written.
    """

    def write(part: Path) -> int:
        writer, count = None, 0
        try:
            for frame in frames:
                height, width = frame.shape[:2]
                even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                if writer is None:
                    code = cv2.VideoWriter.fourcc(*"mp4v")
                    name: Any = os.fsencode(part)  # OpenCV crashes at text that is no UTF-8
                    writer = cv2.VideoWriter(name, code, fps, (even.shape[1], even.shape[0]))
                    if not writer.isOpened():
                        raise InputError(f"{path}: this OpenCV cannot write MP4; ask for a GIF")
                writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
                count += 1
        finally:
            if writer is not None:
                writer.release()
        if not count:
            raise InputError(f"{path}: there is no frame to write")
        return count

    return _write_whole(path, write, suffix=".mp4")


def write_gif(path: Path, frames: Frames, *, fps: float = 10.0, width: int = 480) -> int:
    """RGB frames as an endless GIF; gives their number.

    Every frame has 256 colours of its own, without dithering, which would flicker.

    Args:
        path: the file.
        frames: all of one size.
        fps: frames per second; GIF counts in hundredths of a second.
        width: wider frames are shrunk to it.

    Raises:
        InputError: no frame at all.
    """
    pictures = []
    for frame in frames:
        if frame.shape[1] > width:
            height = max(1, round(frame.shape[0] * width / frame.shape[1]))
            frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        pictures.append(Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE))
    if not pictures:
        raise InputError(f"{path}: there is no frame to write")

    def write(part: Path) -> int:
        pictures[0].save(
            part,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=max(20, round(100 / fps) * 10),
            loop=0,
            optimize=False,
        )
        return len(pictures)

    return _write_whole(path, write)


def _write_whole(path: Path, write: Callable[[Path], T], *, suffix: str = ".part") -> T:
    part = path.with_name(f".{path.name}.{os.getpid()}{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        result = write(part)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another") from None
    finally:
        with contextlib.suppress(OSError):  # it was renamed, or never made
            part.unlink()
    return result
