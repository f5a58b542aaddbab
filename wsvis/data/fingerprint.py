"""One hash of everything in a data set that could change a result.

Files count by their content, never by their path or date: a data set that was moved or copied is
the same one, a single changed pixel makes another.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wsvis.errors import InputError
from wsvis.files.regular_file import open_regular
from wsvis.passing_faults import is_passing, passing_fault
from wsvis.types import Dataset, FrameFiles, SyntheticSource, Video, VideoFile

FINGERPRINT_VERSION = 1
READERS = 8
"""Files hashed at once: hashing releases Python's lock, and network disks like several readers."""
ABSENT = "absent"


def dataset_fingerprint(dataset: Dataset, base: str = "") -> str:
    """Hash (hex) of classes, labels, ground truth and the content of every file.

    A file that cannot be read counts as absent: whether that matters is decided, per video, when
    its frames are read.

    Args:
        dataset: the data set; its own ``fingerprint`` is ignored.
        base: what else the frames depend on, such as the version of a generator.
    """
    files = sorted({path for video in dataset.videos for path in _files(video)})
    with ThreadPoolExecutor(READERS) as pool:
        digest_of = dict(zip(files, pool.map(file_digest, files), strict=True))
    whole = _Hash()
    whole.add([FINGERPRINT_VERSION, base, dataset.classes, dataset.category_ids])
    for video in dataset.videos:
        whole.add([video.id, video.height, video.width, video.labels, bool(video.problem)])
        whole.add(_source(video, [digest_of[path] for path in _files(video)]))
        for instance in video.instances or ():
            whole.add([instance.id, instance.label, instance.is_crowd])
            whole.add([rle and rle["counts"] for rle in instance.segmentations])
        whole.add(video.instances is None)
    return whole.hex()


def video_fingerprint(video: Video) -> str:
    """Hash (hex) of what one video is read from, as it is now: with the files it changes.

    Raises:
        PassingFault: a file cannot be read at the moment.
    """
    whole = _Hash()
    whole.add([FINGERPRINT_VERSION, video.height, video.width, video.length])
    whole.add(_source(video, [file_digest(path) for path in _files(video)]))
    return whole.hex()


def file_digest(path: str) -> str:
    """Hash (hex) of the whole content of a file; ``ABSENT`` where it cannot be read for good.

    Raises:
        PassingFault: it cannot be read at the moment; a disk does not answer, say.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, _blake2b).hexdigest()  # pyright: ignore
    except (OSError, InputError) as error:
        if is_passing(error):
            raise passing_fault(path, error) from None
        return ABSENT


def data_folder(dataset: Dataset) -> str:
    """The folder below which every file of the data set lies; empty where there is no file."""
    if dataset.frames_folder:
        return dataset.frames_folder
    folders = {os.path.dirname(path) for video in dataset.videos for path in _files(video)[:1]}
    return os.path.commonpath(folders) if folders else ""


class _Hash:
    """A running hash of JSON values, each ended by a line break so that none runs into the next."""

    def __init__(self) -> None:
        self._state = _blake2b()

    def add(self, value: Any) -> None:
        self._state.update(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def hex(self) -> str:
        return self._state.hexdigest()


def _blake2b() -> Any:
    return hashlib.blake2b(digest_size=32)


def _files(video: Video) -> Sequence[str]:
    source = video.source
    if isinstance(source, FrameFiles):
        return (*source.paths, *(source.successors or ()))
    return (source.path,) if isinstance(source, VideoFile) else ()


def _source(video: Video, digests: Iterable[str]) -> list[Any]:
    source = video.source
    if isinstance(source, FrameFiles):
        # Where one frame ends and its successors begin must show, though not what they are called.
        return ["frames", len(source.paths), source.successors is None, *digests]
    if isinstance(source, VideoFile):
        return ["file", source.step, *digests]
    assert isinstance(source, SyntheticSource)
    return ["synthetic", source.split, source.index, sorted(source.generator.items())]
