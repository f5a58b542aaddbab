"""Backbones: five stages each, so that a classifier, IRN and a detector can share them.

Shape legend: B frames, c channels, H W pixels, h w cells. ``Backbone.forward`` returns the outputs
s1..s5 of the five stages; ``channels`` and ``strides`` say what they look like:

| name         | channels                | strides           |
|--------------|-------------------------|-------------------|
| small        | 32, 32, 64, 128, 256    | 2, 4, 8, 8, 8     |
| resnet18     | 64, 64, 128, 256, 512   | 4, 4, 8, 16, 16   |
| resnet50     | 64, 256, 512, 1024, 2048| 4, 4, 8, 16, 16   |
| mobilenet_v2 | 16, 24, 32, 96, 1280    | 2, 4, 8, 16, 16   |

A stage of stride s turns H pixels into ceil(H / s) cells; s2 always has stride 4. The last stage
keeps the stride of the one before it and is not dilated (Ahn et al. 2019 as released), so a CAM is
twice as fine as the usual output while pre-trained weights still fit.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

STAGES = {
    "small": ((32, 32, 64, 128, 256), (2, 4, 8, 8, 8)),
    "resnet18": ((64, 64, 128, 256, 512), (4, 4, 8, 16, 16)),
    "resnet50": ((64, 256, 512, 1024, 2048), (4, 4, 8, 16, 16)),
    "mobilenet_v2": ((16, 24, 32, 96, 1280), (2, 4, 8, 16, 16)),
}
"""Name -> (channels, strides) of s1..s5."""

MOBILENET_STAGE_ENDS = (2, 4, 7, 14, 19)
"""The layers of torchvision's ``features`` that close s1..s5 (exclusive)."""


class Backbone(nn.Module):
    """Five stages in a row.

    BatchNorm always normalises with its stored statistics, in training too (IRN's choice: batches
    are small and clips are correlated); its scale and shift are ordinary parameters. Only a
    training from scratch sets ``frozen_statistics = False``.
    """

    def __init__(self, name: str, stages: list[nn.Module], stride_two_padding: str) -> None:
        super().__init__()
        self.name, self.stride_two_padding = name, stride_two_padding
        self.channels, self.strides = STAGES[name]
        self.stages = nn.ModuleList(stages)
        self.frozen_statistics = True

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Outputs s1..s5 of normalised frames."""
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return tuple(outputs)

    def train(self, mode: bool = True) -> Backbone:
        """As in torch, except that BatchNorm stays with its stored statistics."""
        super().train(mode)
        if self.frozen_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


class PadSame(nn.Module):
    """TensorFlow's 'SAME' padding for a window of the given size that moves by 2.

    ceil(n / 2) outputs; with kernel 3 an even input gets 0 before and 1 after, an odd one 1 and 1.
    Zeros, which suit a maximum too where it follows a ReLU.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Pad bottom and right at least as much as top and left."""
        pads = []
        for n in (x.shape[-1], x.shape[-2]):
            total = max((-(-n // 2) - 1) * 2 + self.kernel - n, 0)
            pads += [total // 2, total - total // 2]
        return functional.pad(x, pads)


class SameConv2d(nn.Conv2d):
    """A stride-2 convolution with :class:`PadSame` before it."""

    def forward(self, input: Tensor) -> Tensor:
        """Pad, then convolve."""
        return super().forward(PadSame(self.kernel_size[0])(input))


class SmallBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, kernel: int) -> None:
        super().__init__()
        pad = kernel // 2
        self.conv1 = nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel, 1, pad, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Residual sum, then ReLU."""
        inner = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


