from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from reference import pooling as slow
from wsvis.cam.augment import (
    Augmentation,
    apply_augmentation,
    draw_augmentation,
    place_on_canvas,
)
from wsvis.cam.backbone_weights import load_backbone_weights
from wsvis.cam.backbones import build_backbone
from wsvis.cam.classification_ap import (
    average_precision,
    class_aps,
    evaluate_classifier,
    frame_logits,
    mean_average_precision,
)
from wsvis.cam.classifier import (
    Classifier,
    build_classifier,
    classifier_from_payload,
    classifier_to_payload,
    load_classifier,
    multilabel_soft_margin_loss,
    normalise_frames,
    save_classifier,
)
from wsvis.cam.frozen_features import FrozenFeatures
from wsvis.cam.train_classifier import rate_factor, train_classifier
from wsvis.cam.training_batches import TrainingBatches
from wsvis.errors import InputError
from wsvis.payload import Payload, from_bytes, to_bytes


def coloured_frames(count: int, height: int = 24, width: int = 32) -> tuple[list, np.ndarray]:
    """Noise with a red square, a blue square, both or none: two classes a tiny net can learn."""
    random = np.random.default_rng(0)
    frames, labels = [], np.zeros((count, 2), dtype=bool)
    for index in range(count):
        frame = random.integers(60, 120, (height, width, 3), dtype=np.uint8)
        for label, channel in enumerate((0, 2)):
            labels[index, label] = random.random() < 0.5
            if labels[index, label]:
                y, x = random.integers(0, height - 8), random.integers(0, width - 8)
                frame[y : y + 8, x : x + 8, channel] = 250
        frames.append(frame)
    labels[0] = True
    return frames, labels


def settings_for_tests(**changes) -> dict:
    return {
        "seed": 0,
        "optimiser": "adamw",
        "learning_rate": 1e-3,
        "epochs": 5.0,
        "batch_size": 4,
        "crop": 0,
        "resize_long_side": (0, 0),
        "trainable": "all",
        **changes,
    }


# --- loss -----------------------------------------------------------------------------------


def test_loss_equals_the_loops():
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 3, (4, 5)), random.random((4, 5)) < 0.4
    loss = multilabel_soft_margin_loss(torch.from_numpy(logits), torch.from_numpy(labels))
    expected = slow.multilabel_soft_margin_loss(logits.tolist(), labels.tolist())
    assert loss.item() == pytest.approx(expected)


def test_loss_by_hand():
    """All logits 0: log 2 whatever the labels; logit log 3 of a present class: log(4 / 3)."""
    zero = torch.zeros(2, 3)
    assert multilabel_soft_margin_loss(zero, zero > 1).item() == pytest.approx(math.log(2))
    one = torch.tensor([[math.log(3)]])
    assert multilabel_soft_margin_loss(one, one > 0).item() == pytest.approx(math.log(4 / 3))


def test_loss_is_torch_s_own_and_finite_when_sure():
    logits = torch.tensor([[80.0, -80.0], [0.3, 2.0]], requires_grad=True)
    labels = torch.tensor([[False, True], [True, False]])
    loss = multilabel_soft_margin_loss(logits, labels)
    torch.testing.assert_close(
        loss, torch.nn.functional.multilabel_soft_margin_loss(logits, labels.float())
    )
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    exact = logits.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: multilabel_soft_margin_loss(x, labels), (exact,))


# --- average precision ----------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(scores=st.lists(st.integers(0, 6), min_size=1, max_size=20), bits=st.integers(0, 2**20 - 1))
def test_average_precision_equals_the_loops_and_sklearn(scores, bits):
    positives = np.array([bool(bits >> i & 1) for i in range(len(scores))])
    values = np.array(scores, dtype=np.float64)
    ap = average_precision(values, positives)
    expected = slow.average_precision(values.tolist(), positives.tolist())
    assert ap == pytest.approx(expected, nan_ok=True)
    if positives.any():
        assert ap == pytest.approx(average_precision_score(positives, values))


def test_average_precision_by_hand():
    """Ranks + - +: precision 1 at recall 1/2 and 2/3 at recall 1: 1/2 + 1/3 = 5/6."""
    scores, positives = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    assert average_precision(scores, positives) == pytest.approx(5 / 6)


def test_mean_skips_classes_that_no_frame_shows():
    scores = np.array([[0.9, 0.1], [0.1, 0.2]])
    aps = class_aps(scores, np.array([[True, False], [False, False]]))
    assert aps[0] == 1.0
    assert math.isnan(aps[1])
    assert mean_average_precision(aps) == 1.0
    assert math.isnan(mean_average_precision(aps[1:]))


