"""What is odd about the labels of a data set that can be read: said before anything is trained."""

from __future__ import annotations

from collections import Counter

from wsvis.types import Dataset

NAMED = 5
"""Classes or videos named in one line; the rest are counted."""


def nothing_to_learn(dataset: Dataset) -> str:
    """Why no video of the data set can teach a class, or an empty text where some can."""
    sound = [video for video in dataset.videos if not video.problem]
    if any(labels for video in sound for labels in video.labels):
        return ""
    if dataset.videos and not sound:
        first = dataset.videos[0].problem
        return f"none of its {len(dataset.videos)} videos can be used; the first: {first}"
    return (
        "no frame shows any class, so that nothing can be learnt or measured; check its labels or "
        "annotations (masks of Cityscapes must hold ids, such as 26001, not train ids)"
    )


def remarks(dataset: Dataset, split_by_class: bool = True) -> tuple[str, ...]:
    """Lines on what was left out of videos, and on classes that cannot be held out or measured.

    Args:
        dataset: the whole, before any split.
        split_by_class: its validation videos are drawn class by class.
    """
    sound = [video for video in dataset.videos if not video.problem]
    lines = [video.note for video in sound if video.note]
    if len(lines) > NAMED:
        lines = [*lines[:NAMED], f"{len(lines) - NAMED} more videos are used in part"]
    instances = [i for video in sound for i in video.instances or ()]
    if instances and all(instance.is_crowd for instance in instances):
        lines.append("all objects are crowds, which no measure counts; check 'iscrowd'")
    videos = Counter(
        label for video in sound for label in {n for labels in video.labels for n in labels}
    )
    single = [name for n, name in enumerate(dataset.classes) if videos[n] == 1]
    if single and split_by_class:
        more = f" and {len(single) - NAMED} more" if len(single) > NAMED else ""
        lines.append(
            f"{len(single)} of {len(dataset.classes)} classes have one video, which stays in "
            f"training, so that none is held out: {', '.join(single[:NAMED])}{more}"
        )
    return tuple(lines)
