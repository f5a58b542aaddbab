import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from wsvis.backbones.networks import build_backbone
from wsvis.errors import InputError
from wsvis.irn.batches import IrnBatches, IrnSample
from wsvis.irn.checkpoint import irn_from_payload, irn_to_payload
from wsvis.irn.network import Irn
from wsvis.irn.predict import boundary_and_displacement, pseudo_labels
from wsvis.irn.tap_memory import TapMemory
from wsvis.irn.train import set_mean_displacement, train_irn
from wsvis.payload import Payload, from_bytes, to_bytes

GOLDEN = Path(__file__).parents[2] / "golden" / "irn_losses.json"


def scene(seed, height=48, width=64):
    """Two discs of one class, each with a telling colour and its own motion, on noise."""
    draw = np.random.default_rng(seed)
    frame = draw.integers(60, 120, (height, width, 3)).astype(np.uint8)
    labels = np.zeros((height, width), np.uint8)
    flow = np.zeros((height // 2, width // 2, 2), np.float32)
    y, x = np.mgrid[:height, :width]
    for n, motion in enumerate((9.0, -9.0)):
        cy, cx = draw.integers(14, height - 14), draw.integers(10, 22) + n * width // 2
        disc = (y - cy) ** 2 + (x - cx) ** 2 < 100
        frame[disc] = (220, 60 + 100 * n, 40)
        labels[disc] = 1
        flow[disc[::2, ::2]] = (motion, 0)
    rim = np.abs(np.gradient(labels.astype(float))).sum(0) > 0
    labels[rim] = 255
    return IrnSample(frame, labels, flow)


def new_model(frozen=True):
    torch.manual_seed(5)
    return Irn(
        build_backbone("small"),
        boundary_channels=8,
        displacement_channels=32,
        normalisation="half",
        frozen=frozen,
    )


def new_batches(**changes):
    chosen = {"batch_size": 4, "seed": 3, "canvas": (0, 0), "scales": (1.0, 1.0)}
    chosen |= {"normalisation": "half"}
    return IrnBatches([scene(i) for i in range(6)], **(chosen | changes))


def run(model=None, steps=6, batches=None, **changes):
    """Losses of a training, and the model."""
    model = model or new_model()
    curve = []
    chosen = {"radius": 4, "optimiser": "adamw", "learning_rate": 3e-3, "report_every": 1}
    chosen |= {"displacement_rate_factor": 1.0, "report": curve.append}
    train_irn(model, batches or new_batches(), steps, **(chosen | changes))
    return curve, model


def test_golden_curve_of_thirty_steps():
    """A refactoring leaves this curve alone; a change of science updates it and says why.

    To update it: WSVIS_UPDATE_GOLDEN=1 pytest tests/science/irn/test_irn_train.py -k golden
    """
    curve, _ = run(steps=30)
    names = [name for name in curve[0] if name != "learning_rate"]
    found = {name: [round(row[name], 5) for row in curve] for name in names}
    if os.environ.get("WSVIS_UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    expected = json.loads(GOLDEN.read_text())
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=2e-3, abs=2e-4), name
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]


@pytest.mark.parametrize("frozen", [True, False])
def test_resumed_training_ends_exactly_as_one_that_never_stopped(frozen):
    states = []
    whole, straight = run(new_model(frozen), checkpoint=states.append, checkpoint_every=3)
    state = from_bytes(to_bytes(states[0]))
    assert state.data["step"] == 3
    rest, resumed = run(new_model(frozen), resume=state)
    assert [row["loss"] for row in rest] == [row["loss"] for row in whole[3:]]
    for name, tensor in straight.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    has_backbone = any(name.startswith("model.backbone") for name in state.arrays)
    assert has_backbone != frozen


def test_resumed_training_says_the_same_final_loss():
    """The mean over the last tenth of 20 steps reaches back before the checkpoint at step 19."""
    states, chosen = [], {"radius": 4, "optimiser": "adamw", "learning_rate": 3e-3}
    more = {"checkpoint": states.append, "checkpoint_every": 19}
    straight = train_irn(new_model(), new_batches(), 20, **chosen, **more)
    resumed = train_irn(new_model(), new_batches(), 20, **chosen, resume=states[0])
    assert resumed == straight


def test_state_of_another_training_is_refused_in_one_line():
    states = []
    run(steps=3, checkpoint=states.append, checkpoint_every=3)
    with pytest.raises(InputError, match="radius 5") as error:
        run(steps=3, radius=5, resume=states[0])
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="was made with frozen True"):
        run(new_model(frozen=False), steps=3, resume=states[0])
    with pytest.raises(InputError, match="not a state"):
        run(steps=3, resume=Payload())


