"""Tracks as the annotations of a YouTube-VIS JSON: labels to train on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pycocotools import mask as coco_mask

from wsvis.exports.tracked_video import Categories, TrackedVideo
from wsvis.masks import rle_areas


def ytvis_annotations(videos: Iterable[TrackedVideo], categories: Categories) -> dict[str, Any]:
    """What the JSON holds: videos, categories, and every track as an annotation with a score."""
    to_box: Any = coco_mask.toBbox
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for video in videos:
        entries.append(video.entry())
        for track in video.tracks:
            shown = [rle for rle in track.segmentations if rle is not None]
            boxes = iter(to_box(shown).reshape(-1, 4).tolist() if shown else [])
            areas = iter(rle_areas(shown).tolist())
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": video.number,
                    "category_id": categories.ids[track.label],
                    "iscrowd": 0,
                    "height": video.height,
                    "width": video.width,
                    "length": video.length,
                    "segmentations": list(track.segmentations),
                    "bboxes": [rle and next(boxes) for rle in track.segmentations],
                    "areas": [rle and next(areas) for rle in track.segmentations],
                    "score": track.score,
                }
            )
    return {"videos": entries, "categories": categories.entries(), "annotations": annotations}
