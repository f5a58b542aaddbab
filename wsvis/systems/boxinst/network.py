"""CondInst (Tian et al. 2020): an FCOS whose every location makes a mask head of its own.

B images, L locations, K classes, P parameters of a mask head, h w cells of the mask grid.
Its heads for classes, boxes and centreness are torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead
from torchvision.ops import batched_nms, clip_boxes_to_image

from wsvis.backbones.networks import Backbone
from wsvis.backbones.normalise import MEAN_STD
from wsvis.backbones.pyramid import SIZES, Pyramid
from wsvis.config import Config
from wsvis.instances import InstanceTensors
from wsvis.systems.boxinst.dynamic_head import (
    dynamic_masks,
    parameter_count,
    relative_coordinates,
)
from wsvis.systems.boxinst.locations import Locations, decode, locations
from wsvis.systems.detector import Selection

CANDIDATES = 1000
"""Locations per image that go into the NMS, the best first (FCOS)."""
PADDING = 64
"""Images are padded to a multiple: the coarsest stride that any pyramid has."""


class CondInst(nn.Module):
    """CondInst on a backbone of ours; BoxInst is this network with other losses.

    Differs from the papers: objects are looked for on the pyramid's levels from stride 8 on, as
    many as it has; masks are read from its finest three levels, so that the mask grid has the
    stride of the finest, which is 4, and not 8: our frames are a fifth of COCO's.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        *,
        system: str,
        normalisation: str,
        mask_channels: int,
        frozen_stages: int = 0,
    ) -> None:
        super().__init__()
        size = SIZES[backbone.name]
        self.system, self.classes, self.normalisation = system, classes, normalisation
        self.mask_channels, width = mask_channels, size.width
        self.pyramid = Pyramid(backbone, size, frozen_stages)
        self.strides, self.mask_stride = self.pyramid.strides[1:], self.pyramid.strides[0]
        layers = size.mask_layers
        self.class_head = FCOSClassificationHead(width, 1, classes, layers)
        self.box_head = FCOSRegressionHead(width, 1, layers)
        self.controller = nn.Conv2d(width, parameter_count(mask_channels), 3, padding=1)
        nn.init.normal_(self.controller.weight, std=0.01)
        nn.init.zeros_(self.controller.bias)  # pyright: ignore[reportArgumentType]
        self.refine = nn.ModuleList([_block(width, width) for _ in range(3)])
        tower = [_block(width, width) for _ in range(layers)]
        self.mask_branch = nn.Sequential(*tower, nn.Conv2d(width, mask_channels, 1))
        mean, std = MEAN_STD[normalisation]
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    @property
    def backbone(self) -> Backbone:
        """What was given, now with the stride of a detector."""
        return self.pyramid.backbone

    def forward(self, images: Sequence[Float[Tensor, "3 _ _"]]) -> CondInstPass:
        """The same as :meth:`run`, by the name under which data parallelism calls it."""
        return self.run(images)

    def run(self, images: Sequence[Float[Tensor, "3 _ _"]]) -> CondInstPass:
        """Everything that needs no targets. Images are RGB in 0..1, of any sizes."""
        mean: Any = self.mean
        std: Any = self.std
        rows = -(-max(image.shape[1] for image in images) // PADDING) * PADDING
        columns = -(-max(image.shape[2] for image in images) // PADDING) * PADDING
        batch = images[0].new_zeros((len(images), 3, rows, columns))
        for place, image in zip(batch, images, strict=True):
            place[:, : image.shape[1], : image.shape[2]] = (image - mean) / std
        levels = list(self.pyramid(batch).values())
        logits = self.class_head(levels[1:])
        sides, centres, parameters, shapes = [], [], [], []
        for level, stride in zip(levels[1:], self.strides, strict=True):
            tower = self.box_head.conv(level)
            sides.append(_flat(functional.relu(self.box_head.bbox_reg(tower)) * stride))
            centres.append(_flat(self.box_head.bbox_ctrness(tower))[..., 0])
            parameters.append(_flat(self.controller(tower)))
            shapes.append((level.shape[2], level.shape[3]))
        finest = self.refine[0](levels[0])
        for block, level in zip(list(self.refine)[1:], levels[1:3], strict=True):
            larger = functional.interpolate(block(level), finest.shape[2:], mode="bilinear")
            finest = finest + larger
        return CondInstPass(
            sizes=[(image.shape[1], image.shape[2]) for image in images],
            where=locations(shapes, self.strides, batch.device),
            logits=logits.float(),
            sides=torch.cat(sides, 1).float(),
            centreness=torch.cat(centres, 1).float(),
            parameters=torch.cat(parameters, 1).float(),
            features=self.mask_branch(finest).float(),
            stride=self.mask_stride,
        )


class CondInstPass:
    """One forward pass; see :class:`wsvis.systems.detector.Pass`."""

    def __init__(
        self,
        sizes: list[tuple[int, int]],
        where: Locations,
        logits: Float[Tensor, "B L K"],
        sides: Float[Tensor, "B L 4"],
        centreness: Float[Tensor, "B L"],
        parameters: Float[Tensor, "B L P"],
        features: Float[Tensor, "B C h w"],
        stride: int,
    ) -> None:
        self.sizes, self.where = sizes, where
        self.logits, self.sides, self.centreness = logits, sides, centreness
        self.parameters, self.features, self.stride = parameters, features, stride

    def masks(self, image: int, chosen: Tensor) -> Float[Tensor, "N h2 w2"]:
        """Mask logits of some locations of an image, on a grid twice as fine as the features'."""
        features = self.features[image]
        coordinates = relative_coordinates(
            self.where.centres[chosen],
            self.where.scales[chosen],
            features.shape[1],
            features.shape[2],
            self.stride,
        )
        logits = dynamic_masks(features, coordinates, self.parameters[image][chosen])
        return functional.interpolate(logits[:, None], scale_factor=2, mode="bilinear")[:, 0]

    @torch.no_grad()
    def predictions(
        self, selection: Selection, sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[InstanceTensors]:
        """Best first. The score is sqrt(class x centreness), as FCOS has it."""
        results = []
        for image, (size, wanted) in enumerate(zip(self.sizes, sizes or self.sizes, strict=True)):
            scores = (
                self.logits[image].sigmoid() * self.centreness[image].sigmoid()[:, None]
            ).sqrt()
            best, flat = scores.flatten().topk(min(CANDIDATES, scores.numel()))
            flat = flat[best > selection.score]
            chosen, labels = flat // scores.shape[1], flat % scores.shape[1]
            kept_scores = scores[chosen, labels]
            boxes = decode(self.where.centres[chosen], self.sides[image][chosen])
            boxes = clip_boxes_to_image(boxes, size)
            kept = batched_nms(boxes, kept_scores, labels, selection.nms)[: selection.most]
            masks = self._whole_masks(image, chosen[kept], size, wanted)
            factor = boxes.new_tensor([wanted[1] / size[1], wanted[0] / size[0]] * 2)
            results.append(
                InstanceTensors(boxes[kept] * factor, labels[kept], masks, kept_scores[kept])
            )
        return results

    def _whole_masks(
        self, image: int, chosen: Tensor, size: tuple[int, int], wanted: tuple[int, int]
    ) -> Tensor:
        """Masks of an image's own part of the padded grid, at the size asked for."""
        if not len(chosen):
            return torch.zeros((0, *wanted), dtype=torch.bool, device=chosen.device)
        step = self.stride // 2
        logits = self.masks(image, chosen)
        whole = functional.interpolate(
            logits[:, None], scale_factor=step, mode="bilinear", align_corners=False
        )[:, :, : size[0], : size[1]]
        if size != wanted:
            whole = functional.interpolate(whole, wanted, mode="bilinear", align_corners=False)
        return whole[:, 0] > 0


def build(settings: Config, trunk: Backbone, classes: int, normalisation: str) -> CondInst:
    """The network that some settings ask for."""
    return CondInst(
        trunk,
        classes,
        system=settings.system,
        normalisation=normalisation,
        mask_channels=settings.boxinst.mask_channels,
        frozen_stages=settings.detector.frozen_stages,
    )


def rebuild(data: Mapping[str, Any], trunk: Backbone, classes: int, normalisation: str) -> CondInst:
    """The network of a stored description.

    Raises:
        ValueError: a number of channels that no network has.
    """
    channels = data["mask_channels"]
    if not isinstance(channels, int) or not 1 <= channels <= 256:
        raise ValueError(f"{channels!r} mask channels")
    return CondInst(
        trunk,
        classes,
        system=data["system"],
        normalisation=normalisation,
        mask_channels=channels,
    )


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(8, outputs), nn.ReLU()
    )


def _flat(x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B hw C"]:
    return x.flatten(2).transpose(1, 2)
