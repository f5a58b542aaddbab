"""RAFT with random weights made here: the plumbing is tested, the numbers mean nothing."""

from __future__ import annotations

import urllib.error

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import optical_flow

from wsvis.errors import InputError
from wsvis.flow.provider import make_flow_provider, video_flow
from wsvis.flow.raft import padded_side


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The same random raft_small as .pth, as .safetensors, and as a data-parallel wrapper's."""
    folder = tmp_path_factory.mktemp("raft")
    torch.manual_seed(0)
    network = optical_flow.raft_small(weights=None).eval()
    state = network.state_dict()
    torch.save(state, folder / "small.pth")
    save_file(state, str(folder / "small.safetensors"))
    torch.save({f"module.{key}": value for key, value in state.items()}, folder / "wrapped.pth")
    return folder, network


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 130, 140, 3), dtype=np.uint8)


def test_equals_torchvision_on_frames_that_need_no_padding(weights, frames):
    folder, network = weights
    provider = make_flow_provider("raft-small", str(folder / "small.pth"))
    a, b = frames[:2, :128, :136], frames[1:, :128, :136]

    def image(x):
        return torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255 * 2 - 1

    with torch.no_grad():
        expected = network(image(a), image(b))[-1].permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(provider.flow(a, b), expected, atol=1e-3)


def test_any_size_batched_or_not_from_either_file(weights, frames):
    folder, _ = weights
    provider = make_flow_provider("raft-small", str(folder / "small.safetensors"), device="auto")
    forward, backward = video_flow(frames, provider, long_side=70)
    # shrunk to 65 x 70, padded to 128 x 128 inside, cut back
    assert forward.shape == backward.shape == (2, 65, 70, 2)
    assert np.isfinite(forward).all()
    wrapped = make_flow_provider("raft-small", str(folder / "wrapped.pth"), device="auto")
    again, _ = video_flow(frames[1:], wrapped, long_side=70)
    np.testing.assert_allclose(again[0], forward[1], atol=1e-3)


def test_no_pair_is_no_flow(weights):
    provider = make_flow_provider("raft-small", str(weights[0] / "small.pth"))
    nothing = np.zeros((0, 20, 30, 3), dtype=np.uint8)
    assert provider.flow(nothing, nothing).shape == (0, 20, 30, 2)


@pytest.mark.parametrize(("side", "padded"), [(1, 128), (128, 128), (129, 136), (240, 240)])
def test_padded_side(side, padded):
    assert padded_side(side) == padded


def refused(name, path) -> str:
    with pytest.raises(InputError) as caught:
        make_flow_provider(name, str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_of_another_network_are_refused(weights, tmp_path):
    small = weights[0] / "small.pth"
    assert f"{small} are not weights of raft-large" in refused("raft-large", small)
    state = torch.load(small, weights_only=True)
    name = "update_block.flow_head.conv2.weight"
    state[name] = state[name][:1]
    torch.save(state, tmp_path / "bent.pth")
    assert name in refused("raft-small", tmp_path / "bent.pth")


def test_unreadable_files_are_refused(tmp_path):
    assert "is not there" in refused("raft-small", tmp_path / "absent.pth")
    for name in ("cut.pth", "cut.safetensors"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 not weights")
        assert "again" in refused("raft-small", tmp_path / name)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    assert "no state dict" in refused("raft-small", tmp_path / "list.pth")


class Payload:
    """Anything but a tensor: torch must refuse to build it."""


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch.save({"x": Payload()}, tmp_path / "code.pth")
    assert "more than tensors" in refused("raft-small", tmp_path / "code.pth")


def test_names_torchvision_does_not_have_are_refused():
    assert "did you mean 'C_T_V2'" in refused("raft-small", "C_T_V9")


@pytest.mark.parametrize("weights_name", ["", "C_T_V1"])
def test_named_weights_without_network_are_one_line(weights_name, tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    message = refused("raft-small", weights_name)
    assert "could not be downloaded" in message
    assert "no route to host" in message
    assert "give that file as flow.weights" in message
