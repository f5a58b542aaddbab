"""COCO instance AP of dense masks, in plain loops from the published definition."""

import math


def mask_iou(found, real, crowd):
    """Pixel by pixel; for a crowd the denominator is the detection alone."""
    inter = union = area = 0
    for row_f, row_r in zip(found, real, strict=True):
        for f, r in zip(row_f, row_r, strict=True):
            inter += bool(f and r)
            union += bool(f or r)
            area += bool(f)
    below = area if crowd else union
    return inter / below if below else 0.0


def match_image(detections, objects, threshold, similarity):
    """Per detection: "true", "false" or "ignored". Objects: dicts with mask, crowd, ignored."""
    objects = [o for o in objects if not o["ignored"]] + [o for o in objects if o["ignored"]]
    used = [False] * len(objects)
    verdicts = []
    for detection in detections:
        best, holds = min(threshold, 1 - 1e-10), None
        for g, real in enumerate(objects):
            if used[g] and not real["crowd"]:
                continue
            if holds is not None and not objects[holds]["ignored"] and real["ignored"]:
                break
            value = similarity(detection, real)
            if value < best:
                continue
            best, holds = value, g
        if holds is None:
            verdicts.append("false")
        else:
            used[holds] = True
            verdicts.append("ignored" if objects[holds]["ignored"] else "true")
    return verdicts


def average_precision(scored_verdicts, positives):
    """101-point interpolated AP and final recall of (score, verdict) pairs in data-set order."""
    ordered = sorted(scored_verdicts, key=lambda pair: -pair[0])  # sorted() is stable
    curve, true, false = [], 0, 0
    for _, verdict in ordered:
        true += verdict == "true"
        false += verdict == "false"
        curve.append((true / positives, true / max(true + false, 1)))
    total = 0.0
    for sample in range(101):
        reached = [p for r, p in curve if r >= sample / 100 - 1e-12]
        total += max(reached, default=0.0)
    return total / 101, (curve[-1][0] if curve else 0.0)


def frame_ap(frames, classes, threshold, max_detections=100):
    """Mean AP; each frame is (objects, detections) of dicts with label, mask, crowd or score."""
    values = []
    for c in range(classes):
        pairs, positives = [], 0
        for objects, detections in frames:
            mine = [d for d in detections if d["label"] == c]
            mine = sorted(mine, key=lambda d: -d["score"])[:max_detections]
            real = [dict(o, ignored=o["crowd"]) for o in objects if o["label"] == c]
            positives += sum(not o["ignored"] for o in real)
            verdicts = match_image(
                mine, real, threshold, lambda d, o: mask_iou(d["mask"], o["mask"], o["crowd"])
            )
            pairs += [(d["score"], v) for d, v in zip(mine, verdicts, strict=True)]
        if positives:
            values.append(average_precision(pairs, positives)[0])
    return sum(values) / len(values) if values else math.nan
