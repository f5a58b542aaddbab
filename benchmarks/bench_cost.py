"""What a run costs: processor seconds per frame of every stage, per training step, per film.

    python benchmarks/bench_cost.py --videos CLIPS --weights mobilenet_v2.pth

One process, one thread, processor time (not the clock), so that other work on the machine changes
little. Takes the first videos of a folder of clips with labels.csv, preset ``clips``; without
``--videos`` embedded clips and ``clips-standin``. docs/scale.md has a table from it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import torch

from wsvis.config import Config
from wsvis.data.config import DataConfig
from wsvis.data.frames import iterate_frames
from wsvis.data.load import load_dataset
from wsvis.one_machine import InMemory, run_step
from wsvis.payload import payload_to_instances
from wsvis.plan import make_plan
from wsvis.presets import PRESETS
from wsvis.settings import with_overrides
from wsvis.tracking.stages import payload_to_tracks
from wsvis.types import Dataset
from wsvis.viz.movies import write_film
from wsvis.viz.track_overlays import track_film

TARGETS = ("fcam_labels", "tracks")


def main() -> None:
    """Time every stage once and print one line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--videos", default="", help="folder of clips with labels.csv")
    parser.add_argument("--weights", default="", help="of the classifier: a file or a name")
    parser.add_argument("--count", type=int, default=3, help="videos to take")
    parser.add_argument("--steps", type=int, default=20, help="of the detector's training")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    config, dataset = chosen(given)
    frames = sum(video.length for video in dataset.videos)
    sizes = {f"{video.width}x{video.height}" for video in dataset.videos}
    print(f"{len(dataset.videos)} videos, {frames} frames, {', '.join(sorted(sizes))}")
    seconds, stored = timed_stages(config, dataset)
    rows = {
        name: value / frames for name, value in seconds.items() if isinstance(stored[name], dict)
    }
    for name, value in rows.items():
        print(f"{name:18} {1000 * value:8.1f} ms per frame")
    steps = config.detector.steps
    print(f"{'detector':18} {1000 * seconds['system'] / steps:8.1f} ms per step")
    film = timed_film(dataset, stored) / frames
    print(f"{'film':18} {1000 * film:8.1f} ms per frame")
    print(json.dumps({"per_frame": rows, "film": film, "detector_steps": steps}))


def chosen(given: argparse.Namespace) -> tuple[Config, Dataset]:
    """Settings and clips."""
    config = PRESETS["clips" if given.videos else "clips-standin"]()
    data = DataConfig(kind="auto", path=given.videos, split="all")
    config = replace(config, data=data if given.videos else DataConfig(synthetic_videos=6))
    settings: dict[str, object] = {
        "labels": "fcam_labels",
        "detector.steps": given.steps,
        "detector.warm_up": 1,
    }
    if given.weights:
        settings["classifier.weights"] = given.weights
    config = with_overrides(config, settings)
    dataset = load_dataset(config.data)
    return config, replace(dataset, videos=dataset.videos[: given.count])


def timed_stages(config: Config, dataset: Dataset) -> tuple[dict[str, float], dict[str, Any]]:
    """Processor seconds of every stage, and its results."""
    memory, seconds, results = InMemory(), dict[str, float](), dict[str, Any]()
    for step in make_plan(config, dataset, TARGETS).steps:
        began = time.process_time()
        run_step(step, dataset, memory)
        seconds[step.name] = time.process_time() - began
        kept = memory.wholes if step.definition().over_data else memory.videos
        results[step.name] = kept[step.key]
    return seconds, results


def timed_film(dataset: Dataset, stored: Mapping[str, Any]) -> float:
    """Processor seconds of drawing and writing all films."""
    count = sum(len(payload_to_instances(result)) for result in stored["predictions"].values())
    assert count == sum(video.length for video in dataset.videos)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        for video in dataset.videos:
            tracks = payload_to_tracks(stored["tracks"][video.id])
            film = track_film(iterate_frames(video), tracks, dataset.classes)
            write_film(Path(folder) / f"{video.id}.webm", film, fps=10.0)
        return time.process_time() - began


if __name__ == "__main__":
    main()
