"""The frame classifier behind the CAMs: a backbone, a 1x1 convolution, pooling; its file.

B frames, C classes, c channels, H W pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from wsvis.backbones.imagenet_head import ImagenetHead, strongest_logit
from wsvis.backbones.networks import Backbone, build_backbone
from wsvis.backbones.normalise import MEAN_STD
from wsvis.backbones.weights import load_backbone_weights
from wsvis.cam.config import ClassifierConfig
from wsvis.cam.pooling import average_pooling, log_sum_exp_pooling
from wsvis.payload import Payload


class Classifier(nn.Module):
    """Class maps by a bias-free 1x1 convolution on the last stage, pooled to logits.

    Without a bias a frame's logit is nothing but its class map's pooled value, so the map says
    where the evidence was (IRN Sec. 3.1).

    With an ImageNet head the classes it knows are judged by its rows; the trained 1x1 convolution
    serves the others.
    """

    def __init__(
        self,
        backbone: Backbone,
        class_names: Sequence[str],
        *,
        pooling: str = ClassifierConfig.pooling,
        lse_sharpness: float = ClassifierConfig.lse_sharpness,
        normalisation: str = ClassifierConfig.normalisation,
        imagenet: ImagenetHead | None = None,
    ) -> None:
        super().__init__()
        if pooling not in ("average", "lse") or normalisation not in MEAN_STD:
            raise ValueError(f"unknown pooling {pooling!r} or normalisation {normalisation!r}")
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.channels[-1], len(class_names), 1, bias=False)
        self.class_names = tuple(class_names)
        self.pooling, self.lse_sharpness = pooling, lse_sharpness
        self.normalisation = normalisation
        self.imagenet = imagenet

    def pooled(self, features: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C"]:
        """Logits of the trained head from the last stage's output."""
        maps = self.head(features).float()
        if self.pooling == "average":
            return average_pooling(maps)
        return log_sum_exp_pooling(maps, self.lse_sharpness)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C"]:
        """Logits of normalised frames: ImageNet's where it knows the class."""
        features = self.backbone(x)[-1]
        logits = self.pooled(features)
        if self.imagenet is not None:
            imagenet_logits = self.imagenet(features.mean((-2, -1), keepdim=True))[..., 0, 0]
            for label, rows in enumerate(self.imagenet.of_class):
                if rows:
                    logits[:, label] = strongest_logit(imagenet_logits, rows)
        return logits


def build_classifier(
    backbone: str,
    class_names: Sequence[str],
    *,
    weights: str = "none",
    stride_two_padding: str = ClassifierConfig.stride_two_padding,
    pooling: str = ClassifierConfig.pooling,
    lse_sharpness: float = ClassifierConfig.lse_sharpness,
    normalisation: str = ClassifierConfig.normalisation,
    imagenet: ImagenetHead | None = None,
    seed: int = 0,
) -> Classifier:
    """A classifier with initial weights; what is random comes from ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build_backbone(backbone, stride_two_padding=stride_two_padding)
        model = Classifier(
            built,
            class_names,
            pooling=pooling,
            lse_sharpness=lse_sharpness,
            normalisation=normalisation,
            imagenet=imagenet,
        )
    load_backbone_weights(built, weights)
    return model


def multilabel_soft_margin_loss(
    logits: Float[Tensor, "B C"], labels: Bool[Tensor, "B C"]
) -> Float[Tensor, ""]:
    """Binary cross-entropy of each class's logit, mean over classes and frames.

    L = -1/(BC) sum_b sum_c [ y log sigmoid(s) + (1 - y) log(1 - sigmoid(s)) ], with s -> ``logits``
    and y -> ``labels``. IRN as released; at zero logits it is log 2.
    """
    return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def classifier_to_payload(model: Classifier) -> Payload:
    """Weights and all that is needed to build the network again."""
    known = {} if model.imagenet is None else {"imagenet": model.imagenet.of_class}
    return Payload(
        arrays={name: t.detach().cpu().numpy() for name, t in model.state_dict().items()},
        data={
            "kind": "classifier",
            "backbone": model.backbone.name,
            "stride_two_padding": model.backbone.stride_two_padding,
            "classes": list(model.class_names),
            "pooling": model.pooling,
            "lse_sharpness": model.lse_sharpness,
            "normalisation": model.normalisation,
            **known,
        },
    )


def classifier_from_payload(payload: Payload) -> Classifier:
    """The inverse of :func:`classifier_to_payload`.

    Raises:
        ValueError: the payload is something else.
    """
    data: dict[str, Any] = payload.data
    names = data.get("classes")
    if data.get("kind") != "classifier" or not isinstance(names, list) or len(names) > 1 << 14:
        raise ValueError("this is no classifier")
    try:
        tensors = {name: torch.from_numpy(np.array(a)) for name, a in payload.arrays.items()}
        imagenet = None
        if "imagenet" in data:
            rows = tensors["imagenet.weight"], tensors["imagenet.bias"]
            imagenet = ImagenetHead(*rows, data["imagenet"])
        model = Classifier(
            build_backbone(data["backbone"], stride_two_padding=data["stride_two_padding"]),
            data["classes"],
            pooling=data["pooling"],
            lse_sharpness=data["lse_sharpness"],
            normalisation=data["normalisation"],
            imagenet=imagenet,
        )
        model.load_state_dict(tensors)
    except (KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"this classifier is incomplete ({str(error).splitlines()[0]})") from None
    return model.eval()
