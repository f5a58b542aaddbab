"""YouTube-VIS JSON, as 2019, 2021 and OVIS use it, to a ``Dataset``.

The file lists videos with the names of their frames, categories, and annotations with one
segmentation (or null) per frame. The three forms of a segmentation all occur in the wild: polygons,
runs as a list, runs as compressed text.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wsvis.data.config import DataConfig
from wsvis.data.outside import (
    OnProblem,
    inside_folder,
    is_safe_relative,
    listed_names,
    refuse,
    require_folder,
    unique_ids,
)
from wsvis.errors import InputError, shown_value
from wsvis.files.json_input import field_of, is_unicode, read_json
from wsvis.masks import MAX_PIXELS, checked_rle, rle_areas, rles_are_sound
from wsvis.types import Dataset, FrameFiles, Instance, Rle, Video

INSIDE_FOLDER = "instances.json"
_NUMBERS = ("video_id", "category_id")


@dataclass(frozen=True)
class _Entry:
    """A video as the JSON lists it."""

    height: int
    width: int
    names: tuple[str, ...]


def read_ytvis(
    path: str, frames: str = DataConfig.frames, on_problem: OnProblem = refuse
) -> Dataset:
    """The data set a YouTube-VIS JSON describes, all its categories included, no fingerprint yet.

    Where the listed frames are every n-th of the frames in the folder, each frame's successor is
    found there (the paper annotates every 5th frame and takes flow to the next raw one).

    Args:
        path: the JSON file, or a folder that holds ``instances.json``.
        frames: folder that its file names are relative to; empty: ``JPEGImages`` beside it.
        on_problem: called with each thing that is wrong with the content.

    Raises:
        InputError: file or folder absent, or not YouTube-VIS.
    """
    if os.path.isdir(path):
        path = os.path.join(path, INSIDE_FOLDER)
    content = read_json(path)
    listed = {k: field_of(content, k, list) for k in ("videos", "categories")}
    if not listed["videos"] or not listed["categories"]:
        raise InputError(
            f"{path}: is not YouTube-VIS: it needs filled lists 'videos' and 'categories' (and "
            "'annotations' for training); export it in that format"
        )
    folder = frames or os.path.join(os.path.dirname(path), "JPEGImages")
    require_folder(
        folder, "give the folder of the frames with --data.frames (wsvis data check: --frames)"
    )
    labels = _categories(listed["categories"], path, on_problem)
    entries = _videos(listed["videos"], path, on_problem)
    annotations = field_of(content, "annotations", list)
    if not annotations:
        instances = None
    else:
        instances = _instances(annotations, entries, labels, path, on_problem)
    ids = unique_ids(
        [_common_folder(entry.names) for entry in entries.values()],
        [f"{number:06d}" for number in entries],
    )
    return Dataset(
        name=os.path.basename(os.path.dirname(os.path.abspath(path))),
        classes=tuple(labels),
        category_ids=tuple(labels.values()),
        videos=tuple(
            replace(
                _video(name, entry, folder, None if instances is None else instances[number]),
                number=number,
            )
            for name, (number, entry) in zip(ids, entries.items(), strict=True)
        ),
        fingerprint="",
        frames_folder=folder,
    )


def _categories(records: list[Any], path: str, on_problem: OnProblem) -> dict[str, int]:
    """Class name -> id in the file, in the file's order."""
    classes: dict[str, int] = {}
    numbers: set[int] = set()
    for n, record in enumerate(records):
        number, name = field_of(record, "id", int), field_of(record, "name", str, "").strip()
        if number is None or not name:
            on_problem(f"{path}: category {n} needs a whole-number id and a name; correct the file")
        elif not is_unicode(name):
            on_problem(f"{path}: category {number} has half a character in its name; correct it")
        elif name in classes or number in numbers:
            called = f"{shown_value(name)} (id {number})"
            on_problem(f"{path}: category {called} is listed twice; remove one")
        else:
            numbers.add(number)
            classes[name] = number
    return classes


def _videos(records: list[Any], path: str, on_problem: OnProblem) -> dict[int, _Entry]:
    entries: dict[int, _Entry] = {}
    for n, record in enumerate(records):
        number = field_of(record, "id", int)
        where = f"{path}: video {n if number is None else number}"
        size = field_of(record, "height", int, 0), field_of(record, "width", int, 0)
        names = field_of(record, "file_names", list, [])
        outside = [name for name in names if not is_safe_relative(name)]
        length = field_of(record, "length", int, len(names))
        if number is None or number in entries:
            on_problem(f"{where} needs an id that is a whole number and its own; correct the file")
        elif min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
            given = [shown_value(_given(record, name), 20) for name in ("width", "height")]
            on_problem(
                f"{where} has the size {given[0]}x{given[1]}; its width and height must be whole "
                f"numbers from 1 on, of no more than {MAX_PIXELS} pixels together"
            )
        elif not names or length != len(names):
            on_problem(f"{where} lists {len(names)} frames, its length says {length}; correct it")
        elif outside:
            named = shown_value(outside[0])
            on_problem(f"{where} names {named}, outside the frames folder; correct the name")
        else:
            entries[number] = _Entry(*size, tuple(names))
    return entries


