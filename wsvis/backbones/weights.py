"""Initial weights for a backbone, wherever they come from, and our own file of one.

A file may hold a torchvision model (any number of classes: its head is left out), a bare backbone
or a whole classifier of ours. Reading never runs code: safetensors, or ``torch.load`` restricted to
tensors. Whatever does not fit is refused in one line before the backbone is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from wsvis.backbones.networks import MOBILENET_STAGE_ENDS, STAGES, Backbone
from wsvis.errors import InputError
from wsvis.files.atomic import write_bytes
from wsvis.payload import Payload, to_bytes
from wsvis.settings import suggestion
from wsvis.weights_files import names_a_file
from wsvis.weights_input import fill_network, read_tensors

STANDIN = Path(__file__).parent.parent / "assets" / "standin_backbone.safetensors"
"""Our stand-in for ImageNet: ``small``, pre-trained on class labels of procedural images."""

_HEADS = ("fc.", "classifier.", "head.")
_RESNET_STAGES = {"conv1.": "0.conv1.", "bn1.": "0.bn1."} | {
    f"layer{n}.": f"{n}." for n in range(1, 5)
}
_RESNETS = {  # blocks in the third layer, bottlenecks? -> name
    (2, False): "resnet18",
    (6, False): "resnet34",
    (6, True): "resnet50",
    (23, True): "resnet101",
    (36, True): "resnet152",
}


def load_backbone_weights(backbone: Backbone, weights: str) -> None:
    """Fill a backbone in place.

    Args:
        backbone: from :func:`wsvis.backbones.networks.build_backbone`.
        weights: ``none`` (keep the random ones); ``standin`` (shipped, ``small`` only); a local
            .safetensors or .pth file; or the name of torchvision's weights for this backbone, such
            as ``IMAGENET1K_V1``, looked up in torch's hub folder and downloaded if missing.

    Raises:
        InputError: nothing there, unreadable, or of another architecture.
    """
    if weights == "none":
        return
    if not weights:
        raise InputError(
            f"classifier.weights is empty; give a file with weights of {backbone.name}, "
            f"torchvision's name of some, or none"
        )
    source, state = weights_state(backbone.name, weights)
    _fill(backbone, _to_our_names(state), source)


def weights_state(name: str, weights: str) -> tuple[str, Mapping[str, Tensor]]:
    """All tensors of named weights or a file, and what an error line calls them."""
    if weights == "standin":
        if name != "small":
            raise InputError(
                f"the weights 'standin' fit the backbone small, not {name}; "
                f"set classifier.backbone to small or name other weights"
            )
        return str(STANDIN), read_state(STANDIN)
    if names_a_file(weights):
        return weights, read_state(Path(weights))
    return weights, _torchvision_state(name, weights)


def save_backbone(backbone: Backbone, path: str | Path) -> None:
    """Write a backbone as safetensors, all at once or not at all."""
    payload = Payload(
        arrays={name: t.detach().cpu().numpy() for name, t in backbone.state_dict().items()},
        data={"kind": "backbone", "backbone": backbone.name},
    )
    write_bytes(path, to_bytes(payload))


def _torchvision_state(name: str, weights: str) -> Mapping[str, Tensor]:
    if name == "small":
        raise InputError(
            f"torchvision has no weights {weights!r} for the backbone small; set "
            f"classifier.weights to standin, none or a local .safetensors file"
        )
    from torchvision import models

    known = {entry.name: entry for entry in models.get_model_weights(name)}
    if weights not in known:
        raise InputError(
            f"torchvision has no weights {weights!r} for {name}, and no such file is there; "
            f"{suggestion(weights, known)}"
        )
    try:
        return known[weights].get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash a RuntimeError
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"torchvision's {weights} for {name} could not be downloaded ({reason}); fetch "
            f"{known[weights].url} elsewhere and give that file as classifier.weights"
        ) from None


def read_state(path: Path) -> Mapping[str, Tensor]:
    """All tensors of a file by name."""
    return read_tensors(path, "there is no such weights file; check classifier.weights")


def _to_our_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of torchvision or of our classifier -> ``stages.<n>.<...>``; heads are left out."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        name = name.removeprefix("backbone.")
        if name.startswith(_HEADS):
            continue
        layer = name.split(".")[1] if name.startswith("features.") else ""
        if layer.isdigit():
            stage = sum(int(layer) >= end for end in MOBILENET_STAGE_ENDS)
            name = f"stages.{stage}.{name.removeprefix('features.')}"
        for torchvision_name, ours in _RESNET_STAGES.items():
            if name.startswith(torchvision_name):
                name = f"stages.{ours}{name.removeprefix(torchvision_name)}"
        renamed[name] = value
    return renamed


def looks_like(names: set[str]) -> str:
    """What a state dict in our names seems to hold, for error messages."""
    if any(name.startswith("stages.4.18.") for name in names):
        return "mobilenet_v2"
    if "stages.1.0.conv1.weight" in names and "stages.0.conv1.weight" in names:
        blocks = len({name.split(".")[2] for name in names if name.startswith("stages.3.")})
        return _RESNETS.get((blocks, "stages.1.0.conv3.weight" in names), "a ResNet")
    if "stages.0.0.weight" in names and "stages.4.0.conv1.weight" in names:
        return "small"
    shown = ", ".join(sorted(names)[:3])
    return f"an unknown network ({shown}, ...)" if shown else "nothing but a head"


def _fill(backbone: Backbone, state: Mapping[str, Tensor], source: str) -> None:
    expected = backbone.state_dict()
    held = looks_like(set(state))
    needed = {name for name in expected if not name.endswith("num_batches_tracked")}
    if held != backbone.name or not needed <= set(state):
        raise _misfit(source, held, backbone.name, sorted(needed - set(state)))
    for name in needed:
        if state[name].shape != expected[name].shape:
            raise InputError(
                f"{source}: {name} is {list(state[name].shape)} where {backbone.name} has "
                f"{list(expected[name].shape)}; give weights of the standard width"
            )
    fill_network(backbone, {**expected, **{name: state[name] for name in needed}}, source)


def _misfit(source: str, held: str, name: str, missing: list[str]) -> InputError:
    if held == name:
        return InputError(f"{source}: {held} without {missing[0]}; export the whole state dict")
    cure = f"set classifier.backbone to {held} or " if held in STAGES else ""
    return InputError(
        f"{source}: holds {held} where {name} is wanted; {cure}give weights of {name}"
    )
