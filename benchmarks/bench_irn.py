"""Speed of flowIRN's steps, each beside the plain way to compute the same, in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_irn.py [--device cuda] [--no-dense] [--resnet]

About 2 minutes on one core; ``--no-dense`` leaves out the dense random walk (20 seconds, 400 MB).
CPU seconds (on a GPU: wall seconds after a synchronisation), best of several. Plain ways:

- affinity: for every pair gather all cells of its line, then their maximum (IRN's code);
- random walk: 256 products with a sparse matrix, and 8 squarings of the dense one (IRN's code);
- centroids: the refinement in vectorised numpy;
- CRF: none; its cost per frame stands alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from scipy import sparse
from torch.nn import functional

from wsvis.backbones.networks import build_backbone
from wsvis.irn.affinity import affinity
from wsvis.irn.batches import IrnBatches, IrnSample
from wsvis.irn.centroids import centroids, instance_map
from wsvis.irn.instances import detections, instance_seeds, upsample_scores
from wsvis.irn.network import Irn
from wsvis.irn.paths import line_cells, pair_offsets, window_size
from wsvis.irn.predict import boundary_and_displacement
from wsvis.irn.random_walk import random_walk
from wsvis.irn.tap_memory import TapMemory
from wsvis.irn.train import train_irn
from wsvis.refinement.crf import dense_crf

T = TypeVar("T")
SEEDS, BETA, STEPS, OBJECTS = 10, 10.0, 256, 5


def timed(call: Callable[[], T], repeats: int, device: str = "cpu") -> tuple[float, T]:
    """Seconds of the fastest call, and its result."""
    best, result = float("inf"), call()
    for _ in range(repeats):
        if device == "cpu":
            start = time.process_time()
            result = call()
            best = min(best, time.process_time() - start)
        else:
            torch.cuda.synchronize()
            start = time.perf_counter()
            result = call()
            torch.cuda.synchronize()
            best = min(best, time.perf_counter() - start)
    return best, result


def scene(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Boundary, displacement towards five centres, and two class maps, on a grid."""
    draw = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centres = torch.rand((OBJECTS, 2), generator=draw) * torch.tensor([height, width])
    to = torch.stack([centres[:, :1, None] - y, centres[:, 1:, None] - x], 1)
    distance = to.norm(dim=1)
    nearest = distance.argmin(0)
    displacement = to.gather(0, nearest.expand(1, 2, -1, -1))[0]
    rim = (distance.amin(0) - 0.15 * height).abs()
    boundary = 0.95 * torch.exp(-rim) + 0.05 * torch.rand((height, width), generator=draw)
    coarse = torch.rand((1, 2, height // 8 + 1, width // 8 + 1), generator=draw)
    maps = functional.interpolate(coarse, (height, width), mode="bilinear")[0]
    return boundary, displacement.float(), maps.numpy()


def gathered_affinity(boundary: torch.Tensor, radius: int) -> torch.Tensor:
    """Eq. 1 by gathering every cell of every line."""
    images, height, width = boundary.shape
    rows, columns = window_size(height, width, radius)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns) + radius - 1, indexing="ij")
    source, flat, maxima = (y * width + x).flatten(), boundary.flatten(1), []
    for offset in pair_offsets(radius):
        line = torch.tensor([dy * width + dx for dy, dx in line_cells(*offset)])
        cells = (line[:, None] + source).to(boundary.device)
        maxima.append(flat[:, cells.flatten()].view(images, *cells.shape).amax(1))
    return 1 - torch.stack(maxima, 1).view(images, -1, rows, columns)


def bench_affinity(device: str) -> None:
    boundary = torch.rand(2, 128, 128, device=device, requires_grad=True)

    def step(compute: Callable[[torch.Tensor, int], torch.Tensor]) -> torch.Tensor:
        boundary.grad = None
        compute(boundary, 10).square().sum().backward()
        assert boundary.grad is not None
        return boundary.grad

    ours, ours_gradient = timed(lambda: step(affinity), 5, device)
    plain, plain_gradient = timed(lambda: step(gathered_affinity), 2, device)
    error = (ours_gradient - plain_gradient).abs().max() / plain_gradient.abs().max()
    print("\naffinity r=10, 128x128, batch 2, forward + backward")
    print(f"  ours {ours:.3f} s, gathered {plain:.3f} s: x{plain / ours:.1f}")
    print(f"  gradients differ by {error:.0e} of the largest")


