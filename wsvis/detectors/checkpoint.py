"""A detector as a file, and a training in the middle of which one can go on.

Both are payloads (safetensors with plain data), so reading one runs no code; one that belongs to
another network is refused in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wsvis.detectors.build import build_detector
from wsvis.errors import InputError
from wsvis.payload import Payload

MODEL, TRAINING = "detector", "detector training"


def detector_to_payload(model: nn.Module, extra: Mapping[str, Any] | None = None) -> Payload:
    """Weights and all that is needed to build the network again."""
    arrays = {name: _array(tensor) for name, tensor in model.state_dict().items()}
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
    if not all(isinstance(data.get(name), str) for name in texts) or not isinstance(
        data.get("classes"), int
    ):
        raise InputError(f"{source}: does not say which detector it is; train again")
    try:
        model = build_detector(
            data["classes"],
            backend=data["backend"],
            backbone=data["backbone"],
            normalisation=data["normalisation"],
            stride_two_padding=data["stride_two_padding"],
        )
        model.load_state_dict(_tensors(payload.arrays))
    except InputError:  # a library that is not installed
        raise
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: this detector is incomplete ({reason}); train again") from None
    return model.eval()


def detector_training_state(
    model: nn.Module, optimiser: Optimizer, step: int, training: str, losses: Iterable[float] = ()
) -> Payload:
    """Everything a resumed run needs after ``step`` updates; ``losses`` are those of the last."""
    arrays = {f"model.{name}": _array(tensor) for name, tensor in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:
                arrays[f"optimiser.{index}.{key}"] = np.atleast_1d(_array(torch.as_tensor(value)))
    data = {"kind": TRAINING, "step": step, "training": training, "losses": list(losses)}
    return Payload(arrays, {**data, **identity(model)})


def restore_detector_training(
    payload: Payload,
    model: nn.Module,
    optimiser: Optimizer,
    training: str,
    source: str = "checkpoint",
) -> int:
    """Put a state back in place and return its step.

    Raises:
        InputError: it belongs to another network or to a training with other settings.
    """
    data = payload.data
    if data.get("kind") != TRAINING:
        raise InputError(f"{source}: not a state of a detector's training; start without it")
    for name, value in {**identity(model), "training": training}.items():
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
    groups = optimiser.state_dict()["param_groups"]
    try:
        model.load_state_dict(_tensors(weights))
        optimiser.load_state_dict({"state": states, "param_groups": groups})
    except (RuntimeError, KeyError, ValueError) as error:
        raise InputError(f"{source}: does not fit this training ({error})".split("\n")[0]) from None
    return int(data["step"])


def identity(model: Any) -> dict[str, Any]:
    """What tells this network from others."""
    return {
        "backend": model.backend,
        "backbone": model.backbone.name,
        "stride_two_padding": model.backbone.stride_two_padding,
        "classes": model.classes,
        "normalisation": model.normalisation,
    }


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
