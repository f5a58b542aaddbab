"""A CRF on the final masks: what it may change and what it may not."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import mask_crf as slow
from wsvis.config import Config
from wsvis.masks import decode_masks, encode_masks
from wsvis.payload import instances_to_payload, payload_to_instances
from wsvis.refinement.config import CrfConfig
from wsvis.refinement.crf import dense_crf
from wsvis.refinement.mask_crf import best, large_parts, painted, refine_masks, unpainted
from wsvis.refinement.stages import crf_kernels, refined
from wsvis.types import FrameFiles, FrameInstances, Video

H, W = 12, 16
SHARP = {"stride": 1, "appearance_sigma": 3.0, "smoothness_sigma": 1.0, "neighbours": 200}
"""A kernel small enough that all of its cells are summed, which is the same mirrored."""


def instances(masks, scores=None, labels=None):
    masks = np.asarray(masks, dtype=bool).reshape(-1, H, W)
    n = len(masks)
    return FrameInstances(
        np.array(labels if labels is not None else range(n), np.int64),
        np.array(scores if scores is not None else [0.5] * n, np.float32),
        tuple(encode_masks(masks)),
    )


def scene(seed, most=4):
    """A noisy picture with rectangles of other colours, and masks that miss them by a little."""
    random = np.random.default_rng(seed)
    picture = random.integers(20, 40, (H, W, 3)).astype(np.uint8)
    masks, scores = [], []
    for n in range(random.integers(0, most)):
        y, x = random.integers(0, H - 5), random.integers(0, W - 6)
        picture[y : y + 5, x : x + 6] = 90 + 40 * n
        mask = np.zeros((H, W), bool)
        mask[y : y + 4 + random.integers(0, 3), max(x - 1, 0) : x + 5] = True
        masks.append(mask)
        scores.append(float(random.random()))
    return picture, instances(masks, scores)


def as_arrays(frame):
    return decode_masks(frame.masks, H, W)


def test_the_mask_reaches_the_edge_of_the_object():
    picture = np.full((H, W, 3), 30, np.uint8)
    picture[:, 8:] = 200
    short = np.zeros((H, W), bool)
    short[:, 10:] = True
    (frame,) = refine_masks(picture[None], [instances([short], [0.7], [3])], **SHARP)
    mask = as_arrays(frame)[0]
    assert mask[:, 8:].all()
    assert not mask[:, :8].any()
    assert frame.labels.tolist() == [3]
    assert frame.scores.tolist() == pytest.approx([0.7])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_nothing_is_invented(seed):
    """Instances come out with labels and scores they came in with, apart, in their order."""
    picture, frame = scene(seed)
    (after,) = refine_masks(picture[None], [frame], min_area=0.02, **SHARP)
    before = list(zip(frame.labels.tolist(), frame.scores.tolist(), strict=True))
    kept = list(zip(after.labels.tolist(), after.scores.tolist(), strict=True))
    assert kept == [pair for pair in before if pair in kept]
    masks = as_arrays(after)
    assert (masks.sum(0) <= 1).all()
    assert all(mask.sum() >= 0.02 * H * W for mask in masks)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_a_mirrored_frame_gives_mirrored_masks(seed):
    picture, frame = scene(seed)
    turned = instances(as_arrays(frame)[..., ::-1], frame.scores, frame.labels)
    (there,) = refine_masks(picture[None], [frame], **SHARP)
    (back,) = refine_masks(np.ascontiguousarray(picture[None, :, ::-1]), [turned], **SHARP)
    assert back.labels.tolist() == there.labels.tolist()
    same = as_arrays(back)[..., ::-1] == as_arrays(there)
    assert (~same).sum() <= 0.005 * same.size  # ties may fall apart


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_without_iterations_masks_that_lie_apart_stay(seed):
    picture, frame = scene(seed, most=2)
    (after,) = refine_masks(picture[None], [frame], min_area=0.0, iterations=0, **SHARP)
    assert np.array_equal(as_arrays(after), as_arrays(frame))


def test_frames_do_not_know_of_each_other():
    scenes = [scene(seed) for seed in (3, 5, 8)]
    pictures = np.stack([picture for picture, _ in scenes])
    together = refine_masks(pictures, [frame for _, frame in scenes], **SHARP)
    for (picture, frame), both in zip(scenes, together, strict=True):
        (alone,) = refine_masks(picture[None], [frame], **SHARP)
        assert np.array_equal(as_arrays(alone), as_arrays(both))


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_painting_agrees_with_the_slow_twin(seed):
    random = np.random.default_rng(seed)
    masks = random.random((random.integers(0, 5), H, W)) < 0.3
    scores = random.integers(0, 3, len(masks)) / 2
    fast = painted(instances(masks, scores), H, W)
    assert fast.tolist() == slow.painted(masks.tolist(), scores.tolist(), H, W)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.01, 0.03, 1.0]))
def test_small_parts_go_as_in_the_slow_twin(seed, min_area):
    mask = np.random.default_rng(seed).random((H, W)) < 0.45
    fast = large_parts(mask, min_area)
    assert fast.tolist() == slow.large_parts(mask.tolist(), min_area * H * W)


def test_an_instance_of_which_nothing_is_left_is_gone():
    labels = np.zeros((H, W), np.uint8)
    labels[:4, :4] = 2
    labels[10, 10] = 1
    frame = instances(np.ones((3, H, W)), [0.1, 0.2, 0.3], [7, 8, 9])
    after = unpainted(frame, labels, min_area=0.02)
    assert (after.labels.tolist(), after.scores.tolist()) == ([8], [pytest.approx(0.2)])
    assert np.array_equal(as_arrays(after)[0], labels == 2)


def test_more_instances_than_a_byte_can_number():
    frame = instances(np.zeros((300, H, W)), np.arange(300) / 300)
    assert best(frame, 254).labels.tolist() == list(range(46, 300))
    assert best(frame, 300) is frame


def test_frames_without_instances():
    nothing = instances(np.zeros((0, H, W)))
    pictures = np.zeros((2, H, W, 3), np.uint8)
    assert [len(frame) for frame in refine_masks(pictures, [nothing, nothing])] == [0, 0]
    with pytest.raises(ValueError, match="2 frames, 1 lists"):
        refine_masks(pictures, [nothing])


def test_where_it_is_off_the_stage_hands_on_what_it_reads():
    video = Video("v", H, W, ((0,),), FrameFiles(("absent.png",)))
    frame = scene(3)[1]
    payload = instances_to_payload([frame])
    same = refined(Config(), {})(video, {"labels": payload})
    (after,) = payload_to_instances(same)
    assert after.masks == frame.masks


def test_kernels_grow_with_frames_beyond_their_size():
    crf = CrfConfig(stride=4)
    assert crf_kernels(crf, 480, 480) == crf_kernels(crf, 480, 0) == crf_kernels(crf, 9999, 0)
    large = crf_kernels(crf, 1920, 480)
    assert (large["stride"], large["appearance_sigma"], large["smoothness_sigma"]) == (16, 200, 12)
    assert large["colour_sigma"] == crf.colour_sigma
    assert set(large) <= set(inspect.signature(dense_crf).parameters)