# --- augmentation ---------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    crop=st.integers(1, 12),
    row=st.floats(0, 1),
    column=st.floats(0, 1),
)
def test_canvas_holds_a_piece_of_the_frame_and_zeros(height, width, crop, row, column):
    frame = torch.arange(1.0, 3 * height * width + 1).view(3, height, width)
    drawn = Augmentation(long_side=0, flip=False, row=row, column=column)
    canvas = place_on_canvas([frame], [drawn], crop)[0]
    assert canvas.shape == (3, crop, crop)
    kept = canvas[0][canvas[0] > 0]
    assert len(kept) == min(crop, height) * min(crop, width)
    ys, xs = (canvas[0] > 0).nonzero(as_tuple=True)
    first = int(canvas[0, ys[0], xs[0]]) - 1
    y, x = divmod(first, width)
    piece = frame[:, y : y + min(crop, height), x : x + min(crop, width)]
    torch.testing.assert_close(
        canvas[:, ys[0] : ys[0] + min(crop, height), xs[0] : xs[0] + min(crop, width)], piece
    )


def test_canvas_of_whole_frames_is_the_largest():
    frames = [torch.ones(3, 4, 6), torch.ones(3, 5, 3)]
    still = Augmentation(long_side=0, flip=False, row=0.0, column=0.0)
    canvas = place_on_canvas(frames, [still, still], 0)
    assert canvas.shape == (2, 3, 5, 6)
    assert canvas.sum((1, 2, 3)).tolist() == [72.0, 45.0]


def test_draws_stay_in_range_and_flip_half():
    random = np.random.default_rng(0)
    draws = [draw_augmentation(random, (32, 64)) for _ in range(2000)]
    sides = {d.long_side for d in draws}
    assert (min(sides), max(sides)) == (32, 64)
    assert 0.45 < np.mean([d.flip for d in draws]) < 0.55
    assert draw_augmentation(random, (0, 0)).long_side == 0


def test_augmented_frame_is_resized_normalised_and_mirrored():
    frame = np.zeros((10, 20, 3), dtype=np.uint8)
    frame[:, :10] = 255
    drawn = Augmentation(long_side=40, flip=True, row=0.0, column=0.0)
    x = apply_augmentation(frame, drawn, "half", torch.device("cpu"))
    assert x.shape == (3, 20, 40)
    assert x[0, 0, -1] == 1.0  # white was on the left
    assert x[0, 0, 0] == -1.0
    as_is = Augmentation(long_side=0, flip=False, row=0.0, column=0.0)
    torch.testing.assert_close(
        apply_augmentation(frame, as_is, "imagenet", torch.device("cpu")),
        normalise_frames(torch.from_numpy(frame)[None], "imagenet")[0],
    )


# --- training -------------------------------------------------------------------------------


def trained(resume: Payload | None = None, states: list | None = None, **changes) -> Classifier:
    frames, labels = coloured_frames(16)
    model = build_classifier("small", ["red", "blue"], seed=1)
    train_classifier(
        model,
        frames,
        labels,
        **settings_for_tests(**changes),
        checkpoint=states.append if states is not None else None,
        checkpoint_every=10,
        resume=resume,
    )
    return model


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "adamw"},
        {"optimiser": "sgd", "momentum": 0.9, "crop": 16, "resize_long_side": (20, 40)},
        {"optimiser": "sgd", "trainable": "last-stages"},
    ],
)
def test_resumed_training_ends_exactly_as_one_that_never_stopped(changes):
    """20 steps straight against 10, through the file format, and 10 more."""
    states: list[Payload] = []
    straight = trained(states=states, **changes)
    assert [state.data["step"] for state in states] == [10, 20]
    resumed = trained(resume=from_bytes(to_bytes(states[0])), **changes)
    start = build_classifier("small", ["red", "blue"], seed=1).state_dict()
    for name, tensor in straight.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    assert not torch.equal(straight.state_dict()["head.weight"], start["head.weight"])


def test_seed_decides_everything():
    once, again, other = trained(), trained(), trained(seed=5)
    assert torch.equal(once.head.weight, again.head.weight)
    assert not torch.equal(once.head.weight, other.head.weight)


def test_state_of_another_training_is_refused():
    states: list[Payload] = []
    trained(states=states)
    frames, labels = coloured_frames(16)
    model = build_classifier("small", ["a", "b", "c"])
    with pytest.raises(ValueError, match="another model"):
        train_classifier(
            model,
            frames,
            np.concatenate([labels, labels[:, :1]], 1),
            **settings_for_tests(),
            resume=states[0],
        )
    with pytest.raises(ValueError, match="no state"):
        train_classifier(model, frames, labels, **settings_for_tests(), resume=Payload())


