"""Feature pyramids on the project's backbones (Lin et al. 2017), and what hangs on their size.

Levels by stride: ``small`` 4, 8, 16 and a coarsest one of 32 for proposals only; the others 4, 8,
16, 32 and 64. B images, H W pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from wsvis.backbones.networks import Backbone, halve_last_stage


@dataclass(frozen=True)
class Size:
    """Everything about a Mask R-CNN that goes with the size of its backbone."""

    width: int
    """Channels of the pyramid and of the mask head."""
    anchors: tuple[int, ...]
    """One size per level, pixels of the image."""
    group_norm: bool
    candidates: tuple[int, int]
    """Boxes per level before the proposals' NMS: in training, at inference."""
    proposals: tuple[int, int]
    """Boxes after it: in training, at inference."""
    rpn_samples: int
    box_samples: int
    """Proposals a step learns from, per image."""
    box_hidden: int
    mask_layers: int
    levels: int
    """Pyramid levels that regions are read from."""


_TORCHVISION = Size(
    256, (32, 64, 128, 256, 512), False, (2000, 1000), (2000, 1000), 256, 512, 1024, 4, 4
)
_LIGHT = Size(128, (32, 64, 128, 256, 512), True, (1000, 500), (500, 300), 256, 256, 512, 4, 4)
SIZES = {
    "resnet50": _TORCHVISION,
    "resnet18": _LIGHT,
    "mobilenet_v2": _LIGHT,
    # found on the synthetic clips: objects of 42 to 76 pixels in frames of 128x192
    "small": Size(64, (16, 32, 56, 96), True, (200, 100), (100, 50), 64, 64, 256, 2, 3),
}
"""By backbone; ``resnet50`` has torchvision's defaults."""


class Pyramid(nn.Module):
    """Backbone and feature pyramid; BatchNorm is frozen whole, the first stages where asked."""

    def __init__(self, backbone: Backbone, size: Size, frozen_stages: int = 2) -> None:
        super().__init__()
        self.backbone, self.out_channels = backbone, size.width
        if backbone.name == "small":
            inputs = [backbone.channels[1], backbone.channels[4], backbone.channels[4]]
        else:
            halve_last_stage(backbone)
            inputs = list(backbone.channels[1:])
        self.fpn = FeaturePyramidNetwork(
            inputs, size.width, extra_blocks=LastLevelMaxPool(), norm_layer=norm_layer(size)
        )
        self.strides = (4, 8, 16, 32) if backbone.name == "small" else (4, 8, 16, 32, 64)
        backbone.requires_grad_(True)
        for stage in backbone.stages[:frozen_stages]:
            stage.requires_grad_(False)
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> dict[str, Float[Tensor, "B _ _ _"]]:
        """Levels ``0``, ``1``, ... and ``pool``, finest first."""
        _, s2, s3, s4, s5 = self.backbone(x)
        if self.backbone.name == "small":
            taps = (s2, s5, functional.avg_pool2d(s5, 2))
        else:
            taps = (s2, s3, s4, s5)
        levels = self.fpn(OrderedDict((str(n), tap) for n, tap in enumerate(taps)))
        # anchors take the type of the levels: in half precision they would be off by pixels
        return OrderedDict((name, level.float()) for name, level in levels.items())


def norm_layer(size: Size) -> Callable[..., nn.Module] | None:
    """GroupNorm of 8 groups, or none."""
    return partial(nn.GroupNorm, 8) if size.group_norm else None
