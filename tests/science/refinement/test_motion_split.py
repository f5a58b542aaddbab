"""Masks cut by motion: laws, hand cases, a slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import motion_split as slow
from wsvis.flow.codec import encode_flow
from wsvis.masks import decode_masks, encode_masks
from wsvis.payload import Payload
from wsvis.refinement.motion_split import (
    fields_of_frames,
    split_instances,
    split_mask,
    two_motions,
)
from wsvis.types import FrameInstances, SyntheticSource, Video

SETTING = {"ratio": 4.0, "floor": 0.5, "share": 0.25, "better": 1.0, "depth": 2}
HEIGHT, WIDTH = 40, 60


def box(top, left, bottom, right):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def still():
    return np.zeros((HEIGHT, WIDTH, 2), np.float32)


def noise(seed, size=0.05):
    return np.random.default_rng(seed).normal(0, size, (HEIGHT, WIDTH, 2)).astype(np.float32)


def affine_flow(matrix, shift=(0.0, 0.0)):
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    places = np.stack([x - WIDTH / 2, y - HEIGHT / 2], -1)
    moved = places @ np.array(matrix).T + np.array(shift)
    return moved.astype(np.float32)


def parts(mask, flow, **changes):
    return split_mask(mask, flow, **{**SETTING, **changes})


WHOLE = box(8, 10, 32, 50)
LEFT, RIGHT = box(8, 10, 32, 30), box(8, 30, 32, 50)


@pytest.mark.parametrize(
    "flow",
    [
        still(),
        affine_flow([[0, 0], [0, 0]], (3.0, -2.0)),
        affine_flow([[0, -0.2], [0.2, 0]]),  # turning
        affine_flow([[0.15, 0], [0, 0.15]], (1.0, 0.0)),  # nearing
        affine_flow([[0, 0.2], [0, 0]]),  # shearing
    ],
    ids=["still", "moving", "turning", "nearing", "shearing"],
)
def test_one_body_stays_whole_exactly_and_with_noise(flow):
    for seed in range(3):
        for measured in (flow, flow + noise(seed)):
            (only,) = parts(WHOLE, measured)
            assert (only == WHOLE).all()


@pytest.mark.parametrize("apart", [(2.0, 0.0), (0.0, -2.0), (-1.5, 1.5)])
def test_two_touching_bodies_two_pixels_apart_are_parted(apart):
    flow = still()
    flow[RIGHT] = apart
    for measured in (flow, flow + noise(1), flow + affine_flow([[0.02, 0], [0, 0.02]], (1, 1))):
        found = sorted(parts(WHOLE, measured), key=lambda part: np.nonzero(part)[1].mean())
        assert len(found) == 2
        assert (found[0] ^ LEFT).sum() <= 4
        assert (found[1] ^ RIGHT).sum() <= 4


def test_equal_velocities_are_one():
    flow = still()
    flow[WHOLE] = (2.0, 1.0)
    assert len(parts(WHOLE, flow + noise(2))) == 1


def test_three_bodies_take_two_cuts():
    flow = still()
    flow[box(8, 10, 32, 24)], flow[box(8, 24, 32, 38)], flow[box(8, 38, 32, 50)] = -4, 0, 5
    assert len(parts(WHOLE, flow, depth=1)) == 2
    assert len(parts(WHOLE, flow)) == 3
    assert len(parts(WHOLE, flow, depth=0)) == 1


def test_a_small_part_is_no_object():
    flow = still()
    flow[box(8, 10, 32, 15)] = 6.0  # an eighth: a limb
    assert len(parts(WHOLE, flow)) == 1
    assert len(parts(WHOLE, flow, share=0.1)) == 2


def test_the_floor_and_the_guard_are_switches():
    flow = still()
    flow[RIGHT] = (2.0, 0.0)
    flow += noise(3, 0.4)
    assert len(parts(WHOLE, flow, ratio=2.0)) == 2
    assert len(parts(WHOLE, flow, ratio=2.0, floor=3.0)) == 1
    assert len(parts(WHOLE, flow, ratio=9.0)) == 1
    assert len(parts(WHOLE, flow, ratio=2.0, better=9.0)) == 1


def test_unknown_flow_takes_no_part_and_too_little_leaves_all_as_it_is():
    flow = still()
    flow[RIGHT] = (3.0, 0.0)
    flow[8:12] = np.nan
    assert len(parts(WHOLE, flow)) == 2
    assert len(parts(WHOLE, np.full_like(flow, np.nan))) == 1
    assert len(parts(box(0, 0, 2, 2), flow)) == 1


@given(
    seed=st.integers(0, 2**31), cut=st.integers(14, 46), speed=st.floats(-5, 5), noisy=st.booleans()
)
@settings(max_examples=30)
def test_parts_share_nothing_and_lose_nothing_and_mirroring_commutes(seed, cut, speed, noisy):
    flow = still()
    flow[:, cut:, 0] = speed
    flow += noise(seed, 0.3 if noisy else 0.02)
    found = parts(WHOLE, flow)
    assert (sum(part.astype(int) for part in found) == WHOLE).all()
    mirrored = flow[:, ::-1] * np.array([-1, 1], np.float32)
    again = parts(WHOLE[:, ::-1].copy(), np.ascontiguousarray(mirrored))
    assert len(again) == len(found)
    sizes = sorted(int(part.sum()) for part in found)
    assert sizes == pytest.approx(sorted(int(part.sum()) for part in again), abs=8)


@given(seed=st.integers(0, 2**31), directions=st.sampled_from([2, 4]))
@settings(max_examples=20)
def test_the_two_motions_are_those_of_the_slow_twin(seed, directions):
    draw = np.random.default_rng(seed)
    points = np.column_stack([draw.uniform(-0.5, 0.5, (60, 2)), np.ones(60)])
    values = draw.normal(0, 0.1, (60, directions))
    values[points[:, 0] > draw.uniform(-0.2, 0.2)] += draw.normal(0, 3, directions)
    found = two_motions(points, values)
    expected = slow.two_motions(points.tolist(), values.tolist())
    assert (found is None) == (expected is None)
    if found is not None:
        (first, second), residual, alone = expected
        np.testing.assert_allclose(found.first, first, atol=1e-5)
        np.testing.assert_allclose(found.second, second, atol=1e-5)
        assert found.residual == pytest.approx(residual, rel=1e-5)
        assert found.alone == pytest.approx(alone, rel=1e-5)


def test_parts_keep_class_and_score_and_unknown_flow_cuts_nothing():
    flow = still()
    flow[RIGHT] = (3.0, 0.0)
    masks = np.stack([WHOLE, box(0, 0, 4, 8)])
    scores = np.array([0.75, 0.5], np.float32)
    frame = FrameInstances(np.array([4, 1]), scores, tuple(encode_masks(masks)))
    cut = split_instances(frame, flow, **SETTING)
    assert cut.labels.tolist() == [4, 4, 1]
    assert cut.scores.tolist() == [0.75, 0.75, 0.5]
    assert decode_masks(cut.masks, HEIGHT, WIDTH).sum() == masks.sum()
    assert split_instances(frame, None, **SETTING) is frame


@pytest.mark.parametrize("chained", [True, False])
def test_every_frame_has_the_flow_to_its_neighbours(chained):
    arrays = {}
    for name, values in (("forward", (1, 2)), ("backward", (-3, -4))):
        field = np.array(values, np.float32)[:, None, None, None] * np.ones(
            (1, 4, 6, 2), np.float32
        )
        arrays |= {f"{name}.{part}": array for part, array in encode_flow(field).items()}
    video = Video("v", 8, 12, ((0,),) * 3, SyntheticSource("train", 0))
    payload = Payload(arrays, {"pairs": 2, "gap": 1, "chained": chained})
    fields = list(fields_of_frames(payload, video))
    seen = [None if field is None else field[0, 0].tolist() for field in fields]
    if chained:
        assert seen == [[1, 1], [2, 2, -3, -3], [-4, -4]]
    else:
        assert seen == [[1, 1], [2, 2], None]
