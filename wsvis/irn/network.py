"""IRN's network: a boundary branch and a displacement branch on the five stages of a backbone.

B frames, H W pixels, h w cells of the stride-4 grid (h = H / 4), c channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from wsvis.backbones.networks import Backbone
from wsvis.irn.config import IrnConfig

GRID = 4
"""Pixels per cell of the boundary and displacement maps."""
MULTIPLE = 16
"""Sides of what the network reads are multiples of this, so that all stages' grids coincide."""

Taps = tuple[Tensor, ...]
"""Outputs of the five stages, those finer than the grid averaged to it."""


class Irn(nn.Module):
    """Boundary likelihood and displacement to the object's centre, every 4 pixels.

    Ahn et al. 2019 (IRN), in the layout of the released code (with ResNet-50 exactly
    that one): every stage goes through a 1x1 convolution, GroupNorm, bilinear upsampling and ReLU.

    Differs from it: stages finer than 4 pixels (ours of stride 2) are averaged to the grid first.
    """

    mean_displacement: Tensor

    def __init__(
        self,
        backbone: Backbone,
        *,
        boundary_channels: int = IrnConfig.boundary_channels,
        displacement_channels: int = IrnConfig.displacement_channels,
        normalisation: str = "imagenet",
        frozen: bool = IrnConfig.frozen,
    ) -> None:
        super().__init__()
        self.backbone, self.normalisation, self.frozen = backbone, normalisation, frozen
        self.boundary = BoundaryBranch(backbone.channels, backbone.strides, boundary_channels)
        self.displacement = DisplacementBranch(
            backbone.channels, backbone.strides, displacement_channels
        )
        self.register_buffer("mean_displacement", torch.zeros(2))
        backbone.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> Irn:
        """As in torch; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def taps(self, frames: Float[Tensor, "B 3 H W"]) -> Taps:
        """Stage outputs of normalised frames; without gradient where the backbone is frozen."""
        if frames.shape[-2] % MULTIPLE or frames.shape[-1] % MULTIPLE:
            raise ValueError(f"{tuple(frames.shape[-2:])} pixels: not multiples of {MULTIPLE}")
        frames = frames.contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return tuple(
                functional.avg_pool2d(x, GRID // stride) if stride < GRID else x
                for x, stride in zip(self.backbone(frames), self.backbone.strides, strict=True)
            )

    def forward(
        self, frames: Float[Tensor, "B 3 H W"] | Taps
    ) -> tuple[Float[Tensor, "B h w"], Float[Tensor, "B 2 h w"]]:
        """Logit of the boundary likelihood, and D(x) = centre - x in cells (dy, dx).

        Args:
            frames: normalised frames, or their :meth:`taps` where those are known.
        """
        taps = self.taps(frames) if isinstance(frames, Tensor) else frames
        return self.boundary(taps), self.centred_displacement(taps)

    def centred_displacement(self, taps: Taps) -> Float[Tensor, "B 2 h w"]:
        """The displacement branch alone; after training its mean is taken off (mean shift)."""
        displacement = self.displacement(taps)
        if self.training:
            return displacement
        return displacement - self.mean_displacement.view(1, 2, 1, 1)


class BoundaryBranch(nn.Module):
    """All five stages at equal rights, then one 1x1 convolution."""

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            _projection(c, width, max(stride // GRID, 1))
            for c, stride in zip(channels, strides, strict=True)
        )
        self.head = nn.Conv2d(width * len(channels), 1, 1)

    def forward(self, taps: Taps) -> Float[Tensor, "B h w"]:
        """Logits."""
        maps = [stage(x) for stage, x in zip(self.stages, taps, strict=True)]
        return self.head(torch.cat(maps, 1))[:, 0]


class DisplacementBranch(nn.Module):
    """The three coarse stages first, then with the two fine ones."""

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...], width: int) -> None:
        super().__init__()
        widths = (width // 4, width // 2, width, width, width)
        middle = strides[2]  # the grid on which the coarse stages meet
        scales = (1, 1, 1, strides[3] // middle, strides[4] // middle)
        self.stages = nn.ModuleList(
            _projection(c, w, scale) for c, w, scale in zip(channels, widths, scales, strict=True)
        )
        self.coarse = _projection(sum(widths[2:]), width, middle // GRID)
        self.head = nn.Sequential(
            _projection(widths[0] + widths[1] + width, width, 1),
            nn.Conv2d(width, 2, 1, bias=False),
        )

    def forward(self, taps: Taps) -> Float[Tensor, "B 2 h w"]:
        """Displacement in cells, channel 0 dy, channel 1 dx."""
        maps = [stage(x) for stage, x in zip(self.stages, taps, strict=True)]
        coarse = self.coarse(torch.cat(maps[2:], 1))
        return self.head(torch.cat([maps[0], maps[1], coarse], 1))


def _projection(inputs: int, outputs: int, scale: int) -> nn.Sequential:
    """1x1 convolution, GroupNorm of at least 8 channels per group, upsampling, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.GroupNorm(max(min(16, outputs // 8), 1), outputs),
    ]
    if scale > 1:
        layers.append(nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers, nn.ReLU())
