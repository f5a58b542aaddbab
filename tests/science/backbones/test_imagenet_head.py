"""Class maps from the head that came with the weights, and what weights say of their input."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from reference.imagenet_head import strongest_logits
from science.cam.test_cam import EveryFourthPixel
from wsvis.backbones.imagenet_head import (
    ImagenetHead,
    imagenet_head,
    input_conventions,
    read_imagenet_head,
    strongest_logit,
)
from wsvis.backbones.networks import build_backbone
from wsvis.cam.cam import multi_scale_cam
from wsvis.cam.classifier import (
    Classifier,
    build_classifier,
    classifier_from_payload,
    classifier_to_payload,
)
from wsvis.cam.stages import initial_classifier, input_form, train_stage
from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.learning.share import Share
from wsvis.payload import from_bytes, to_bytes
from wsvis.settings import with_overrides
from wsvis.types import Dataset

CHANNELS = 512  # of resnet18's last stage


@pytest.fixture
def weights(tmp_path):
    """Writes a resnet18 with an ImageNet head of so many rows, whose row r is r everywhere."""

    def write(rows, form="pth", metadata=None, channels=CHANNELS):
        state = {
            f"stages.{name}": value
            for name, value in build_backbone("resnet18").stages.state_dict().items()
        }
        state["fc.weight"] = torch.arange(rows).float()[:, None].repeat(1, channels)
        state["fc.bias"] = -torch.arange(rows).float()
        path = tmp_path / f"{rows}.{form}"
        if form == "pth":
            torch.save(state, path)
        else:
            arrays = {name: value.numpy() for name, value in state.items()}
            save_file(arrays, path, metadata=metadata)
        return str(path)

    return write


def colour_classifier(of_class, rows, bias=None):
    """Features are the colours plus 1; ImageNet's rows weigh them; the trained head likes blue."""
    weight = torch.tensor(rows, dtype=torch.float32)
    bias = torch.zeros(len(rows)) if bias is None else torch.tensor(bias)
    known = ImagenetHead(weight, bias, of_class)
    names = [str(n) for n in range(len(of_class))]
    model = Classifier(EveryFourthPixel(), names, normalisation="half", imagenet=known)
    with torch.no_grad():
        model.head.weight[:] = torch.tensor([0.0, 0.0, 1.0])[None, :, None, None]
    return model.eval()


def maps_of(model, frame, present, **options):
    options = {"scales": (1.0,), "flip": False, **options}
    frames = torch.from_numpy(frame[None])
    with torch.inference_mode():
        return multi_scale_cam(model, frames, torch.tensor([present]), **options)[0].numpy()


def frame_of(left, right):
    frame = np.zeros((16, 32, 3), np.uint8)
    frame[:, :16], frame[:, 16:] = left, right
    return frame


def test_the_strongest_kind_of_a_class_counts():
    """Two kinds, each strong at one cell: (2, -1) and (-3, 4), so the class has 2 and 4."""
    logits = torch.tensor([[[2.0, -1.0], [-3.0, 4.0], [9.0, 9.0]]])
    assert strongest_logit(logits, [0, 1]).tolist() == [[2.0, 4.0]]
    assert strongest_logit(logits, [0]).tolist() == [[2.0, -1.0]]


def test_a_class_lies_where_any_of_its_kinds_does():
    """Red in the left half is one kind, green in the right half the other: the map is 1 in both.

    Features are 2 x colour in 0..2; logits are 2 - 1 = 1 at full colour, and -1 elsewhere.
    """
    model = colour_classifier([[0, 1]], [[1, 0, 0], [0, 1, 0]], [-1.0, -1.0])
    both = maps_of(model, frame_of((255, 0, 0), (0, 255, 0)), [True])
    assert both.shape == (1, 4, 8)
    assert both[0, :, :3] == pytest.approx(1, abs=1e-4)  # column 3 lies between the two
    assert both[0, :, 4:] == pytest.approx(1, abs=1e-4)
    left = maps_of(model, frame_of((255, 0, 0), (0, 0, 255)), [True])
    assert left[0, :, :3] == pytest.approx(1, abs=1e-4)
    assert not left[0, :, 5:].any()  # below nought is nought


