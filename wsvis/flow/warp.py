"""Carrying images and masks along the flow, and where the flow of two frames agrees.

Warping samples backward: to move something from frame a to frame b, every pixel of b looks up where
it came from, with F_ba. B images, N instances, C channels, H W pixels; fields are in pixels of this
very grid.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def backward_warp(
    image: Float[Tensor, "B C H W"], flow: Float[Tensor, "B H W 2"]
) -> tuple[Float[Tensor, "B C H W"], Bool[Tensor, "B H W"]]:
    """warped(x) = image(x + F(x)), bilinear between pixel centres.

    Args:
        image: what frame a shows.
        flow: F_ba, pixels.

    Returns:
        What frame b shows where it was visible in a, 0 elsewhere; and where that is: x + F(x) lies
        inside the image, whose pixels reach half a pixel beyond their centres. Between the
        outermost centres and the edge the outermost pixel is repeated.
    """
    positions, valid = _look_up(flow)
    sampled = functional.grid_sample(
        image, positions.to(image.dtype), padding_mode="border", align_corners=False
    )
    # not a product: what lies outside may be infinite
    return torch.where(valid[:, None], sampled, torch.zeros_like(sampled)), valid


def warp_masks(
    masks: Bool[Tensor, "N H W"], flow: Float[Tensor, "H W 2"]
) -> tuple[Bool[Tensor, "N H W"], Bool[Tensor, "H W"]]:
    """Masks of frame a as frame b would show them, and where that can be known.

    Liu et al. 2021, Algorithm 1 ("warp"). A pixel belongs to the warped mask where at least half of
    what it samples does. The paper is silent on the direction: sampling backward leaves no holes.

    Args:
        masks: instances of frame a.
        flow: F_ba, pixels.
    """
    # instances as channels of one image: one set of positions for all
    warped, valid = backward_warp(masks[None].to(flow.dtype), flow[None])
    return (warped[0] >= 0.5) & valid[0], valid[0]


def occluded(
    forward: Float[Tensor, "B H W 2"],
    backward: Float[Tensor, "B H W 2"],
    relative: float = 0.01,
    absolute: float = 0.5,
) -> Bool[Tensor, "B H W"]:
    """Pixels of frame a with no counterpart in frame b, by the forward-backward check.

    Sundaram et al. 2010 (ECCV), Eq. 5: x is occluded unless
    |F_ab(x) + F_ba(x + F_ab(x))|^2 < relative (|F_ab(x)|^2 + |F_ba(x + F_ab(x))|^2) + absolute.
    Pixels that leave the image are occluded too.

    Args:
        forward: F_ab, pixels.
        backward: F_ba, pixels.
        relative: share of the squared lengths.
        absolute: square pixels.
    """
    back, inside = backward_warp(backward.permute(0, 3, 1, 2), forward)
    back = back.permute(0, 2, 3, 1)
    gap = (forward + back).square().sum(-1)
    lengths = forward.square().sum(-1) + back.square().sum(-1)
    return ~(inside & (gap < relative * lengths + absolute))


def _look_up(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Positions x + F(x) as grid_sample wants them, and which lie inside the image."""
    height, width = flow.shape[1:3]
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype)
    x, y = columns + flow[..., 0], rows[:, None] + flow[..., 1]
    # align_corners=False: -1 and 1 are the edges of the outermost pixels, half a pixel beyond
    # their centres, so that an image one pixel wide needs no special case
    positions = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    inside_x = (x >= -0.5) & (x <= width - 0.5)
    return positions, inside_x & (y >= -0.5) & (y <= height - 0.5)
