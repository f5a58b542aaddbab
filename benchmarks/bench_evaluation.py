"""The video measure against the official algorithm done plainly, and its memory.

    OMP_NUM_THREADS=1 python benchmarks/bench_evaluation.py [--videos 100] [--memory]

Speed: 100 videos x 20 frames x 5 objects of one class at 360 x 640 and ten tracks each, everything
in memory. Plainly means: for every pair of tracks and every frame two merges of RLEs and two areas,
as the official tool does it; matching and averaging are left out of its time. CPU seconds, both in
this one run, and both must give the same IoUs.

Frames: frame_ap against pycocotools' COCOeval on the same frames.

Memory (``--memory``): peak of a fresh process that measures 200 and 2,000 videos from JSON files.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wsvis.evaluation.frame_ap import FrameTruth, frame_ap
from wsvis.evaluation.greedy_matching import COCO_THRESHOLDS
from wsvis.evaluation.report import video_numbers
from wsvis.evaluation.tracks import FoundTrack, TrueTrack, VideoTracks, track_areas, track_iou
from wsvis.evaluation.video_ap import video_ap
from wsvis.formats.vis_results import open_results
from wsvis.formats.vis_truth import open_truth
from wsvis.types import FrameInstances, Rle

HEIGHT, WIDTH, FRAMES, OBJECTS, COPIES = 360, 640, 20, 5, 2


def blob(rng: np.random.Generator, turn: float, centre: np.ndarray, radii: np.ndarray) -> Rle:
    """A smooth wobbly outline, as instance masks have."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    reach = 1 + 0.2 * np.sin(5 * angle + turn) + rng.normal(0, 0.01, 64)
    points = centre + np.stack([np.cos(angle), np.sin(angle)], axis=1) * radii * reach[:, None]
    (rle,) = coco_mask.frPyObjects([points.ravel().tolist()], HEIGHT, WIDTH)
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}


def make_video(number: int) -> VideoTracks:
    """Objects that drift, each with tracks that lie a few pixels off and sometimes miss a frame."""
    rng = np.random.default_rng(number)
    truth, found = [], []
    for _ in range(OBJECTS):
        start, step = rng.uniform((80, 80), (560, 280)), rng.uniform(-6, 6, 2)
        radii, turn = rng.uniform(25, 80, 2), rng.uniform(0, 6)

        def track(offset: np.ndarray, miss: float) -> list[Rle | None]:
            return [
                None if rng.random() < miss else blob(rng, turn, start + step * t + offset, radii)  # noqa: B023
                for t in range(FRAMES)
            ]

        truth.append(TrueTrack(0, track(np.zeros(2), 0.02)))
        for _ in range(COPIES):
            found.append(FoundTrack(0, float(rng.random()), track(rng.normal(0, 8, 2), 0.05)))
    return VideoTracks(number, HEIGHT, WIDTH, FRAMES, truth, found)


def plain_iou(video: VideoTracks) -> np.ndarray:
    """Track IoU by two merges and two areas for every pair and frame."""
    values = np.zeros((len(video.found), len(video.truth)))
    for d, found in enumerate(video.found):
        for g, real in enumerate(video.truth):
            shared = union = 0
            for a, b in zip(found.segmentations, real.segmentations, strict=True):
                if a and b:
                    shared += coco_mask.area(coco_mask.merge([a, b], True))
                    union += coco_mask.area(coco_mask.merge([a, b], False))
                elif a or b:
                    union += coco_mask.area(a or b)
            values[d, g] = shared / union if union else 0.0
    return values


def our_iou(video: VideoTracks) -> np.ndarray:
    shape = video.height, video.width, video.length
    areas = track_areas(video.found, *shape), track_areas(video.truth, *shape)
    return track_iou(video.found, video.truth, *areas)


def cpu(work) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def speed_of_videos(count: int) -> None:
    videos = [make_video(number) for number in range(count)]
    plain, reference = cpu(lambda: [plain_iou(video) for video in videos])
    alone, values = cpu(lambda: [our_iou(video) for video in videos])
    whole, result = cpu(lambda: video_ap(videos, 1))
    worst = max(np.abs(a - b).max() for a, b in zip(reference, values, strict=True))
    print(f"{count} videos x {FRAMES} frames x {OBJECTS} objects, {OBJECTS * COPIES} tracks each")
    print(f"  plain IoU                 {plain:7.2f} CPU-s")
    print(
        f"  our IoU, masks checked    {alone:7.2f} CPU-s, {plain / alone:.1f}x, differs {worst:g}"
    )
    print(
        f"  the whole measure         {whole:7.2f} CPU-s, {plain / whole:.1f}x (plain: IoU alone)"
    )
    print(f"  AP {video_numbers(result)['AP']:.6f}")


