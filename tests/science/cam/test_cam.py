from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from reference import cam as slow
from wsvis.backbones.networks import Backbone
from wsvis.backbones.normalise import normalise_frames
from wsvis.cam.cam import class_activation_map, fold_batch_norm, max_normalise, multi_scale_cam
from wsvis.cam.cam_grid import (
    first_cell_centre,
    grid_centres,
    interpolation_matrix,
    read_map_at,
)
from wsvis.cam.classifier import Classifier, build_classifier


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, shape))


class EveryFourthPixel(Backbone):
    """A backbone whose features are the frame's own colours, shifted to be positive, at stride 4.

    With symmetric padding cell i lies on pixel 4 i, as the class under test believes.
    """

    def __init__(self) -> None:
        super().__init__("small", [], "symmetric")
        self.channels, self.strides = (3,), (4,)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x[..., ::4, ::4] + 1,)


def colour_classifier(weight: Tensor) -> Classifier:
    """Class maps are weighted colours: what they must be can be worked out from the frame."""
    model = Classifier(EveryFourthPixel(), ["a", "b"], normalisation="half")
    model.head.weight.data = weight[:, :, None, None].float()
    return model.eval()


def test_class_activation_map_equals_the_loops():
    features, weight = numbers(0, 1, 4, 3, 5), numbers(1, 2, 4)
    expected = slow.class_activation_map(features[0].tolist(), weight.tolist())
    torch.testing.assert_close(
        class_activation_map(features, weight)[0], torch.tensor(expected).to(features)
    )


def test_class_activation_map_by_hand():
    """Two channels, one cell (3, -1): w = (2, 5) gives 2 * 3 - 5 = 1."""
    features = torch.tensor([3.0, -1.0]).view(1, 2, 1, 1)
    assert class_activation_map(features, torch.tensor([[2.0, 5.0]])).item() == 1.0


def test_mean_of_the_map_is_the_logit():
    model = build_classifier("small", ["a", "b", "c"]).eval()
    x = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        maps = class_activation_map(model.backbone(x)[-1], model.head.weight[:, :, 0, 0])
        torch.testing.assert_close(maps.mean((-2, -1)), model(x))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), factor=st.floats(1, 1000))
def test_max_normalise_laws(seed, factor):
    maps = numbers(seed, 2, 4, 5).abs() + 1
    normal = max_normalise(maps)
    expected = torch.tensor([slow.max_normalise(m) for m in maps.tolist()]).to(maps)
    torch.testing.assert_close(normal, expected)
    assert normal.min() >= 0
    assert (normal.amax((-2, -1)) <= 1).all()
    # the peak is 1 up to the 1e-5 that keeps a dead map from dividing by zero; scale cancels
    torch.testing.assert_close(normal.amax((-2, -1)), torch.ones(2).to(maps), atol=2e-5, rtol=0)
    torch.testing.assert_close(max_normalise(factor * maps), normal, atol=2e-5, rtol=0)


def test_a_dead_map_stays_zero():
    assert max_normalise(torch.zeros(1, 3, 3)).tolist() == torch.zeros(1, 3, 3).tolist()


def test_gradients():
    features, weight = numbers(0, 1, 2, 2, 3).requires_grad_(), numbers(1, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(class_activation_map, (features, weight))
    assert torch.autograd.gradcheck(max_normalise, (numbers(2, 2, 3, 3).abs().requires_grad_(),))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), h=st.integers(1, 5), w=st.integers(1, 5))
def test_reading_equals_the_loops(seed, h, w):
    random = np.random.default_rng(seed)
    maps = torch.from_numpy(random.normal(size=(2, h, w)))
    rows, columns = (torch.from_numpy(random.uniform(-2, 7, n)) for n in (4, 3))
    expected = [slow.read_map_at(m, rows.tolist(), columns.tolist()) for m in maps.tolist()]
    torch.testing.assert_close(read_map_at(maps, rows, columns), torch.tensor(expected).to(maps))


