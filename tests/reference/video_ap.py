"""The YouTube-VIS measure in plain loops from its definition, on YouTube-VIS JSON dicts.

A mask is the set of its pixels, held as the bits of a Python integer.
"""

import math

import numpy as np
from pycocotools import mask as coco_mask

from reference.coco_ap import average_precision, match_image

THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
RANGES = {
    "all": (0, 1e10),
    "small": (0, 128 * 128),
    "medium": (128 * 128, 256 * 256),
    "large": (256 * 256, 1e10),
}


def pixels(rle):
    if rle is None:
        return None
    return int.from_bytes(np.packbits(coco_mask.decode(rle).ravel()).tobytes(), "big")


def iou(track, other):
    inter = union = 0
    for a, b in zip(track, other, strict=True):
        a, b = a or 0, b or 0
        inter += (a & b).bit_count()
        union += (a | b).bit_count()
    return inter / union if union else 0.0


def mean_area(areas):
    visible = [a for a in areas if a]
    return sum(visible) / len(visible) if visible else 0


def video_ap(truth, results):
    """Dict of the twelve numbers; NaN where the official tool says -1."""
    objects = [
        dict(a, masks=[pixels(s) for s in a["segmentations"]], area=mean_area(a["areas"]))
        for a in truth["annotations"]
    ]
    tracks = []
    for r in results:
        masks = [pixels(s) for s in r["segmentations"]]
        area = mean_area([m.bit_count() if m else 0 for m in masks])
        tracks.append(dict(r, masks=masks, area=area))
    categories = sorted(c["id"] for c in truth["categories"])
    videos = sorted(v["id"] for v in truth["videos"])

    def measure(category, threshold, area_range, limit):
        low, high = area_range
        pairs, positives = [], 0
        for video in videos:

            def here(entry, video=video):
                return entry["video_id"] == video and entry["category_id"] == category

            real = [
                dict(
                    o,
                    crowd=o["iscrowd"],
                    ignored=o["iscrowd"] or not low <= o["area"] <= high,
                )
                for o in objects
                if here(o)
            ]
            found = sorted(filter(here, tracks), key=lambda d: -d["score"])[:100]
            positives += sum(not o["ignored"] for o in real)
            verdicts = match_image(found, real, threshold, lambda d, o: iou(d["masks"], o["masks"]))
            for track, verdict in list(zip(found, verdicts, strict=True))[:limit]:
                outside = not low <= track["area"] <= high
                if verdict == "false" and outside:
                    verdict = "ignored"
                pairs.append((track["score"], verdict))
        return average_precision(pairs, positives) if positives else None

    def mean(which, thresholds, area, limit):
        values = [measure(c, t, RANGES[area], limit) for c in categories for t in thresholds]
        values = [v[which] for v in values if v is not None]
        return sum(values) / len(values) if values else math.nan

    return {
        "AP": mean(0, THRESHOLDS, "all", 100),
        "AP50": mean(0, [0.5], "all", 100),
        "AP75": mean(0, [0.75], "all", 100),
        "APs": mean(0, THRESHOLDS, "small", 100),
        "APm": mean(0, THRESHOLDS, "medium", 100),
        "APl": mean(0, THRESHOLDS, "large", 100),
        "AR1": mean(1, THRESHOLDS, "all", 1),
        "AR10": mean(1, THRESHOLDS, "all", 10),
        "AR100": mean(1, THRESHOLDS, "all", 100),
        "ARs": mean(1, THRESHOLDS, "small", 100),
        "ARm": mean(1, THRESHOLDS, "medium", 100),
        "ARl": mean(1, THRESHOLDS, "large", 100),
    }
