"""A detector as a file: safetensors with plain data, so that reading one runs no code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from wsvis.backbones.networks import build_backbone
from wsvis.errors import InputError
from wsvis.learning.state import array_of, tensors_of
from wsvis.payload import Payload
from wsvis.systems import SYSTEMS
from wsvis.weights_input import size_of_network

MODEL = "detector"


def detector_to_payload(model: nn.Module, extra: Mapping[str, Any] | None = None) -> Payload:
    """Weights and all that is needed to build the network again."""
    arrays = {name: array_of(tensor) for name, tensor in model.state_dict().items()}
    return Payload(arrays, {"kind": MODEL, **description(model), **(extra or {})})


def detector_from_payload(payload: Payload, source: str = "detector") -> nn.Module:
    """The inverse of :func:`detector_to_payload`, in evaluation mode.

    Raises:
        InputError: the payload is something else, or incomplete; ``source`` is named in it.
    """
    data = payload.data
    if data.get("kind") != MODEL:
        raise InputError(f"{source}: holds {data.get('kind', 'no network')!r}, not a detector")
    # files from before there were several systems do not name theirs
    name = data.get("system", "mask_rcnn")
    if not isinstance(name, str) or name not in SYSTEMS:
        raise InputError(f"{source}: a detector of the system {name!r}, which is not known here")
    system = SYSTEMS[name]
    texts = ("backbone", "normalisation", "stride_two_padding", *system.texts)
    if not all(isinstance(data.get(text), str) for text in texts):
        raise InputError(f"{source}: does not say which detector it is; train again")
    try:
        with torch.random.fork_rng(devices=[]):
            trunk = build_backbone(data["backbone"], stride_two_padding=data["stride_two_padding"])
            classes = size_of_network(data, "classes")
            model = system.rebuild(data, trunk, classes, data["normalisation"])
        model.load_state_dict(tensors_of(payload.arrays))
    except InputError:  # a library that is not installed
        raise
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: this detector is incomplete ({reason}); train again") from None
    return model.eval()


def description(model: Any) -> dict[str, Any]:
    """What tells this network from others, and with what it can be built again."""
    return {
        "system": model.system,
        **SYSTEMS[model.system].describe(model),
        "backbone": model.backbone.name,
        "stride_two_padding": model.backbone.stride_two_padding,
        "classes": model.classes,
        "normalisation": model.normalisation,
    }
