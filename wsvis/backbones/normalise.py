"""Normalising RGB frames for a network. B frames, H W pixels."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

MEAN_STD = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Normalisation -> mean and standard deviation of R, G, B in 0..1."""


def normalise_frames(
    frames: UInt8[Tensor, "B H W 3"], normalisation: str
) -> Float[Tensor, "B 3 H W"]:
    """RGB bytes -> what the network reads.

    Args:
        frames: RGB, 0..255.
        normalisation: ``imagenet`` ((x / 255 - mean) / std of ImageNet) or ``half``
            ((x / 255 - 0.5) / 0.5, so -1..1).
    """
    mean, std = (
        torch.tensor(values, device=frames.device).view(3, 1, 1)
        for values in MEAN_STD[normalisation]
    )
    return (frames.permute(0, 3, 1, 2).float() / 255 - mean) / std
