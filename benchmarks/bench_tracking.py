"""CPU time of the trackers on 100 videos x 30 frames x 10 detections at 360 x 640.

    python benchmarks/bench_tracking.py [--videos 100]

Masks (RLE) and flow (dense, in memory) are given; nothing else is prepared. A few different videos
are made and gone through in turn, so that memory stays small. The last line compares, on one video,
the masks carried along the flow by cutouts with the dense warp of wsvis.flow.warp.
Limit: issue "Evaluation and tracking": under 30 CPU-seconds for Forest Path Cutting.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np
import torch

from wsvis.flow.warp import warp_masks as dense_warp_masks
from wsvis.masks import decode_masks, encode_masks
from wsvis.tracking.cutouts import cutouts, sampling_of, warp_cutout
from wsvis.tracking.track import track_video
from wsvis.types import FrameInstances

HEIGHT, WIDTH, FRAMES, OBJECTS = 360, 640, 30, 10
DIFFERENT = 4


def make_video(seed: int) -> tuple[list[FrameInstances], list[np.ndarray]]:
    """Ten rough ellipses that drift over a panning background.

    1 in 20 detections is lost and a small one somewhere else found instead.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    places = [(90 + 180 * (n // 5), 64 + 128 * (n % 5)) for n in range(OBJECTS)]
    centres = np.array(places, dtype=np.float64) + rng.uniform(-15, 15, (OBJECTS, 2))
    radii = rng.uniform([45, 35], [75, 55], (OBJECTS, 2))
    speeds = rng.normal(scale=0.6, size=(OBJECTS, 2))
    pan = rng.normal(scale=2, size=2)
    labels = rng.integers(0, 8, OBJECTS)
    frames, flows = [], []
    for _ in range(FRAMES):
        rough = cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32), (0, 0), 4)
        flow = np.broadcast_to(-pan[::-1], (HEIGHT, WIDTH, 2)).astype(np.float32)
        flow += cv2.GaussianBlur(
            rng.normal(scale=8, size=(HEIGHT, WIDTH, 2)).astype(np.float32), (0, 0), 9
        )
        masks = []
        for centre, radius, speed in zip(centres, radii, speeds, strict=True):
            away = ((rows - centre[0]) / radius[0]) ** 2 + ((columns - centre[1]) / radius[1]) ** 2
            mask = away + 2 * rough < 1
            flow[mask] = -speed[::-1]
            masks.append(mask)
        for n in np.flatnonzero(rng.random(OBJECTS) < 0.05):
            row, column = rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH)
            masks[n] = np.hypot(rows - row, columns - column) < 15
        frames.append(
            FrameInstances(
                labels,
                rng.uniform(0.1, 1, OBJECTS).astype(np.float32),
                tuple(encode_masks(np.stack(masks))),
            )
        )
        flows.append(flow)
        centres += speeds
    return frames, flows[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=100)
    count = parser.parse_args().videos
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    videos = [make_video(seed) for seed in range(DIFFERENT)]
    share = np.mean([np.mean([m.mean() for m in decode_masks(f.masks, HEIGHT, WIDTH)])
                     for f in videos[0][0][:5]])  # fmt: skip
    print(f"{count} videos x {FRAMES} frames x {OBJECTS} detections, {HEIGHT}x{WIDTH}, "
          f"a mask covers {100 * share:.1f} % of the frame")  # fmt: skip
    for method in ("forest", "online", "iou"):
        for mode in ("vote", "per-class"):
            start, tracks = time.process_time(), 0
            for n in range(count):
                frames, flows = videos[n % DIFFERENT]
                tracks += len(track_video(frames, flows, method=method, class_mode=mode))
            spent = time.process_time() - start
            print(f"{method:7s} {mode:10s} {spent:7.2f} CPU-s  {tracks / count:5.1f} tracks/video")
    frames, flows = videos[0]
    start = time.process_time()
    for frame, flow in zip(frames, flows, strict=False):
        sampling = sampling_of(flow)
        for cutout in cutouts(frame.masks):
            warp_cutout(cutout, sampling)
    ours, start = time.process_time() - start, time.process_time()
    for frame, flow in zip(frames, flows, strict=False):
        masks = torch.from_numpy(decode_masks(frame.masks, HEIGHT, WIDTH))
        dense_warp_masks(masks, torch.from_numpy(flow))
    dense = time.process_time() - start
    print(f"warping one video: cutouts {ours:.2f} CPU-s, dense {dense:.2f}, x{dense / ours:.1f}")


if __name__ == "__main__":
    main()
