"""The Cityscapes instance measure in plain loops over pixels, from its description.

An image is (instance_ids, predictions): a list of rows, and dicts with class_id, score, mask.
"""

import math

VOID = {0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30}


def regions_of(ids, class_id):
    """Value -> set of pixels, for the values that belong to the class."""
    regions = {}
    for y, row in enumerate(ids):
        for x, value in enumerate(row):
            if (value // 1000 if value >= 1000 else value) == class_id:
                regions.setdefault(int(value), set()).add((y, x))
    return regions


def judge_image(ids, predictions, class_id, threshold):
    """[(score, is true)], objects missed, and whether there are objects at all."""
    regions = regions_of(ids, class_id)
    void = {(y, x) for y, row in enumerate(ids) for x, v in enumerate(row) if v in VOID}
    masks = []
    for p in predictions:
        pixels = {(y, x) for y, row in enumerate(p["mask"]) for x, on in enumerate(row) if on}
        if p["class_id"] == class_id and pixels:
            masks.append((p["score"], pixels))
    judged, missed, objects = [], 0, 0
    for value, pixels in regions.items():
        if value < 1000 or len(pixels) < 100:
            continue
        objects += 1
        hits = sorted(s for s, m in masks if len(m & pixels) / len(m | pixels) > threshold)
        if hits:
            judged += [(hits[-1], True)] + [(s, False) for s in hits[:-1]]
        else:
            missed += 1
    for score, mask in masks:
        if any(len(mask & r) / len(mask | r) > threshold for r in regions.values()):
            continue
        excused = len(mask & void)
        for value, pixels in regions.items():
            excused += len(mask & pixels) * ((value < 1000) + (len(pixels) < 100))
        if excused / len(mask) <= threshold:
            judged.append((score, False))
    return judged, missed, objects


def average_precision(images, class_id, threshold):
    judged, missed, objects = [], 0, 0
    for ids, predictions in images:
        one = judge_image(ids, predictions, class_id, threshold)
        judged, missed, objects = judged + one[0], missed + one[1], objects + one[2]
    if not objects:
        return math.nan
    if not judged:
        return 0.0
    points = []
    for cut in sorted({score for score, _ in judged}):
        kept = [true for score, true in judged if score >= cut]
        everything = sum(true for _, true in judged) + missed
        points.append((sum(kept) / len(kept), sum(kept) / everything))
    points.append((1.0, 0.0))
    area = 0.0
    for k, (precision, recall) in enumerate(points):
        before = points[k - 1][1] if k else recall
        after = points[k + 1][1] if k + 1 < len(points) else 0.0
        area += precision * (before - after) / 2
    return area
