"""Temporal consistency in plain loops; frames hold dicts of label, score and a mask (rows)."""

import math

from reference.coco_ap import frame_ap


def sampled(mask, y, x):
    """Bilinear value at (y, x); 0 where the point lies outside the picture, edges repeated."""
    height, width = len(mask), len(mask[0])
    if not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
        return 0.0
    top, left = math.floor(y), math.floor(x)
    value = 0.0
    for row, wy in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, wx in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside_row, inside_column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
            value += wy * wx * mask[inside_row][inside_column]
    return value


def warped(mask, flow):
    return [
        [sampled(mask, y + flow[y][x][1], x + flow[y][x][0]) >= 0.5 for x in range(len(mask[0]))]
        for y in range(len(mask))
    ]


def temporal_consistency(videos, classes, truth_score, detection_score):
    """Videos are (frames, forward flows)."""
    images = []
    for frames, flows in videos:
        for t, flow in enumerate(flows):
            truth = []
            for p in frames[t + 1]:
                mask = warped(p["mask"], flow)
                if p["score"] >= truth_score and any(map(any, mask)):
                    truth.append({"label": p["label"], "mask": mask, "crowd": False})
            images.append((truth, [p for p in frames[t] if p["score"] >= detection_score]))
    return frame_ap(images, classes, 0.5)
