"""Training of the frame classifier."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsvis.cam.classification_ap import (
    evaluate_classifier,
    frame_logits,
)
from wsvis.cam.classifier import (
    Classifier,
    build_classifier,
    multilabel_soft_margin_loss,
)
from wsvis.cam.frozen_features import FrozenFeatures
from wsvis.cam.train_classifier import train_classifier
from wsvis.cam.training_batches import TrainingBatches
from wsvis.errors import InputError
from wsvis.learning.schedule import rate_factor
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
    with pytest.raises(InputError, match="does not fit this training"):
        train_classifier(
            model,
            frames,
            np.concatenate([labels, labels[:, :1]], 1),
            **settings_for_tests(),
            resume=states[0],
        )
    with pytest.raises(InputError, match="not a state of classifier training"):
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
    assert rate_factor(0, 10, "poly") == rate_factor(0, 10, "cosine") == 1
    assert rate_factor(5, 10, "poly") == pytest.approx(0.5**0.9)
    assert rate_factor(5, 10, "cosine") == pytest.approx(0.5)


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
