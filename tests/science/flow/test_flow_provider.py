"""Every provider finds a known motion; whole videos there and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from wsvis.errors import InputError
from wsvis.flow.field import area_mean
from wsvis.flow.provider import make_flow_provider, pair_flow, prepare_frames, video_flow

OPENCV = ["dis-ultrafast", "dis-fast", "dis-medium", "farneback"]
U, V = 3, -2


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """Four frames of a smooth texture that moves by (3, -2) px per frame, cut from a larger one."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.random((128, 160, 3)), (0, 0), 2.0)
    texture = (255 * (texture - texture.min()) / np.ptp(texture)).astype(np.uint8)
    # what frame t shows at x lies at x - t * (U, V) in the texture
    return np.stack(
        [texture[32 - t * V : 32 - t * V + 64, 32 - t * U : 32 - t * U + 96] for t in range(4)]
    )


def inner_median(flow: np.ndarray) -> np.ndarray:
    return np.median(flow[:, 12:-12, 12:-12].reshape(-1, 2), axis=0)


@pytest.mark.parametrize("name", OPENCV)
def test_a_known_shift_is_found_there_and_back(name, clip):
    forward, backward = video_flow(clip, make_flow_provider(name))
    assert forward.shape == backward.shape == (3, 64, 96, 2)
    np.testing.assert_allclose(inner_median(forward), [U, V], atol=0.15)
    np.testing.assert_allclose(inner_median(backward), [-U, -V], atol=0.15)


def test_a_gap_adds_the_steps_up(clip):
    forward, backward = video_flow(clip, make_flow_provider("dis-medium"), gap=2)
    assert len(forward) == 2
    np.testing.assert_allclose(inner_median(forward), [2 * U, 2 * V], atol=0.3)
    np.testing.assert_allclose(inner_median(backward), [-2 * U, -2 * V], atol=0.3)


def test_shrunk_frames_still_measure_in_pixels_of_the_frame(clip):
    forward, _ = video_flow(clip, make_flow_provider("dis-medium"), long_side=48)
    assert forward.shape == (3, 32, 48, 2)
    np.testing.assert_allclose(
        np.median(forward[:, 6:-6, 6:-6].reshape(-1, 2), axis=0), [U, V], atol=0.3
    )


def test_a_smaller_frame_is_not_enlarged(clip):
    provider = make_flow_provider("dis-ultrafast")
    assert np.array_equal(
        video_flow(clip, provider, long_side=500)[0], video_flow(clip, provider)[0]
    )


@pytest.mark.parametrize("frames", [0, 1])
def test_too_few_frames_make_no_pair(clip, frames):
    forward, backward = video_flow(clip[:frames], make_flow_provider("dis-ultrafast"))
    assert forward.shape == backward.shape == (0, 64, 96, 2)


@pytest.mark.parametrize("name", OPENCV)
def test_pairs_chained_or_not_give_the_same_and_nothing_carries_over(name, clip):
    provider = make_flow_provider(name)
    chained = video_flow(clip, provider)
    apart = pair_flow(clip[:-1], clip[1:], provider)
    assert np.array_equal(chained[0], apart[0])
    assert np.array_equal(chained[1], apart[1])
    # the last pair alone, by another instance, in color
    alone = make_flow_provider(name).flow(clip[2:3], clip[3:4])
    assert np.array_equal(alone[0], chained[0][2])


def test_frames_are_prepared_once_each(clip):
    gray = prepare_frames(clip, gray=True)
    assert gray.shape == (4, 64, 96, 1)
    assert np.array_equal(gray[1, ..., 0], cv2.cvtColor(clip[1], cv2.COLOR_RGB2GRAY))
    assert prepare_frames(clip, gray=False) is clip
    # a 1000 x 10 strip shrunk a hundredfold keeps one row
    strip = np.zeros((1, 10, 1000, 3), dtype=np.uint8)
    assert prepare_frames(strip, gray=True, long_side=10).shape == (1, 1, 10, 1)


def test_gap_zero_is_refused(clip):
    with pytest.raises(ValueError, match="gap is 0"):
        video_flow(clip, make_flow_provider("dis-ultrafast"), gap=0)


@pytest.mark.parametrize("name", OPENCV)
def test_narrow_and_tiny_frames_have_flow(name):
    rng = np.random.default_rng(0)
    provider = make_flow_provider(name)
    for height, width in [(1, 1), (5, 6), (8, 90), (11, 64), (12, 115), (3, 400), (64, 2)]:
        frames = rng.integers(0, 255, (2, height, width, 3), dtype=np.uint8)
        forward, _ = video_flow(frames, provider)
        assert forward.shape == (1, height, width, 2)
        assert np.isfinite(forward).all()
        assert np.abs(video_flow(frames[[0, 0]], provider)[0]).max() < 0.5  # nothing moves


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("dis-slow", "", "no flow provider is called 'dis-slow'; choose one of dis-ultrafast"),
        ("raft-medium", "", "no flow provider is called 'raft-medium'; did you mean 'raft-"),
        ("dis-fast", "x.pth", "flow.weights is 'x.pth', but dis-fast has none"),
    ],
)
def test_unknown_names_are_one_clear_line(name, weights, words):
    with pytest.raises(InputError) as caught:
        make_flow_provider(name, weights)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("long_side", [0, 48])
def test_fields_averaged_as_they_come_equal_those_averaged_later(clip, long_side):
    provider = make_flow_provider("dis-ultrafast")
    whole = video_flow(clip, provider, long_side=long_side)
    coarse = video_flow(clip, provider, long_side=long_side, stride=3)
    for later, now in zip(whole, coarse, strict=True):
        expected = np.stack([area_mean(field, 3) for field in later])
        np.testing.assert_allclose(now, expected, atol=1e-4)
