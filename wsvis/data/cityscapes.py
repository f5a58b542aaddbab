"""Cityscapes: the annotated frame t of each snippet with its neighbours t - 3 and t + 3.

Source: Liu et al., CVPR 2021, Sec. 4.1: "The standard 2,975 training frames and their neighboring
t-3 and t+3 frames are used for training, and the 500 frames in validation split are used for
evaluation." The eight classes with instances are the classes.

The folders are those of the download: ``leftImg8bit_sequence/<split>/<city>/*_leftImg8bit.png``
(frame numbers of six digits, consecutive) and ``gtFine/<split>/<city>/*_gtFine_instanceIds.png``.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from wsvis.data.config import DataConfig
from wsvis.data.outside import OnProblem, listed_names, refuse, require_folder
from wsvis.errors import InputError
from wsvis.files.indexed_png import read_indexed_png
from wsvis.masks import encode_masks
from wsvis.types import Dataset, FrameFiles, Instance, Video

THINGS = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
NEIGHBOURS = (-3, 0, 3)
READERS = 8
_ANNOTATION = re.compile(r"(.+_[0-9]{6})_([0-9]{6})_gtFine_instanceIds\.png")


def read_cityscapes(
    root: str, split: str = DataConfig.split, on_problem: OnProblem = refuse
) -> Dataset:
    """The snippets of a split, each named by its annotated frame.

    train: three frames t - 3, t, t + 3 with the classes of frame t (the paper is silent on the
    neighbours' labels; 0.18 s apart, they show the same) and no ground truth, since only t has any.
    val: frame t alone with its instances. Regions of several objects that nobody told apart (values
    below 1000) are crowds. Flow goes to the next frame of the sequence.

    Raises:
        InputError: a folder is absent, or (through ``on_problem``) a neighbour is.
    """
    sides = ("train", "val") if split == "all" else (split,)
    jobs: list[tuple[str, str, str, str]] = []
    for side in sides:
        annotations = os.path.join(root, "gtFine", side)
        require_folder(annotations, "give the folder that holds gtFine with data.path")
        frames = os.path.join(root, "leftImg8bit_sequence", side)
        require_folder(frames, "download leftImg8bit_sequence: the method needs the neighbours")
        for city in listed_names(annotations):
            folder = os.path.join(annotations, city)
            for name in listed_names(folder) if os.path.isdir(folder) else []:
                if name.endswith("_gtFine_instanceIds.png"):
                    jobs.append((side, os.path.join(frames, city), folder, name))
    if not jobs:
        raise InputError(f"{root}: gtFine holds no *_gtFine_instanceIds.png; unpack gtFine there")
    with ThreadPoolExecutor(READERS) as pool:
        videos = pool.map(lambda job: _snippet(job[0], job[1], job[2], job[3], on_problem), jobs)
        kept = tuple(video for video in videos if video is not None)
    numbers = tuple(THINGS)
    folder = os.path.join(root, "leftImg8bit_sequence")
    return Dataset(f"cityscapes-{split}", tuple(THINGS.values()), kept, "", numbers, folder)


def _snippet(
    side: str, frames: str, annotations: str, name: str, on_problem: OnProblem
) -> Video | None:
    match = _ANNOTATION.fullmatch(name)
    if match is None:
        on_problem(f"{os.path.join(annotations, name)}: is not named <city>_<number>_<frame>_...")
        return None
    stem, t = match[1], int(match[2])
    offsets = NEIGHBOURS if side == "train" else (0,)
    paths = tuple(_frame(frames, stem, t + offset) for offset in offsets)
    nexts = tuple(_frame(frames, stem, t + offset + 1) for offset in offsets)
    video_id = f"{stem}_{match[2]}"
    try:
        instances, height, width = _instances(os.path.join(annotations, name))
    except InputError as error:
        return Video(video_id, 0, 0, ((),) * len(paths), FrameFiles(paths), problem=str(error))
    # The last frame of a snippet may be t + 3; any other gap shows when the frames are read.
    nexts = nexts if os.path.isfile(nexts[-1]) else nexts[:-1]
    labels = tuple(sorted({instance.label for instance in instances}))
    truth = instances if len(paths) == 1 else None
    source = FrameFiles(paths, nexts)
    return Video(video_id, height, width, (labels,) * len(paths), source, truth)


def _frame(folder: str, stem: str, number: int) -> str:
    return os.path.join(folder, f"{stem}_{number:06d}_leftImg8bit.png")


def _instances(path: str) -> tuple[tuple[Instance, ...], int, int]:
    """Instances of one annotation: class * 1000 + number, or the class alone for a group."""
    values, _ = read_indexed_png(path)
    numbers = np.unique(values)
    label_of = {number: label for label, number in enumerate(THINGS)}
    things = [n for n in numbers.tolist() if (n // 1000 if n >= 1000 else n) in label_of]
    rles = [encode_masks(values[None] == number)[0] for number in things]
    instances = tuple(
        Instance(n, label_of[n // 1000 if n >= 1000 else n], (rle,), is_crowd=n < 1000)
        for n, rle in zip(things, rles, strict=True)
    )
    return instances, int(values.shape[0]), int(values.shape[1])