def test_a_class_that_is_nowhere_likely_has_an_empty_map():
    model = colour_classifier([[0]], [[1, 0, 0]], [-1.0])
    assert not maps_of(model, frame_of((0, 0, 255), (0, 255, 0)), [True]).any()


def test_unknown_classes_take_the_trained_head():
    model = colour_classifier([[], [0]], [[1, 0, 0]])
    frame = frame_of((255, 0, 0), (0, 0, 255))
    blue, red = maps_of(model, frame, [True, True])
    assert (blue[:, 5:] > 0.99).all()
    assert not blue[:, :3].any()
    assert (red[:, :3] > 0.99).all()
    assert not red[:, 5:].any()
    assert np.array_equal(maps_of(model, frame, [True, False])[0], blue)
    assert np.array_equal(maps_of(model, frame, [False, True])[0], red)


def test_a_mirrored_frame_gives_a_mirrored_map():
    """With the flip averaged in: on whole cells left and right are alike."""
    model = colour_classifier([[0, 1]], [[1, -1, 0], [0, 1, -1]])
    frame = np.random.default_rng(0).integers(0, 256, (16, 32, 3)).astype(np.uint8)
    there = maps_of(model, frame, [True], flip=True)
    back = maps_of(model, np.ascontiguousarray(frame[:, ::-1]), [True], flip=True)
    assert back[..., ::-1] == pytest.approx(there, abs=1e-5)


def test_batches_do_not_change_maps(monkeypatch):
    from wsvis.cam import cam

    model = colour_classifier([[0, 1], []], [[1, -1, 0], [0, 1, -1]])
    frames = torch.from_numpy(
        np.random.default_rng(1).integers(0, 256, (5, 16, 32, 3)).astype(np.uint8)
    )
    present = torch.tensor([[True, True], [False, True], [True, False], [False, False]] * 2)[:5]
    whole = multi_scale_cam(model, frames, present)
    monkeypatch.setattr(cam, "MAP_VALUES", 1)
    for one, other in zip(whole, multi_scale_cam(model, frames, present), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_frames_are_judged_by_imagenet_where_it_knows_the_class():
    model = colour_classifier([[], [0]], [[1, 0, 0]], [-0.5])
    x = torch.zeros(1, 3, 8, 8)
    with torch.no_grad():
        assert model(x)[0].tolist() == pytest.approx([1.0, 0.5])  # blue 1; red 1 - .5


def test_a_classifier_with_both_heads_survives_its_file():
    known = ImagenetHead(torch.randn(3, 256), torch.randn(3), [[0, 2], [], [1]])
    model = build_classifier("small", ["a", "b", "c"], imagenet=known).eval()
    again = classifier_from_payload(from_bytes(to_bytes(classifier_to_payload(model))))
    assert again.imagenet is not None
    assert again.imagenet.of_class == known.of_class
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again(x), model(x))


def test_tensorflows_background_is_left_out(weights):
    for rows, first in ((1000, 0.0), (1001, 1.0)):
        weight, bias = read_imagenet_head("resnet18", weights(rows))
        assert weight.shape == (1000, CHANNELS)
        assert (weight[0, 0].item(), bias[0].item()) == (first, -first)


def test_only_the_rows_in_use_are_kept(weights):
    head = imagenet_head("resnet18", weights(1000), [[7, 3], [], [3]])
    assert head.weight[:, 0].tolist() == [3.0, 7.0]
    assert head.of_class == ((1, 0), (), (0,))
    assert [head.knows(label) for label in range(3)] == [True, False, True]


