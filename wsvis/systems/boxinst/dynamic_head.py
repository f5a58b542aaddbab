"""CondInst's mask head: convolutions whose weights a location of the detector makes itself.

N instances, C channels of the mask branch, h w cells of its grid, P parameters of a head.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

WIDTH = 8
"""Channels of the head's two inner layers (CondInst, Sec. 3.1)."""


def parameter_count(channels: int) -> int:
    """Weights and biases of a head on ``channels`` + 2 inputs: 169 for 8, 233 for 16."""
    return (channels + 2) * WIDTH + WIDTH + WIDTH * WIDTH + WIDTH + WIDTH + 1


def relative_coordinates(
    centres: Float[Tensor, "N 2"],
    scales: Float[Tensor, " N"],
    height: int,
    width: int,
    stride: int,
) -> Float[Tensor, "N 2 h w"]:
    """How far each cell of the mask grid lies from an instance's location, over its scale.

    Tian et al. 2020 (CondInst), Sec. 3.1: "a map of the coordinates, which are relative to the
    location generating the filters".

    Args:
        centres: (x, y) of the locations, pixels of the image.
        scales: pixels that count as 1: the largest side its level is responsible for.
        height: rows of the grid.
        width: columns of the grid.
        stride: pixels from cell to cell; a cell stands for its middle.
    """
    ys = (torch.arange(height, device=centres.device) + 0.5) * stride
    xs = (torch.arange(width, device=centres.device) + 0.5) * stride
    dx = (centres[:, 0, None, None] - xs[None, None, :]).expand(-1, height, -1)
    dy = (centres[:, 1, None, None] - ys[None, :, None]).expand(-1, -1, width)
    return torch.stack([dx, dy], 1) / scales[:, None, None, None]


def dynamic_masks(
    features: Float[Tensor, "C h w"],
    coordinates: Float[Tensor, "N 2 h w"],
    parameters: Float[Tensor, "N P"],
) -> Float[Tensor, "N h w"]:
    """Mask logits: for each instance three 1 x 1 convolutions with weights of its own.

    Tian et al. 2020 (CondInst), Sec. 3.1: channels C + 2 -> 8 -> 8 -> 1, ReLU between.

    Args:
        features: of the mask branch, one image.
        coordinates: from :func:`relative_coordinates`.
        parameters: of each head: weights of the three layers, then their biases, each layer's
            weights row by row (output channel, input channel).

    Raises:
        ValueError: another number of parameters than the channels need.
    """
    count, channels = len(parameters), features.shape[0]
    inputs = channels + 2
    if parameters.shape[1] != parameter_count(channels):
        raise ValueError(f"{parameters.shape[1]} parameters for {channels} channels")
    sizes = [inputs * WIDTH, WIDTH * WIDTH, WIDTH, WIDTH, WIDTH, 1]
    w1, w2, w3, b1, b2, b3 = parameters.split(sizes, dim=1)
    shared = features.flatten(1).expand(count, -1, -1)
    x = torch.cat([shared, coordinates.flatten(2)], 1)
    x = functional.relu(torch.baddbmm(b1[..., None], w1.view(count, WIDTH, inputs), x))
    x = functional.relu(torch.baddbmm(b2[..., None], w2.view(count, WIDTH, WIDTH), x))
    x = torch.baddbmm(b3[..., None], w3.view(count, 1, WIDTH), x)
    return x.view(count, *features.shape[1:])
