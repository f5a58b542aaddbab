"""A flowIRN as a file: safetensors with plain data, so that reading one runs no code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from wsvis.backbones.networks import build_backbone
from wsvis.errors import InputError
from wsvis.irn.network import Irn
from wsvis.learning.state import array_of, tensors_of
from wsvis.payload import Payload
from wsvis.weights_input import size_of_network

MODEL = "irn"


def irn_to_payload(model: Irn, extra: Mapping[str, Any] | None = None) -> Payload:
    """Weights and all that is needed to build the network again."""
    arrays = {name: array_of(tensor) for name, tensor in model.state_dict().items()}
    return Payload(arrays, {"kind": MODEL, **identity(model), **(extra or {})})


def irn_from_payload(payload: Payload, source: str = "flowIRN") -> Irn:
    """The inverse of :func:`irn_to_payload`, in evaluation mode.

    Raises:
        InputError: the payload is something else, or incomplete; ``source`` is named in it.
    """
    data = payload.data
    if data.get("kind") != MODEL:
        raise InputError(f"{source}: holds {data.get('kind', 'no network')!r}, not a flowIRN")
    try:
        model = Irn(
            build_backbone(data["backbone"], stride_two_padding=data["stride_two_padding"]),
            boundary_channels=size_of_network(data, "boundary_channels"),
            displacement_channels=size_of_network(data, "displacement_channels"),
            normalisation=data["normalisation"],
            frozen=data["frozen"],
        )
        model.load_state_dict(tensors_of(payload.arrays))
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: this flowIRN is incomplete ({reason}); train again") from None
    return model.eval()


def identity(model: Irn) -> dict[str, Any]:
    """What tells this network from others."""
    return {
        "backbone": model.backbone.name,
        "stride_two_padding": model.backbone.stride_two_padding,
        "boundary_channels": model.boundary.head.in_channels // 5,
        "displacement_channels": model.displacement.coarse[0].out_channels,
        "normalisation": model.normalisation,
        "frozen": model.frozen,
    }


def learned_weights(model: Irn) -> dict[str, Tensor]:
    """Without a frozen backbone, which comes with the model that training starts from."""
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not (model.frozen and name.startswith("backbone."))
    }
