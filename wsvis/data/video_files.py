"""A folder of video files with ``labels.csv``: the least a user must bring.

``labels.csv`` has the columns video, first_frame, last_frame, class. Frames count from 0, both ends
belong to the range, an empty end means the video's own. Several rows may name one video. A video of
the folder without a row shows no class at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from wsvis.data.config import DataConfig
from wsvis.data.images import probe_video
from wsvis.data.label_table import read_label_table, shown, whole_number
from wsvis.data.outside import (
    OnProblem,
    frame_order,
    inside_folder,
    is_safe_relative,
    listed_names,
    refuse,
    require_folder,
    unique_ids,
)
from wsvis.errors import InputError
from wsvis.types import Dataset, Video, VideoFile

COLUMNS = ("video", "first_frame", "last_frame", "class")
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ts"),
    ".gif",  # animated
)
PROBES = 8
"""Videos opened at once: OpenCV releases Python's lock while it decodes."""


@dataclass(frozen=True)
class _Row:
    """One line of labels.csv."""

    line: int
    first: int
    last: int | None
    name: str


@dataclass(frozen=True)
class _Probe:
    """What opening a video told: its size, or why it cannot be used."""

    frames: int = 0
    height: int = 0
    width: int = 0
    problem: str = ""
    note: str = ""


def read_video_files(
    folder: str, on_problem: OnProblem = refuse, keep_readable: bool = DataConfig.keep_readable
) -> Dataset:
    """The videos of a folder with the classes of labels.csv; there is no ground truth.

    A video that is absent or cannot be decoded stays in the data set, with its ``problem`` and, for
    want of a better number, as many frames as its rows need: it is set aside when it is used.

    Raises:
        InputError: folder or labels.csv absent, or (through ``on_problem``) a row is wrong.
    """
    require_folder(folder, "give the folder of the videos and labels.csv with data.path")
    table = os.path.join(folder, "labels.csv")
    rows = _rows(table, on_problem)
    present = {name for name in listed_names(folder) if name.lower().endswith(VIDEO_SUFFIXES)}
    names = sorted(present | set(rows), key=frame_order)
    if not names:
        raise InputError(f"{folder}: holds no video; give the folder of the videos with data.path")
    with ThreadPoolExecutor(PROBES) as pool:
        probes = list(
            pool.map(lambda name: _probe(os.path.join(folder, name), keep_readable), names)
        )
    classes = sorted({row.name for of_video in rows.values() for row in of_video})
    stems = [os.path.splitext(os.path.basename(name))[0] for name in names]
    ids = unique_ids(stems, [f"{n + 1:06d}" for n in range(len(names))])
    return Dataset(
        name=os.path.basename(os.path.abspath(folder)),
        classes=tuple(classes),
        videos=tuple(
            _video(video_id, folder, name, probe, rows.get(name, []), classes, on_problem)
            for video_id, name, probe in zip(ids, names, probes, strict=True)
        ),
        fingerprint="",
    )


def _rows(table: str, on_problem: OnProblem) -> dict[str, list[_Row]]:
    rows: dict[str, list[_Row]] = {}
    for line, row in read_label_table(table, COLUMNS, on_problem):
        where = f"{table}: line {line}"
        first = whole_number(row["first_frame"] or "0")
        last = whole_number(row["last_frame"])
        if not is_safe_relative(row["video"]):
            on_problem(
                f"{where}: {shown(row['video'])} is not a file in this folder; correct the name"
            )
        elif not row["class"]:
            on_problem(f"{where}: has no class; name it, or remove the line")
        elif first is None or (row["last_frame"] and last is None):
            on_problem(f"{where}: first_frame and last_frame must be whole numbers from 0 on")
        elif last is not None and last < first:
            on_problem(
                f"{where}: class {shown(row['class'])} has no frame: last_frame {last} comes "
                f"before first_frame {first}; correct the range"
            )
        else:
            path = inside_folder(os.path.dirname(table), row["video"])
            name = os.path.relpath(path, os.path.dirname(table))
            rows.setdefault(name, []).append(_Row(line, first, last, row["class"]))
    if not rows:
        on_problem(f"{table}: labels no frame; add lines video,first_frame,last_frame,class")
    return rows


def _probe(path: str, keep_readable: bool) -> _Probe:
    notes: list[str] = []
    try:
        return _Probe(*probe_video(path, keep_readable, notes.append), note="".join(notes))
    except InputError as error:
        return _Probe(problem=str(error))


def _video(
    video_id: str,
    folder: str,
    name: str,
    probe: _Probe,
    rows: Sequence[_Row],
    classes: Sequence[str],
    on_problem: OnProblem,
) -> Video:
    frames = probe.frames
    if probe.problem:
        frames = max([1, *(1 + (row.first if row.last is None else row.last) for row in rows)])
        frames = min(frames, 1 << 16)  # a number typed wrongly must not fill the memory
    for row in rows:
        last = frames - 1 if row.last is None else row.last
        if not probe.problem and max(row.first, last) >= frames:
            where = f"{os.path.join(folder, 'labels.csv')}: line {row.line}"
            on_problem(
                f"{where}: class {shown(row.name)} in "
                f"frames {row.first} to {last}, but {name} has frames 0 to {frames - 1}; correct "
                "the range"
            )
    label_of: Mapping[str, int] = {text: label for label, text in enumerate(classes)}
    labels: list[set[int]] = [set() for _ in range(frames)]
    for row in rows:
        last = frames - 1 if row.last is None else min(row.last, frames - 1)
        for t in range(row.first, last + 1):
            labels[t].add(label_of[row.name])
    return Video(
        id=video_id,
        height=probe.height,
        width=probe.width,
        labels=tuple(tuple(sorted(present)) for present in labels),
        source=VideoFile(os.path.join(folder, name)),
        problem=probe.problem,
        note=probe.note,
    )
