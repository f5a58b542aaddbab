"""A small Mask R-CNN on ground-truth masks: the upper baseline of the synthetic set's calibration.

torchvision's Mask R-CNN on the small backbone, with the settings that facts from a first probe gave
for frames of 128x192: FPN of 64 channels on strides 4, 8, 16, 32, GroupNorm, one anchor size per
level, 64 proposals, mask head started near zero. The project's detectors are in wsvis/systems.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from wsvis.backbones.networks import build_backbone
from wsvis.backbones.weights import load_backbone_weights
from wsvis.masks import boxes_from_masks, encode_masks
from wsvis.types import FrameInstances

WIDTH = 64
ANCHORS = ((16,), (32,), (56,), (96,))


@dataclass(frozen=True)
class Example:
    """One frame with its objects."""

    frame: np.ndarray
    """uint8 [H, W, 3]."""
    labels: np.ndarray
    """int64 [N]."""
    masks: np.ndarray
    """bool [N, H, W]."""


class Pyramid(nn.Module):
    """Stages s2 (stride 4) and s5 (stride 8) and s5 halved, as a feature pyramid."""

    out_channels = WIDTH

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.backbone = build_backbone("small")
        load_backbone_weights(self.backbone, weights)
        last = self.backbone.channels[-1]
        self.fpn = FeaturePyramidNetwork(
            [self.backbone.channels[1], last, last],
            WIDTH,
            extra_blocks=LastLevelMaxPool(),
            norm_layer=partial(nn.GroupNorm, 8),
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Levels ``0``, ``1``, ``2`` and ``pool``."""
        _, s2, _, _, s5 = self.backbone(x)
        halved = nn.functional.avg_pool2d(s5, 2)
        return self.fpn(OrderedDict([("0", s2), ("1", s5), ("2", halved)]))


def build_detector(classes: int, weights: str, height: int, width: int) -> MaskRCNN:
    """The network; its class 0 is the background."""
    norm = partial(nn.GroupNorm, 8)
    mask_predictor = MaskRCNNPredictor(WIDTH, WIDTH, classes + 1)
    nn.init.normal_(mask_predictor.get_parameter("mask_fcn_logits.weight"), std=0.001)
    return MaskRCNN(
        Pyramid(weights),
        min_size=min(height, width),
        max_size=max(height, width),
        rpn_anchor_generator=AnchorGenerator(ANCHORS, ((0.5, 1.0, 2.0),) * len(ANCHORS)),
        rpn_pre_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=100,
        rpn_post_nms_top_n_train=100,
        rpn_post_nms_top_n_test=50,
        rpn_batch_size_per_image=64,
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], 7, 2),
        box_head=TwoMLPHead(WIDTH * 49, 256),
        box_predictor=FastRCNNPredictor(256, classes + 1),
        box_batch_size_per_image=64,
        box_detections_per_img=20,
        mask_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], 14, 2),
        mask_head=MaskRCNNHeads(WIDTH, (WIDTH, WIDTH), 1, norm_layer=norm),
        mask_predictor=mask_predictor,
    )


def train_detector(
    examples: list[Example],
    classes: int,
    *,
    weights: str,
    steps: int,
    seed: int,
    batch: int = 2,
    learning_rate: float = 2e-4,
    backbone_factor: float = 0.3,
) -> MaskRCNN:
    """AdamW with a short warm-up and a cosine, random mirroring, two frames a step."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    detector = build_detector(classes, weights, *examples[0].frame.shape[:2]).train()
    trunk_name = "backbone.backbone."
    named = list(detector.named_parameters())
    trunk = [p for name, p in named if name.startswith(trunk_name)]
    rest = [p for name, p in named if not name.startswith(trunk_name)]
    optimiser = torch.optim.AdamW(
        [
            {"params": trunk, "lr": backbone_factor * learning_rate},
            {"params": rest, "lr": learning_rate},
        ],
        weight_decay=1e-4,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min(1, (n + 1) / 100) * 0.5 * (1 + np.cos(np.pi * n / steps))
    )
    for _ in range(steps):
        chosen = rng.choice(len(examples), batch, replace=False)
        images, targets = zip(
            *(_as_target(examples[i], bool(rng.random() < 0.5)) for i in chosen), strict=True
        )
        losses = detector(list(images), list(targets))
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
        schedule.step()
    return detector.eval()


@torch.inference_mode()
def predict(detector: MaskRCNN, frame: np.ndarray) -> FrameInstances:
    """Instances of one frame."""
    (out,) = detector([_as_image(frame)])
    return FrameInstances(
        labels=out["labels"].numpy().astype(np.int64) - 1,
        scores=out["scores"].numpy(),
        masks=tuple(encode_masks(out["masks"][:, 0].numpy() >= 0.5)),
    )


def _as_image(frame: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255


def _as_target(example: Example, mirrored: bool) -> tuple[Tensor, dict[str, Tensor]]:
    frame, masks = example.frame, example.masks
    if mirrored:
        frame, masks = frame[:, ::-1], masks[..., ::-1]
    return _as_image(frame), {
        "boxes": torch.from_numpy(boxes_from_masks(masks)).float(),
        "labels": torch.from_numpy(example.labels + 1),
        "masks": torch.from_numpy(np.ascontiguousarray(masks)).to(torch.uint8),
    }
