"""Mask losses: dice on masks (CondInst), projection and pairwise on boxes alone (BoxInst).

N instances, H W cells of the mask grid. Masks are logits where they are predicted.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5
THETA = 2.0
"""Of the colour similarity (BoxInst, Sec. 3.2)."""


def dice(x: Float[Tensor, "N P"], y: Float[Tensor, "N P"]) -> Float[Tensor, " N"]:
    """1 - 2 sum(x y) / (sum x^2 + sum y^2): 0 where both are one mask, 1 where they share nothing.

    Milletari et al. 2016; Tian et al. 2020 (CondInst), Sec. 3.2, and 2021 (BoxInst), Sec. 3.1.

    Args:
        x: in 0..1.
        y: in 0..1.
    """
    return 1 - 2 * (x * y).sum(1) / ((x * x).sum(1) + (y * y).sum(1) + EPSILON)


def projection_loss(
    logits: Float[Tensor, "N H W"], boxes: Float[Tensor, "N H W"]
) -> Float[Tensor, " N"]:
    """Dice of the mask's and the box's shadows on both axes, added up.

    Tian et al. 2021 (BoxInst), Sec. 3.1: Proj is the largest value of each row, or column.

    Args:
        logits: of the predicted masks.
        boxes: 1 inside an instance's box, 0 outside.
    """
    scores = logits.sigmoid()
    return dice(scores.amax(2), boxes.amax(2)) + dice(scores.amax(1), boxes.amax(1))


def neighbours(x: Float[Tensor, "*B H W"], dilation: int) -> Float[Tensor, "*B 8 H W"]:
    """The eight cells ``dilation`` away on a 3 x 3 grid; 0 outside."""
    padded = functional.pad(x, (dilation,) * 4)
    height, width = x.shape[-2:]
    shifts = [(r, c) for r in range(3) for c in range(3) if (r, c) != (1, 1)]
    return torch.stack(
        [padded[..., r * dilation :, c * dilation :][..., :height, :width] for r, c in shifts],
        dim=-3,
    )


def pairwise_loss(
    logits: Float[Tensor, "N H W"], weights: Float[Tensor, "N 8 H W"], dilation: int
) -> Float[Tensor, ""]:
    """-log P(both cells have one label), a mean over the pairs that count.

    Tian et al. 2021 (BoxInst), Sec. 3.2: P(y_e = 1) = m_i m_j + (1 - m_i)(1 - m_j), here from
    logits: -logaddexp(ls(a) + ls(b), ls(-a) + ls(-b)) with ls the log of the sigmoid.

    Differs from the paper: the mean is over the pairs that count, as its released program has it,
    not over all edges of the boxes.

    Args:
        logits: of the predicted masks.
        weights: 1 where a cell and its neighbour (in the order of :func:`neighbours`) look alike
            and the cell lies in the instance's box, else 0.
        dilation: cells from a cell to its neighbours.
    """
    inside, outside = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    alike = torch.logaddexp(
        inside[:, None] + neighbours(inside, dilation),
        outside[:, None] + neighbours(outside, dilation),
    )
    return -(alike * weights).sum() / weights.sum().clamp_min(1)


def colour_similarity(
    lab: Float[Tensor, "3 H W"], inside: Bool[Tensor, "H W"], dilation: int
) -> Float[Tensor, "8 H W"]:
    """exp(-||c_i - c_j|| / 2) of each cell and its eight neighbours; 0 beyond the image.

    Tian et al. 2021 (BoxInst), Sec. 3.2, with theta 2.

    Args:
        lab: CIE Lab.
        inside: cells of the image, not of what pads it.
        dilation: cells from a cell to its neighbours.
    """
    difference = (lab[:, None] - neighbours(lab, dilation)).norm(dim=0)
    real = inside[None] & (neighbours(inside.float(), dilation) > 0)
    return torch.exp(-difference / THETA) * real


def rgb_to_lab(rgb: Float[Tensor, "3 H W"]) -> Float[Tensor, "3 H W"]:
    """CIE 1976 L*a*b* of sRGB in 0..1, white point D65: L 0..100, a and b about -110..110."""
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = rgb.new_tensor(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    white = rgb.new_tensor([0.95047, 1.0, 1.08883])
    xyz = torch.einsum("ij,jhw->ihw", to_xyz, linear) / white[:, None, None]
    f = torch.where(xyz > 0.008856, xyz.clamp_min(1e-12) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
