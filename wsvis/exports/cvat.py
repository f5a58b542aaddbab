"""Tracks as CVAT XML for video tasks, so that they can be corrected by hand.

A task of CVAT holds one video; its *Upload annotations* takes the file as *CVAT 1.1*. Format:
https://docs.cvat.ai/docs/other/xml_format, version 1.1, interpolation mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
from jaxtyping import Bool, Float

from wsvis.exports.tracked_video import Categories, TrackedVideo
from wsvis.files.atomic import write_bytes
from wsvis.masks import decode_masks
from wsvis.types import Rle, Track

SIMPLIFIED = 1.0
"""Pixels that a polygon may leave the outline by: annotators move points, not pixels."""


def mask_polygons(mask: Bool[np.ndarray, "H W"]) -> list[Float[np.ndarray, "P 2"]]:
    """Outlines of a mask's parts as (x, y) points, the largest part first.

    Holes are filled, and parts under three points left out: CVAT's polygons have neither.
    """
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_KCOS
    )
    outlines = [
        cv2.approxPolyDP(each, SIMPLIFIED, True)[:, 0].astype(np.float64) for each in contours
    ]
    areas = [cv2.contourArea(each) for each in contours]
    order = sorted(range(len(contours)), key=lambda n: -areas[n])
    return [outlines[n] for n in order if len(outlines[n]) >= 3]


def write_cvat(path: Path, video: TrackedVideo, categories: Categories) -> int:
    """Write the tracks of one video, whole or not at all; gives the number of CVAT tracks.

    Every frame of a track is a key frame: nothing is interpolated. A polygon has one part: a track
    whose masks fall into parts becomes one for each of them by size, joined by a ``group_id``.

    Args:
        path: the XML file.
        video: its frames are the task's.
        categories: the task's labels must have these names.
    """
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    about = {"name": video.name, "size": str(video.length), "mode": "interpolation"}
    for name, value in about.items():
        ET.SubElement(task, name).text = value
    labels = ET.SubElement(task, "labels")
    for name in categories.names:
        ET.SubElement(ET.SubElement(labels, "label"), "name").text = name
    size = ET.SubElement(task, "original_size")
    ET.SubElement(size, "width").text = str(video.width)
    ET.SubElement(size, "height").text = str(video.height)
    count = 0
    for number, track in enumerate(video.tracks):
        parts = list(_parts(track, video))
        together = {"group_id": str(number + 1)} if len(parts) > 1 else {}
        for part in parts:
            about = {"id": str(count), "label": categories.names[track.label], **together}
            element = ET.SubElement(root, "track", {**about, "source": "automatic"})
            for t, points, outside in part:
                ET.SubElement(element, "polygon", _polygon(t, points, outside))
            count += 1
    ET.indent(root)
    write_bytes(path, ET.tostring(root, encoding="utf-8", xml_declaration=True))
    return count


def _parts(track: Track, video: TrackedVideo) -> Iterator[list[tuple[int, np.ndarray, bool]]]:
    """For each part by size: (frame, points, outside); outside where it ends."""
    outlines = [_outlines(rle, video) for rle in track.segmentations]
    for n in range(max(map(len, outlines), default=0)):
        shapes: list[tuple[int, np.ndarray, bool]] = []
        for t, of_frame in enumerate(outlines):
            if n < len(of_frame):
                shapes.append((t, of_frame[n], False))
            elif shapes and not shapes[-1][2]:
                shapes.append((t, shapes[-1][1], True))
        yield shapes


def _outlines(rle: Rle | None, video: TrackedVideo) -> list[np.ndarray]:
    if rle is None:
        return []
    return mask_polygons(decode_masks([rle], video.height, video.width)[0])


def _polygon(t: int, points: np.ndarray, outside: bool) -> dict[str, str]:
    return {
        "frame": str(t),
        "keyframe": "1",
        "outside": "1" if outside else "0",
        "occluded": "0",
        "points": ";".join(f"{x:.2f},{y:.2f}" for x, y in points),
        "z_order": "0",
    }
