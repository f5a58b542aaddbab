"""torchvision's Mask R-CNN behind the narrow interface.

Its forward pass is taken apart into the library's own pieces, in the library's own order, so that
losses are the stock ones bit for bit, random samples included. B images, N instances.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import (
    fastrcnn_loss,
    maskrcnn_inference,
    maskrcnn_loss,
    paste_masks_in_image,
)
from torchvision.models.detection.rpn import AnchorGenerator, concat_box_prediction_layers

from wsvis.backbones.networks import Backbone
from wsvis.backbones.normalise import MEAN_STD
from wsvis.backbones.pyramid import SIZES, Pyramid, norm_layer
from wsvis.instances import InstanceTensors
from wsvis.systems.config import DetectorConfig
from wsvis.systems.detector import Selection
from wsvis.systems.mask_rcnn.backend import MaskRcnn, no_losses, select_boxes
from wsvis.systems.mask_rcnn.roi_pool import RoiPool


class TorchvisionDetector(MaskRcnn):
    """Mask R-CNN on a backbone of ours."""

    backend = "torchvision"

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        *,
        normalisation: str = "imagenet",
        frozen_stages: int = DetectorConfig.frozen_stages,
    ) -> None:
        super().__init__(classes, normalisation)
        self.net = _mask_rcnn(backbone, classes, normalisation, frozen_stages)

    def run(self, images: Sequence[Float[Tensor, "3 _ _"]]) -> TorchvisionPass:
        """Backbone, pyramid and proposals."""
        return TorchvisionPass(self.net, images)


class TorchvisionPass:
    """See :class:`wsvis.systems.mask_rcnn.backend.Pass`."""

    def __init__(self, mask_rcnn: nn.Module, images: Sequence[Tensor]) -> None:
        net: Any = mask_rcnn  # its parts are modules without types
        self.net = net
        transform, rpn = net.transform, net.rpn
        self.sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        together = transform.batch_images([transform.normalize(image) for image in images])
        batch = ImageList(together, self.sizes)
        self.features: dict[str, Tensor] = net.backbone(batch.tensors)
        levels = list(self.features.values())
        objectness, deltas = rpn.head(levels)
        self.anchors = rpn.anchor_generator(batch, levels)
        per_level = [o.shape[1] * o.shape[2] * o.shape[3] for o in objectness]
        objectness, deltas = concat_box_prediction_layers(objectness, deltas)
        self.objectness, self.deltas = objectness.float(), deltas.float()
        decoded = rpn.box_coder.decode(self.deltas.detach(), self.anchors)
        self.proposals, _ = rpn.filter_proposals(
            decoded.view(len(images), -1, 4), self.objectness, self.sizes, per_level
        )

    @torch.no_grad()
    def predictions(
        self, selection: Selection, sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[InstanceTensors]:
        """The heads on the best proposals (as many as at inference), then on what is kept."""
        roi_heads = self.net.roi_heads
        most = self.net.rpn._post_nms_top_n["testing"]
        proposals = [boxes[:most] for boxes in self.proposals]  # they are sorted, best first
        logits, regression = self._box_head(self.features, proposals)
        decoded = roi_heads.box_coder.decode(regression, proposals)
        # without a single proposal (a network that diverged) the library leaves classes and
        # corners in one
        decoded = decoded.reshape(*logits.shape, 4)
        counts = [len(boxes) for boxes in proposals]
        kept = [
            select_boxes(boxes[:, 1:], scores[:, 1:], size, selection)
            for boxes, scores, size in zip(
                decoded.split(counts),
                functional.softmax(logits, -1).split(counts),
                self.sizes,
                strict=True,
            )
        ]
        pooled = roi_heads.mask_roi_pool(self.features, [k[0] for k in kept], self.sizes)
        mask_logits = roi_heads.mask_predictor(roi_heads.mask_head(pooled)).float()
        masks = maskrcnn_inference(mask_logits, [classes + 1 for _, classes, _ in kept])
        results = []
        for (boxes, classes, scores), mask, old, new in zip(
            kept, masks, self.sizes, sizes or self.sizes, strict=True
        ):
            boxes = boxes * boxes.new_tensor([new[1] / old[1], new[0] / old[0]] * 2)
            # boxes on the host: every mask is put in place without waiting for the device
            pasted = paste_masks_in_image(mask, boxes.cpu(), new)[:, 0] >= 0.5
            results.append(InstanceTensors(boxes, classes, pasted, scores))
        return results

    def losses(
        self, targets: Sequence[InstanceTensors], background: Sequence[bool]
    ) -> dict[str, Tensor]:
        """torchvision's, over the images that have targets."""
        rpn, roi_heads = self.net.rpn, self.net.roi_heads
        used = [n for n, target in enumerate(targets) if len(target) or background[n]]
        if not used:
            return no_losses(self.net)
        sizes, features = [self.sizes[n] for n in used], self.features
        anchors, objectness, deltas = self.anchors, self.objectness, self.deltas
        if len(used) < len(targets):
            features = OrderedDict((name, level[used]) for name, level in features.items())
            anchors = [anchors[n] for n in used]
            objectness = objectness.view(len(targets), -1)[used].flatten()
            deltas = deltas.view(len(targets), -1, 4)[used].flatten(0, 1)
        truth = [
            {
                "boxes": targets[n].boxes,
                "labels": targets[n].labels + 1,
                "masks": targets[n].masks.to(torch.uint8),
            }
            for n in used
        ]
        labels, matched = rpn.assign_targets_to_anchors(anchors, truth)
        rpn_targets = rpn.box_coder.encode(matched, anchors)
        rpn_cls, rpn_box = rpn.compute_loss(objectness, deltas, labels, rpn_targets)

        proposals, matched_indices, labels, regression_targets = roi_heads.select_training_samples(
            [self.proposals[n] for n in used], truth
        )
        logits, regression = self._box_head(features, proposals, sizes)
        cls, box = fastrcnn_loss(logits, regression, labels, regression_targets)

        positive = [torch.where(target > 0)[0] for target in labels]
        boxes = [b[index] for b, index in zip(proposals, positive, strict=True)]
        pooled = roi_heads.mask_roi_pool(features, boxes, sizes)
        mask = maskrcnn_loss(
            roi_heads.mask_predictor(roi_heads.mask_head(pooled)).float(),
            boxes,
            [t["masks"] for t in truth],
            [t["labels"] for t in truth],
            [m[index] for m, index in zip(matched_indices, positive, strict=True)],
        )
        return {"cls": cls, "box": box, "mask": mask, "rpn_cls": rpn_cls, "rpn_box": rpn_box}

    def _box_head(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        sizes: list[tuple[int, int]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        roi_heads = self.net.roi_heads
        pooled = roi_heads.box_roi_pool(features, proposals, sizes or self.sizes)
        logits, regression = roi_heads.box_predictor(roi_heads.box_head(pooled))
        return logits.float(), regression.float()


def _mask_rcnn(
    backbone: Backbone, classes: int, normalisation: str, frozen_stages: int
) -> MaskRCNN:
    size = SIZES[backbone.name]
    mean, std = MEAN_STD[normalisation]
    mask_predictor = MaskRCNNPredictor(size.width, size.width, classes + 1)
    # with torchvision's own start the first mask loss is ten times what guessing costs
    nn.init.normal_(mask_predictor.get_parameter("mask_fcn_logits.weight"), std=0.001)
    pyramid = Pyramid(backbone, size, frozen_stages)
    levels, strides = [str(n) for n in range(size.levels)], pyramid.strides[: size.levels]
    return MaskRCNN(
        pyramid,
        image_mean=list(mean),
        image_std=list(std),
        rpn_anchor_generator=AnchorGenerator(
            tuple((anchor,) for anchor in size.anchors), ((0.5, 1.0, 2.0),) * len(size.anchors)
        ),
        rpn_pre_nms_top_n_train=size.candidates[0],
        rpn_pre_nms_top_n_test=size.candidates[1],
        rpn_post_nms_top_n_train=size.proposals[0],
        rpn_post_nms_top_n_test=size.proposals[1],
        rpn_batch_size_per_image=size.rpn_samples,
        box_roi_pool=RoiPool(levels, 7, 2, strides),
        box_head=TwoMLPHead(size.width * 49, size.box_hidden),
        box_predictor=FastRCNNPredictor(size.box_hidden, classes + 1),
        box_batch_size_per_image=size.box_samples,
        mask_roi_pool=RoiPool(levels, 14, 2, strides),
        mask_head=MaskRCNNHeads(
            size.width, [size.width] * size.mask_layers, 1, norm_layer=norm_layer(size)
        ),
        mask_predictor=mask_predictor,
        # frames, labels and flow are resized together, before
        _skip_resize=True,
    )
