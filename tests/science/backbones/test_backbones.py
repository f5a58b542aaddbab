from __future__ import annotations

import urllib.error
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from wsvis.backbones import weights as backbone_weights
from wsvis.backbones.networks import STAGES, PadSame, SameConv2d, build_backbone
from wsvis.backbones.weights import load_backbone_weights, save_backbone
from wsvis.cam.cam_grid import first_cell_centre
from wsvis.errors import InputError


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("name", ["small", "resnet18", "mobilenet_v2"])
def test_stages_have_the_documented_channels_and_strides(name, padding):
    backbone = build_backbone(name, stride_two_padding=padding)
    with torch.no_grad():
        taps = backbone(torch.randn(1, 3, 37, 50))
    assert len(taps) == 5
    for tap, channels, stride in zip(taps, backbone.channels, backbone.strides, strict=True):
        assert tap.shape == (1, channels, -(-37 // stride), -(-50 // stride))
    assert backbone.strides[1] == 4


def test_resnet50_taps():
    with torch.no_grad():
        taps = build_backbone("resnet50")(torch.randn(1, 3, 32, 48))
    assert [tap.shape[1] for tap in taps] == [64, 256, 512, 1024, 2048]
    assert taps[4].shape[-2:] == (2, 3)


def test_small_is_small():
    backbone = build_backbone("small").double()
    assert sum(p.numel() for p in backbone.parameters()) < 450_000
    x = torch.randn(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    backbone(x)[-1][0, :, 10, 10].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum((0, 1)).sum(0).nonzero()[:, 0]
    # centred on pixel 10 * 8, 35 to each side
    assert (seen.min(), seen.max()) == (80 - 35, 80 + 35)


@pytest.mark.parametrize("mode", [True, False])
def test_batch_norm_keeps_its_statistics_but_learns_scale_and_shift(mode):
    backbone = build_backbone("small").train(mode)
    before = backbone.stages[0][1].running_mean.clone()  # pyright: ignore
    backbone(torch.randn(2, 3, 16, 16) + 5)[-1].sum().backward()
    norm = backbone.stages[0][1]  # pyright: ignore
    assert isinstance(norm, nn.BatchNorm2d)
    torch.testing.assert_close(norm.running_mean, before, rtol=0, atol=0)
    assert norm.weight.grad is not None


def test_statistics_move_only_when_asked():
    backbone = build_backbone("small")
    backbone.frozen_statistics = False
    backbone.train()(torch.randn(2, 3, 16, 16) + 5)
    assert backbone.stages[0][1].running_mean.abs().sum() > 0  # pyright: ignore


@pytest.mark.parametrize(("length", "before", "after"), [(6, 0, 1), (7, 1, 1), (1, 1, 1)])
def test_same_padding_by_hand(length, before, after):
    """Kernel 3, stride 2: 6 -> 3 windows span 7 cells, one more; 7 -> 4 span 9, two more."""
    padded = PadSame(3)(torch.ones(1, 1, length, length))[0, 0, before]
    assert padded.tolist() == [0.0] * before + [1.0] * length + [0.0] * after


def test_same_convolution_sees_the_window_tensorflow_sees():
    """Length 4, kernel 3, stride 2, all weights 1: windows [x0 x1 x2] and [x2 x3 0]."""
    conv = SameConv2d(1, 1, 3, 2, bias=False)
    nn.init.ones_(conv.weight)
    x = torch.tensor([[1.0, 2.0, 4.0, 8.0]]).expand(4, 4)[None, None]
    assert conv(x)[0, 0, 0].tolist() == [3 * 7.0, 3 * 12.0]


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("length", [64, 52, 37])
def test_first_cell_is_centred_where_the_network_says(padding, length):
    """The pixel that cell 0's gradient is centred on, for a net of nothing but 3-wide means."""
    stages, x = 3, torch.zeros(1, 1, length, length, dtype=torch.float64, requires_grad=True)
    out = x
    for _ in range(stages):
        conv = (SameConv2d if padding == "same" else nn.Conv2d)(1, 1, 3, 2, bias=False).double()
        conv.padding = (0, 0) if padding == "same" else (1, 1)
        nn.init.ones_(conv.weight)
        out = conv(out)
    out[0, 0, 2, 2].backward()  # far enough from the border to see its whole window
    assert x.grad is not None
    window = x.grad[0, 0].sum(0).nonzero()[:, 0]
    centre = (window.min() + window.max()).item() / 2
    assert centre == first_cell_centre(length, 8, padding) + 2 * 8


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="known: small"):
        build_backbone("vgg")
    with pytest.raises(ValueError, match="symmetric or same"):
        build_backbone("small", stride_two_padding="valid")


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvision_weights_give_torchvision_features(name, tmp_path):
    net: Any = models.get_model(name, weights=None, num_classes=7).eval()
    path = tmp_path / "net.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, path)
    backbone = build_backbone(name)
    load_backbone_weights(backbone, str(path))
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        if name == "resnet18":
            stem = net.maxpool(net.relu(net.bn1(net.conv1(x))))
            expected = net.layer3(net.layer2(net.layer1(stem)))
        else:
            expected = net.features[:14](x)
        torch.testing.assert_close(backbone(x)[3], expected)


def test_saved_backbone_comes_back(tmp_path):
    backbone, other = build_backbone("small"), build_backbone("small")
    save_backbone(backbone, tmp_path / "b.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["b.safetensors"]
    load_backbone_weights(other, str(tmp_path / "b.safetensors"))
    for name, tensor in backbone.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, rtol=0, atol=0)


def refusal(name: str, weights: str) -> str:
    backbone = build_backbone(name)
    before = [p.clone() for p in backbone.parameters()]
    with pytest.raises(InputError) as caught:
        load_backbone_weights(backbone, weights)
    for old, new in zip(before, backbone.parameters(), strict=True):
        assert torch.equal(old, new)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_refusals_name_the_file_and_the_cure(tmp_path):
    path = tmp_path / "resnet18.pth"
    torch.save(models.resnet18().state_dict(), path)
    message = refusal("small", str(path))
    assert str(path) in message
    assert "holds resnet18 where small is wanted; set classifier.backbone to resnet18" in message
    assert "no such weights file" in refusal("small", str(tmp_path / "absent.pth"))
    path.write_bytes(path.read_bytes()[:5000])
    assert "cut off" in refusal("resnet18", str(path))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not one")
    assert str(broken) in refusal("small", str(broken))
    code = tmp_path / "code.pth"
    torch.save(nn.Linear(1, 1), code)  # a pickled object, which would run code when loaded
    assert "safely" in refusal("small", str(code))
    torch.save(torch.zeros(3), code)
    assert "no state dict" in refusal("small", str(code))
    assert "is empty" in refusal("small", "")
    assert "fit the backbone small" in refusal("resnet18", "standin")
    assert "did you mean 'IMAGENET1K_V1'" in refusal("resnet18", "IMAGENET1K_V11")
    assert "standin" in refusal("small", "IMAGENET1K_V1")


def test_incomplete_or_other_width(tmp_path):
    path = tmp_path / "net.pth"
    state = models.mobilenet_v2(width_mult=0.5).state_dict()
    torch.save(state, path)
    assert "standard width" in refusal("mobilenet_v2", str(path))
    state = models.resnet18().state_dict()
    del state["layer2.0.conv1.weight"]
    torch.save(state, path)
    assert "resnet18 without stages.2.0.conv1.weight" in refusal("resnet18", str(path))
    torch.save(models.resnet34().state_dict(), path)
    message = refusal("resnet18", str(path))
    assert "holds resnet34" in message
    assert "set classifier.backbone" not in message


def test_download_that_fails_names_the_address(monkeypatch):
    def fail(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", fail)
    message = refusal("resnet18", "IMAGENET1K_V1")
    assert "no network" in message
    assert "resnet18-" in message


def test_download_that_works_fills_the_backbone(monkeypatch):
    net = models.resnet18()
    asked = []

    def give(self, *args, **kwargs):
        asked.append((self.name, kwargs["check_hash"]))
        return net.state_dict()

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", give)
    backbone = build_backbone("resnet18")
    load_backbone_weights(backbone, "IMAGENET1K_V1")
    assert asked == [("IMAGENET1K_V1", True)]
    assert torch.equal(backbone.stages[0].conv1.weight, net.conv1.weight)  # pyright: ignore


def test_standin_is_shipped_and_fits():
    backbone = build_backbone("small")
    load_backbone_weights(backbone, "standin")
    assert backbone_weights.STANDIN.stat().st_size < 4_000_000
    assert all(torch.isfinite(p).all() for p in backbone.parameters())


def test_every_backbone_is_in_the_config():
    from typing import get_args

    from wsvis.backbones.config import BackboneName

    assert set(get_args(BackboneName)) == set(STAGES)
