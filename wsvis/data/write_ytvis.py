"""A data set as a YouTube-VIS JSON with a folder of JPEG frames."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from wsvis.data.frames import iterate_frames
from wsvis.errors import InputError
from wsvis.files.atomic import new_folder, write_text
from wsvis.masks import rle_areas
from wsvis.types import Dataset, FrameFiles, FrameInstances, Instance, Video

JPEG_QUALITY = 95


def write_ytvis(
    dataset: Dataset, out: str, on_video: Callable[[int, int], None] | None = None
) -> str:
    """Write ``OUT/instances.json`` and ``OUT/JPEGImages/<video>/*.jpg``; gives the JSON's path.

    The folder appears whole or not at all. Only listed frames are written, not raw frames between
    them. JPEG changes pixels a little, so the copy is another data set with its own fingerprint.

    Args:
        dataset: what to write.
        out: a folder that does not exist yet, or is empty.
        on_video: called with (videos done, videos in all).

    Raises:
        InputError: ``out`` is in use, a frame is bad, or labels have no masks, which the format
            cannot hold.
    """
    bare = [v.id for v in dataset.videos if v.instances is None and any(v.labels)]
    if bare:
        raise InputError(
            f"{out}: video {bare[0]} has labels without masks, which YouTube-VIS cannot hold; keep "
            "its labels.csv"
        )
    with new_folder(out) as folder:
        for n, video in enumerate(dataset.videos):
            _write_frames(video, os.path.join(folder, "JPEGImages", video.id))
            if on_video is not None:
                on_video(n + 1, len(dataset.videos))
        with open(os.path.join(folder, "instances.json"), "w", encoding="utf-8") as file:
            json.dump(ytvis_content(dataset), file)
            file.flush()
            os.fsync(file.fileno())
    return os.path.join(out, "instances.json")


def write_pseudo_labels(
    dataset: Dataset, labels: Callable[[str], Sequence[FrameInstances] | None], path: str | Path
) -> int:
    """Instance pseudo-labels as YouTube-VIS JSON; gives their number.

    An instance of a frame is an annotation of its own, with a ``score``: its segmentations are null
    but for that frame, so that whatever reads the format can train on it frame by frame. A video
    without labels (set aside) is listed with no annotation. Frames keep the names they have below
    the folder of frames, which ``info`` names: the file is read with it as ``data.frames``.

    Args:
        dataset: the videos.
        labels: video id -> instances of each frame, ``None`` where the video was set aside.
        path: file that appears whole or not at all.
    """
    frames = {video.id: labels(video.id) or () for video in dataset.videos}
    singles = [
        replace(
            video,
            instances=tuple(
                Instance(0, label, tuple(rle if t == frame else None for t in range(video.length)))
                for frame, instances in enumerate(frames[video.id])
                for label, rle in zip(instances.labels.tolist(), instances.masks, strict=True)
            ),
        )
        for video in dataset.videos
    ]
    content = ytvis_content(replace(dataset, videos=tuple(singles)))
    for entry, video in zip(content["videos"], dataset.videos, strict=True):
        if isinstance(video.source, FrameFiles):
            names = [os.path.relpath(p, dataset.frames_folder) for p in video.source.paths]
            entry["file_names"] = [name.replace(os.sep, "/") for name in names]
    if dataset.frames_folder:
        content["info"]["frames_folder"] = dataset.frames_folder
    scores = [
        score
        for video in dataset.videos
        for instances in frames[video.id]
        for score in instances.scores.tolist()
    ]
    for annotation, score in zip(content["annotations"], scores, strict=True):
        annotation["score"] = score
    write_text(path, json.dumps(content))
    return len(scores)


def ytvis_content(dataset: Dataset) -> dict[str, Any]:
    """What the JSON holds; videos and annotations are numbered from 1."""
    numbers = dataset.category_ids or tuple(range(1, len(dataset.classes) + 1))
    annotations: list[dict[str, Any]] = []
    for n, video in enumerate(dataset.videos):
        for instance in video.instances or ():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": n + 1,
                    "category_id": numbers[instance.label],
                    "iscrowd": int(instance.is_crowd),
                    "height": video.height,
                    "width": video.width,
                    **_shapes(instance),
                }
            )
    return {
        "info": {"description": dataset.name, "fingerprint": dataset.fingerprint},
        "videos": [
            {
                "id": n + 1,
                "height": video.height,
                "width": video.width,
                "length": video.length,
                "file_names": [f"{video.id}/{t:05d}.jpg" for t in range(video.length)],
            }
            for n, video in enumerate(dataset.videos)
        ],
        "categories": [
            {"id": number, "name": name, "supercategory": "object"}
            for number, name in zip(numbers, dataset.classes, strict=True)
        ],
        "annotations": annotations,
    }


def _shapes(instance: Instance) -> dict[str, list[Any]]:
    """Segmentations with the boxes (x, y, width, height) and areas the format wants beside them."""
    shown = [rle for rle in instance.segmentations if rle is not None]
    to_box: Any = coco_mask.toBbox
    boxes = iter(to_box(shown).reshape(-1, 4).tolist() if shown else [])
    areas = iter(rle_areas(shown).tolist())
    rles = instance.segmentations
    return {
        "segmentations": list(rles),
        "bboxes": [None if rle is None else next(boxes) for rle in rles],
        "areas": [None if rle is None else next(areas) for rle in rles],
    }


def _write_frames(video: Video, folder: str) -> None:
    os.makedirs(folder)
    for t, frame in enumerate(iterate_frames(video)):
        ok, data = cv2.imencode(
            ".jpg", np.ascontiguousarray(frame[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if not ok:
            raise ValueError(f"{video.id}: OpenCV cannot encode frame {t}")
        data.tofile(os.path.join(folder, f"{t:05d}.jpg"))
