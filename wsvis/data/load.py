"""From the configuration to the videos: the one door to every kind of data set."""

from __future__ import annotations

import dataclasses

from wsvis.data.config import DataConfig
from wsvis.data.fingerprint import dataset_fingerprint
from wsvis.data.outside import OnProblem, refuse
from wsvis.data.remarks import nothing_to_learn, remarks
from wsvis.data.select import (
    every_nth_frame,
    keep_used_classes,
    only_videos,
    without_invisible,
)
from wsvis.data.splits import check_split_fits, load_split, split_dataset
from wsvis.errors import InputError
from wsvis.types import Dataset, Video, VideoFile

GENERATED = "synthetic"
FIXED = (GENERATED, "cityscapes")
"""Kinds that come with their own split and classes."""


def load_dataset(config: DataConfig) -> Dataset:
    """The videos a configuration asks for, with their fingerprint.

    Classes that occur in no video are left out (before the split, so both sides number them alike).
    A file that turns out bad only when its frames are read does not stop anything here.

    Raises:
        InputError: path absent, file in another format, no labels at all, or no video left.
    """
    config = resolved(config)
    whole = read_dataset(config)
    if config.kind != GENERATED and (reason := nothing_to_learn(whole)):
        raise InputError(f"{config.path}: {reason}")
    chosen = whole if config.kind in FIXED else _one_side(keep_used_classes(whole), config)
    if config.videos:
        chosen = dataclasses.replace(chosen, videos=chosen.videos[: config.videos])
    if not chosen.videos:
        raise InputError(
            f"{config.path}: its split {config.split!r} holds no video, as no class has two; "
            "choose data.split all"
        )
    listed = len(whole.videos), sum(video.length for video in whole.videos)
    thinned = (every_nth_frame(video, step_of(video, config)) for video in chosen.videos)
    chosen = dataclasses.replace(
        chosen, videos=tuple(without_invisible(video) for video in thinned), listed=listed
    )
    if config.kind != GENERATED:
        notes = remarks(whole, split_by_class=config.kind not in FIXED)
        chosen = dataclasses.replace(chosen, remarks=notes)
    return dataclasses.replace(chosen, fingerprint=dataset_fingerprint(chosen, whole.fingerprint))


def step_of(video: Video, config: DataConfig) -> int:
    """Every how many frames of a video one is kept.

    Raises:
        InputError: a rate is set and the video is no video file, so that its frames have no times.
    """
    if not config.frames_per_second:
        return config.frame_step
    if not isinstance(video.source, VideoFile):
        raise InputError(
            f"data.frames_per_second is {config.frames_per_second:g}, but the frames of video "
            f"{video.id} have no times; set data.frame_step"
        )
    if video.problem:
        return 1
    from wsvis.data.images import frame_rate

    return max(1, round(frame_rate(video.source.path) / config.frames_per_second))


def resolved(config: DataConfig) -> DataConfig:
    """The same with its kind told from the path, where it is ``auto``.

    Raises:
        InputError: nothing that looks like a data set lies there, or the kind has no path.
    """
    if config.kind == GENERATED and config.path:
        raise InputError(
            f"data.path is {config.path}, but data.kind is synthetic, which reads no file; give "
            "--data.kind auto, or leave the path out"
        )
    if config.kind != "auto":
        return config
    if not config.path:
        return dataclasses.replace(config, kind=GENERATED)
    from wsvis.data.validate import guess_kind  # here: it reads data sets by this module

    return dataclasses.replace(config, kind=guess_kind(config.path))


def read_dataset(config: DataConfig, on_problem: OnProblem = refuse) -> Dataset:
    """Everything at ``config.path``, as listed: before classes, split or frames are chosen."""
    config = resolved(config)
    if config.kind == GENERATED:
        return _generated(config)
    if not config.path:
        raise InputError(f"data.path is empty; give the path of the {config.kind} data set")
    if config.kind == "ytvis":
        from wsvis.data.ytvis import read_ytvis

        return read_ytvis(config.path, config.frames, on_problem)
    if config.kind == "video-files":
        from wsvis.data.video_files import read_video_files

        return read_video_files(config.path, on_problem, config.keep_readable)
    if config.kind == "davis":
        from wsvis.data.davis import read_davis

        return read_davis(config.path, on_problem)
    from wsvis.data.cityscapes import read_cityscapes

    return read_cityscapes(config.path, config.split, on_problem)


def _one_side(dataset: Dataset, config: DataConfig) -> Dataset:
    if config.split == "all":
        return dataset
    if config.split_file:
        split = load_split(config.split_file)
        check_split_fits(split, dataset, config.split_file)
    else:
        split = split_dataset(dataset, config.held_out_per_class, config.split_seed)
    return only_videos(dataset, split.train if config.split == "train" else split.val)


def _generated(config: DataConfig) -> Dataset:
    from wsvis.data.synthetic import synthetic_dataset

    counts = {"train": config.synthetic_videos, "val": config.synthetic_videos // 3}
    if config.split != "all":
        length = counts[config.split]
        return synthetic_dataset(config.split, min(config.videos or length, length))
    sides = [synthetic_dataset(split, count) for split, count in counts.items()]
    return dataclasses.replace(
        sides[0],
        name="synthetic",
        videos=sides[0].videos + sides[1].videos,
        fingerprint="+".join(side.fingerprint for side in sides),
    )