@pytest.mark.parametrize(("rows", "channels"), [(80, CHANNELS), (1000, 7)])
def test_weights_without_an_imagenet_head(weights, rows, channels):
    path = weights(rows, channels=channels)
    with pytest.raises(InputError, match=r"hold no ImageNet head for resnet18.*trained"):
        read_imagenet_head("resnet18", path)
    with pytest.raises(InputError, match="hold no ImageNet head"):
        read_imagenet_head("small", "standin")


def test_the_number_of_rows_tells_whose_conventions_hold(weights):
    assert input_conventions("resnet18", weights(1000)) == ("imagenet", "symmetric")
    assert input_conventions("resnet18", weights(1001)) == ("half", "same")
    assert input_conventions("resnet18", "IMAGENET1K_V1") == ("imagenet", "symmetric")
    assert input_conventions("small", "standin") == ("imagenet", "symmetric")


def test_what_a_file_says_of_itself_comes_first(weights):
    said = {"normalisation": "half", "stride_two_padding": "symmetric"}
    path = weights(1000, "safetensors", said)
    assert input_conventions("resnet18", path) == ("half", "symmetric")
    with pytest.raises(InputError, match="must be one of imagenet, half"):
        input_conventions("resnet18", weights(1001, "safetensors", {"normalisation": "odd"}))


def test_auto_is_what_the_weights_expect_and_a_set_value_stays(weights):
    def form(**settings):
        named = {"backbone": "resnet18", "weights": weights(1001), **settings}
        config = with_overrides(Config(), {f"classifier.{n}": v for n, v in named.items()})
        return input_form(config.classifier)

    assert form() == ("imagenet", "symmetric")
    assert form(normalisation="auto", stride_two_padding="auto") == ("half", "same")
    assert form(normalisation="auto") == ("half", "symmetric")


class NoInputs:
    def whole(self, stage):
        raise KeyError(stage)

    def video(self, stage, video_id):
        return None


def test_where_imagenet_knows_all_classes_nothing_is_trained(weights):
    config = with_overrides(
        Config(),
        {
            "classifier.backbone": "resnet18",
            "classifier.weights": weights(1000),
            "classifier.trainable": "head",
            "classifier.head": "imagenet",
        },
    )
    data = Dataset("d", ("zebra", "tiger"), (), "")
    payload = train_stage(config, data, NoInputs(), Share())
    assert payload.data["training"] == {"steps": 0}
    assert classifier_from_payload(payload).imagenet is not None
    mixed = initial_classifier(config, Dataset("d", ("zebra", "giraffe"), (), ""))
    assert mixed.imagenet is not None
    assert mixed.imagenet.of_class == ((0,), ())


def test_a_backbone_that_learns_would_lose_its_head():
    with pytest.raises(InputError, match=r"set classifier\.trainable to head, not all"):
        with_overrides(Config(), {"classifier.head": "imagenet", "classifier.trainable": "all"})


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 2), rows=st.integers(1, 6))
def test_the_evidence_is_that_of_the_loop_twin(seed, frames, rows):
    drawn = np.random.default_rng(seed)
    features = drawn.normal(size=(frames, 3, 2, 4)).astype(np.float32)
    weight = drawn.normal(size=(rows, 3)).astype(np.float32)
    bias = drawn.normal(size=rows).astype(np.float32)
    kinds = [
        sorted(drawn.choice(rows, size=drawn.integers(1, rows + 1), replace=False).tolist())
        for _ in range(3)
    ]
    head = ImagenetHead(torch.from_numpy(weight), torch.from_numpy(bias), kinds)
    logits = head(torch.from_numpy(features))
    for label, expected in enumerate(
        strongest_logits(features, weight, bias, kinds).transpose(1, 0, 2, 3)
    ):
        evidence = strongest_logit(logits, kinds[label]).numpy()
        np.testing.assert_allclose(evidence, expected, atol=1e-4)
        # a kind more can only add evidence
        more = strongest_logit(logits, [*kinds[label], int(drawn.integers(rows))]).numpy()
        assert (more >= evidence).all()
