# pyright: reportMissingImports=false
# detectron2 is optional, so it is imported where it is used
"""Proposals and heads of detectron2's Mask R-CNN, built without its registries."""

from __future__ import annotations

from importlib.util import find_spec

from torch import nn

from wsvis.backbones.pyramid import SIZES
from wsvis.errors import InputError

ABSENT = (
    "mask_rcnn.backend is detectron2, which is not installed; install it from "
    "github.com/facebookresearch/detectron2 (without build isolation) or set mask_rcnn.backend to "
    "torchvision"
)


def need_detectron2() -> None:
    """An ``InputError`` where detectron2 is not installed."""
    if find_spec("detectron2") is None:
        raise InputError(ABSENT)


def detectron2_parts(name: str, strides: tuple[int, ...], classes: int) -> dict[str, nn.Module]:
    """Proposals and heads with the numbers of the torchvision backend, else detectron2's own.

    Args:
        name: of the backbone.
        strides: of the pyramid's levels.
        classes: of objects.

    Raises:
        InputError: detectron2 is not installed.
    """
    try:
        from detectron2.layers import ShapeSpec
        from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
        from detectron2.modeling.box_regression import Box2BoxTransform
        from detectron2.modeling.matcher import Matcher
        from detectron2.modeling.poolers import ROIPooler
        from detectron2.modeling.proposal_generator import RPN, StandardRPNHead
        from detectron2.modeling.roi_heads import (
            FastRCNNConvFCHead,
            FastRCNNOutputLayers,
            MaskRCNNConvUpsampleHead,
            StandardROIHeads,
        )
    except ImportError:
        raise InputError(ABSENT) from None
    size = SIZES[name]
    levels = [*(str(n) for n in range(len(strides) - 1)), "pool"]
    read, scales = levels[: size.levels], [1 / stride for stride in strides[: size.levels]]
    norm = "GN" if size.group_norm else ""
    rpn = RPN(
        in_features=levels,
        head=StandardRPNHead(in_channels=size.width, num_anchors=3),
        anchor_generator=DefaultAnchorGenerator(
            sizes=[[anchor] for anchor in size.anchors],
            aspect_ratios=[0.5, 1.0, 2.0],
            strides=list(strides),
            offset=0.0,
        ),
        anchor_matcher=Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
        box2box_transform=Box2BoxTransform(weights=(1.0, 1.0, 1.0, 1.0)),
        batch_size_per_image=size.rpn_samples,
        positive_fraction=0.5,
        pre_nms_topk=size.candidates,
        post_nms_topk=size.proposals,
        nms_thresh=0.7,
    )
    heads = StandardROIHeads(
        num_classes=classes,
        batch_size_per_image=size.box_samples,
        positive_fraction=0.25,
        proposal_matcher=Matcher([0.5], [0, 1], allow_low_quality_matches=False),
        box_in_features=read,
        box_pooler=ROIPooler(7, scales, 0, "ROIAlignV2"),
        box_head=FastRCNNConvFCHead(
            ShapeSpec(channels=size.width, height=7, width=7),
            conv_dims=[],
            fc_dims=[size.box_hidden] * 2,
        ),
        box_predictor=FastRCNNOutputLayers(
            ShapeSpec(channels=size.box_hidden),
            box2box_transform=Box2BoxTransform(weights=(10.0, 10.0, 5.0, 5.0)),
            num_classes=classes,
        ),
        mask_in_features=read,
        mask_pooler=ROIPooler(14, scales, 0, "ROIAlignV2"),
        mask_head=MaskRCNNConvUpsampleHead(
            ShapeSpec(channels=size.width, height=14, width=14),
            num_classes=classes,
            conv_dims=[size.width] * (size.mask_layers + 1),
            conv_norm=norm,
        ),
    )
    return {"rpn": rpn, "roi_heads": heads}
