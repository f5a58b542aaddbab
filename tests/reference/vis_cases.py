"""Small random data sets in YouTube-VIS JSON form, with everything that makes the measure hard."""

import numpy as np

from wsvis.masks import encode_masks


def rectangle(height, width, top, left, rows, columns):
    mask = np.zeros((height, width), bool)
    mask[max(top, 0) : top + rows, max(left, 0) : left + columns] = True
    return mask


def random_case(seed, videos=4, classes=3, crowded=0, size=None, scale=1):
    """(ground truth, results): ties, crowds, nulls, empty masks, absent classes and videos.

    ``crowded``: that many extra tracks of one class in the first video. ``scale``: size of objects
    relative to the frame's 1/10.
    """
    rng = np.random.default_rng(seed)
    height, width = size or (int(rng.integers(8, 14)), int(rng.integers(8, 14)))
    entries, annotations, results = [], [], []

    def segmentation(mask):
        return encode_masks(mask[None])[0]

    def moving(start, extent, step, frames, shake):
        track = []
        for t in range(frames):
            if rng.random() < 0.15:
                track.append(None)
                continue
            if rng.random() < 0.05:
                track.append(segmentation(np.zeros((height, width), bool)))
                continue
            top, left = np.rint(start + step * t + rng.normal(0, shake, 2)).astype(int)
            track.append(segmentation(rectangle(height, width, top, left, *extent)))
        return track

    ids = rng.permutation(50)[:videos] + 1
    for number, video_id in enumerate(ids):
        frames = int(rng.integers(1, 5))
        entries.append(
            {"id": int(video_id), "height": height, "width": width, "length": frames}
            | {"file_names": [f"{video_id}/{t}.jpg" for t in range(frames)]}
        )
        for _ in range(rng.integers(0, 4)):
            unit = scale * min(height, width) / 10
            start = rng.uniform(0, (height * 0.7, width * 0.7))
            extent = np.maximum(1, np.rint(rng.uniform(1, 6, 2) * unit)).astype(int)
            step = rng.uniform(-1, 1, 2) * unit
            category = int(rng.integers(1, classes))  # the last class has no ground truth
            track = moving(start, extent, step, frames, 0)
            areas = [None if s is None else _area(s) for s in track]
            annotations.append(
                {"id": len(annotations) + 1, "video_id": int(video_id), "category_id": category}
                | {"iscrowd": int(rng.random() < 0.2), "segmentations": track, "areas": areas}
                | {"height": height, "width": width, "bboxes": [None] * frames}
            )
            copies = int(rng.integers(0, 3)) + (crowded if number == 0 else 0)
            for _ in range(copies):
                found = category if rng.random() < 0.85 else int(rng.integers(1, classes + 1))
                results.append(
                    {"video_id": int(video_id), "category_id": found}
                    | {"score": int(rng.integers(1, 6)) / 5}
                    | {"segmentations": moving(start, extent, step, frames, 0.4 * unit)}
                )
    if results:
        results.append(results[0] | {"segmentations": [None] * len(results[0]["segmentations"])})
    order = rng.permutation(len(results))
    truth = {
        "info": {},
        "licenses": [],
        "videos": entries,
        "categories": [
            {"id": c, "name": f"class{c}", "supercategory": "thing"} for c in range(1, classes + 1)
        ],
        "annotations": annotations,
    }
    return truth, [results[i] for i in order]


def _area(rle):
    from wsvis.masks import decode_masks

    return int(decode_masks([rle], *rle["size"]).sum())
