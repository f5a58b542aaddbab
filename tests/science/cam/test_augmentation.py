"""What training does to a frame before the network reads it."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvis.backbones.normalise import normalise_frames
from wsvis.cam.augment import (
    Augmentation,
    apply_augmentation,
    draw_augmentation,
    place_on_canvas,
)


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
