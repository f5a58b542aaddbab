"""The nouns of the project: data sets, videos, masks of instances.

Shape legend used across wsvis: T frames, H W pixels, h w cells of a coarser grid, C classes,
N instances, P pixel pairs. Boxes are xyxy in pixels with exclusive right and bottom; labels inside
the library are 0..C-1, data-set ids appear only where files are read or written; masks are bool
[N, H, W] in memory and compressed RLE on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np

Report = Callable[[Mapping[str, float]], None]
"""Science loops call this with named numbers; who listens (terminal, Tune, MLflow) is not their
concern."""


class Rle(TypedDict):
    """Compressed run-length encoding, column-major, as in the COCO tools."""

    size: list[int]  # [height, width]
    counts: str


@dataclass(frozen=True)
class FrameFiles:
    """Frames as one image file each."""

    paths: tuple[str, ...]
    successors: tuple[str, ...] | None = None
    """For each frame the next raw frame, where the listed frames are a subsample of the video (flow
    is then taken to it); one fewer than ``paths`` where nothing follows the last frame; ``None``
    when the listed frames are consecutive."""


@dataclass(frozen=True)
class VideoFile:
    """Frames inside one video file, decoded in sequence."""

    path: str
    step: int = 1
    """Keep every ``step``-th decoded frame."""


@dataclass(frozen=True)
class SyntheticSource:
    """A clip that code renders from a seed."""

    split: str
    index: int
    generator: Mapping[str, float | int] = field(default_factory=dict)
    """Parameters of the generator that differ from its frozen defaults (size and length only)."""


@dataclass(frozen=True)
class Instance:
    """One annotated object of a video, through all its frames."""

    id: int
    label: int
    segmentations: tuple[Rle | None, ...]
    """One entry per frame; ``None`` where the object is absent."""
    is_crowd: bool = False


@dataclass(frozen=True)
class Video:
    """One video: where its frames are, which classes each frame shows, and its ground truth."""

    id: str
    """Unique in the data set and usable as a file name."""
    height: int
    width: int
    labels: tuple[tuple[int, ...], ...]
    """For each frame the sorted classes present: the only supervision the methods see."""
    source: FrameFiles | VideoFile | SyntheticSource
    instances: tuple[Instance, ...] | None = None
    """Ground truth for measuring; ``None`` where there is none."""
    problem: str = ""
    """Why this video cannot be used, where reading the list already told; reading its frames raises
    it, so that it is set aside like any video that turns out bad."""
    note: str = ""
    """What to say about a video that can be used, for instance that a part of it was lost."""

    number: int = 0
    """Its id in the file that lists it; 0: there is none."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Videos with one list of class names."""

    name: str
    classes: tuple[str, ...]
    videos: tuple[Video, ...]
    fingerprint: str
    """Hash of everything that could change a result: files' content, labels, class names."""
    category_ids: tuple[int, ...] = ()
    """The ids these classes carry in the source files (1..C when empty)."""
    frames_folder: str = ""
    """Folder that the names of frames are relative to, where frames are files."""
    listed: tuple[int, int] = (0, 0)
    """Videos and frames at the source, of which those used are a part; (0, 0): not known."""
    remarks: tuple[str, ...] = ()
    """Lines on what should be known before anything is trained on it."""


@dataclass(frozen=True)
class FrameInstances:
    """Instances found in one frame: predictions or pseudo-labels."""

    labels: np.ndarray
    """int64 [N], 0..C-1."""
    scores: np.ndarray
    """float32 [N]."""
    masks: tuple[Rle, ...]

    def __len__(self) -> int:
        return len(self.masks)


@dataclass(frozen=True)
class Track:
    """One object followed through a video: a prediction, scored as a whole."""

    id: int
    """Number in its video; the best track is 0."""
    label: int
    """0..C-1."""
    score: float
    segmentations: tuple[Rle | None, ...]
    """One entry per frame; ``None`` where the track has no mask."""
    frame_scores: tuple[float | None, ...]
    """Score of the detection behind each mask; ``None`` where there is none."""
