"""Tracks as COCO instances: every frame an image, every mask an annotation of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from wsvis.exports.tracked_video import Categories, TrackedVideo
from wsvis.files.atomic import write_text
from wsvis.masks import rle_areas


def write_coco(path: Path, videos: Iterable[TrackedVideo], categories: Categories) -> int:
    """Write COCO's instances JSON, whole or not at all; gives the number of annotations.

    Masks are compressed RLE, boxes x, y, width, height. Beside COCO's own fields an image says its
    ``video_id`` and ``frame``, an annotation its ``track_id`` (unique in its video) and ``score``
    (of the detection where there is one, else of the track).

    Args:
        path: the JSON file.
        videos: in the order of their numbers.
        categories: names and ids of the labels.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    to_box: Any = coco_mask.toBbox
    for video in videos:
        for t in range(video.length):
            images.append(
                {
                    "id": len(images) + 1,
                    "file_name": video.frame_name(t),
                    "height": video.height,
                    "width": video.width,
                    "video_id": video.number,
                    "frame": t,
                }
            )
            shown = [(track, rle) for track in video.tracks if (rle := track.segmentations[t])]
            masks = [rle for _, rle in shown]
            boxes = to_box(masks).reshape(-1, 4).tolist() if masks else []
            areas = rle_areas(masks).tolist()
            for (track, rle), box, area in zip(shown, boxes, areas, strict=True):
                if not area:
                    continue
                score = track.frame_scores[t]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": len(images),
                        "category_id": categories.ids[track.label],
                        "segmentation": rle,
                        "bbox": box,
                        "area": area,
                        "iscrowd": 0,
                        "track_id": track.id,
                        "score": track.score if score is None else score,
                    }
                )
    content = {"images": images, "annotations": annotations, "categories": categories.entries()}
    write_text(str(path), json.dumps(content))
    return len(annotations)
