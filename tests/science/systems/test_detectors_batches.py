"""Training pairs: one augmentation for frames, labels and flow; a function of seed and step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsvis.flow.warp import warp_masks
from wsvis.masks import encode_masks
from wsvis.systems.clips import ClipBatches, ClipSample, frame_clips, make_clip, resized
from wsvis.types import FrameInstances

HEIGHT, WIDTH = 32, 48


def square_at(column, number=0):
    """A bright square of 16 rows and 12 columns on black, labelled."""
    mask = np.zeros((1, HEIGHT, WIDTH), dtype=bool)
    mask[0, 8:24, column : column + 12] = True
    frame = (mask[0, ..., None] * np.array([200, 100, 50])).astype(np.uint8)
    frame[0, 0, 0] = number
    labels = FrameInstances(np.array([3]), np.ones(1, np.float32), tuple(encode_masks(mask)))
    return frame, labels


def moving_sample(number=0):
    """The square moves 8 pixels to the right; flow on a grid of every fourth pixel."""
    (a, labels_a), (b, labels_b) = square_at(8, number), square_at(16, number)
    grid = np.zeros((HEIGHT // 4, WIDTH // 4, 2), np.float32)
    forward, backward = grid.copy(), grid.copy()
    forward[..., 0], backward[..., 0] = 8, -8
    return ClipSample((a, b), (labels_a, labels_b), ((forward, backward),))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("short_side", [0, 64, 16])
def test_flow_still_carries_one_frames_label_to_the_other(short_side, mirrored):
    pair = make_clip(moving_sample(), short_side=short_side, mirrored=mirrored, seed=0)
    scale = (short_side or HEIGHT) / HEIGHT
    rows, columns = round(HEIGHT * scale), round(WIDTH * scale)
    assert pair.images[0].shape == (3, rows, columns)
    a, b = pair.targets
    carried, _ = warp_masks(a.masks, pair.flow[0][1])
    assert torch.equal(carried, b.masks)
    back, _ = warp_masks(b.masks, pair.flow[0][0])
    assert torch.equal(back, a.masks)
    # the square is where its label is, in both frames
    for image, target in zip(pair.images, pair.targets, strict=True):
        bright = image[0] > 0.4
        if scale >= 1:
            assert (bright == target.masks[0]).float().mean() > 0.95
        left = (WIDTH - 8 - 12 if mirrored else 8) * scale
        if target is a:
            assert target.boxes[0].tolist() == [left, 8 * scale, left + 12 * scale, 24 * scale]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("factor", [2 / 3, 0.44, 1.4])
def test_a_label_stays_where_the_frame_shows_its_object(factor, mirrored):
    """Also at factors that are no whole number: centres of image and label, in pixels."""
    mask = np.zeros((1, 180, 240), dtype=bool)
    mask[0, 40:131, 50:171] = True
    frame = (mask[0, ..., None] * np.full(3, 255)).astype(np.uint8)
    labels = FrameInstances(np.array([1]), np.ones(1, np.float32), tuple(encode_masks(mask)))
    still = np.zeros((180, 240, 2), np.float32)
    pair = make_clip(
        ClipSample((frame, frame), (labels, labels), ((still, still),)),
        short_side=round(180 * factor),
        mirrored=mirrored,
        seed=0,
    )
    shown, marked_there = pair.images[0][0].double(), pair.targets[0].masks[0].double()
    for axis in (0, 1):
        places = torch.arange(shown.shape[axis], dtype=torch.float64)
        centres = [
            float((values.sum(1 - axis) * places).sum() / values.sum())
            for values in (shown, marked_there)
        ]
        assert centres[0] == pytest.approx(centres[1], abs=0.25)


def test_a_label_that_vanishes_in_the_resize_is_dropped():
    sample = moving_sample()
    dot = np.zeros((2, HEIGHT, WIDTH), dtype=bool)
    dot[0, 1, 1], dot[1, 4:20, 4:20] = True, True
    labels = FrameInstances(np.array([1, 2]), np.ones(2, np.float32), tuple(encode_masks(dot)))
    pair = make_clip(
        ClipSample(sample.frames, (labels, labels), sample.flow),
        short_side=8,
        mirrored=False,
        seed=0,
    )
    assert pair.targets[0].labels.tolist() == [2]


def test_frames_without_labels_have_empty_targets():
    sample = moving_sample()
    none = FrameInstances(np.zeros(0, np.int64), np.zeros(0, np.float32), ())
    pair = make_clip(
        ClipSample(sample.frames, (none, none), sample.flow), short_side=64, mirrored=True, seed=0
    )
    assert pair.targets[0].masks.shape == (0, 64, 96)


def test_a_system_that_learns_from_boxes_gets_no_mask():
    clip = make_clip(moving_sample(), short_side=0, mirrored=False, seed=0, masks=False)
    whole = make_clip(moving_sample(), short_side=0, mirrored=False, seed=0)
    for blind, seeing in zip(clip.targets, whole.targets, strict=True):
        assert blind.masks.shape == (1, 0, 0)
        assert torch.equal(blind.boxes, seeing.boxes)
    batch = ClipBatches(marked(2), seed=0, masks=False).batch(0)
    assert all(target.masks.numel() == 0 for clip in batch for target in clip.targets)


def test_pairs_of_a_video():
    assert frame_clips(8, 2, 5) == ((0, 5), (1, 6), (2, 7))
    assert frame_clips(5, 2, 5) == ()
    assert frame_clips(2, 2, 1) == ((0, 1),)
    assert frame_clips(3, 1, 5) == ((0,), (1,), (2,))
    assert frame_clips(6, 3, 2) == ((0, 2, 4), (1, 3, 5))


def test_sizes():
    assert resized(720, 1280, 480) == (480, 853)
    assert resized(1280, 720, 480) == (853, 480)
    assert resized(100, 200, 0) == (100, 200)


def numbers(batches, steps):
    return [
        [(round(float(p.images[0].max() * 255)), p.seed, p.images[0].shape) for p in b]
        for b in (batches.batch(n) for n in range(steps))
    ]


def marked(count):
    """Samples told apart by one pixel brighter than the rest."""
    return [moving_sample(201 + n) for n in range(count)]


def test_two_workers_share_the_batch_of_one():
    settings = {"batch_size": 4, "seed": 3, "short_sides": (32, 40)}
    data = marked(10)
    alone = numbers(ClipBatches(data, **settings), 4)
    first = numbers(ClipBatches(data, worker=0, workers=2, **settings), 4)
    second = numbers(ClipBatches(data, worker=1, workers=2, **settings), 4)
    for whole, even, odd in zip(alone, first, second, strict=True):
        assert whole[::2] == even
        assert whole[1::2] == odd


def test_batches_depend_on_seed_and_step_alone():
    data = marked(6)
    batches = ClipBatches(data, batch_size=2, seed=1, short_sides=(32, 40))
    again = ClipBatches(data, batch_size=2, seed=1, short_sides=(32, 40))
    stream = again(2)
    first = next(stream)
    for got, expected in zip(first, batches.batch(2), strict=True):
        assert torch.equal(got.images[0], expected.images[0])
        assert got.seed == expected.seed
    assert numbers(batches, 6) != numbers(ClipBatches(data, batch_size=2, seed=2), 6)
    # an epoch sees every pair once
    assert batches.steps_per_epoch == 3
    plain = ClipBatches(data, batch_size=2, seed=1, mirror=False)
    seen = sorted(row[0] for batch in numbers(plain, 3) for row in batch)
    assert seen == list(range(201, 207))


def test_too_few_pairs_for_the_workers():
    with pytest.raises(ValueError, match="no step for 2 workers"):
        ClipBatches(marked(1), batch_size=1, workers=2)