def build_backbone(name: str, *, stride_two_padding: str = "symmetric") -> Backbone:
    """A backbone with random weights.

    Args:
        name: ``small``, ``resnet18``, ``resnet50`` or ``mobilenet_v2``.
        stride_two_padding: ``symmetric`` (torch) or ``same`` (TensorFlow) wherever the stride is 2.
    """
    if stride_two_padding not in ("symmetric", "same"):
        raise ValueError(f"stride_two_padding {stride_two_padding!r} is not symmetric or same")
    if name == "small":
        stages = _small_stages()
    elif name in ("resnet18", "resnet50"):
        stages = _resnet_stages(name)
    elif name == "mobilenet_v2":
        stages = _mobilenet_stages()
    else:
        raise ValueError(f"no backbone is called {name!r}; known: {', '.join(STAGES)}")
    backbone = Backbone(name, stages, stride_two_padding)
    if stride_two_padding == "same":
        _pad_as_tensorflow(backbone)
    return backbone.train()


def halve_last_stage(backbone: Backbone) -> None:
    """Give the last stage its usual stride of 32 back, in place, as detectors want it."""
    name = backbone.name
    if name == "small":
        raise ValueError("the last stage of small has no stride to give back")
    block = backbone.stages[4].get_submodule("14.conv.1.0" if name == "mobilenet_v2" else "0")
    convolutions = [block] if name == "mobilenet_v2" else []
    if not convolutions:
        main = "conv2" if hasattr(block, "conv3") else "conv1"
        convolutions = [block.get_submodule(main), block.get_submodule("downsample.0")]
    for convolution in convolutions:
        assert isinstance(convolution, nn.Conv2d)
        convolution.stride = (2, 2)
    if backbone.stride_two_padding == "same":
        _pad_as_tensorflow(backbone.stages[4])
    backbone.strides = (*backbone.strides[:4], 32)


def _small_stages() -> list[nn.Module]:
    """Ours: about 0.4 M parameters, and a receptive field of 71 pixels.

    A small receptive field keeps class evidence where the object is; a ResNet's, larger than a
    small frame, puts it anywhere. Hence the 3x3 stem without pooling, one block per stage and a
    last stage of 1x1 convolutions.
    """
    c1, c2, c3, c4, c5 = STAGES["small"][0]
    stages: list[nn.Module] = [
        nn.Sequential(nn.Conv2d(3, c1, 3, 2, 1, bias=False), nn.BatchNorm2d(c1), nn.ReLU()),
        nn.Sequential(SmallBlock(c1, c2, stride=2, kernel=3)),
        nn.Sequential(SmallBlock(c2, c3, stride=2, kernel=3)),
        nn.Sequential(SmallBlock(c3, c4, stride=1, kernel=3)),
        nn.Sequential(SmallBlock(c4, c5, stride=1, kernel=1)),
    ]
    for stage in stages:
        for module in stage.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return stages


def _resnet_stages(name: str) -> list[nn.Module]:
    from torchvision import models  # loads seconds of code that nothing else here needs

    net = models.resnet18() if name == "resnet18" else models.resnet50()
    for module in net.layer4.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    stem = nn.Sequential()
    for child in ("conv1", "bn1", "relu", "maxpool"):
        stem.add_module(child, getattr(net, child))
    return [stem, net.layer1, net.layer2, net.layer3, net.layer4]


def _mobilenet_stages() -> list[nn.Module]:
    from torchvision import models

    layers = models.mobilenet_v2(weights=None).features
    for module in layers[14].modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    stages: list[nn.Module] = []
    start = 0
    for end in MOBILENET_STAGE_ENDS:
        # Layers keep their number, so that pre-trained names map one to one.
        stages.append(nn.Sequential(OrderedDict((str(i), layers[i]) for i in range(start, end))))
        start = end
    return stages


def _pad_as_tensorflow(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d) and child.stride == (2, 2) and child.kernel_size != (1, 1):
            with torch.device("meta"):
                same = SameConv2d(
                    child.in_channels,
                    child.out_channels,
                    child.kernel_size,  # type: ignore[arg-type]
                    2,
                    groups=child.groups,
                    bias=child.bias is not None,
                )
            same.weight, same.bias = child.weight, child.bias
            setattr(module, name, same)
        elif isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.Sequential(PadSame(3), nn.MaxPool2d(3, 2)))
        else:
            _pad_as_tensorflow(child)
