"""detectron2's Mask R-CNN behind the narrow interface.

Its proposals, heads, losses and pasting on the project's own pyramid, so that both backends start
from the same weights and see the same features. B images, N instances, C classes.

detectron2 is not on PyPI; install it from its repository (commit 02b5c4e was tried). Its compiled
part is not needed.
"""

# pyright: reportMissingImports=false
# detectron2 is optional, so it is imported where it is used

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsvis.backbones.networks import Backbone
from wsvis.backbones.normalise import MEAN_STD
from wsvis.backbones.pyramid import SIZES, Pyramid
from wsvis.instances import InstanceTensors
from wsvis.systems.config import DetectorConfig
from wsvis.systems.detector import Selection
from wsvis.systems.mask_rcnn.backend import MaskRcnn, no_losses, select_boxes
from wsvis.systems.mask_rcnn.detectron2_parts import detectron2_parts


class Detectron2Detector(MaskRcnn):
    """Mask R-CNN on a backbone of ours.

    Raises:
        InputError: detectron2 is not installed.
    """

    backend = "detectron2"

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        *,
        normalisation: str = "imagenet",
        frozen_stages: int = DetectorConfig.frozen_stages,
    ) -> None:
        super().__init__(classes, normalisation)
        self.net = nn.Module()
        pyramid = Pyramid(backbone, SIZES[backbone.name], frozen_stages)
        self.net.add_module("backbone", pyramid)
        for name, module in detectron2_parts(backbone.name, pyramid.strides, classes).items():
            self.net.add_module(name, module)

    def run(self, images: Sequence[Float[Tensor, "3 _ _"]]) -> Detectron2Pass:
        """Backbone, pyramid and proposals."""
        mean, std = (images[0].new_tensor(v)[:, None, None] for v in MEAN_STD[self.normalisation])
        return Detectron2Pass(self.net, [(image - mean) / std for image in images])


class Detectron2Pass:
    """See :class:`wsvis.systems.mask_rcnn.backend.Pass`."""

    def __init__(self, net: Any, images: list[Tensor]) -> None:
        from detectron2.structures import ImageList

        self.net = net
        rpn = net.rpn
        batch = ImageList.from_tensors(images, 32)
        self.sizes: list[tuple[int, int]] = [(int(h), int(w)) for h, w in batch.image_sizes]
        self.features: dict[str, Tensor] = net.backbone(batch.tensor)
        levels = [self.features[name] for name in rpn.in_features]
        self.anchors = rpn.anchor_generator(levels)
        logits, deltas = rpn.rpn_head(levels)
        count = len(images)
        # [B, A (4), h, w] -> [B, h w A (4)], the order of the anchors
        self.logits = [x.float().permute(0, 2, 3, 1).flatten(1) for x in logits]
        self.deltas = [
            x.float().unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).reshape(count, -1, 4)
            for x in deltas
        ]
        self.proposals = rpn.predict_proposals(
            self.anchors, self.logits, self.deltas, batch.image_sizes
        )

    @torch.no_grad()
    def predictions(
        self, selection: Selection, sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[InstanceTensors]:
        """The heads on the best proposals (as many as at inference), then on what is kept."""
        from detectron2.layers.mask_ops import paste_masks_in_image
        from detectron2.structures import Boxes

        heads = self.net.roi_heads
        most = self.net.rpn.post_nms_topk[False]
        proposals = [kept_boxes[:most] for kept_boxes in self.proposals]
        outputs = self._box_head(self.features, proposals)
        scores = heads.box_predictor.predict_probs(outputs, proposals)
        boxes = heads.box_predictor.predict_boxes(outputs, proposals)
        kept = [
            # not -1: without a single proposal (a network that diverged) it could be anything
            select_boxes(b.reshape(len(s), s.shape[1] - 1, 4), s[:, :-1], size, selection)
            for b, s, size in zip(boxes, scores, self.sizes, strict=True)
        ]
        levels = [self.features[name] for name in heads.mask_in_features]
        pooled = heads.mask_pooler(levels, [Boxes(kept_boxes) for kept_boxes, _, _ in kept])
        logits = heads.mask_head.layers(pooled).float()
        masks = logits.sigmoid().split([len(kept_boxes) for kept_boxes, _, _ in kept])
        results = []
        for (kept_boxes, classes, score), mask, old, new in zip(
            kept, masks, self.sizes, sizes or self.sizes, strict=True
        ):
            kept_boxes = kept_boxes * kept_boxes.new_tensor([new[1] / old[1], new[0] / old[0]] * 2)
            own = mask[torch.arange(len(mask), device=mask.device), classes]
            pasted = paste_masks_in_image(own, Boxes(kept_boxes), new, 0.5).bool()
            results.append(InstanceTensors(kept_boxes, classes, pasted.reshape(-1, *new), score))
        return results

    def losses(
        self, targets: Sequence[InstanceTensors], background: Sequence[bool]
    ) -> dict[str, Tensor]:
        """detectron2's, over the images that have targets."""
        from detectron2.modeling.roi_heads.mask_head import mask_rcnn_loss
        from detectron2.modeling.roi_heads.roi_heads import select_foreground_proposals
        from detectron2.utils.events import EventStorage

        rpn, heads = self.net.rpn, self.net.roi_heads
        used = [n for n, proposal in enumerate(targets) if len(proposal) or background[n]]
        if not used:
            return no_losses(self.net)
        features, logits, deltas = self.features, self.logits, self.deltas
        if len(used) < len(targets):
            features = {name: level[used] for name, level in features.items()}
            logits, deltas = [x[used] for x in logits], [x[used] for x in deltas]
        truth = [_instances(targets[n], self.sizes[n]) for n in used]
        with EventStorage():  # its losses count things there
            labels, boxes = rpn.label_and_sample_anchors(self.anchors, truth)
            of_rpn = rpn.losses(self.anchors, logits, labels, deltas, boxes)
            sampled = heads.label_and_sample_proposals([self.proposals[n] for n in used], truth)
            of_box = heads.box_predictor.losses(self._box_head(features, sampled), sampled)
            foreground, _ = select_foreground_proposals(sampled, heads.num_classes)
            levels = [features[name] for name in heads.mask_in_features]
            pooled = heads.mask_pooler(levels, [proposal.proposal_boxes for proposal in foreground])
            of_mask = mask_rcnn_loss(heads.mask_head.layers(pooled).float(), foreground)
        return {
            "cls": of_box["loss_cls"],
            "box": of_box["loss_box_reg"],
            "mask": of_mask,
            "rpn_cls": of_rpn["loss_rpn_cls"],
            "rpn_box": of_rpn["loss_rpn_loc"],
        }

    def _box_head(self, features: dict[str, Tensor], proposals: list[Any]) -> tuple[Tensor, Tensor]:
        heads = self.net.roi_heads
        levels = [features[name] for name in heads.box_in_features]
        pooled = heads.box_pooler(levels, [proposal.proposal_boxes for proposal in proposals])
        scores, deltas = heads.box_predictor(heads.box_head(pooled))
        return scores.float(), deltas.float()


def _instances(targets: InstanceTensors, size: tuple[int, int]) -> Any:
    from detectron2.structures import BitMasks, Boxes, Instances

    instances = Instances(size)
    instances.gt_boxes = Boxes(targets.boxes)
    instances.gt_classes = targets.labels
    instances.gt_masks = BitMasks(targets.masks)
    return instances
