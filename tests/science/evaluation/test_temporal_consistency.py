import math

import numpy as np
import pytest

from reference.temporal_consistency import temporal_consistency as slow_consistency
from wsvis.evaluation.temporal_consistency import (
    PredictedVideo,
    temporal_consistency,
    warped_truth,
)
from wsvis.masks import decode_masks, encode_masks
from wsvis.types import FrameInstances

HEIGHT, WIDTH = 8, 10


def frame(*entries):
    """Entries are (label, score, mask)."""
    masks = np.array([mask for _, _, mask in entries], bool).reshape(-1, HEIGHT, WIDTH)
    return FrameInstances(
        np.array([label for label, _, _ in entries], np.int64),
        np.array([score for _, score, _ in entries], np.float32),
        tuple(encode_masks(masks)),
    )


def block(top, left, rows=3, columns=3):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[max(top, 0) : max(top + rows, 0), max(left, 0) : max(left + columns, 0)] = True
    return mask


def constant(u, v, pairs=1):
    return np.tile(np.array([u, v], np.float32), (pairs, HEIGHT, WIDTH, 1))


def test_a_mask_that_follows_the_flow_is_consistent():
    frames = [frame((0, 0.9, block(2, 1 + 2 * t))) for t in range(3)]
    result = temporal_consistency([PredictedVideo(frames, constant(2, 0, 2))], 1)
    assert result == {"TC": pytest.approx(1.0), "pairs": 2}
    still = temporal_consistency([PredictedVideo(frames, constant(0, 0, 2))], 1)
    assert still["TC"] == 0  # IoU 3 / 15


def test_hand_derived_value():
    # One pair, no motion. Frame 1 (truth): A, B. Frame 0 (detections): A .9, stray .8; B is absent.
    # Verdicts T F; recall 1/2: precision 1 at the 51 recalls up to .5, 0 beyond.
    a, b, stray = block(0, 0), block(4, 6), block(5, 0)
    first = frame((0, 0.9, a), (0, 0.8, stray))
    second = frame((0, 0.7, a), (0, 0.7, b), (0, 0.4, stray))  # below 0.5: no ground truth
    value = temporal_consistency([PredictedVideo([first, second], constant(0, 0))], 1)["TC"]
    assert value == pytest.approx(51 / 101)


def test_masks_that_leave_the_picture_are_no_ground_truth():
    # Everything moves right by 6: what the second frame shows at columns 0-2 came from outside.
    found = frame((0, 0.9, block(2, 0)), (1, 0.9, block(2, 7)))
    truth = warped_truth(found, constant(6, 0)[0], 0.5)
    assert truth.labels.tolist() == [1]
    np.testing.assert_array_equal(decode_masks(truth.masks, HEIGHT, WIDTH)[0], block(2, 1))


def test_classes_must_agree():
    frames = [frame((0, 0.9, block(0, 0))), frame((1, 0.9, block(0, 0)))]
    assert temporal_consistency([PredictedVideo(frames, constant(0, 0))], 2)["TC"] == 0


def test_nothing_to_compare_is_nan():
    assert math.isnan(temporal_consistency([], 1)["TC"])
    empty = PredictedVideo([frame(), frame()], constant(0, 0))
    assert math.isnan(temporal_consistency([empty], 1)["TC"])


def random_video(seed, pairs=2):
    rng = np.random.default_rng(seed)

    def some():
        count = rng.integers(0, 4)
        spots = rng.integers(0, 6, (count, 2))
        sizes = rng.integers(2, 6, (count, 2))
        labels, scores = rng.integers(0, 2, count), rng.integers(0, 8, count) / 8
        blocks = [block(*spot, *size) for spot, size in zip(spots, sizes, strict=True)]
        return list(zip(labels, scores, blocks, strict=True))

    frames = [some() for _ in range(pairs + 1)]
    flow = rng.normal(0, 1.5, (pairs, HEIGHT, WIDTH, 2)).astype(np.float32)
    return frames, np.round(flow * 4) / 4  # exact in float32: no rounding at the half


@pytest.mark.parametrize("seed", range(4))
def test_equals_plain_loops(seed):
    videos = [random_video(10 * seed + n) for n in range(3)]
    ours = temporal_consistency(
        [PredictedVideo([frame(*f) for f in frames], flow) for frames, flow in videos], 2, 0.4, 0.1
    )["TC"]
    as_dicts = [
        (
            [[dict(zip(("label", "score", "mask"), e, strict=True)) for e in f] for f in frames],
            flow.tolist(),
        )
        for frames, flow in videos
    ]
    slow = slow_consistency(as_dicts, 2, 0.4, 0.1)
    assert ours == pytest.approx(slow, abs=1e-9, nan_ok=True)


def test_symmetric_is_the_mean_of_both_directions():
    frames, flow = random_video(7)
    frames = [frame(*f) for f in frames]
    both = temporal_consistency([PredictedVideo(frames, flow, -flow)], 2, 0.3, symmetric=True)
    one = temporal_consistency([PredictedVideo(frames, flow)], 2, 0.3)
    back = temporal_consistency([PredictedVideo(frames[::-1], -flow[::-1])], 2, 0.3)
    assert both["TC_forward"] == one["TC"]
    assert both["TC_backward"] == back["TC"]
    assert both["TC"] == pytest.approx((one["TC"] + back["TC"]) / 2)


def test_wrong_calls_are_refused():
    frames = [frame((0, 0.9, block(0, 0)))] * 3
    with pytest.raises(ValueError, match="3 frames need 2 flows"):
        temporal_consistency([PredictedVideo(frames, constant(0, 0))], 1)
    with pytest.raises(ValueError, match="backward"):
        temporal_consistency([PredictedVideo(frames, constant(0, 0, 2))], 1, symmetric=True)
    with pytest.raises(ValueError, match="resize the flow"):
        temporal_consistency([PredictedVideo(frames, constant(0, 0, 2)[:, ::2, ::2])], 1)