def sparse_transitions(boundary: torch.Tensor, dtype: type) -> sparse.csr_matrix:
    """T of the walk, columns summing to 1."""
    height, width = boundary.shape
    padded = functional.pad(boundary[None], (4, 4, 0, 4), value=1.0)
    links = (affinity(padded, 5)[0].double() ** BETA).flatten(1).numpy()
    cells = np.arange(height * width)
    rows, columns, values = [cells], [cells], [np.ones(len(cells))]
    for (dy, dx), link in zip(pair_offsets(5), links, strict=True):
        here = np.flatnonzero(link)
        there = here + dy * width + dx
        rows += [here, there]
        columns += [there, here]
        values += [link[here], link[here]]
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    weights = sparse.csr_matrix(entries, shape=(len(cells), len(cells)))
    return (weights @ sparse.diags(1 / weights.sum(0).A1)).astype(dtype).T.tocsr()


def bench_walk(device: str, height: int, width: int, dense: bool) -> None:
    boundary, _, _ = scene(height, width)
    draw = torch.Generator().manual_seed(1)
    seeds = torch.rand((1, SEEDS, height, width), generator=draw)
    owner = torch.randint(0, SEEDS, (height // 15 + 1, width // 15 + 1), generator=draw)
    owner = owner.repeat_interleave(15, 0).repeat_interleave(15, 1)[:height, :width]
    seeds *= owner == torch.arange(SEEDS).view(-1, 1, 1)
    start = (seeds[0] * (1 - boundary)).flatten(1).T.numpy()

    def plainly(dtype: type = np.float32) -> np.ndarray:
        transitions, x = sparse_transitions(boundary, dtype), start.astype(dtype)
        for _ in range(STEPS):
            x = transitions @ x
        return x

    on_device = seeds.to(device), boundary[None].to(device)
    ours, walked = timed(lambda: random_walk(*on_device), 3, device)
    plain, _ = timed(plainly, 1)
    exact = plainly(np.float64).T.reshape(SEEDS, height, width)
    error = np.abs(walked[0].cpu().numpy() - exact).max() / exact.max()
    print(f"\nrandom walk, {4 * height}x{4 * width} frame, {SEEDS} seeds, {STEPS} steps")
    print(f"  ours {ours:.3f} s (error {error:.0e} of peak)")
    print(f"  256 sparse products {plain:.2f} s: x{plain / ours:.1f}")
    if dense:

        def squared() -> torch.Tensor:
            matrix = torch.from_numpy(sparse_transitions(boundary, np.float32).toarray())
            for _ in range(8):
                matrix = matrix @ matrix
            return matrix @ torch.from_numpy(start)

        begin = time.process_time()
        result = squared().T.reshape(SEEDS, height, width).numpy()
        spent = time.process_time() - begin
        assert np.abs(result - exact).max() < 1e-3 * exact.max()
        print(f"  dense, 8 squarings {spent:.1f} s: x{spent / ours:.0f}")


def plain_centroids(displacement: np.ndarray) -> np.ndarray:
    """300 refinements in numpy."""
    _, height, width = displacement.shape
    y, x = (c.astype(np.float32) for c in np.mgrid[:height, :width])
    for _ in range(300):
        top, left = np.floor(y).astype(int), np.floor(x).astype(int)
        low, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
        fy, fx = y - top, x - left
        upper = displacement[:, top, left] * (1 - fx) + displacement[:, top, right] * fx
        lower = displacement[:, low, left] * (1 - fx) + displacement[:, low, right] * fx
        move = upper * (1 - fy) + lower * fy
        y, x = np.clip(y + move[0], 0, height - 1), np.clip(x + move[1], 0, width - 1)
    return np.stack([y.round(), x.round()]).astype(int)


def bench_centroids(device: str, height: int, width: int) -> None:
    field = scene(height, width)[1]
    field = field * 0.1 + 0.02 * torch.randn(
        field.shape, generator=torch.Generator().manual_seed(2)
    )
    on_device = field[None].to(device)
    ours, found = timed(lambda: centroids(on_device), 3, device)
    plain, expected = timed(lambda: plain_centroids(field.numpy()), 1)
    equal = (found[0].cpu().numpy() == expected).all(0).mean()
    print(f"\ncentroids, {4 * height}x{4 * width} frame, 300 refinements")
    print(f"  ours {ours:.3f} s, numpy {plain:.3f} s: x{plain / ours:.1f}; {equal:.2%} equal")


def bench_pseudo_labels(device: str, height: int, width: int, backbone: str) -> None:
    model = Irn(build_backbone(backbone)).eval().to(device)
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    boundary, displacement, maps = scene(-(-height // 4), -(-width // 4))
    times: dict[str, float] = {}
    times["network"], _ = timed(lambda: boundary_and_displacement(model, frame, (0, 0)), 2, device)
    field = displacement[None].to(device)
    times["centroids"], ends = timed(lambda: centroids(field), 2, device)
    ends = ends[0].cpu().numpy()

    def cut() -> tuple[torch.Tensor, np.ndarray]:
        seeds = instance_seeds(
            maps, np.array([0, 1]), instance_map(displacement.numpy(), ends, 2.5)
        )
        return torch.from_numpy(seeds.maps)[None].to(device), seeds.labels

    times["seeds"], (seeds, labels) = timed(cut, 2, device)
    edges = boundary[None].to(device)
    times["walk"], walked = timed(lambda: random_walk(seeds, edges), 2, device)
    size = (height, width)
    times["masks"], _ = timed(
        lambda: detections(upsample_scores(walked[0], size, size).cpu().numpy(), labels), 2, device
    )
    total = sum(times.values())
    print(f"\npseudo-labels of a {height}x{width} frame, {backbone}, {seeds.shape[1]} seeds")
    print("  " + ", ".join(f"{name} {spent:.3f}" for name, spent in times.items()), end="")
    print(f"; {total:.3f} s in all")
    draw = np.random.default_rng(0)
    blocks = draw.integers(0, 3, (2, height // 16, width // 16)).repeat(16, 1).repeat(16, 2)
    labels8 = torch.from_numpy(blocks.astype(np.uint8))[None].to(device)
    images = torch.from_numpy(frame[:, : blocks.shape[1], : blocks.shape[2]]).to(device)
    spent, _ = timed(lambda: dense_crf(images, labels8, [3]), 2, device)
    print(f"  dense CRF on its IR labels (both thresholds, 3 labels): {spent:.3f} s")


def bench_training(device: str, side: tuple[int, int], radius: int, backbone: str) -> None:
    draw = np.random.default_rng(0)
    samples = [
        IrnSample(
            draw.integers(0, 256, (*side, 3), dtype=np.uint8),
            np.kron(draw.choice([0, 1, 255], (side[0] // 16, side[1] // 16)), np.ones((16, 16))),
            draw.normal(size=(side[0] // 2, side[1] // 2, 2)).astype(np.float32),
        )
        for _ in range(4)
    ]
    samples = [IrnSample(s.frame, s.labels.astype(np.uint8), s.flow) for s in samples]
    spent = {}
    for weight in (0.0, 1.0):
        model = Irn(build_backbone(backbone)).to(device)
        batches = IrnBatches(samples, batch_size=4, seed=0, canvas=(0, 0), scales=(1.0, 1.0))
        spent[weight], _ = timed(
            lambda w=weight, m=model, b=batches: train_irn(
                m, b, 2, radius=radius, flow_boundary_weight=w, memory=TapMemory(m, 0)
            ),
            1,
            device,
        )
    print(f"\ntraining, {side[0]}x{side[1]}, {backbone}, radius {radius}: seconds per frame")
    print(f"  IRN {spent[0.0] / 8:.3f}, flowIRN {spent[1.0] / 8:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--no-dense", action="store_true", help="leave the dense walk out")
    parser.add_argument("--resnet", action="store_true", help="time ResNet-50 as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench_affinity(options.device)
    bench_walk(options.device, 60, 80, dense=not options.no_dense)
    bench_walk(options.device, 120, 160, dense=False)
    bench_centroids(options.device, 120, 160)
    bench_pseudo_labels(options.device, 128, 192, "small")
    bench_pseudo_labels(options.device, 480, 640, "small")
    bench_training(options.device, (128, 192), 5, "small")
    bench_training(options.device, (128, 192), 10, "small")
    if options.resnet:
        bench_pseudo_labels(options.device, 480, 640, "resnet50")
        bench_training(options.device, (256, 256), 10, "resnet50")


if __name__ == "__main__":
    main()
