"""Parts of a data set: every n-th frame, the classes that occur, some of the videos."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from wsvis.errors import InputError
from wsvis.types import Dataset, FrameFiles, Instance, Video, VideoFile


def used_classes(dataset: Dataset) -> set[int]:
    """Classes that some frame shows."""
    return {label for video in dataset.videos for labels in video.labels for label in labels}


def keep_used_classes(dataset: Dataset) -> Dataset:
    """Without the classes no frame shows; labels are numbered anew in the old order.

    A data set that shows none at all (frames without annotations) keeps its classes.
    """
    used = sorted(used_classes(dataset))
    if not used or len(used) == len(dataset.classes):
        return dataset
    new = {label: n for n, label in enumerate(used)}

    def renumbered(video: Video) -> Video:
        labels = tuple(tuple(new[label] for label in frame) for frame in video.labels)
        instances = video.instances and tuple(
            dataclasses.replace(instance, label=new[instance.label])
            for instance in video.instances
            if instance.label in new
        )
        return dataclasses.replace(video, labels=labels, instances=instances)

    return dataclasses.replace(
        dataset,
        classes=tuple(dataset.classes[label] for label in used),
        category_ids=tuple(dataset.category_ids[label] for label in used)
        if dataset.category_ids
        else tuple(label + 1 for label in used),
        videos=tuple(renumbered(video) for video in dataset.videos),
    )


def every_nth_frame(video: Video, step: int) -> Video:
    """The video with frames 0, step, 2 step, ...; the frames left out become successors.

    Raises:
        InputError: the video is generated and has no raw frames to leave out.
    """
    if step == 1:
        return video
    source = video.source
    if isinstance(source, FrameFiles):
        following = source.paths[1:] if source.successors is None else source.successors
        kept = source.paths[::step]
        source = FrameFiles(kept, following[::step])
    elif isinstance(source, VideoFile):
        source = dataclasses.replace(source, step=source.step * step)
    else:
        raise InputError(f"data.frame_step is {step}; generated clips only have step 1")
    return dataclasses.replace(
        video,
        labels=video.labels[::step],
        source=source,
        instances=None
        if video.instances is None
        else tuple(
            dataclasses.replace(instance, segmentations=instance.segmentations[::step])
            for instance in video.instances
        ),
    )


def without_invisible(video: Video) -> Video:
    """The video without instances that no frame shows."""
    if not video.instances or all(_visible(instance) for instance in video.instances):
        return video
    return dataclasses.replace(video, instances=tuple(filter(_visible, video.instances)))


def only_videos(dataset: Dataset, ids: Collection[str]) -> Dataset:
    """The data set with these videos, in its own order."""
    chosen = set(ids)
    return dataclasses.replace(
        dataset, videos=tuple(video for video in dataset.videos if video.id in chosen)
    )


def _visible(instance: Instance) -> bool:
    return any(rle is not None for rle in instance.segmentations)