def test_interpolation_by_hand():
    """At -1 the first value, at 0.25 three quarters and one quarter, at 9 the last value."""
    matrix = interpolation_matrix(torch.tensor([-1.0, 0.25, 9.0]), 3)
    assert matrix.tolist() == [[1, 0, 0], [0.75, 0.25, 0], [0, 0, 1]]


def test_reading_as_a_resize_equals_torch():
    maps = numbers(0, 3, 5, 7)
    rows, columns = (torch.arange(10) + 0.5) / 2 - 0.5, (torch.arange(14) + 0.5) / 2 - 0.5
    expected = functional.interpolate(maps[None], (10, 14), mode="bilinear")[0]
    torch.testing.assert_close(read_map_at(maps, rows, columns), expected)


def test_first_cell_centre_by_hand():
    """SAME, length 12: even, +1; 6: even, +2; 3: odd, +0; 2: even, +8 -> 11."""
    assert first_cell_centre(12, 16, "same") == 11
    assert first_cell_centre(12, 16, "symmetric") == 0


def test_grid_covers_the_frame():
    assert grid_centres(9).tolist() == [2.0, 6.0, 10.0]


@pytest.mark.parametrize(("height", "width"), [(24, 32), (23, 30)])
def test_multi_scale_cam_equals_the_loops(height, width):
    frames = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    )
    weight = numbers(1, 2, 3)
    model = colour_classifier(weight)
    [cam] = multi_scale_cam(model, frames, torch.tensor([[False, True]]), scales=(1.0,), flip=True)
    views = []
    rows = [(4 * i + 2 - 0.5) / 4 for i in range(-(-height // 4))]
    columns = [4 * i + 2 for i in range(-(-width // 4))]
    for mirrored in (False, True):
        x = normalise_frames(frames, "half")
        features = ((x.flip(-1) if mirrored else x)[0, :, ::4, ::4] + 1).tolist()
        maps = slow.class_activation_map(features, weight.tolist())
        places = [((width - c if mirrored else c) - 0.5) / 4 for c in columns]
        views.append([slow.read_map_at(slow.relu(m), rows, places) for m in maps])
    expected = torch.tensor(slow.fuse(views, [False, True], len(rows), len(columns)))
    torch.testing.assert_close(cam, expected, atol=1e-5, rtol=1e-4)


def test_stretched_reading_equals_a_plain_resize():
    """centred=False is IRN's: resize each map to the grid, mirror the mirrored one back, sum."""
    model = build_classifier("resnet18", ["a", "b"], seed=1).eval()
    frames = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (1, 50, 70, 3), dtype=np.uint8)
    )
    [cam] = multi_scale_cam(
        model, frames, torch.ones(1, 2, dtype=torch.bool), scales=(1.0,), centred=False
    )
    x = normalise_frames(frames, "imagenet")
    with torch.no_grad():
        maps = [model.head(model.backbone(v)[-1]).relu() for v in (x, x.flip(-1))]
    grid = [functional.interpolate(m, (13, 18), mode="bilinear") for m in maps]
    expected = max_normalise((grid[0] + grid[1].flip(-1))[0])
    torch.testing.assert_close(cam, expected, atol=1e-4, rtol=1e-4)


def test_centred_reading_puts_the_peak_on_the_object():
    """A bright square must peak at its own centre, with and without the mirror image."""
    frames = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    frames[:, 38:46, 14:22] = 255  # centre at (42, 18)
    model = colour_classifier(torch.ones(2, 3))
    present = torch.tensor([[True, False]])
    for flip in (False, True):
        [cam] = multi_scale_cam(model, frames, present, scales=(1.0, 2.0), flip=flip)
        mass = cam[0] / cam[0].sum()
        centre = [(mass.sum(1 - axis) * grid_centres(64)).sum().item() for axis in (0, 1)]
        assert centre == pytest.approx([42, 18], abs=0.8)


def test_only_classes_present_and_batches_do_not_matter():
    model = build_classifier("small", ["a", "b", "c"], seed=3).eval()
    frames = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (5, 40, 56, 3), dtype=np.uint8)
    )
    present = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1]]).bool()
    cams = multi_scale_cam(model, frames, present, scales=(1.0, 0.5), batch_size=8)
    assert [c.shape for c in cams] == [(n, 10, 14) for n in (2, 0, 1, 3, 1)]
    for pieces in (2, 1):
        again = multi_scale_cam(model, frames, present, scales=(1.0, 0.5), batch_size=pieces)
        for one, other in zip(cams, again, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    everything = torch.ones(5, 3, dtype=torch.bool)
    full = multi_scale_cam(model, frames, everything, scales=(1.0, 0.5))
    torch.testing.assert_close(cams[0], full[0][[0, 2]], atol=1e-5, rtol=1e-4)
    assert all(c.min() >= 0 and c.max() <= 1 for c in full)


def test_mirrored_frame_gives_the_mirrored_cam():
    model = build_classifier("small", ["a"], seed=3).eval()
    frames = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (1, 40, 56, 3), dtype=np.uint8)
    )
    present = torch.ones(1, 1, dtype=torch.bool)
    [cam] = multi_scale_cam(model, frames, present, scales=(1.0,))
    [mirrored] = multi_scale_cam(model, frames.flip(2), present, scales=(1.0,))
    torch.testing.assert_close(cam, mirrored.flip(-1), atol=1e-5, rtol=1e-4)


