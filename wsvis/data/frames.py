"""Frames of a video as arrays, whatever holds them: image files, one video file, or a generator.

T frames, P pairs, H W pixels. Everything is uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from wsvis.data.images import decode_video, read_image
from wsvis.errors import InputError
from wsvis.types import FrameFiles, SyntheticSource, Video, VideoFile

MAX_BYTES = 16 << 30
"""No video may be decoded whole beyond this: it would take the machine down with it."""


def read_frames(video: Video) -> UInt8[np.ndarray, "T H W 3"]:
    """All listed frames of a video.

    Raises:
        InputError: a frame is absent, cut off or of another size; or the video is known to be bad.
    """
    if isinstance(video.source, SyntheticSource):
        return _rendered(video, video.source)
    return _stacked(video, video.length, iterate_frames(video))


def iterate_frames(video: Video) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The listed frames one after the other, for videos too long to hold in memory."""
    _refuse_known_bad(video)
    source = video.source
    if isinstance(source, FrameFiles):
        for path in source.paths:
            yield sized_frame(read_image(path), video, path)
    elif isinstance(source, VideoFile):
        step, last = source.step, (video.length - 1) * source.step
        for frame in decode_video(source.path, last + 1, lambda index: index % step == 0):
            yield sized_frame(frame, video, source.path)
    else:
        yield from _rendered(video, source)


def read_pairs(
    video: Video, gap: int = 1, *, raw: bool = True
) -> tuple[UInt8[np.ndarray, "P H W 3"], UInt8[np.ndarray, "P H W 3"]]:
    """Both ends of every frame pair: pair p begins at listed frame p.

    With ``gap`` 1 and a video whose listed frames are a subsample, a pair goes to the next *raw*
    frame, so the motion stays small; there are then T pairs (the last one of a video file goes
    back to the raw frame before it), or T - 1 where no image follows the last frame. Otherwise a
    pair goes ``gap`` *listed* frames on: max(T - gap, 0) pairs.

    Args:
        video: where the frames are.
        gap: frames between the two ends, >= 1.
        raw: ``False``: go to the listed frame even for gap 1 (both ends then have annotations).

    Raises:
        InputError: as ``read_frames``.
    """
    if gap < 1:
        raise ValueError(f"gap is {gap}; it must be at least 1")
    source = video.source
    if raw and gap == 1 and isinstance(source, FrameFiles) and source.successors is not None:
        first = read_frames(video)
        following = (sized_frame(read_image(path), video, path) for path in source.successors)
        second = _stacked(video, len(source.successors), following)
        return first[: len(second)], second
    if raw and gap == 1 and isinstance(source, VideoFile) and source.step > 1:
        return _video_file_pairs(video, source)
    frames = read_frames(video)
    return frames[:-gap], frames[gap:]


def _video_file_pairs(video: Video, source: VideoFile) -> tuple[np.ndarray, np.ndarray]:
    """Pairs to the next raw frame, in one pass.

    Whether a raw frame follows the last listed frame, the length does not tell, so its pair goes to
    the raw frame before it: as large a motion, the other way. A single frame has no pair.
    """
    step, last = source.step, (video.length - 1) * source.step
    _refuse_known_bad(video)
    count = video.length if last else 0
    first, second = _empty_stack(video, count), _empty_stack(video, count)
    indices = [index for index in range(last + 1) if index % step < 2 or index == last - 1]
    kept = frozenset(indices)
    decoded = decode_video(source.path, last + 1 if count else 0, kept.__contains__)
    for index, frame in zip(indices if count else (), decoded, strict=False):
        sized = sized_frame(frame, video, source.path)
        if index % step == 0:
            first[index // step] = sized
        if index == last - 1:
            second[-1] = sized
        if index % step == 1:
            second[index // step] = sized
    return first, second


def _rendered(video: Video, source: SyntheticSource) -> np.ndarray:
    from wsvis.data.synthetic import clip_frames  # only here: most data sets need no generator

    frames = clip_frames(source).copy()  # the original is shared and read-only
    if frames.shape != (video.length, video.height, video.width, 3):
        raise ValueError(f"{video.id}: the generator made {frames.shape}")
    return frames


def _refuse_known_bad(video: Video) -> None:
    if video.problem:
        raise InputError(video.problem)


def sized_frame(frame: np.ndarray, video: Video, where: str) -> np.ndarray:
    """The frame, if it has the size its video is listed with."""
    if frame.shape[:2] != (video.height, video.width):
        raise InputError(
            f"{where}: is {frame.shape[1]}x{frame.shape[0]} pixels, but its video is listed as "
            f"{video.width}x{video.height}; export the frame at that size or correct the list"
        )
    return frame


def _stacked(video: Video, count: int, frames: Iterator[np.ndarray]) -> np.ndarray:
    _refuse_known_bad(video)
    stack = _empty_stack(video, count)
    for index, frame in enumerate(frames):
        stack[index] = frame
    return stack


def _empty_stack(video: Video, count: int) -> np.ndarray:
    size = count * video.height * video.width * 3
    if size > MAX_BYTES:
        raise InputError(
            f"{video.id}: {count} frames of {video.width}x{video.height} need {size >> 30} GiB; "
            "cut the video into clips or set data.frame_step"
        )
    return np.empty((count, video.height, video.width, 3), dtype=np.uint8)
