"""Class activation maps: one equation, fused over scales and flips.

B frames, C classes, K classes present in a frame, c channels, H W pixels, h w cells. A CAM lies on
a grid 4 pixels apart: h = ceil(H / 4), w = ceil(W / 4).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from wsvis.backbones.imagenet_head import strongest_logit
from wsvis.backbones.networks import Backbone
from wsvis.backbones.normalise import normalise_frames
from wsvis.cam.cam_grid import CAM_STRIDE, first_cell_centre, grid_centres, read_map_at
from wsvis.cam.classifier import Classifier
from wsvis.cam.config import CamConfig

EPSILON = 1e-5
MAP_VALUES = 1 << 26
"""Values of ImageNet classes' maps in memory at once: large frames pass in smaller batches."""
PASS_PIXELS = 3 << 18
"""Pixels per forward pass on a CPU: eight frames of 240x428 at twice their size take 1.4 times as
long as one by one, which stay in the caches (MobileNetV2)."""


def class_activation_map(
    features: Float[Tensor, "B c h w"], weight: Float[Tensor, "C c"]
) -> Float[Tensor, "B C h w"]:
    """M_c(x) = w_c . f(x): how much cell x speaks for class c (Zhou et al. 2016, Eq. 2; IRN Eq. 1).

    Args:
        features: f, the last stage's output.
        weight: w, one row per class: the classifier's 1x1 convolution.

    Returns:
        M before ReLU and normalisation, in units of the logit; with average pooling its mean over
        the cells is the logit.
    """
    return torch.einsum("bkhw,ck->bchw", features, weight)


def max_normalise(maps: Float[Tensor, "*K h w"]) -> Float[Tensor, "*K h w"]:
    """Each map over its own spatial maximum: M / (max_x M + 1e-5) (IRN Eq. 1 and its code).

    For maps >= 0; the result lies in 0..1 and a map that is zero everywhere stays zero.
    """
    return maps / (maps.amax((-2, -1), keepdim=True) + EPSILON)


def fold_batch_norm(model: Classifier) -> Classifier:
    """A copy for inference with every BatchNorm folded into the convolution before it.

    Equal up to rounding and, with channels_last memory, about 1.6 times faster on a CPU
    (MobileNetV2, 240x427).
    """
    folded = copy.deepcopy(model).eval()
    fold_in_place(folded.backbone)
    return folded.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def fold_in_place(network: nn.Module) -> None:
    """Fold every BatchNorm of a network in evaluation mode into the convolution before it."""
    for parent in list(network.modules()):
        children = list(parent.named_children())
        for (name, first), (next_name, second) in itertools.pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, next_name, nn.Identity())


