"""Pictures and films as files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
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


def write_webm(path: Path, frames: Frames, *, fps: float = 10.0) -> int:
    """RGB frames as VP9 film in WebM, which every browser plays; gives their number.

    Odd sides get one more row or column, a copy of the last.

    Raises:
        InputError: no frame at all, or the film cannot be written.
    """
    return _write_video(path, frames, fps, "VP90", ".webm")


def write_mp4(path: Path, frames: Frames, *, fps: float = 10.0) -> int:
    """RGB frames as MPEG-4 film; gives their number.

    MPEG-4 part 2 ("mp4v") is what OpenCV's wheels can always write; most players show it, most
    browsers do not (:func:`write_webm` is for these). Odd sides get one more row or column, a copy
    of the last.

    Raises:
        InputError: no frame at all, or the film cannot be written.
    """
    return _write_video(path, frames, fps, "mp4v", ".mp4")


def _write_video(path: Path, frames: Frames, fps: float, codec: str, suffix: str) -> int:
    def write(part: Path) -> int:
        writer, count = None, 0
        try:
            for frame in frames:
                height, width = frame.shape[:2]
                even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                if writer is None:
                    name: Any = os.fsencode(part)  # OpenCV crashes at text that is no UTF-8
                    with _without_ffmpeg_lines():
                        writer = cv2.VideoWriter(
                            name,
                            cv2.VideoWriter.fourcc(*codec),
                            fps,
                            (even.shape[1], even.shape[0]),
                        )
                    if not writer.isOpened():
                        kind = suffix[1:].upper()
                        raise InputError(f"{path}: this OpenCV cannot write {kind}; ask for a GIF")
                writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
                count += 1
        finally:
            if writer is not None:
                writer.release()
        if not count:
            raise InputError(f"{path}: there is no frame to write")
        return count

    return _write_whole(path, write, suffix=suffix)


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


@contextlib.contextmanager
def _without_ffmpeg_lines() -> Iterator[None]:
    """OpenCV's FFmpeg prints that it does not know VP9's tag in WebM, then writes it well."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def write_film(path: Path, frames: Frames, *, fps: float = 10.0) -> int:
    """RGB frames as a film of the kind that the suffix says (.webm, .mp4, .gif); their number.

    Raises:
        InputError: no frame at all, or the film cannot be written.
    """
    writers = {".webm": write_webm, ".mp4": write_mp4, ".gif": write_gif}
    return writers[path.suffix](path, frames, fps=fps)


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
