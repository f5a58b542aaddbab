"""What is in a data set and everything that is wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from wsvis.data.config import DataConfig
from wsvis.data.frames import iterate_frames, sized_frame
from wsvis.data.images import read_image
from wsvis.data.load import read_dataset
from wsvis.data.outside import listed_names
from wsvis.data.remarks import nothing_to_learn, remarks
from wsvis.data.video_files import VIDEO_SUFFIXES
from wsvis.data.ytvis import INSIDE_FOLDER
from wsvis.errors import MAX_LINE, InputError, one_line
from wsvis.types import Dataset, FrameFiles, Video

READERS = 8
FileKind = Literal["ytvis", "video-files", "davis", "cityscapes"]


@dataclass(frozen=True)
class ClassCount:
    """How often a class occurs."""

    name: str
    videos: int
    frames: int
    instances: int


@dataclass(frozen=True)
class Findings:
    """What ``check_dataset`` found."""

    name: str
    kind: str
    videos: int = 0
    frames: int = 0
    unlabelled_frames: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """``640x360`` -> number of videos."""
    lengths: tuple[int, int] = (0, 0)
    """Frames of the shortest and of the longest video."""
    classes: tuple[ClassCount, ...] = ()
    unused: tuple[str, ...] = ()
    """Classes that no frame shows; they are left out when the data set is loaded."""
    masks: bool = False
    """Whether every video has ground truth."""
    problems: tuple[str, ...] = ()
    """One line each, naming the file and the cure."""
    notes: tuple[str, ...] = ()
    """One line each on what is not wrong, but should be known."""


def guess_kind(path: str) -> FileKind:
    """The kind of data set at a path, from what lies there.

    Raises:
        InputError: nothing is there, or nothing that looks like a data set.
    """
    if not os.path.exists(path):
        raise InputError(f"{path}: there is no such file or folder; check the path")
    if not os.path.isdir(path):
        if path.lower().endswith(VIDEO_SUFFIXES):
            raise InputError(
                f"{path}: is one video; give its folder, with a labels.csv that says what it shows"
            )
        return "ytvis"
    inside = listed_names(path)
    if "gtFine" in inside:
        return "cityscapes"
    if INSIDE_FOLDER in inside:
        return "ytvis"
    lists = [name for name in inside if name.lower().endswith(".json")]
    if "JPEGImages" in inside and lists and not {"Annotations", "labels.csv"} & set(inside):
        raise InputError(
            f"{path}: holds {len(lists)} JSON files beside JPEGImages and none is {INSIDE_FOLDER}; "
            f"give the path of the file itself, such as {os.path.join(path, lists[0])}"
        )
    if "JPEGImages" in inside:
        return "davis"
    if "labels.csv" in inside or any(name.lower().endswith(VIDEO_SUFFIXES) for name in inside):
        return "video-files"
    raise InputError(
        f"{path}: is not a data set: give a YouTube-VIS JSON, a folder of videos with labels.csv, "
        "or a folder with JPEGImages, Annotations and labels.csv"
    )


def check_dataset(
    config: DataConfig,
    decode: bool = True,
    on_video: Callable[[int, int], None] | None = None,
) -> Findings:
    """Read everything there is and gather what is wrong, instead of stopping at the first.

    Args:
        config: which data set; split, number of videos and frame step play no part.
        decode: decode every frame; ``False`` only asks whether the files are there.
        on_video: called with (videos done, videos in all).
    """
    problems: list[str] = []
    try:
        dataset = read_dataset(config, problems.append)
    except InputError as error:
        return Findings(config.path, config.kind, problems=(*problems, str(error)))
    examine = _unreadable_frames if decode else _absent_files
    with ThreadPoolExecutor(READERS) as pool:
        examined = pool.map(lambda video: list(examine(video)), dataset.videos)
        for done, of_video in enumerate(examined):
            problems += of_video
            if on_video is not None:
                on_video(done + 1, len(dataset.videos))
    reason = nothing_to_learn(dataset)
    if reason and not any(video.problem for video in dataset.videos):
        problems.append(f"{config.path}: {reason}")
    return _findings(dataset, config, problems)


def _findings(dataset: Dataset, config: DataConfig, problems: list[str]) -> Findings:
    good = [video for video in dataset.videos if not video.problem]
    in_videos: Counter[int] = Counter()
    in_frames: Counter[int] = Counter()
    for video in good:
        in_frames.update(label for labels in video.labels for label in labels)
        in_videos.update({label for labels in video.labels for label in labels})
    instances = Counter(i.label for video in good for i in video.instances or ())
    lengths = [video.length for video in good] or [0]
    return Findings(
        name=dataset.name,
        kind=config.kind,
        videos=len(dataset.videos),
        frames=sum(lengths),
        unlabelled_frames=sum(not labels for video in good for labels in video.labels),
        sizes=dict(Counter(f"{video.width}x{video.height}" for video in good).most_common()),
        lengths=(min(lengths), max(lengths)),
        classes=tuple(
            ClassCount(name, in_videos[label], in_frames[label], instances[label])
            for label, name in enumerate(dataset.classes)
            if in_frames[label]
        ),
        unused=tuple(name for n, name in enumerate(dataset.classes) if not in_frames[n]),
        masks=all(video.instances is not None for video in good),
        problems=tuple(one_line(problem, MAX_LINE - 20) for problem in problems),
        notes=() if nothing_to_learn(dataset) else remarks(dataset, config.kind != "cityscapes"),
    )


def _unreadable_frames(video: Video) -> Iterator[str]:
    if video.problem:
        yield video.problem
    elif isinstance(video.source, FrameFiles):
        for path in dict.fromkeys((*video.source.paths, *(video.source.successors or ()))):
            try:
                sized_frame(read_image(path), video, path)
            except InputError as error:
                yield str(error)
    else:
        try:
            for _ in iterate_frames(video):
                pass
        except InputError as error:
            yield str(error)


def _absent_files(video: Video) -> Iterator[str]:
    if video.problem:
        yield video.problem
    elif isinstance(video.source, FrameFiles):
        for path in video.source.paths:
            if not os.path.isfile(path):
                yield f"{path}: the frame is listed but absent; restore the file"