def test_variants():
    """Without flow boundary its term is 0 and flow is not needed; with it, flow is demanded."""
    dry = [IrnSample(s.frame, s.labels, None) for s in (scene(0), scene(1))]
    maker = IrnBatches(dry, batch_size=2, seed=0, canvas=(0, 0), scales=(1.0, 1.0))
    plain, _ = run(steps=1, batches=maker, flow_boundary_weight=0.0)
    assert plain[0]["flow_boundary"] == plain[0]["separable_share"] == 0
    with pytest.raises(ValueError, match="needs the flow"):
        run(steps=1, batches=maker)
    full, _ = run(steps=1)
    assert full[0]["flow_boundary"] > 0
    assert 0 < full[0]["separable_share"] < 1


def test_kept_features_change_nothing():
    kept, _ = run(steps=4)
    model = new_model()
    fresh, _ = run(model, steps=4, memory=TapMemory(model, 0))
    assert [row["loss"] for row in kept] == [row["loss"] for row in fresh]


def test_sgd_as_irn_ran_it():
    """Step 0 by hand: momentum 0, so parameter - rate * (gradient + decay * parameter)."""
    before = new_model()
    head = before.boundary.head.weight.detach().clone()
    _, model = run(
        before, steps=1, optimiser="sgd", learning_rate=0.1, weight_decay=0.0, momentum=0.0
    )
    gradient = model.boundary.head.weight.grad
    assert gradient is not None
    assert torch.allclose(model.boundary.head.weight, head - 0.1 * gradient)


def test_rate_falls_to_the_power_of_point_nine():
    curve, _ = run(steps=4)
    expected = [3e-3 * (1 - step / 4) ** 0.9 for step in range(4)]
    assert [row["learning_rate"] for row in curve] == pytest.approx(expected)


def test_diverging_training_stops_with_one_line():
    with pytest.raises(InputError, match=r"lower irn\.learning_rate"):
        run(steps=20, optimiser="sgd", learning_rate=1e30)


def test_mean_displacement_of_the_training_frames_becomes_zero():
    _, model = run()
    maker = new_batches(mirror=False, batch_size=3)
    set_mean_displacement(model, maker(0), 2)
    assert model.mean_displacement.abs().max() > 0
    fields = []
    for i in range(6):
        fields.append(boundary_and_displacement(model, scene(i).frame[None], (0, 0))[1])
    assert torch.cat(fields).mean((0, 2, 3)).abs().max() < 1e-4


def test_model_survives_storing_and_a_foreign_payload_is_refused():
    _, model = run(steps=2)
    stored = irn_from_payload(from_bytes(to_bytes(irn_to_payload(model, {"curve": [1]}))))
    frames = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        for a, b in zip(model(frames), stored(frames), strict=True):
            assert torch.equal(a, b)
    with pytest.raises(InputError, match=r"x\.safetensors: holds 'classifier', not a flowIRN"):
        irn_from_payload(Payload(data={"kind": "classifier"}), "x.safetensors")
    broken = irn_to_payload(model)
    broken.arrays.popitem()
    with pytest.raises(InputError, match="incomplete") as error:
        irn_from_payload(broken, "x.safetensors")
    assert "\n" not in str(error.value)


def test_pseudo_labels_of_frames_with_and_without_activation():
    """One frame with an object, one whose class fires nowhere, one without any class."""
    _, model = run(steps=10)
    frames = np.stack([scene(i).frame for i in range(3)])
    grid = (scene(0).labels == 1)[2::4, 2::4][None].astype(np.float32)
    activations = [grid, grid * 0, np.zeros((0, 12, 16), np.float32)]
    found = pseudo_labels(
        model, frames, activations, [[4], [4], []], canvas=(0, 0), cluster_threshold=1.0
    )
    assert len(found[0]) >= 1
    assert set(found[0].labels.tolist()) == {4}
    assert found[0].scores.max() == pytest.approx(1.0, abs=0.1)
    assert [len(empty) for empty in found[1:]] == [0, 0]
    assert pseudo_labels(model, frames[:0], [], []) == []


def test_frames_larger_than_the_canvas_are_shrunk():
    """Masks come back at the frame's own size."""
    _, model = run(steps=2)
    frame = np.kron(scene(0).frame, np.ones((3, 3, 1), np.uint8))
    activation = np.ones((1, 36, 48), np.float32)
    found = pseudo_labels(model, frame[None], [activation], [[0]], canvas=(48, 64))
    assert found[0].masks[0]["size"] == [144, 192]
    maps, field = boundary_and_displacement(model, frame[None], (48, 64))
    assert maps.shape == (1, 12, 16)
    assert field.shape == (1, 2, 12, 16)
