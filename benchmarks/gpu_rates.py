"""Rates on a GPU in one table: training and inference at 480 pixels, walk, CRF, affinity, RAFT.

    bash benchmarks/gpu.sh                      GPU tests, then this; under 8 minutes
    python benchmarks/gpu_rates.py --device cpu --side 96    tries the script itself

Networks have random weights: speed does not depend on them. Training and networks run in bfloat16
on a GPU, as in every run. Wall seconds after a synchronisation, the median of several. A part that
fails is named with its reason and the others go on.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

CLASSES = 40
NAMES = [f"class {number}" for number in range(CLASSES)]


@dataclass(frozen=True)
class Bench:
    """Where and how large."""

    device: torch.device
    side: int
    """Rows of a frame; a frame is 16:9."""
    backbone: str
    repeats: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a frame, multiples of 32."""
        return self.side // 32 * 32, self.side * 16 // 9 // 32 * 32

    def frames(self, count: int) -> np.ndarray:
        """Random frames."""
        draw = np.random.default_rng(0)
        return draw.integers(0, 256, (count, *self.shape, 3), dtype=np.uint8)

    def seconds(self, call: Callable[[], object]) -> float:
        """Median of several calls after one that warms up."""
        taken: list[float] = []
        for _ in range(self.repeats + 1):
            self.wait()
            start = time.perf_counter()
            call()
            self.wait()
            taken.append(time.perf_counter() - start)
        return median(taken[1:])

    def wait(self) -> None:
        """Until the GPU has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def classifier_training(bench: Bench) -> str:
    from wsvis.cam.classifier import build_classifier
    from wsvis.cam.train_classifier import train_classifier

    batch, steps = 16, 6
    model = build_classifier(bench.backbone, NAMES).to(bench.device)
    labels = np.eye(CLASSES, dtype=bool)[np.arange(batch * steps) % CLASSES]
    frames = list(bench.frames(batch)) * steps
    crop = min(512, bench.side // 16 * 16)
    spent = bench.seconds(
        lambda: train_classifier(
            model, frames, labels, seed=0, epochs=1.0, batch_size=batch, crop=crop
        )
    )
    return f"{batch * steps / spent:.1f} frames/s (crops of {crop}, batch {batch})"


def flowirn_training(bench: Bench) -> str:
    from wsvis.backbones.networks import build_backbone
    from wsvis.irn.batches import IrnBatches, IrnSample
    from wsvis.irn.network import Irn
    from wsvis.irn.tap_memory import TapMemory
    from wsvis.irn.train import train_irn

    draw, (height, width) = np.random.default_rng(0), bench.shape
    cells = draw.choice(np.array([0, 1, 255], np.uint8), (height // 16, width // 16))
    labels = cells.repeat(16, 0).repeat(16, 1)
    flow = draw.normal(size=(height // 2, width // 2, 2)).astype(np.float32)
    samples = [IrnSample(frame, labels, flow) for frame in bench.frames(8)]
    model = Irn(build_backbone(bench.backbone)).to(bench.device)
    batches = IrnBatches(samples, batch_size=8, seed=0, canvas=(0, 0), scales=(1.0, 1.0))
    spent = bench.seconds(lambda: train_irn(model, batches, 4, memory=TapMemory(model, 0)))
    return f"{32 / spent:.1f} frames/s (batch 8, radius 10)"


def detector_training(bench: Bench) -> str:
    from wsvis.systems.clips import ClipBatches, ClipSample
    from wsvis.systems.mask_rcnn.learner import train_detector

    height, width = bench.shape
    still = np.zeros((height, width, 2), np.float32)
    pairs = [
        ClipSample((a, a), (_labels(bench), _labels(bench)), ((still, still),))
        for a in bench.frames(4)
    ]
    model = _detector(bench)
    batches, steps = ClipBatches(pairs, seed=0), 8
    spent = bench.seconds(lambda: train_detector(model, batches, steps, warm_up=10_000))
    return f"{steps / spent:.2f} pairs/s ({2 * steps / spent:.2f} frames/s)"


def _labels(bench: Bench):
    from wsvis.masks import encode_masks
    from wsvis.types import FrameInstances

    masks = np.zeros((2, *bench.shape), dtype=bool)
    masks[0, bench.side // 4 : bench.side // 2, bench.side // 4 : bench.side // 2] = True
    masks[1, bench.side // 2 :, : bench.side // 3] = True
    return FrameInstances(np.array([0, 1]), np.ones(2, np.float32), tuple(encode_masks(masks)))


def _detector(bench: Bench) -> torch.nn.Module:
    from wsvis.systems.mask_rcnn.build import build_detector

    model = build_detector(CLASSES, backbone=bench.backbone, weights="none", frozen_stages=2)
    return model.to(bench.device)


def detector_inference(bench: Bench) -> str:
    from wsvis.systems.predict import predict_frames

    model, frames = _detector(bench).eval(), list(bench.frames(8))
    spent = bench.seconds(lambda: list(predict_frames(model, frames)))
    return f"{len(frames) / spent:.1f} frames/s"


def class_maps(bench: Bench) -> str:
    from wsvis.cam.cam import fold_batch_norm, multi_scale_cam
    from wsvis.cam.classifier import build_classifier

    model = build_classifier(bench.backbone, NAMES).eval().to(bench.device)
    frames = torch.from_numpy(bench.frames(4)).to(bench.device)
    present = torch.zeros((4, CLASSES), dtype=torch.bool, device=bench.device)
    present[:, :2] = True
    folded = fold_batch_norm(model)
    with torch.inference_mode():
        spent = bench.seconds(lambda: multi_scale_cam(folded, frames, present))
    return f"{4 / spent:.1f} frames/s (4 scales, both flips)"


def walk(bench: Bench) -> str:
    from wsvis.irn.random_walk import random_walk

    height, width = (side // 4 for side in bench.shape)
    seeds = torch.rand(1, 10, height, width, device=bench.device)
    boundary = torch.rand(1, height, width, device=bench.device)
    return f"{1e3 * bench.seconds(lambda: random_walk(seeds, boundary)):.1f} ms/frame (10 seeds)"


def crf(bench: Bench) -> str:
    from wsvis.refinement.crf import dense_crf

    images = torch.from_numpy(bench.frames(1)).to(bench.device)
    labels = torch.randint(0, 3, (1, 2, *bench.shape), dtype=torch.uint8, device=bench.device)
    return f"{1e3 * bench.seconds(lambda: dense_crf(images, labels, [3])):.1f} ms/frame"


def affinities(bench: Bench) -> str:
    from wsvis.irn.affinity import affinity

    boundary = torch.rand(2, 128, 128, device=bench.device, requires_grad=True)
    spent = bench.seconds(lambda: affinity(boundary, 10).square().sum().backward())
    return f"{1e3 * spent:.1f} ms (batch 2, 128x128, radius 10, both directions)"


def raft(bench: Bench) -> str:
    from torchvision.models.optical_flow import raft_large

    from wsvis.flow.raft import Raft

    frames = bench.frames(5)
    provider = Raft(raft_large(weights=None), bench.device)
    return f"{4 / bench.seconds(lambda: provider.flow(frames[:4], frames[1:])):.1f} pairs/s (large)"


def communication(bench: Bench) -> str:
    import torch.distributed as dist

    if bench.device.type != "cuda" or not dist.is_nccl_available():
        return "not tried: NCCL needs a GPU"
    store = dist.HashStore()
    dist.init_process_group("nccl", store=store, rank=0, world_size=1)
    try:
        values = torch.ones(1 << 24, device=bench.device)
        spent = bench.seconds(lambda: dist.all_reduce(values))
    finally:
        dist.destroy_process_group()
    return (
        f"all-reduce of 64 MB in one process {1e3 * spent:.2f} ms ({torch.cuda.device_count()} GPU)"
    )


PARTS: tuple[tuple[str, Callable[[Bench], str]], ...] = (
    ("classifier, training", classifier_training),
    ("flowIRN, training", flowirn_training),
    ("detector, training", detector_training),
    ("detector, inference", detector_inference),
    ("class maps", class_maps),
    ("random walk", walk),
    ("CRF", crf),
    ("affinity", affinities),
    ("RAFT", raft),
    ("NCCL", communication),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--side", type=int, default=480, help="rows of a frame")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.exit(2, "error: no GPU that PyTorch can use; --device cpu tries the script itself\n")
    bench = Bench(torch.device(options.device), options.side, options.backbone, options.repeats)
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor()
    height, width = bench.shape
    print(
        f"\n{name or options.device}; PyTorch {torch.__version__}; {height}x{width}, "
        f"{options.backbone}\n\n| what | rate |\n|---|---|",
        flush=True,
    )
    for title, measure in PARTS:
        try:
            text = measure(bench)
        except Exception as error:
            text = f"failed: {type(error).__name__}: {str(error).splitlines()[0][:120]}"
        print(f"| {title} | {text} |", flush=True)


if __name__ == "__main__":
    main()