@pytest.mark.parametrize(("trainable", "learning"), [("head", 5), ("last-stages", 3), ("all", 0)])
def test_frozen_stages_stay_and_the_rest_moves(trainable, learning):
    before = build_classifier("small", ["red", "blue"], seed=1)
    after = trained(trainable=trainable)
    for index in range(5):
        pairs = zip(
            before.backbone.stages[index].parameters(),
            after.backbone.stages[index].parameters(),
            strict=True,
        )
        same = all(torch.equal(a, b) for a, b in pairs)
        assert same == (index < learning)
    assert not torch.equal(before.head.weight, after.head.weight)


@pytest.mark.parametrize("trainable", ["head", "last-stages"])
@pytest.mark.parametrize("pooling", ["average", "lse"])
def test_remembered_features_change_nothing(trainable, pooling, monkeypatch):
    def result(room: int) -> torch.Tensor:
        original = FrozenFeatures.__init__
        monkeypatch.setattr(
            FrozenFeatures, "__init__", lambda self, m, n: original(self, m, n, room)
        )
        frames, labels = coloured_frames(8)
        model = build_classifier("small", ["red", "blue"], seed=1, pooling=pooling)
        train_classifier(model, frames, labels, **settings_for_tests(trainable=trainable))
        monkeypatch.undo()
        return model.head.weight

    assert torch.equal(result(1 << 30), result(0))


def test_remembered_features_are_those_of_the_augmented_frame():
    frames, _ = coloured_frames(6)
    model = build_classifier("small", ["red", "blue"], seed=1)
    options = {"batch_size": 3, "seed": 4, "crop": 0, "resize_long_side": (0, 0)}
    remembered = TrainingBatches(model, frames, frozen_stages=3, **options)
    plain = TrainingBatches(model, frames, frozen_stages=0, **options)
    for step in range(4):
        indices = plain.indices(step)
        x = plain.after_frozen(step, indices)
        for stage in model.backbone.stages[:3]:
            x = stage(x)
        torch.testing.assert_close(remembered.after_frozen(step, indices), x)
    assert remembered.memory is not None
    assert remembered.memory.memory
    assert plain.memory is None


def test_each_epoch_sees_each_frame_once_in_another_order():
    frames, _ = coloured_frames(7)
    batches = TrainingBatches(
        build_classifier("small", ["a"]),
        frames,
        batch_size=3,
        seed=0,
        crop=0,
        resize_long_side=(0, 0),
        frozen_stages=0,
    )
    epochs = [np.concatenate([batches.indices(2 * e), batches.indices(2 * e + 1)]) for e in (0, 1)]
    for order in epochs:
        assert len(set(order.tolist())) == 6  # 7 frames, batches of 3: one is dropped
    assert epochs[0].tolist() != epochs[1].tolist()


def test_frames_of_different_sizes_train_and_score():
    frames, labels = coloured_frames(6)
    frames[2] = frames[2][:20, :28]
    frames[5] = frames[5][:20, :28]
    model = build_classifier("small", ["red", "blue"])
    changes = settings_for_tests(trainable="last-stages", batch_size=6, epochs=2.0)
    train_classifier(model, frames, labels, **changes)
    logits = frame_logits(model, frames, batch_size=4)
    alone = np.concatenate([frame_logits(model, [frame]) for frame in frames])
    np.testing.assert_allclose(logits, alone, atol=1e-5)


def test_reports_losses_and_validates_early_and_at_the_end():
    frames, labels = coloured_frames(16)
    model = build_classifier("small", ["red", "blue"], seed=1)
    heard: list = []
    result = train_classifier(
        model,
        frames,
        labels,
        **settings_for_tests(),
        validation=(frames, labels),
        report=heard.append,
        report_every=4,
    )
    assert [h["step"] for h in heard if "loss" in h] == [4, 8, 12, 16, 20]
    assert [h["step"] for h in heard if "mAP" in h] == [5, 20]
    assert set(result) == {"steps", "loss", "mAP", "AP/red", "AP/blue"}
    scores = evaluate_classifier(model, frames, labels)
    assert scores["mAP"] == result["mAP"]
    assert scores["mAP"] == pytest.approx((scores["AP/red"] + scores["AP/blue"]) / 2)
    assert not model.training


def test_learning_rates():
    """Poly .9 at half way: .5^.9; cosine at half way: 1/2; both start at 1."""
    assert rate_factor(0, 10, "sgd") == rate_factor(0, 10, "adamw") == 1
    assert rate_factor(5, 10, "sgd") == pytest.approx(0.5**0.9)
    assert rate_factor(5, 10, "adamw") == pytest.approx(0.5)


