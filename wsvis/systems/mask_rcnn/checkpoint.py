"""A detector as a file: safetensors with plain data, so that reading one runs no code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from wsvis.errors import InputError
from wsvis.learning.state import array_of, tensors_of
from wsvis.payload import Payload
from wsvis.systems.mask_rcnn.build import build_detector
from wsvis.weights_input import size_of_network

MODEL = "detector"


def detector_to_payload(model: nn.Module, extra: Mapping[str, Any] | None = None) -> Payload:
    """Weights and all that is needed to build the network again."""
    arrays = {name: array_of(tensor) for name, tensor in model.state_dict().items()}
    return Payload(arrays, {"kind": MODEL, **identity(model), **(extra or {})})


def detector_from_payload(payload: Payload, source: str = "detector") -> nn.Module:
    """The inverse of :func:`detector_to_payload`, in evaluation mode.

    Raises:
        InputError: the payload is something else, or incomplete; ``source`` is named in it.
    """
    data = payload.data
    if data.get("kind") != MODEL:
        raise InputError(f"{source}: holds {data.get('kind', 'no network')!r}, not a detector")
    texts = ("backend", "backbone", "normalisation", "stride_two_padding")
    if not all(isinstance(data.get(name), str) for name in texts):
        raise InputError(f"{source}: does not say which detector it is; train again")
    try:
        model = build_detector(
            size_of_network(data, "classes"),
            backend=data["backend"],
            backbone=data["backbone"],
            normalisation=data["normalisation"],
            stride_two_padding=data["stride_two_padding"],
        )
        model.load_state_dict(tensors_of(payload.arrays))
    except InputError:  # a library that is not installed
        raise
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: this detector is incomplete ({reason}); train again") from None
    return model.eval()


def identity(model: Any) -> dict[str, Any]:
    """What tells this network from others."""
    return {
        "backend": model.backend,
        "backbone": model.backbone.name,
        "stride_two_padding": model.backbone.stride_two_padding,
        "classes": model.classes,
        "normalisation": model.normalisation,
    }
