"""Dense CRF on hard labels: moves label borders to image edges (a step of IRN's label making).

Why our own: the packages on the registry come as C++ sources without wheels, work on one frame at
a time and on no accelerator. This one runs wherever torch does, batched.

Legend: F frames, Q label maps per frame, L labels, H W pixels, h w cells of the working grid
(n = h w), P neighbours.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from wsvis.refinement.config import CrfConfig
from wsvis.stencil import Stencil, frames_at_once, link_degrees

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def dense_crf(
    images: UInt8[Tensor, "f H W 3"],
    labels: UInt8[Tensor, "f q H W"],
    label_counts: list[int],
    *,
    certainty: float = CrfConfig.certainty,
    smoothness_sigma: float = CrfConfig.smoothness_sigma,
    smoothness_weight: float = CrfConfig.smoothness_weight,
    appearance_sigma: float = CrfConfig.appearance_sigma,
    colour_sigma: float = CrfConfig.colour_sigma,
    appearance_weight: float = CrfConfig.appearance_weight,
    iterations: int = CrfConfig.iterations,
    stride: int = CrfConfig.stride,
    neighbours: int = CrfConfig.neighbours,
) -> UInt8[Tensor, "f q H W"]:
    """Most likely labels of a fully connected CRF, by mean field.

    Source: Kraehenbuehl & Koltun 2011, Algorithm 1; the parameters are those of IRN's released
    code. With U the unary energies, each iteration sets

        Q_i(l) ~ exp(-U_i(l) + w_s sum_j s_ij Q_j(l) + w_a sum_j a_ij Q_j(l))
        s_ij = exp(-|p_i - p_j|^2 / 2 sigma_s^2)
        a_ij = exp(-|p_i - p_j|^2 / 2 sigma_a^2 - |I_i - I_j|^2 / 2 sigma_c^2)

    where both kernels are divided by the square roots of their row sums at i and at j, and j = i
    counts (both as in the authors' code). All Q label maps of a frame share its kernels.

    Differs from the source: runs on a grid of ``stride`` pixels (IRN reads the result every fourth
    pixel); in place of a permutohedral lattice the appearance kernel sums over single neighbours:
    all of them within 2.5 sigma where these are few, else ``neighbours`` of them in each half
    plane, spread like the spatial Gaussian.

    Args:
        images: RGB.
        labels: 0 .. label_counts - 1 (no "unsure").
        label_counts: L of each frame: labels that could be there, whether or not they are.
        certainty: probability that a given label is right.
        smoothness_sigma: pixels.
        smoothness_weight: of the smoothness kernel.
        appearance_sigma: pixels.
        colour_sigma: grey levels of 0..255.
        appearance_weight: of the appearance kernel.
        iterations: of mean field.
        stride: pixels per cell of the working grid.
        neighbours: see above.
    """
    frames, maps, height, width = labels.shape
    if len(label_counts) != frames or min(label_counts, default=1) < 1:
        raise ValueError(f"label counts {label_counts} do not fit {frames} frames")
    result = torch.zeros_like(labels)
    offsets = appearance_offsets(appearance_sigma / stride, neighbours)
    cells = -(-height // stride) * -(-width // stride)
    group = frames_at_once(images.device, len(offsets), cells)
    for start in range(0, frames, group):
        some = slice(start, start + group)
        probability = mean_field(
            unary_energy(labels[some], label_counts[some], certainty, stride),
            _block_mean(images[some].permute(0, 3, 1, 2).float(), stride),
            offsets,
            smoothness_sigma=smoothness_sigma / stride,
            smoothness_weight=smoothness_weight,
            colour_sigma=colour_sigma,
            appearance_weight=appearance_weight,
            iterations=iterations,
        )
        fine = functional.interpolate(
            probability.flatten(0, 1), scale_factor=stride, mode="bilinear", align_corners=False
        )[..., :height, :width]
        result[some] = _first_largest(fine).view(-1, maps, height, width)
    return result


def _first_largest(values: Float[Tensor, "n L H W"]) -> UInt8[Tensor, "n H W"]:
    """Label of the largest value, the first of equals; torch's argmax is slow across this axis."""
    best = values[:, 0].clone()
    label = torch.zeros(best.shape, dtype=torch.uint8, device=values.device)
    for number in range(1, values.shape[1]):
        label.masked_fill_(values[:, number] > best, number)
        torch.maximum(best, values[:, number], out=best)
    return label


def unary_energy(
    labels: UInt8[Tensor, "f q H W"], label_counts: list[int], certainty: float, stride: int
) -> Float[Tensor, "f q L h w"]:
    """-log p of each label: p = certainty where it was given, else (1 - certainty) / (L - 1).

    A cell has the mean energy of its pixels. Labels a frame does not have get 1e4, which is never
    chosen.
    """
    number = max(label_counts, default=1)
    classes = torch.arange(number, device=labels.device).view(1, 1, -1, 1, 1)
    given = _block_mean((labels.unsqueeze(2) == classes).flatten(0, 1).float(), stride)
    given = given.view(*labels.shape[:2], number, *given.shape[-2:])
    energy = torch.full_like(given, 1e4)
    for frame, count in enumerate(label_counts):
        share = given[frame, :, :count]
        other = -math.log((1 - certainty) / max(count - 1, 1))
        energy[frame, :, :count] = -math.log(certainty) * share + other * (1 - share)
    return energy


@lru_cache
def appearance_offsets(sigma: float, neighbours: int) -> tuple[tuple[int, int, float], ...]:
    """Half-plane offsets (dy, dx) in cells and the spatial weight of each.

    All offsets within 2.5 sigma, weighted exp(-d^2 / 2 sigma^2), if there are at most
    ``neighbours``. Else a sunflower of that many points of equal weight whose density is the
    Gaussian's, so that their sum estimates the sum over all.
    """
    reach = int(2.5 * sigma)
    window = [
        (dy, dx)
        for dy in range(reach + 1)
        for dx in range(-reach, reach + 1)
        if (dy > 0 or dx > 0) and dy * dy + dx * dx <= reach * reach
    ]
    if len(window) <= neighbours:
        gauss = [math.exp(-(dy * dy + dx * dx) / (2 * sigma * sigma)) for dy, dx in window]
        return tuple((dy, dx, w) for (dy, dx), w in zip(window, gauss, strict=True))
    weight = math.pi * sigma * sigma / neighbours
    sampled: dict[tuple[int, int], float] = {}
    for k in range(neighbours):
        radius = sigma * math.sqrt(-2 * math.log(1 - (k + 0.5) / neighbours))
        angle = (k * GOLDEN_ANGLE) % math.pi
        dy, dx = round(radius * math.sin(angle)), round(radius * math.cos(angle))
        if dy == 0 and dx == 0:
            continue
        if dy == 0:
            dx = abs(dx)
        sampled[dy, dx] = sampled.get((dy, dx), 0.0) + weight
    return tuple((dy, dx, w) for (dy, dx), w in sorted(sampled.items()))


def mean_field(
    energy: Float[Tensor, "f q L h w"],
    colours: Float[Tensor, "f 3 h w"],
    offsets: tuple[tuple[int, int, float], ...],
    *,
    smoothness_sigma: float,
    smoothness_weight: float,
    colour_sigma: float,
    appearance_weight: float,
    iterations: int,
) -> Float[Tensor, "f q L h w"]:
    """Q of :func:`dense_crf` after the given number of iterations, sigmas in cells."""
    appearance = _appearance_matrix(colours, offsets, colour_sigma)
    kernel = _gaussian(smoothness_sigma).to(energy)
    root = _blur(torch.ones_like(energy[:1, 0, :1]), kernel).sqrt()
    frames, channels = len(energy), energy.shape[1] * energy.shape[2]
    probability = torch.softmax(-energy, dim=2)
    for _ in range(iterations):
        smooth = _blur(probability.flatten(1, 2) / root, kernel) / root
        packed = appearance.pack(probability.view(frames, channels, -1))
        similar = appearance.multiply(torch.empty_like(packed), packed, beta=0, alpha=1)
        similar = appearance.unpack(similar, channels).reshape(energy.shape)
        message = appearance_weight * similar + smoothness_weight * smooth.view_as(energy)
        probability = torch.softmax(message - energy, dim=2)
    return probability


def _block_mean(values: Tensor, stride: int) -> Tensor:
    if stride == 1:
        return values
    return functional.avg_pool2d(values, stride, ceil_mode=True, count_include_pad=False)


def _appearance_matrix(
    colours: Tensor, offsets: tuple[tuple[int, int, float], ...], colour_sigma: float
) -> Stencil:
    """The appearance kernel, divided by the square roots of its row sums."""
    frames, _, height, width = colours.shape
    offsets = tuple(o for o in offsets if o[0] < height and abs(o[1]) < width)
    links = colours.new_zeros((frames, len(offsets), height, width))
    shifts = [dy * width + dx for dy, dx, _ in offsets]
    for p, (dy, dx, weight) in enumerate(offsets):
        rows, left, right = height - dy, max(-dx, 0), width - max(dx, 0)
        first = colours[:, :, :rows, left:right]
        second = colours[:, :, dy:, left + dx : right + dx]
        red, green, blue = (first - second).square_().unbind(1)
        squared = red.add(green).add_(blue).mul_(-0.5 / colour_sigma**2)
        # Weights that change nothing become 0: denormal numbers are slow on a processor.
        near = functional.threshold(squared.exp_(), 1e-6, 0)
        links[:, p, :rows, left:right] = near.mul_(weight)
    links = links.flatten(2)
    root = (link_degrees(links, shifts) + 1).sqrt().float()
    for p, shift in enumerate(shifts):
        end = links.shape[2] - shift
        links[:, p, :end] /= root[:, :end] * root[:, shift:]
    return Stencil(1 / root.square(), links, shifts)


def _gaussian(sigma: float) -> Tensor:
    """exp(-d^2 / 2 sigma^2) at whole distances up to 4 sigma, 1 at the centre."""
    reach = max(math.ceil(4 * sigma), 1)
    distance = torch.arange(-reach, reach + 1, dtype=torch.float32)
    return torch.exp(-distance.square() / (2 * sigma * sigma))


def _blur(maps: Tensor, kernel: Tensor) -> Tensor:
    """Separable sum over neighbours of [f, k, h, w]; nothing outside the grid."""
    single = maps.flatten(0, 1).unsqueeze(1)
    reach = len(kernel) // 2
    single = functional.conv2d(single, kernel.view(1, 1, -1, 1), padding=(reach, 0))
    single = functional.conv2d(single, kernel.view(1, 1, 1, -1), padding=(0, reach))
    return single.view(maps.shape)
