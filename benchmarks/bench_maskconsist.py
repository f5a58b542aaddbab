"""Speed of MaskConsist's matching, of all it does to a pair, and of a training step with it.

    OMP_NUM_THREADS=1 python benchmarks/bench_maskconsist.py [--device cuda] [--steps 30]

A few minutes on one core; ``--steps 0`` leaves out the training steps. CPU seconds (on a GPU: wall
seconds after a synchronisation).

- matching (480x640, best of several): warp, weights and assignment of one direction, on the coarse
  grid and on all pixels;
- refine (480x640): all of MaskConsist for a pair, both directions, with 4 pseudo-labels per frame;
- training step (synthetic clips, backbone ``small``): forward and backward of the same pair with
  and without refine, by turns, medians and the ratio; once with the predictions a half-trained
  detector makes (score from 0.05), once with every proposal taken for one (score from 0).
  ``--detector`` takes a trained one from a file instead.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from wsvis.config import Config
from wsvis.data.synthetic import render_clip, synthetic_dataset
from wsvis.evaluation.frame_ap import frame_truths
from wsvis.instances import InstanceTensors, concatenate, from_masks
from wsvis.maskconsist.inter_frame import inter_frame_matching, match_weights
from wsvis.maskconsist.intra_frame import same_class_overlap
from wsvis.payload import from_bytes
from wsvis.systems.checkpoint import detector_from_payload
from wsvis.systems.clips import Clip, ClipBatches, ClipSample, frame_clips
from wsvis.systems.detector import Selection
from wsvis.systems.mask_rcnn.build import build_detector
from wsvis.systems.mask_rcnn.learner import pair_to_device, train_detector
from wsvis.systems.stages import refiner
from wsvis.types import FrameInstances, SyntheticSource

HEIGHT, WIDTH, CLASSES = 480, 640, 10
refine = refiner(Config())
assert refine is not None


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


def synthetic_pairs(clips: int, delta: int = 5) -> list[ClipSample]:
    """Pairs with ground truth for labels and exact flow."""
    pairs = []
    for video in synthetic_dataset("train", clips).videos:
        assert isinstance(video.source, SyntheticSource)
        clip = render_clip(video.source)
        labels = [
            FrameInstances(truth.labels, np.ones(len(truth.labels), np.float32), truth.masks)
            for truth in frame_truths(video)
        ]
        for a, b in frame_clips(video.length, delta):
            there, back = (clip.flow(*each).astype(np.float32) for each in ((a, b), (b, a)))
            frames = clip.frames[a], clip.frames[b]
            if len(labels[a]) + len(labels[b]):
                pairs.append(ClipSample(frames, (labels[a], labels[b]), ((there, back),)))
    return pairs


def training_step(steps: int, file: str, device: str) -> None:
    """Print the cost of a step with refine over the same step without."""
    batches = ClipBatches(synthetic_pairs(12), seed=0)
    if file:
        model = detector_from_payload(from_bytes(Path(file).read_bytes()), file).to(device)
    else:
        model = build_detector(8, backbone="small", weights="standin", frozen_stages=0).to(device)
        train_detector(model, batches, 5 * steps, optimiser="adamw", learning_rate=2e-4)
    model.train()
    for score in (0.05, 0.0):
        taken: dict[bool, list[float]] = {False: [], True: []}
        counts: list[int] = []
        for step in range(steps):
            pair = pair_to_device(batches.batch(step)[0], torch.device(device))
            for with_refine in (False, True):
                once = partial(forward_and_backward, model, pair, score, with_refine, counts)
                taken[with_refine].append(seconds(once, device, repeats=2))
        plain, full = (1e3 * float(np.median(taken[key])) for key in (False, True))
        print(
            f"step, predictions from {score:.2f} ({np.mean(counts):.1f} per frame): "
            f"{plain:.1f} ms, with refine {full:.1f} ms, {full / plain - 1:+.1%}"
        )


def forward_and_backward(
    model: torch.nn.Module, pair: Clip, score: float, with_refine: bool, counts: list[int]
) -> None:
    """One step without its update; notes how many predictions there were."""

    def refined(
        predictions: list[InstanceTensors], targets: list[InstanceTensors]
    ) -> list[InstanceTensors]:
        counts.extend(len(found) for found in predictions)
        (a, b), (of_a, of_b) = predictions, targets
        return list(refine((a, b), (of_a, of_b), *pair.flow[0]))

    device = pair.images[0].device.type
    selection = Selection(score=score, classes_per_box="best")
    torch.manual_seed(pair.seed)
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        losses = model(
            list(pair.images), list(pair.targets), refined if with_refine else None, selection
        )
    torch.stack(list(losses.values())).sum().backward()
    model.zero_grad()


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of MaskConsist")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--candidates", type=int, default=110)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--detector", default="")
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
        f"matching, {count}x{count}": lambda: inter_frame_matching(
            a, b, flow_ba, min_match_iou=0.0
        ),
        f"matching, {count}x{count}, all pixels": lambda: inter_frame_matching(
            a, b, flow_ba, min_match_iou=0.0, max_pixels=0
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
    if arguments.steps:
        training_step(arguments.steps, arguments.detector, device)


if __name__ == "__main__":
    main()
