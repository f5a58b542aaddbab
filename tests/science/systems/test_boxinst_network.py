"""CondInst as a detector: locations, predictions, files, and what it learns from what."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.parallel import DistributedDataParallel

from reference import boxinst as slow
from science.systems.test_detectors_batches import HEIGHT, WIDTH, marked, moving_sample
from science.two_processes import run_two_processes, sum_over_workers
from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.learning.loop import train
from wsvis.learning.schedule import Optimisation
from wsvis.learning.workers import ALONE, Group
from wsvis.masks import decode_masks
from wsvis.payload import from_bytes, to_bytes
from wsvis.settings import with_overrides
from wsvis.systems import SYSTEMS
from wsvis.systems.boxinst.locations import assign, centreness, decode, distances, locations
from wsvis.systems.checkpoint import detector_from_payload, detector_to_payload
from wsvis.systems.clips import ClipBatches, ClipSample
from wsvis.systems.networks import initial_network
from wsvis.systems.predict import predict_frames
from wsvis.types import Dataset, FrameInstances

DATA = Dataset("d", tuple("abcde"), (), "")


def settings(system="boxinst", **more):
    chosen = {
        "system": system,
        "detector.backbone": "small",
        "detector.weights": "standin",
        "detector.frozen_stages": 0,
        "detector.learning_rate": 1e-3,
        "detector.steps": 60,
        "boxinst.mask_channels": 8,
    }
    return with_overrides(
        Config(), {**chosen, **{k.replace("__", "."): v for k, v in more.items()}}
    )


def singles(count):
    """The first frames of moving squares, each with its label."""
    return [ClipSample(pair.frames[:1], pair.labels[:1]) for pair in marked(count)]


def trained(config, samples, steps, group=ALONE, **loop):
    network = initial_network(config, DATA)
    system, wrapped = SYSTEMS[config.system], None
    if group.wrap:
        wrapped = group.wrap(network)
    batches = ClipBatches(
        samples,
        batch_size=2,
        seed=1,
        masks=system.supervision == "masks",
        worker=group.worker,
        workers=group.workers,
    )
    curve = []
    optimisation = Optimisation(
        optimiser="adamw",
        learning_rate=config.detector.learning_rate,
        momentum=0.0,
        weight_decay=1e-4,
        schedule="cosine",
        clip_norm=5.0,
        fused=True,
    )
    train(
        system.learner(config, network, group, wrapped),
        batches,
        steps,
        optimisation,
        wrapped=wrapped,
        group=group,
        report=curve.append,
        report_every=1,
        **loop,
    )
    return network, curve


WHERE = locations([(4, 6), (2, 3)], (8, 16), torch.device("cpu"))


def test_locations_are_the_middles_of_cells_level_after_level():
    assert WHERE.centres[:2].tolist() == [[4, 4], [12, 4]]
    assert WHERE.centres[24].tolist() == [8, 8]
    assert WHERE.strides.tolist() == [8] * 24 + [16] * 6
    assert WHERE.limits[0].tolist() == [0, 64]
    assert WHERE.limits[24].tolist() == [64, math.inf]
    assert WHERE.scales[24] == 128


@given(seed=st.integers(0, 2**31), count=st.integers(0, 4))
def test_assignment_is_its_slow_twin(seed, count):
    draw = np.random.default_rng(seed)
    corner = draw.uniform(0, 30, (count, 2))
    boxes = torch.from_numpy(np.concatenate([corner, corner + draw.uniform(1, 80, (count, 2))], 1))
    found = assign(WHERE, boxes.float(), 1.5)
    expected = slow.assign(
        WHERE.centres.tolist(),
        WHERE.strides.tolist(),
        WHERE.limits.tolist(),
        boxes.float().tolist(),
        1.5,
    )
    assert found.tolist() == expected


def test_of_two_objects_at_a_location_the_smaller_is_learnt():
    boxes = torch.tensor([[0.0, 0.0, 40.0, 32.0], [8.0, 8.0, 32.0, 24.0]])
    assert set(assign(WHERE, boxes, 1.5).tolist()) == {-1, 1}
    assert set(assign(WHERE, boxes[:1], 1.5).tolist()) == {-1, 0}


def test_distances_and_boxes_are_each_others_inverse():
    boxes = torch.tensor([[1.0, 2.0, 30.0, 20.0]])
    sides = distances(WHERE.centres, boxes)[:, 0]
    again = decode(WHERE.centres, sides)
    torch.testing.assert_close(again, boxes.expand(len(again), -1))


def test_centreness_by_hand():
    sides = torch.tensor([[4.0, 4, 4, 4], [1.0, 4, 4, 4], [0.0, 1, 1, 1], [1.0, 2, 4, 8]])
    assert centreness(sides).tolist() == pytest.approx([1, 0.5, 0, 0.25])


@pytest.mark.parametrize("system", ["boxinst", "condinst"])
def test_a_network_survives_its_file_and_predicts_within_the_frame(system):
    network = initial_network(settings(system), DATA).eval()
    payload = from_bytes(to_bytes(detector_to_payload(network, {"class_names": list("abcde")})))
    assert payload.data["system"] == system
    again = detector_from_payload(payload)
    frames = [sample.frames[0] for sample in marked(2)]
    options = {"short_side": 0, "score_threshold": 0.0, "detections": 7}
    found, same = (predict_frames(n, frames, **options) for n in (network, again))
    for a, b, frame in zip(found, same, frames, strict=True):
        assert 0 < len(a) <= 7
        assert (np.diff(a.scores) <= 0).all()
        assert a.scores.tolist() == b.scores.tolist()
        assert decode_masks(a.masks, *frame.shape[:2]).any((1, 2)).all()
    larger = predict_frames(network, frames, **{**options, "short_side": 64})
    assert larger[0].masks[0]["size"] == [HEIGHT, WIDTH]


def test_a_file_of_another_system_or_a_cut_one_is_one_line():
    payload = detector_to_payload(initial_network(settings(), DATA))
    for change, text in (
        ({"system": "unheard_of"}, "not known here"),
        ({"mask_channels": 10**9}, "incomplete"),
        ({"mask_channels": 4}, "incomplete"),
    ):
        bad = replace(payload, data={**payload.data, **change})
        with pytest.raises(InputError, match=text) as error:
            detector_from_payload(bad, "x.safetensors")
        assert "\n" not in str(error.value)


def test_padding_does_not_reach_the_predictions_of_a_frame_that_needs_none():
    network = initial_network(settings(), DATA).eval()
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        passed = network.run([image])
        with_another = network.run([image, image[:, :40, :50]])
    torch.testing.assert_close(passed.logits[0], with_another.logits[0])
    assert with_another.sizes == [(64, 64), (40, 50)]


def first_losses(config, sample):
    network = initial_network(config, DATA)
    learner = SYSTEMS[config.system].learner(config, network, ALONE, None)
    masks = SYSTEMS[config.system].supervision == "masks"
    (clip,) = ClipBatches([sample], batch_size=1, masks=masks, mirror=False).batch(0)
    losses = learner.losses(clip, 10**6, 1)
    losses.total.backward()
    return learner.row(losses.numbers), network


def test_boxinst_learns_the_same_whatever_fills_the_boxes():
    """It never sees a mask: labels with the same boxes give the same loss, to the last digit."""
    from wsvis.masks import encode_masks

    (sample,) = singles(1)
    cross = np.zeros((1, HEIGHT, WIDTH), dtype=bool)
    cross[0, 8:24, 13] = cross[0, 15, 8:20] = True
    labels = FrameInstances(np.array([3]), np.ones(1, np.float32), tuple(encode_masks(cross)))
    other = ClipSample(sample.frames, (labels,))
    assert first_losses(settings(), sample)[0] == first_losses(settings(), other)[0]
    condinst = settings("condinst")
    assert first_losses(condinst, sample)[0] != first_losses(condinst, other)[0]


def test_the_pairwise_loss_is_a_switch_and_rises():
    (sample,) = singles(1)
    whole, _ = first_losses(settings(), sample)
    without, _ = first_losses(settings(boxinst__pairwise=0.0), sample)
    assert whole["pairwise"] > 0
    assert without["pairwise"] == 0
    assert without["mask"] == pytest.approx(whole["mask"])
    network = initial_network(settings(), DATA)
    learner = SYSTEMS["boxinst"].learner(settings(detector__steps=90), network, ALONE, None)
    (clip,) = ClipBatches([sample], batch_size=1, masks=False, mirror=False).batch(0)
    early, late = (learner.row(learner.losses(clip, n, 1).numbers)["pairwise"] for n in (0, 9))
    assert early == pytest.approx(late / 10, rel=1e-4)


def test_a_frame_without_labels_gives_no_loss_unless_it_shows_nothing():
    none = FrameInstances(np.zeros(0, np.int64), np.zeros(0, np.float32), ())
    frame = moving_sample().frames[:1]
    row, network = first_losses(settings(), ClipSample(frame, (none,)))
    assert row["loss"] == 0
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
    known, _ = first_losses(settings(), ClipSample(frame, (none,), background=(True,)))
    assert known["cls"] > 0
    assert known["box"] == known["mask"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("system", ["boxinst", "condinst"])
def test_it_learns_to_cut_out_squares(system):
    network, curve = trained(settings(system), singles(4), 60)
    losses = [row["loss"] for row in curve]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
    (best, *_) = predict_frames(network, [moving_sample().frames[0]], short_side=0)
    assert best.labels[0] == 3
    mask = decode_masks(best.masks[:1], HEIGHT, WIDTH)[0]
    truth = np.zeros_like(mask)
    truth[8:24, 8:20] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.7


@pytest.mark.slow
def test_it_goes_on_exactly_where_it_stopped():
    states = []
    whole, curve = trained(settings(), singles(4), 4, checkpoint=states.append, checkpoint_every=2)
    again, rest = trained(settings(), singles(4), 4, resume=from_bytes(to_bytes(states[0])))
    assert rest == curve[2:]
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(InputError, match="was made with"):
        trained(settings("condinst"), singles(4), 4, resume=states[0])


def share(worker, workers, folder):
    torch.set_num_threads(1)
    wrap, total = (DistributedDataParallel, sum_over_workers) if workers > 1 else (None, None)
    group = Group(worker, workers, wrap, total or (lambda values: values))
    network, curve = trained(settings(), singles(4), 3, group)
    weights = float(sum(p.detach().double().abs().sum() for p in network.parameters()))
    result = {"loss": [row["loss"] for row in curve], "weights": weights}
    (folder / f"{workers}-{worker}.json").write_text(json.dumps(result))


@pytest.mark.slow
def test_two_workers_agree_with_one(tmp_path):
    share(0, 1, tmp_path)
    run_two_processes(share, tmp_path)
    alone, first, second = (
        json.loads((tmp_path / name).read_text()) for name in ("1-0.json", "2-0.json", "2-1.json")
    )
    assert first == second
    assert first["loss"] == pytest.approx(alone["loss"], rel=1e-4)
    assert first["weights"] == pytest.approx(alone["weights"], rel=1e-5)
