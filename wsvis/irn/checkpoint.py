"""A flowIRN as a file, and a training in the middle of which one can go on.

Both are payloads (safetensors with plain data), so reading one runs no code; one that belongs to
another network is refused in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from wsvis.cam.backbones import build_backbone
from wsvis.errors import InputError
from wsvis.irn.network import Irn
from wsvis.payload import Payload

MODEL, TRAINING = "irn", "irn training"


def irn_to_payload(model: Irn, extra: Mapping[str, Any] | None = None) -> Payload:
    """Weights and all that is needed to build the network again."""
    arrays = {name: _array(tensor) for name, tensor in model.state_dict().items()}
    return Payload(arrays, {"kind": MODEL, **_identity(model), **(extra or {})})


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
            boundary_channels=data["boundary_channels"],
            displacement_channels=data["displacement_channels"],
            normalisation=data["normalisation"],
            frozen=data["frozen"],
        )
        model.load_state_dict(_tensors(payload.arrays))
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: this flowIRN is incomplete ({reason}); train again") from None
    return model.eval()


def irn_training_state(
    model: Irn, optimiser: Optimizer, step: int, identity: str, losses: Iterable[float] = ()
) -> Payload:
    """Everything a resumed run needs after ``step`` updates, ``losses`` being those of the last.

    A frozen backbone is left out: it comes with the model that training starts from.
    """
    arrays = {f"model.{name}": _array(tensor) for name, tensor in _learned(model).items()}
    for index, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:
                arrays[f"optimiser.{index}.{key}"] = np.atleast_1d(_array(torch.as_tensor(value)))
    data = {"kind": TRAINING, "step": step, "training": identity, "losses": list(losses)}
    data |= _identity(model)
    return Payload(arrays, data)


def restore_irn_training(
    payload: Payload, model: Irn, optimiser: Optimizer, identity: str, source: str = "checkpoint"
) -> int:
    """Put a state back in place and return its step.

    Raises:
        InputError: it belongs to another network or to a training with other settings.
    """
    data = payload.data
    if data.get("kind") != TRAINING:
        raise InputError(f"{source}: not a state of flowIRN training; start without it")
    for name, value in {**_identity(model), "training": identity}.items():
        if data.get(name) != value:
            raise InputError(
                f"{source}: was made with {name} {data.get(name)!r}, this run has {value!r}; "
                f"start without it or give the settings it was made with"
            )
    weights: dict[str, np.ndarray] = {}
    states: dict[int, dict[str, Tensor]] = {}
    for name, array in payload.arrays.items():
        owner, rest = name.split(".", 1)
        if owner == "model":
            weights[rest] = array
        else:
            index, key = rest.split(".", 1)
            tensor = torch.from_numpy(np.array(array))
            # the file format knows no zero-dimensional arrays; AdamW's step counter is one
            states.setdefault(int(index), {})[key] = tensor.reshape(()) if key == "step" else tensor
    if set(weights) != set(_learned(model)):
        raise InputError(f"{source}: some weights are missing; start without it")
    groups = optimiser.state_dict()["param_groups"]
    try:
        model.load_state_dict(_tensors(weights), strict=False)
        optimiser.load_state_dict({"state": states, "param_groups": groups})
    except (RuntimeError, KeyError, ValueError) as error:
        raise InputError(f"{source}: does not fit this training ({error})".split("\n")[0]) from None
    return int(data["step"])


def _identity(model: Irn) -> dict[str, Any]:
    return {
        "backbone": model.backbone.name,
        "stride_two_padding": model.backbone.stride_two_padding,
        "boundary_channels": model.boundary.head.in_channels // 5,
        "displacement_channels": model.displacement.coarse[0].out_channels,
        "normalisation": model.normalisation,
        "frozen": model.frozen,
    }


def _learned(model: Irn) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not (model.frozen and name.startswith("backbone."))
    }


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