def test_first_sgd_step_by_hand():
    """w <- w - rate * (gradient + decay * w), the head at ten times the backbone's rate."""
    frames, labels = coloured_frames(4)
    model = build_classifier("small", ["red", "blue"], seed=1)
    batches = TrainingBatches(
        model, frames, batch_size=4, seed=0, crop=0, resize_long_side=(0, 0), frozen_stages=0
    )
    chosen = batches.indices(0)
    loss = multilabel_soft_margin_loss(
        model(batches.after_frozen(0, chosen)), torch.from_numpy(labels[chosen])
    )
    wanted = {"head.weight": 0.1, "backbone.stages.0.0.weight": 0.01}
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, [parameters[n] for n in wanted])
    expected = [
        (parameters[n] - rate * (g + 1e-4 * parameters[n])).detach()
        for (n, rate), g in zip(wanted.items(), gradients, strict=True)
    ]
    changes = settings_for_tests(optimiser="sgd", learning_rate=0.01, epochs=1.0)
    train_classifier(model, frames, labels, **changes)
    for name, value in zip(wanted, expected, strict=True):
        torch.testing.assert_close(dict(model.named_parameters())[name].detach(), value)


def test_divergence_and_empty_data_are_one_line():
    frames, labels = coloured_frames(8)
    model = build_classifier("small", ["red", "blue"])
    hot = settings_for_tests(optimiser="sgd", learning_rate=1e30)
    with pytest.raises(InputError, match=r"diverged at step \d+; lower classifier.learning_rate"):
        train_classifier(model, frames, labels, **hot)
    with pytest.raises(InputError, match="no training frame"):
        train_classifier(model, [], np.zeros((0, 2), dtype=bool), **settings_for_tests())


@pytest.mark.slow
def test_it_learns_from_random_weights():
    frames, labels = coloured_frames(64)
    model = build_classifier("small", ["red", "blue"], pooling="lse", seed=1)
    changes = settings_for_tests(epochs=25.0, batch_size=8, learning_rate=3e-3)
    result = train_classifier(model, frames, labels, **changes, validation=(frames, labels))
    assert result["mAP"] > 0.95


# --- files ----------------------------------------------------------------------------------


def test_classifier_comes_back_from_its_file(tmp_path):
    model = build_classifier(
        "mobilenet_v2",
        ["cat", "dog"],
        stride_two_padding="same",
        pooling="lse",
        lse_sharpness=2.0,
        normalisation="half",
    ).eval()
    path = tmp_path / "classifier.safetensors"
    save_classifier(model, path)
    back = load_classifier(path)
    assert back.class_names == ("cat", "dog")
    assert (back.pooling, back.lse_sharpness, back.normalisation) == ("lse", 2.0, "half")
    assert not back.training
    x = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(back(x), model(x), rtol=0, atol=0)
    # and it serves as initial weights for another head
    backbone = build_backbone("mobilenet_v2")
    load_backbone_weights(backbone, str(path))
    first = backbone.stages[0].state_dict()["0.0.weight"]
    assert torch.equal(first, model.backbone.stages[0].state_dict()["0.0.weight"])


def test_files_that_are_no_classifier(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_classifier(tmp_path / "absent.safetensors")
    path = tmp_path / "other.safetensors"
    path.write_bytes(to_bytes(Payload(data={"kind": "flow"})))
    with pytest.raises(InputError, match="no classifier"):
        load_classifier(path)
    payload = classifier_to_payload(build_classifier("small", ["a"]))
    del payload.arrays["head.weight"]
    with pytest.raises(ValueError, match="incomplete"):
        classifier_from_payload(payload)


def test_seeded_build():
    once, again = (build_classifier("small", ["a"], seed=3) for _ in range(2))
    state = torch.get_rng_state()
    build_classifier("small", ["a"], seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(once.head.weight, again.head.weight)


# --- real weights ---------------------------------------------------------------------------

SHARED = Path(os.environ.get("WSVIS_SHARED", Path(__file__).parents[2].parent / "shared"))
MOBILENET = SHARED / "weights" / "mobilenet_v2_imagenet_tfquant.pth"
CLIPS = SHARED / "data" / "davis-mini" / "JPEGImages"


@pytest.mark.slow
@pytest.mark.skipif(not (MOBILENET.exists() and CLIPS.exists()), reason="shared data absent")
def test_imagenet_weights_know_a_bear():
    """The 1001-way head on our backbone: stride 16, 'SAME' padding, (x - 0.5) / 0.5."""
    import cv2

    head = torch.load(MOBILENET, weights_only=True)
    names = (MOBILENET.parent / "imagenet_1001_labels.txt").read_text().splitlines()
    backbone = build_backbone("mobilenet_v2", stride_two_padding="same").eval()
    load_backbone_weights(backbone, str(MOBILENET))
    image = cv2.imread(str(CLIPS / "bear" / "00020.jpg"))
    assert image is not None
    x = normalise_frames(torch.from_numpy(image[..., ::-1].copy())[None], "half")
    with torch.no_grad():
        features = backbone(x)[-1].mean((-2, -1))
        scores = features @ head["classifier.1.weight"].T + head["classifier.1.bias"]
    best = [names[i] for i in scores[0].topk(3).indices]
    assert any("bear" in name for name in best), best
