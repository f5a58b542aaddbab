"""How many frames the tables of a video file list, read from the file itself.

A header may say anything, and an edit list (written when a clip is cut without encoding it again)
hides frames that the tables still list. MP4 and MOV: ISO/IEC 14496-12, boxes stsz, stts, ctts and
elst. AVI: the chunks in its movi lists; an empty chunk repeats the frame before and holds none.
Matroska and WebM list no frames; only whether the file ends early can be told.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsvis.files.regular_file import open_regular

_Bytes = io.BufferedReader | io.BytesIO
MAX_TABLES = 256 << 20
MAX_CHUNKS = 1 << 21
_SEGMENT = b"\x18\x53\x80\x67"


@dataclass(frozen=True)
class ListedFrames:
    """What the tables of a file say."""

    shown: int | None = None
    """Frames a player shows; ``None``: the file does not tell."""
    cut_off: bool = False
    """The file ends before what its tables describe."""


def listed_frames(path: str | Path) -> ListedFrames:
    """Frames listed by an MP4, MOV or AVI file; for others only whether the file is cut off.

    Raises:
        InputError: the file cannot be opened.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(12)
        try:
            if start[:4] == b"RIFF" and start[8:] == b"AVI ":
                return _avi(file, size)
            if start[:4] == b"\x1a\x45\xdf\xa3":
                return ListedFrames(cut_off=_matroska_is_cut(file, size))
            if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return _iso(file, size)
        except (struct.error, ValueError, IndexError, OverflowError, OSError):
            pass  # tables in disorder: what can be decoded decides
    return ListedFrames()


def _boxes(file: _Bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin, end) of each box in a part of the file; the end may lie beyond it."""
    for _ in range(MAX_CHUNKS):
        if begin + 8 > end:
            return
        file.seek(begin)
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            (length,), head = struct.unpack(">Q", file.read(8)), 16
        elif length == 0:
            length = end - begin
        if length < head:
            return
        yield kind, begin + head, begin + length
        begin += length


def _iso(file: _Bytes, size: int) -> ListedFrames:
    top = list(_boxes(file, 0, size))
    cut = any(kind in (b"mdat", b"moof") and end > size for kind, _, end in top)
    for kind, begin, end in top:
        if kind == b"moov" and min(end, size) - begin <= MAX_TABLES:
            file.seek(begin)
            moov = io.BytesIO(file.read(end - begin))
            length = end - begin
            header = _child(moov, 0, length, b"mvhd")
            scale = _scale(header) if header else 0
            for trak, first, last in _boxes(moov, 0, length):
                if trak == b"trak" and _is_video(moov, first, last):
                    return ListedFrames(_shown_samples(moov, first, last, scale, size), cut)
    return ListedFrames(cut_off=cut)


def _child(file: _Bytes, begin: int, end: int, *path: bytes) -> bytes | None:
    """Content of a box within boxes; ``None`` where there is none."""
    for kind, first, last in _boxes(file, begin, end):
        if kind == path[0] and len(path) == 1:
            file.seek(first)
            return file.read(min(last, end) - first)
        if kind == path[0]:
            return _child(file, first, min(last, end), *path[1:])
    return None


def _is_video(file: _Bytes, begin: int, end: int) -> bool:
    handler = _child(file, begin, end, b"mdia", b"hdlr")
    return handler is not None and handler[8:12] == b"vide"


def _scale(header: bytes) -> int:
    """Ticks per second in mvhd or mdhd."""
    return struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0]


def _shown_samples(file: _Bytes, begin: int, end: int, scale: int, size: int) -> int | None:
    """Samples whose time of presentation lies in an edit."""
    table = (b"mdia", b"minf", b"stbl")
    sizes = _child(file, begin, end, *table, b"stsz")
    media = _child(file, begin, end, b"mdia", b"mdhd")
    if sizes is None or media is None:
        return None
    same, count = struct.unpack_from(">II", sizes, 4)
    count = min(count, size // same if same else (len(sizes) - 12) // 4)
    if count == 0:
        return None  # the frames are listed in fragments
    edits = _edits(_child(file, begin, end, b"edts", b"elst"))
    if not edits:
        return count
    steps = _expanded(_child(file, begin, end, *table, b"stts"), count)
    times = np.concatenate([[0], np.cumsum(steps)[:-1]])
    offsets = _child(file, begin, end, *table, b"ctts")
    if offsets is not None:
        times = times + _expanded(offsets, count)
    shown = np.zeros(count, dtype=bool)
    for duration, start in edits:
        if start >= 0:
            lasts = duration * _scale(media) / scale if scale and duration else np.inf
            shown |= (times >= start) & (times < start + lasts)
    return int(shown.sum())


def _edits(content: bytes | None) -> list[tuple[int, int]]:
    """(duration in ticks of the film, first tick of the media) of each edit."""
    if content is None:
        return []
    (count,), wide = struct.unpack_from(">I", content, 4), content[0] == 1
    form, each = (">Qq4x", 20) if wide else (">Ii4x", 12)
    return [struct.unpack_from(form, content, 8 + each * n) for n in range(min(count, 10_000))]


def _expanded(content: bytes | None, count: int) -> np.ndarray:
    """The value of each of ``count`` samples in a table of (repeats, value)."""
    pairs = np.frombuffer((content or b"")[8:], dtype=">u4")
    pairs = pairs[: len(pairs) // 2 * 2].reshape(-1, 2)
    ends = np.minimum(np.cumsum(pairs[:, 0].astype(np.int64)), count)
    values = np.repeat(pairs[:, 1].astype(np.uint32).view(np.int32), np.diff(ends, prepend=0))
    return np.pad(values.astype(np.int64), (0, count - len(values)))


def _avi(file: _Bytes, size: int) -> ListedFrames:
    """Chunks of the first video stream that hold a frame."""
    shown, streams, video = 0, 0, b""
    for kind, begin, length in _riff_chunks(file, size):
        if kind == b"strh":
            file.seek(begin)
            if not video and file.read(4) == b"vids":
                video = b"%02d" % streams
            streams += 1
        elif video and kind[:2] == video and kind[2:] in (b"dc", b"db") and length:
            if begin + length > size:
                return ListedFrames(shown, cut_off=True)
            shown += 1
    return ListedFrames(shown or None, cut_off=_riff_is_cut(file, size))


def _riff_is_cut(file: _Bytes, size: int) -> bool:
    file.seek(4)
    return struct.unpack("<I", file.read(4))[0] + 8 > size


def _riff_chunks(file: _Bytes, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin, length) of the chunks, lists entered."""
    at = 0
    for _ in range(MAX_CHUNKS):
        if at + 8 > size:
            return
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind in (b"RIFF", b"LIST"):
            at += 12
            continue
        yield kind, at + 8, length
        at += 8 + length + length % 2
    raise ValueError("more chunks than can be counted")


def _matroska_is_cut(file: _Bytes, size: int) -> bool:
    """Whether the segment says that it is longer than the file."""
    file.seek(0)
    start = file.read(1 << 12)
    at = start.find(_SEGMENT)
    if at < 0:
        return False
    at += 4
    width = 9 - start[at].bit_length()
    length = int.from_bytes(start[at : at + width], "big") & ((1 << 7 * width) - 1)
    unknown = length == (1 << 7 * width) - 1
    return not unknown and at + width + length > size
