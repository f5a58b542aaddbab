"""A flowIRN as a file, and a training in the middle of which one can go on.

Both are payloads (safetensors with plain data), so reading one runs no code; one that belongs to
another network is refused in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from wsvis.backbones.networks import build_backbone
from wsvis.errors import InputError
from wsvis.irn.network import Irn
from wsvis.learning.state import array_of, restore_training, tensors_of, training_state
from wsvis.payload import Payload
from wsvis.weights_input import size_of_network

MODEL, TRAINING = "irn", "irn training"


def irn_to_payload(model: Irn, extra: Mapping[str, Any] | None = None) -> Payload:
    """Weights and all that is needed to build the network again."""
    arrays = {name: array_of(tensor) for name, tensor in model.state_dict().items()}
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


def irn_training_state(
    model: Irn, optimiser: Optimizer, step: int, training: str, losses: Iterable[float] = ()
) -> Payload:
    """See :func:`wsvis.learning.state.training_state`; ``training`` tells its settings.

    A frozen backbone is left out: it comes with the model that training starts from.
    """
    about = {**_identity(model), "training": training}
    return training_state(TRAINING, _learned(model), optimiser, step, about, losses)


def restore_irn_training(payload: Payload, model: Irn, optimiser: Optimizer, training: str) -> int:
    """See :func:`wsvis.learning.state.restore_training`."""
    about = {**_identity(model), "training": training}
    return restore_training(payload, TRAINING, model, _learned(model), optimiser, about)


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