def speed_of_frames(count: int) -> None:
    """COCOeval gets ready-made annotation dicts; its printing is swallowed."""
    truths, found = [], []
    for number in range(-(-count // FRAMES)):
        video = make_video(number)
        for t in range(FRAMES):
            real = [s for s in (track.segmentations[t] for track in video.truth) if s]
            mine = [(s, f.score) for f in video.found if (s := f.segmentations[t])]
            labels = np.zeros(len(real), np.int64)
            truths.append(FrameTruth(labels, tuple(real), np.zeros(len(real), bool)))
            scores = np.array([score for _, score in mine])
            masks = tuple(mask for mask, _ in mine)
            found.append(FrameInstances(np.zeros(len(mine), np.int64), scores, masks))
    truths, found = truths[:count], found[:count]
    annotations, results = [], []
    for image, (real, mine) in enumerate(zip(truths, found, strict=True)):
        for mask in real.masks:
            annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": 0})
            annotations[-1] |= {"segmentation": mask, "area": 1, "iscrowd": 0, "bbox": [0, 0, 1, 1]}
        for mask, score in zip(mine.masks, mine.scores, strict=True):
            results.append({"image_id": image, "category_id": 0, "score": float(score)})
            results[-1]["segmentation"] = dict(mask)

    def official() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO()
            images = [{"id": n, "height": HEIGHT, "width": WIDTH} for n in range(count)]
            coco.dataset = {"images": images, "categories": [{"id": 0}], "info": {}}
            coco.dataset["annotations"] = annotations
            coco.createIndex()
            evaluation = COCOeval(coco, coco.loadRes(results), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
        return float(evaluation.eval["precision"][:, :, :, 0, 2].mean())

    ours, numbers = cpu(lambda: frame_ap(truths, found, 1, COCO_THRESHOLDS))
    theirs, reference = cpu(official)
    print(f"{count} frames x {OBJECTS} objects, about {OBJECTS * COPIES} detections each")
    print(f"  COCOeval                  {theirs:7.2f} CPU-s")
    print(f"  frame_ap                  {ours:7.2f} CPU-s, {theirs / ours:.1f}x, ", end="")
    print(f"differs {abs(numbers['AP'] - reference):g}")


def write_files(folder: Path, count: int, different: int = 40) -> None:
    """Ground truth and results of ``count`` videos, written one by one; contents repeat."""
    videos = [make_video(number) for number in range(min(count, different))]

    def repeated() -> Iterator[VideoTracks]:
        for number in range(count):
            yield replace(videos[number % len(videos)], id=number + 1)

    with open(folder / "gt.json", "w") as file:
        entries = [
            {"id": n + 1, "height": HEIGHT, "width": WIDTH, "length": FRAMES} for n in range(count)
        ]
        header = {"videos": entries, "categories": [{"id": 1, "name": "blob"}]}
        file.write(json.dumps(header)[:-1] + ', "annotations": [')
        number = 0
        for video in repeated():
            for track in video.truth:
                entry = {"id": number + 1, "video_id": video.id, "category_id": 1, "iscrowd": 0}
                entry["segmentations"] = list(track.segmentations)
                file.write((",\n" if number else "") + json.dumps(entry))
                number += 1
        file.write("]}")
    with open(folder / "results.json", "w") as file:
        file.write("[")
        first = True
        for video in repeated():
            for track in video.found:
                entry = {"video_id": video.id, "category_id": 1, "score": track.score}
                entry["segmentations"] = list(track.segmentations)
                file.write(("" if first else ",\n") + json.dumps(entry))
                first = False
        file.write("]")


def measure_files(folder: Path) -> None:
    """Runs in a process of its own, so that its peak is that of the measure alone."""
    start = time.process_time()
    truth = open_truth(folder / "gt.json")
    result = video_ap(open_results(folder / "results.json", truth), len(truth.classes))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    print(
        f"{result.videos:6d} videos, {size:6.0f} MB of JSON: peak {peak:6.0f} MB, "
        f"{time.process_time() - start:6.1f} CPU-s, AP {video_numbers(result)['AP']:.6f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--memory", action="store_true", help="also measure 2,000 videos")
    parser.add_argument("--files", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.files:
        measure_files(arguments.files)
        return
    speed_of_videos(arguments.videos)
    speed_of_frames(600)
    if arguments.memory:
        for count in (200, 2000):
            with tempfile.TemporaryDirectory() as folder:
                write_files(Path(folder), count)
                subprocess.run([sys.executable, __file__, "--files", folder], check=True)


if __name__ == "__main__":
    main()
