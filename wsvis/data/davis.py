"""DAVIS-style folders: frames in JPEGImages/<clip>, numbered masks in Annotations/<clip>.

The masks say which pixels are object 1, 2, ...; ``labels.csv`` beside the two folders says what the
objects are: clip, object, class. An empty object means every object of the clip. A clip without
masks is a clip whose frames all show the classes of its lines.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from wsvis.data.images import read_image
from wsvis.data.label_table import read_label_table, shown, whole_number
from wsvis.data.outside import (
    OnProblem,
    listed_names,
    refuse,
    require_folder,
    unique_ids,
)
from wsvis.errors import InputError
from wsvis.files.indexed_png import read_indexed_png
from wsvis.masks import encode_masks
from wsvis.types import Dataset, FrameFiles, Instance, Rle, Video

COLUMNS = ("clip", "object", "class")
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
VOID = 255
"""Palette entry for pixels that belong to nothing."""
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")
READERS = 8

Objects = dict[str, str]
"""Object number as text (empty: all of the clip) -> class."""


def read_davis(root: str, on_problem: OnProblem = refuse) -> Dataset:
    """The data set of a DAVIS-style folder.

    A clip whose masks cannot be read stays in the data set with its ``problem``.

    Raises:
        InputError: a folder or labels.csv is absent, or (through ``on_problem``) a line is wrong.
    """
    require_folder(root, "give the folder that holds JPEGImages with data.path")
    frames_root = _with_resolution(os.path.join(root, "JPEGImages"))
    masks_root = _with_resolution(os.path.join(root, "Annotations"))
    require_folder(frames_root, "frames must lie in JPEGImages/<clip>/")
    table = os.path.join(root, "labels.csv")
    if not os.path.isfile(table):
        raise InputError(
            f"{table}: there is no such file, and masks carry no class; write it with the columns "
            "clip,object,class (an empty object means all of the clip)"
        )
    clips = [
        clip for clip in listed_names(frames_root) if os.path.isdir(os.path.join(frames_root, clip))
    ]
    objects = _objects(table, set(clips), on_problem)
    classes = sorted({name for of_clip in objects.values() for name in of_clip.values()})
    ids = unique_ids(clips, [f"{n + 1:06d}" for n in range(len(clips))])

    def read(video_id: str, clip: str) -> Video:
        of_clip = objects.get(clip, {})
        folder = os.path.join(frames_root, clip)
        try:
            return _clip(video_id, folder, os.path.join(masks_root, clip), of_clip, classes, table)
        except InputError as error:
            paths = _frame_paths(folder)
            labels = ((),) * len(paths)
            return Video(video_id, 0, 0, labels, FrameFiles(paths), problem=str(error))

    with ThreadPoolExecutor(READERS) as pool:
        videos = tuple(pool.map(read, ids, clips))
    for clip, video in zip(clips, videos, strict=True):
        if video.instances is not None:
            shown = {"", *(str(instance.id) for instance in video.instances)}
            for number in sorted(set(objects[clip]) - shown):
                on_problem(
                    f"{table}: object {number} of {clip} ({objects[clip][number]}) has no pixel in "
                    "any mask; correct the number"
                )
    name = os.path.basename(os.path.abspath(root))
    return Dataset(name, tuple(classes), videos, "", frames_folder=frames_root)


def _with_resolution(folder: str) -> str:
    """DAVIS keeps its clips one folder deeper, by resolution."""
    deeper = [os.path.join(folder, name) for name in RESOLUTIONS]
    return next((path for path in deeper if os.path.isdir(path)), folder)


def _objects(table: str, clips: set[str], on_problem: OnProblem) -> dict[str, Objects]:
    objects: dict[str, Objects] = {clip: {} for clip in clips}
    for line, row in read_label_table(table, COLUMNS, on_problem):
        where, number = f"{table}: line {line}", row["object"]
        if whole_number(number):
            number = number.lstrip("0")  # 02 is object 2
        if row["clip"] not in clips:
            on_problem(
                f"{where}: there is no clip {shown(row['clip'])} in JPEGImages; correct the name"
            )
        elif not row["class"]:
            on_problem(f"{where}: has no class; name it, or remove the line")
        elif number and not whole_number(number):
            on_problem(f"{where}: object {shown(number)} is not a number from 1 on; correct it")
        elif number in objects[row["clip"]]:
            on_problem(f"{where}: object {number!r} of {row['clip']} has a class already; keep one")
        else:
            objects[row["clip"]][number] = row["class"]
    return objects


def _frame_paths(folder: str) -> tuple[str, ...]:
    names = [name for name in listed_names(folder) if name.lower().endswith(FRAME_SUFFIXES)]
    return tuple(os.path.join(folder, name) for name in names)


def _clip(
    video_id: str, frames: str, masks: str, objects: Objects, classes: list[str], table: str
) -> Video:
    paths = _frame_paths(frames)
    if not paths:
        raise InputError(f"{frames}: holds no frame; add frames or remove the folder")
    if not os.path.isdir(masks):
        height, width = read_image(paths[0]).shape[:2]
        present = tuple(sorted({classes.index(name) for name in objects.values()}))
        return Video(video_id, height, width, (present,) * len(paths), FrameFiles(paths))
    stems = [os.path.splitext(os.path.basename(path))[0] for path in paths]
    contents = [_objects_in(os.path.join(masks, f"{stem}.png")) for stem in stems]
    height, width = contents[0][0]
    odd = [stem for stem, (size, _) in zip(stems, contents, strict=True) if size != (height, width)]
    if odd:
        raise InputError(f"{masks}/{odd[0]}.png: differs in size from the clip's first mask")
    numbers = sorted({number for _, rles in contents for number in rles})
    names = {number: objects.get(str(number)) or objects.get("") for number in numbers}
    nameless = [number for number, name in names.items() if name is None]
    if nameless:
        raise InputError(f"{masks}: object {nameless[0]} has no class; add a line to {table}")
    instances = tuple(
        Instance(number, classes.index(name), tuple(rles.get(number) for _, rles in contents))
        for number, name in names.items()
        if name is not None
    )
    labels = tuple(
        tuple(sorted({i.label for i in instances if i.segmentations[t] is not None}))
        for t in range(len(paths))
    )
    return Video(video_id, height, width, labels, FrameFiles(paths), instances)


def _objects_in(path: str) -> tuple[tuple[int, int], dict[int, Rle]]:
    """(height, width) and the mask of each object in one PNG.

    A grey mask of 0 and 255 only is one object, as in DAVIS 2016; else 255 is void.
    """
    values, palette = read_indexed_png(path)
    numbers = np.unique(values)
    numbers = numbers[numbers > 0]
    if not palette and numbers.tolist() == [VOID]:
        values, numbers = np.minimum(values, 1), np.ones(1, dtype=np.int64)
    numbers = numbers[numbers != VOID]
    rles = encode_masks(values[None] == numbers[:, None, None])
    return (values.shape[0], values.shape[1]), dict(zip(numbers.tolist(), rles, strict=True))