@torch.inference_mode()
def multi_scale_cam(
    model: Classifier,
    frames: UInt8[Tensor, "B H W 3"],
    present: Bool[Tensor, "B C"],
    *,
    scales: Sequence[float] = CamConfig.scales,
    flip: bool = CamConfig.flip,
    long_side: int = CamConfig.long_side,
    centred: bool = True,
    batch_size: int = 8,
) -> list[Float[Tensor, "_ h w"]]:
    """CAMs of the classes present, summed over scales and flips, each class divided by its peak.

    IRN as released: per scale the frame and its mirror image, ReLU on each, bilinear to the
    stride-4 grid, sum, only the classes the frame's label names, M / (max M + 1e-5).

    Differs from IRN: ``centred`` reads each map where its cells really are. A stage of stride s
    puts cell i on pixel i s (symmetric padding), while IRN's resize takes it for i s + (s - 1) / 2:
    its CAMs are up to half a cell (8 pixels) too low, and smeared sideways by the flip.
    ``centred=False`` gives IRN's resize.

    Args:
        model: a classifier, in eval mode; :func:`fold_batch_norm` makes it faster.
        frames: RGB bytes of one video.
        present: which classes each frame shows.
        scales: factors on the frame's size (bicubic, antialiased, rounded size).
        flip: add the mirror image.
        long_side: frames whose longer side is greater are shrunk to it first; 0 = never. The grid
            stays that of the frame as given.
        centred: see above.
        batch_size: frames per forward pass at most; large ones pass in smaller batches.

    Returns:
        For each frame a float32 map [K, ceil(H / 4), ceil(W / 4)] in 0..1, K in ascending class
        order, on the model's device.
    """
    device = model.head.weight.device
    height, width = frames.shape[1:3]
    shrink = min(1.0, long_side / max(height, width)) if long_side else 1.0
    grid = (-(-height // CAM_STRIDE), -(-width // CAM_STRIDE))
    if device.type == "cpu":
        pixels = height * width * (shrink * max(scales, default=1.0)) ** 2
        batch_size = max(1, min(batch_size, int(PASS_PIXELS / pixels)))
    if model.imagenet is not None:
        room = MAP_VALUES // max(len(model.imagenet.bias) * grid[0] * grid[1], 1)
        batch_size = max(1, min(batch_size, room))
    maps: list[Tensor] = []
    for start in range(0, len(frames), batch_size):
        batch = frames[start : start + batch_size].to(device)
        batch_present = present[start : start + batch_size].to(device)
        used = batch_present.any(0).nonzero()[:, 0]
        heads = _Heads(model, used.tolist())
        total = torch.zeros(len(batch), heads.rows, *grid, device=device)
        for scale in scales if len(used) else ():
            scaled = _resized(batch, scale * shrink)
            x = normalise_frames(scaled, model.normalisation)
            for mirrored in (False, True) if flip else (False,):
                total += _on_grid(model, x, heads, height, width, mirrored, centred)
        for frame, row in zip(max_normalise(heads.class_maps(total)), batch_present, strict=True):
            maps.append(frame[row[used]])
    return maps


class _Heads:
    """What the heads say at each cell about the classes of a batch.

    The trained head's ReLU comes before the sum over scales and flips (IRN). ImageNet's logits are
    summed as they are: the strongest kind of a class, and only then the ReLU, are taken of the sum,
    whose scale the division by the peak removes.
    """

    def __init__(self, model: Classifier, used: Sequence[int]) -> None:
        known = model.imagenet
        self.used, self.imagenet = used, known
        self.trained = [label for label in used if known is None or not known.knows(label)]
        self.weight = model.head.weight[self.trained, :, 0, 0]
        known_used = len(self.trained) < len(used)
        self.rows = len(self.trained) + (len(known.bias) if known and known_used else 0)

    def evidence(self, features: Float[Tensor, "B c h w"]) -> Float[Tensor, "B r h w"]:
        """Maps that may be summed over scales and flips: trained classes, then ImageNet's."""
        maps = class_activation_map(features, self.weight).relu().float()
        if self.imagenet is None or self.rows == len(self.trained):
            return maps
        return torch.cat([maps, self.imagenet(features)], 1)

    def class_maps(self, total: Float[Tensor, "B r h w"]) -> Float[Tensor, "B k h w"]:
        """One map >= 0 for each class in use, from the sum of :meth:`evidence`."""
        if self.rows == len(self.trained):
            return total
        assert self.imagenet is not None
        place = {label: n for n, label in enumerate(self.trained)}
        logits = total[:, len(self.trained) :]
        return torch.stack(
            [
                total[:, place[label]]
                if label in place
                else strongest_logit(logits, self.imagenet.of_class[label]).relu()
                for label in self.used
            ],
            1,
        )


def _resized(frames: Tensor, scale: float) -> Tensor:
    """Bytes at another size: rounding and clipping to bytes is what an image library does."""
    size = [max(1, round(n * scale)) for n in frames.shape[1:3]]
    if size == list(frames.shape[1:3]):
        return frames
    x = functional.interpolate(
        frames.permute(0, 3, 1, 2).float(), size, mode="bicubic", antialias=True
    )
    return x.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _on_grid(
    model: Classifier,
    x: Tensor,
    heads: _Heads,
    height: int,
    width: int,
    mirrored: bool,
    centred: bool,
) -> Tensor:
    """Evidence for the classes in ``x`` (mirrored first if asked) on the frame's stride-4 grid."""
    x = x.flip(-1) if mirrored else x
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=x.device.type == "cuda"):
        maps = heads.evidence(model.backbone(x)[-1])
    rows = _positions(height, x.shape[-2], maps.shape[-2], model.backbone, False, centred)
    columns = _positions(width, x.shape[-1], maps.shape[-1], model.backbone, mirrored, centred)
    return read_map_at(maps, rows, columns)


def _positions(
    length: int, resized: int, cells: int, backbone: Backbone, mirrored: bool, centred: bool
) -> Tensor:
    """Where the stride-4 grid of the frame lies among the cells of a map, along one axis."""
    centres = grid_centres(length)
    if not centred:
        positions = (torch.arange(len(centres)) + 0.5) * (cells / len(centres)) - 0.5
        return positions.flip(0) if mirrored else positions
    if mirrored:
        centres = length - centres
    first = first_cell_centre(resized, backbone.strides[-1], backbone.stride_two_padding)
    return (centres * (resized / length) - 0.5 - first) / backbone.strides[-1]
