"""Speed of MaskConsist's matching and of everything it adds to a frame pair.

    OMP_NUM_THREADS=1 python benchmarks/bench_maskconsist.py [--device cuda] [--candidates 110]

Under half a minute on one core. CPU seconds (on a GPU: wall seconds after a synchronisation), best
of several, for 480x640 pixels:

- matching: warp, weights and assignment of one direction, on the coarse grid and on all pixels;
- refine: all of MaskConsist for a pair, both directions, with 4 pseudo-labels per frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from wsvis.maskconsist.instances import InstanceTensors, concatenate, from_masks
from wsvis.maskconsist.inter_frame import inter_frame_matching, match_weights
from wsvis.maskconsist.intra_frame import same_class_overlap
from wsvis.maskconsist.refine import refine

HEIGHT, WIDTH, CLASSES = 480, 640, 10


def seconds(call: Callable[[], object], device: str, repeats: int = 7) -> float:
    """Of the fastest call."""
    best = float("inf")
    for _ in range(repeats + 1):  # the first warms up
        if device != "cpu":
            torch.cuda.synchronize()
        start = time.process_time() if device == "cpu" else time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        now = time.process_time() if device == "cpu" else time.perf_counter()
        best = min(best, now - start)
    return best


def detections(random: np.random.Generator, count: int, objects: np.ndarray) -> InstanceTensors:
    """Ellipses over and beside a few places, no two of a class with boxes of an IoU above .5."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    chosen: list[InstanceTensors] = []
    while len(chosen) < count:
        number = int(random.integers(len(objects)))
        row, column, tall, wide = objects[number] * random.uniform(0.5, 1.5, 4)
        mask = ((y - row) / tall) ** 2 + ((x - column) / wide) ** 2 < 1
        label = int(random.integers(CLASSES)) if len(chosen) >= len(objects) else number % CLASSES
        new = from_masks(torch.from_numpy(mask)[None], torch.tensor([label]), torch.rand(1))
        if not chosen or not (same_class_overlap(new, concatenate(chosen), "box") > 0.5).any():
            chosen.append(new)
    return concatenate(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of MaskConsist")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--candidates", type=int, default=110)
    arguments = parser.parse_args()
    device, count = arguments.device, arguments.candidates
    random = np.random.default_rng(0)
    objects = np.stack(
        [random.uniform(100, HEIGHT - 100, 4), random.uniform(100, WIDTH - 100, 4)]
        + [random.uniform(60, 110, 4) for _ in range(2)],
        axis=1,
    )

    def moved(frame: InstanceTensors) -> InstanceTensors:
        return InstanceTensors(
            *(t.to(device) for t in (frame.boxes, frame.labels, frame.masks, frame.scores))
        )

    a, b = (moved(detections(random, count, objects)) for _ in range(2))
    labels = tuple(moved(detections(random, 4, objects)) for _ in range(2))
    flow_ab = torch.full((HEIGHT, WIDTH, 2), 3.3, device=device)
    flow_ba = -flow_ab
    difference = match_weights(a, b, flow_ba) - match_weights(a, b, flow_ba, max_pixels=0)
    rows = {
        f"matching, {count}x{count}": lambda: inter_frame_matching(a, b, flow_ba),
        f"matching, {count}x{count}, all pixels": lambda: inter_frame_matching(
            a, b, flow_ba, max_pixels=0
        ),
        f"refine, {count} predictions per frame": lambda: refine(
            (a, b), (labels[0], labels[1]), flow_ab, flow_ba
        ),
        "refine, 20 predictions per frame": lambda: refine(
            (a[torch.arange(20)], b[torch.arange(20)]), (labels[0], labels[1]), flow_ab, flow_ba
        ),
    }
    for name, call in rows.items():
        print(f"{name:<40}{1e3 * seconds(call, device):8.1f} ms")
    print(f"greatest change of a weight by the coarse grid: {float(difference.abs().max()):.3f}")


if __name__ == "__main__":
    main()
