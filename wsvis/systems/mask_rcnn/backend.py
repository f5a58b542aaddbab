"""Mask R-CNN's training step, split at the only place where labels are needed.

Labels can so be made from the model's own predictions within the same forward pass: ``run`` needs
no targets; its pass gives predictions without gradient and, once targets are known, losses.
H W pixels of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from wsvis.backbones.networks import Backbone
from wsvis.backbones.pyramid import Pyramid
from wsvis.instances import InstanceTensors
from wsvis.systems.detector import Pass, Selection

LOSSES = ("cls", "box", "mask", "rpn_cls", "rpn_box")
"""Names of the five losses of Mask R-CNN, whatever a library calls them."""

SMALLEST_SIDE = 1e-2
"""Predicted boxes narrower than this are no boxes (torchvision's value), pixels."""

Refine = Callable[[list[InstanceTensors], list[InstanceTensors]], list[InstanceTensors]]
"""(predictions, targets) of the images of a batch -> the targets to train on."""


@runtime_checkable
class MaskRcnnPass(Pass, Protocol):
    """One forward pass of Mask R-CNN over a few images."""

    def losses(
        self, targets: Sequence[InstanceTensors], background: Sequence[bool]
    ) -> dict[str, Float[Tensor, ""]]:
        """The library's own losses, named as in ``LOSSES``.

        The paper is silent: on images without any target. They give no loss, since their class
        labels say that something is there, unless ``background`` says that all of them is
        background.

        Args:
            targets: of each image.
            background: for each image, whether it gives a loss without any target too.
        """
        ...


class MaskRcnn(nn.Module):
    """What both backends share; each adds ``net`` and ``run``.

    Args:
        classes: of objects, without background.
        normalisation: of frames, as the weights expect.
    """

    system = "mask_rcnn"
    net: nn.Module
    """The library's network, with our :class:`~wsvis.backbones.pyramid.Pyramid` as backbone."""

    def __init__(self, classes: int, normalisation: str) -> None:
        super().__init__()
        self.classes, self.normalisation = classes, normalisation

    @property
    def backbone(self) -> Backbone:
        """What was given, now with the stride of a detector."""
        pyramid = self.net.backbone
        assert isinstance(pyramid, Pyramid)
        return pyramid.backbone

    def forward(
        self,
        images: Sequence[Tensor],
        targets: Sequence[InstanceTensors],
        refine: Refine | None = None,
        selection: Selection | None = None,
        background: Sequence[bool] = (),
    ) -> dict[str, Tensor]:
        """See :func:`training_losses`."""
        return training_losses(self, images, targets, refine, selection, background)

    def run(self, images: Sequence[Float[Tensor, "3 _ _"]]) -> MaskRcnnPass:
        """See :class:`wsvis.systems.detector.Detector`."""
        raise NotImplementedError


def training_losses(
    detector: MaskRcnn,
    images: Sequence[Float[Tensor, "3 _ _"]],
    targets: Sequence[InstanceTensors],
    refine: Refine | None = None,
    selection: Selection | None = None,
    background: Sequence[bool] = (),
) -> dict[str, Float[Tensor, ""]]:
    """Losses of one step; with ``refine`` its targets are made from predictions of this very pass.

    Liu et al. 2021, Sec. 3.3: "does not require extra forward or backward pass". That holds for the
    backbone, the proposals and the pyramid; the heads run once more, without gradient, on the
    proposals and on the predictions that are kept.

    Args:
        detector: the network.
        images: RGB in 0..1.
        targets: of each image.
        refine: makes targets from predictions and labels.
        selection: which predictions it gets.
        background: images that give a loss without any target too; default: none does.
    """
    passed = detector.run(images)
    chosen = list(targets)
    if refine is not None:
        with torch.no_grad():
            chosen = refine(passed.predictions(selection or Selection()), chosen)
        # Weights cast by autocast here know of no gradient; torch up to 2.10 may use them again.
        torch.clear_autocast_cache()
    return passed.losses(chosen, background or [False] * len(chosen))


def no_losses(module: nn.Module) -> dict[str, Float[Tensor, ""]]:
    """Zero for every loss, tied to every parameter so that data parallelism finds a gradient."""
    nothing = torch.stack([p.sum() for p in module.parameters() if p.requires_grad]).sum() * 0
    return dict.fromkeys(LOSSES, nothing)


def select_boxes(
    boxes: Float[Tensor, "N C 4"],
    scores: Float[Tensor, "N C"],
    size: tuple[int, int],
    selection: Selection,
) -> tuple[Float[Tensor, "K 4"], Tensor, Float[Tensor, " K"]]:
    """Boxes, classes 0..C-1 and scores of what is kept, best first.

    Args:
        boxes: each proposal as every class would have it.
        scores: without the background's.
        size: rows and columns of the image, to which boxes are cut.
        selection: what is kept.
    """
    boxes = clip_boxes_to_image(boxes, size)
    if selection.classes_per_box == "best":
        scores, classes = scores.max(1)
        boxes = boxes[torch.arange(len(boxes), device=boxes.device), classes]
    else:
        classes = torch.arange(boxes.shape[1], device=boxes.device).expand(len(boxes), -1).flatten()
        boxes, scores = boxes.flatten(0, 1), scores.flatten()
    sides = boxes[:, 2:] - boxes[:, :2]
    real = (scores > selection.score) & (sides >= SMALLEST_SIDE).all(1)
    boxes, classes, scores = boxes[real], classes[real], scores[real]
    kept = batched_nms(boxes, scores, classes, selection.nms)[: selection.most]
    return boxes[kept], classes[kept], scores[kept]