def _instances(
    records: list[Any],
    entries: Mapping[int, _Entry],
    classes: Mapping[str, int],
    path: str,
    on_problem: OnProblem,
) -> dict[int, list[Instance]]:
    labels = {number: label for label, number in enumerate(classes.values())}
    instances: dict[int, list[Instance]] = {number: [] for number in entries}
    seen: set[int] = set()
    for n, record in enumerate(records):
        number = field_of(record, "id", int)
        where = f"{path}: annotation {n if number is None else number}"
        video, category = field_of(record, "video_id", int), field_of(record, "category_id", int)
        masks = field_of(record, "segmentations", list)
        broken = [name for name in _NUMBERS if field_of(record, name, int) is None]
        if masks is not None and broken and _given(record, broken[0]) is not None:
            value = shown_value(_given(record, broken[0]))
            on_problem(f"{where}: {broken[0]} is {value}, which is no whole number; correct it")
        elif masks is None or video is None or category is None:
            on_problem(
                f"{where} needs video_id, category_id and a list 'segmentations'; is this a file "
                "in YouTube-VIS format?"
            )
        elif number is None or number in seen:
            on_problem(f"{where} needs an id that is a whole number and its own; correct the file")
        elif video not in entries or category not in labels:
            missing = f"video {video}" if video not in entries else f"category {category}"
            on_problem(f"{where} belongs to {missing}, which is not listed (or is bad itself)")
        elif len(masks) != len(entries[video].names):
            on_problem(
                f"{where} has {len(masks)} segmentations for {len(entries[video].names)} frames; "
                "give one, or null, per frame"
            )
        else:
            seen.add(number)
            rles = _segmentations(masks, entries[video], where, on_problem)
            crowd = bool(record.get("iscrowd", 0))
            instances[video].append(Instance(number, labels[category], rles, crowd))
    return instances


def _given(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else None


def _segmentations(
    masks: Sequence[Any], entry: _Entry, where: str, on_problem: OnProblem
) -> tuple[Rle | None, ...]:
    """One RLE per frame; ``None`` for null and for a mask without a pixel."""
    height, width = entry.height, entry.width
    size = [height, width]
    texts = [s["counts"] for s in masks if _is_compressed(s) and s["size"] == size]
    sound = rles_are_sound(texts, height, width)
    rles: list[Rle | None] = []
    for t, mask in enumerate(masks):
        rle: Rle | None = None
        if sound and _is_compressed(mask) and mask["size"] == size:
            rle = {"size": size, "counts": mask["counts"]}
        elif mask is not None:
            try:
                rle = checked_rle(mask, height, width, f"{where}, frame {t}")
            except InputError as error:
                on_problem(str(error))
        rles.append(rle)
    areas = iter(rle_areas([rle for rle in rles if rle is not None]))
    return tuple(rle if rle is not None and next(areas) > 0 else None for rle in rles)


def _is_compressed(mask: Any) -> bool:
    return isinstance(mask, dict) and isinstance(mask.get("counts"), str) and "size" in mask


def _common_folder(names: Sequence[str]) -> str:
    """Name of the one folder that holds all frames, or nothing."""
    folders = {os.path.dirname(name) for name in names}
    return os.path.basename(folders.pop()) if len(folders) == 1 else ""


def _video(name: str, entry: _Entry, folder: str, instances: list[Instance] | None) -> Video:
    present: list[set[int]] = [set() for _ in entry.names]
    for instance in instances or []:
        for t, rle in enumerate(instance.segmentations):
            if rle is not None:
                present[t].add(instance.label)
    paths = tuple(inside_folder(folder, frame) for frame in entry.names)
    return Video(
        id=name,
        height=entry.height,
        width=entry.width,
        labels=tuple(tuple(sorted(labels)) for labels in present),
        source=FrameFiles(paths, raw_successors(paths)),
        instances=None if instances is None else tuple(instances),
    )


def raw_successors(paths: Sequence[str]) -> tuple[str, ...] | None:
    """The next raw frame after each listed one, where the folder holds frames between the listed.

    ``None`` where it holds none. The last listed frame may have none either.
    """
    folders = {os.path.dirname(path) for path in paths}
    if len(folders) != 1:
        return None
    folder = folders.pop()
    suffix = os.path.splitext(paths[0])[1]
    try:
        present = [name for name in listed_names(folder) if name.endswith(suffix)]
    except InputError:
        return None
    following = dict(itertools.pairwise(present))
    nexts = [following.get(os.path.basename(path)) for path in paths]
    listed = [os.path.basename(path) for path in paths]
    if nexts[:-1] == listed[1:] or None in nexts[:-1]:
        return None
    return tuple(os.path.join(folder, name) for name in nexts if name is not None)