def test_a_classifier_that_sees_nothing_gives_zeros():
    model = colour_classifier(-torch.ones(2, 3))
    frames = torch.full((1, 16, 16, 3), 200, dtype=torch.uint8)
    [cam] = multi_scale_cam(model, frames, torch.ones(1, 2, dtype=torch.bool), scales=(1.0,))
    assert cam.abs().max() == 0


def test_long_side_shrinks_the_work_not_the_grid():
    model = build_classifier("small", ["a"], seed=3).eval()
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-2:]))
    frames = torch.randint(0, 256, (1, 40, 80, 3), dtype=torch.uint8)
    [cam] = multi_scale_cam(
        model, frames, torch.ones(1, 1, dtype=torch.bool), scales=(1.0,), flip=False, long_side=40
    )
    assert cam.shape == (1, 10, 20)
    assert seen == [(20, 40)]


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("name", ["small", "resnet18", "mobilenet_v2"])
def test_folding_batch_norm_changes_nothing(name, padding):
    model = build_classifier(name, ["a", "b"], stride_two_padding=padding).eval()
    random = np.random.default_rng(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                assert tensor is not None
                tensor.data = torch.from_numpy(random.uniform(0.5, 1.5, len(tensor))).float()
    folded = fold_batch_norm(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    x = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), atol=1e-3, rtol=1e-3)


def test_normalisation_by_hand():
    """White: (1 - .485) / .229 in red for ImageNet; (1 - .5) / .5 = 1 for half; black: -1."""
    white = torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)
    assert normalise_frames(white, "imagenet")[0, 0].item() == pytest.approx(0.515 / 0.229)
    assert normalise_frames(white, "half").flatten().tolist() == [1, 1, 1]
    assert normalise_frames(torch.zeros_like(white), "half").flatten().tolist() == [-1, -1, -1]
    blue = normalise_frames(white, "imagenet")[0, 2].item()
    assert blue == pytest.approx(0.594 / 0.225)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_maps_in_bfloat16_precision():
    model = build_classifier("small", ["a", "b"], seed=3).eval()
    frames = torch.randint(0, 256, (3, 40, 56, 3), dtype=torch.uint8)
    present = torch.ones(3, 2, dtype=torch.bool)
    here = multi_scale_cam(model, frames, present, scales=(1.0, 2.0))
    there = multi_scale_cam(model.cuda(), frames, present, scales=(1.0, 2.0))
    for one, other in zip(here, there, strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other.cpu(), atol=0.05, rtol=0)
