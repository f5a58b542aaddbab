"""ImageNet's own classifier as a maker of class maps, and what its weights expect as input.

On a few clips a trained head cannot tell an object from its scene: each class is in every frame of
its only video. A head that has seen a million images can. B frames, C classes of the data set, R
ImageNet classes that stand for them, c channels, h w cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor, nn

from wsvis.backbones.networks import STAGES
from wsvis.backbones.weights import read_state, weights_state
from wsvis.errors import InputError
from wsvis.payload import from_bytes
from wsvis.weights_files import names_a_file

IMAGENET_ROWS = (1000, 1001)
"""Classes of an ImageNet head: torchvision's, and TensorFlow's with its background in front."""
CONVENTIONS = {"normalisation": ("imagenet", "half"), "stride_two_padding": ("symmetric", "same")}
"""What weights expect as input: torchvision's way, TensorFlow's way."""


class ImagenetHead(nn.Module):
    """The rows of ImageNet's linear classifier that stand for classes of a data set.

    Args:
        weight: w, one row per ImageNet class in use.
        bias: b, one per row.
        of_class: for each class of the data set its rows; empty where none stands for it.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        weight: Float[Tensor, "R c"],
        bias: Float[Tensor, " R"],
        of_class: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight.contiguous())
        self.register_buffer("bias", bias.contiguous())
        self.of_class = tuple(tuple(rows) for rows in of_class)

    def forward(self, features: Float[Tensor, "B c h w"]) -> Float[Tensor, "B R h w"]:
        """z_r(x) = w_r . f(x) + b_r: the classifier's logit as if cell x were the whole image."""
        logits = torch.einsum("bkhw,rk->brhw", features, self.weight.to(features.dtype))
        return logits.float() + self.bias.view(-1, 1, 1)

    def knows(self, label: int) -> bool:
        """Whether an ImageNet class stands for a class of the data set."""
        return bool(self.of_class[label])


def strongest_logit(logits: Float[Tensor, "b r *n"], rows: Sequence[int]) -> Float[Tensor, "b ..."]:
    """Evidence for a class of which ImageNet has several kinds: the largest of their logits.

    The mean of the kinds' logits or their share of a softmax over all 1000 classes makes worse
    maps: one dog is one breed, and 117 others only dilute it.

    Args:
        logits: of the ImageNet classes in use, averaged over scales and flips.
        rows: which of them are kinds of the class; at least one.
    """
    return logits[:, list(rows)].amax(1)


def imagenet_head(backbone: str, weights: str, kinds: Sequence[Sequence[int]]) -> ImagenetHead:
    """The part of the ImageNet classifier that a data set needs.

    Args:
        backbone: name of the backbone.
        weights: a file with the whole classifier, or the name of torchvision's weights.
        kinds: for each class of the data set its places among ImageNet's 1000 classes.

    Raises:
        InputError: weights absent, unreadable, or without such a head.
    """
    weight, bias = read_imagenet_head(backbone, weights)
    used = sorted({place for places in kinds for place in places})
    row_of = {place: row for row, place in enumerate(used)}
    return ImagenetHead(
        weight[used], bias[used], [[row_of[place] for place in places] for places in kinds]
    )


def read_imagenet_head(
    backbone: str, weights: str
) -> tuple[Float[Tensor, "1000 c"], Float[Tensor, " 1000"]]:
    """Rows and biases of the ImageNet classifier that came with a backbone.

    A head of 1001 rows is TensorFlow's, whose first row is "background": it is left out.

    Args:
        backbone: name of the backbone.
        weights: a file, or the name of torchvision's weights.

    Raises:
        InputError: absent, unreadable, or without such a head.
    """
    state: Mapping[str, Tensor] = {}
    if weights not in ("", "none"):
        _, state = weights_state(backbone, weights)
    head = _last_linear(state)
    if (
        head is None
        or len(head[0]) not in IMAGENET_ROWS
        or head[0].shape[1] != STAGES[backbone][0][-1]
    ):
        raise InputError(
            f"classifier.head is imagenet, but classifier.weights {weights or 'none'!r} hold no "
            f"ImageNet head for {backbone}; give a file with the whole classifier (1000 or 1001 "
            "classes), or set classifier.head to trained"
        )
    weight, bias = head
    return weight[-1000:].float(), bias[-1000:].float()


def input_conventions(backbone: str, weights: str) -> tuple[str, str]:
    """Normalisation and stride-2 padding that weights were trained with.

    What a safetensors file says of itself (``normalisation``, ``stride_two_padding`` in its
    metadata) counts; else a head of 1001 rows means TensorFlow's conventions (``half``, ``same``),
    anything else torchvision's (``imagenet``, ``symmetric``).

    Args:
        backbone: name of the backbone.
        weights: a file, or a name; see :func:`wsvis.backbones.weights.load_backbone_weights`.

    Raises:
        InputError: a file that is absent, unreadable, or says what no network of ours can do.
    """
    if not names_a_file(weights):
        return "imagenet", "symmetric"
    head = _last_linear(read_state(Path(weights)))
    tensorflow = head is not None and len(head[0]) == IMAGENET_ROWS[1]
    metadata = _metadata(Path(weights))
    chosen: list[str] = []
    for name, choices in CONVENTIONS.items():
        value = metadata.get(name, choices[1] if tensorflow else choices[0])
        if value not in choices:
            raise InputError(
                f"{weights}: its metadata says {name} {value!r}; it must be one of "
                f"{', '.join(choices)}: set classifier.{name} by hand"
            )
        chosen.append(value)
    return chosen[0], chosen[1]


def _last_linear(state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Weight and bias of the classifier in a state dict of torchvision's form."""
    for prefix in ("fc", "classifier.1", "classifier"):
        weight, bias = state.get(f"{prefix}.weight"), state.get(f"{prefix}.bias")
        if weight is not None and bias is not None and weight.ndim == 2:
            return weight, bias
    return None


def _metadata(path: Path) -> dict[str, Any]:
    """What a safetensors file says of itself: its metadata, and the plain data of our own files."""
    if path.suffix != ".safetensors":
        return {}
    with safe_open(path, "np") as file:
        metadata: dict[str, Any] = dict(file.metadata() or {})
    return {**metadata, **(from_bytes(path.read_bytes()).data if "data" in metadata else {})}
