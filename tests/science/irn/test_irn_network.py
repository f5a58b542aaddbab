import pytest
import torch
from torch import nn

from wsvis.backbones.networks import STAGES, build_backbone
from wsvis.irn.network import Irn


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return Irn(build_backbone("small"), displacement_channels=32, boundary_channels=16).eval()


@pytest.mark.parametrize("name", sorted(STAGES))
def test_one_cell_per_four_pixels_on_every_backbone(name):
    model = Irn(build_backbone(name), displacement_channels=32).eval()
    with torch.no_grad():
        boundary, displacement = model(torch.randn(2, 3, 32, 48))
    assert boundary.shape == (2, 8, 12)
    assert displacement.shape == (2, 2, 8, 12)


def test_resnet50_has_the_layout_of_the_released_code():
    """Widths: 5 x 32 for the boundary; 64, 128, 256 x 3, 768 -> 256, 448 -> 256 -> 2."""
    with torch.device("meta"):
        model = Irn(build_backbone("resnet50"))

    def widths(branch):
        convolutions = [m for m in branch.modules() if isinstance(m, nn.Conv2d)]
        assert all(m.kernel_size == (1, 1) for m in convolutions)
        return [(m.in_channels, m.out_channels, m.bias is not None) for m in convolutions]

    channels = (64, 256, 512, 1024, 2048)
    assert widths(model.boundary) == [*((c, 32, False) for c in channels), (160, 1, True)]
    assert widths(model.displacement) == [
        *((c, w, False) for c, w in zip(channels, (64, 128, 256, 256, 256), strict=True)),
        (768, 256, False),
        (448, 256, False),
        (256, 2, False),
    ]
    groups = [m.num_groups for m in model.modules() if isinstance(m, nn.GroupNorm)]
    assert groups == [4] * 5 + [8, 16, 16, 16, 16, 16, 16]
    scales = [m.scale_factor for m in model.modules() if isinstance(m, nn.Upsample)]
    assert scales == [2, 4, 4, 2, 2, 2]


def test_frozen_backbone_learns_nothing_and_keeps_its_mode(small):
    small.train()
    boundary, displacement = small(torch.randn(1, 3, 32, 32))
    (boundary.sum() + displacement.sum()).backward()
    assert not any(p.requires_grad or p.grad is not None for p in small.backbone.parameters())
    assert all(p.grad is not None for p in small.boundary.parameters())
    assert not small.backbone.training
    small.eval()


def test_free_backbone_learns():
    model = Irn(build_backbone("small"), displacement_channels=32, frozen=False).train()
    boundary, displacement = model(torch.randn(1, 3, 32, 32))
    (boundary.sum() + displacement.sum()).backward()
    assert all(p.grad is not None for p in model.backbone.parameters())
    norms = [m for m in model.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(m.training for m in norms)


def test_known_taps_stand_for_the_frames(small):
    frames = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        taps = small.taps(frames)
        assert [tuple(t.shape[2:]) for t in taps] == [(8, 12), (8, 12), (4, 6), (4, 6), (4, 6)]
        for direct, from_taps in zip(small(frames), small(taps), strict=True):
            assert torch.equal(direct, from_taps)


def test_mean_displacement_is_subtracted_after_training_only(small):
    frames = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        plain = small(frames)[1]
        small.mean_displacement.copy_(torch.tensor([1.0, -2.0]))
        shifted = small(frames)[1]
        training = small.train()(frames)[1]
        small.mean_displacement.zero_()
        small.eval()
    assert torch.allclose(shifted, plain - torch.tensor([1.0, -2.0]).view(1, 2, 1, 1))
    assert torch.allclose(training, plain)


def test_sides_that_are_no_multiples_of_sixteen(small):
    with pytest.raises(ValueError, match="multiples of 16"):
        small(torch.randn(1, 3, 32, 40))
