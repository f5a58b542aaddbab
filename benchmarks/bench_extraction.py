"""How close flow extraction by Ray Data comes to what the cores can do: decode and store included.

    python benchmarks/bench_extraction.py

Makes clips of JPEG frames, times OpenCV's DIS alone on one core over frames already in memory
(forward and backward, as the stage computes them), then the whole flow stage by Ray Data on all
cores, and prints the ratio. Both in this one run, so that a slow machine slows both. The stage
before it (every frame decodes) runs first and is not timed; as in every run, its worker processes
are the flow stage's too.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from wsvis.config import Config
from wsvis.flow.config import FlowConfig
from wsvis.flow.provider import make_flow_provider, video_flow
from wsvis.types import Dataset, FrameFiles, Video
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.store.extract import ray_data_runner
from wsvis_platform.store.materialise import Materialiser
from wsvis_platform.store.store import Store


def make_clips(folder: Path, videos: int, frames: int, height: int, width: int) -> Dataset:
    """Clips of a textured scene that slides under a textured disc, as JPEG."""
    rng = np.random.default_rng(0)
    listed = []
    for v in range(videos):
        coarse = rng.integers(0, 255, (height // 8 + 16, width // 8 + 16, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
        thing = cv2.resize(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8), (96, 96))
        paths = []
        for t in range(frames):
            frame = scene[2 * t : 2 * t + height, t : t + width].copy()
            x, y = 40 + 6 * t, height // 3 + int(20 * np.sin(t / 3))
            part = frame[y : y + 96, x : x + 96]
            part[:] = thing[: part.shape[0], : part.shape[1]]
            path = folder / f"{v:03d}" / f"{t:05d}.jpg"
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_QUALITY, 90])
            paths.append(str(path))
        listed.append(Video(f"{v:03d}", height, width, ((),) * frames, FrameFiles(tuple(paths))))
    return Dataset("clips", ("thing",), tuple(listed), "0" * 64)


def raw_rate(dataset: Dataset, provider: str, seconds: float) -> float:
    """Frame pairs per second of one core that does nothing but flow, both ways."""
    cv2.setNumThreads(1)
    source = dataset.videos[0].source
    assert isinstance(source, FrameFiles)
    frames = np.stack([cv2.imread(path)[..., ::-1] for path in source.paths])
    estimator = make_flow_provider(provider)
    video_flow(frames[:3], estimator)
    pairs, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        forward, _ = video_flow(frames, estimator)
        pairs += len(forward)
    return pairs / (time.perf_counter() - started)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=240)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=448)
    parser.add_argument("--provider", default="dis-medium")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = make_clips(folder, options.videos, options.frames, options.height, options.width)
        pairs = options.videos * (options.frames - 1)
        before = raw_rate(dataset, options.provider, 5)
        config = Config(flow=FlowConfig(provider=options.provider))
        with start_ray(num_cpus=cores):
            store = Store(folder / "store")
            runner = ray_data_runner(workers=cores)
            Materialiser(store, runner).ensure(config, dataset, ["frames"])
            started = time.perf_counter()
            Materialiser(store, runner).ensure(config, dataset, ["flow"])
            wall = time.perf_counter() - started
        after = raw_rate(dataset, options.provider, 5)
        stored = sum(file.stat().st_size for file in folder.rglob("store/objects/flow/**/*.safe*"))
        raw = (before + after) / 2
        rate = pairs / wall
        print(
            f"raw {options.provider}, one core: {before:.1f} then {after:.1f} pairs/s (both ways)"
        )
        print(f"flow stage by Ray Data, {cores} cores: {pairs} pairs in {wall:.1f} s, {rate:.1f}/s")
        print(f"share of cores x raw: {rate / (cores * raw):.1%}; {stored / pairs:.0f} bytes/pair")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
