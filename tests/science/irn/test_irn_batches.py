import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvis.irn.batches import IrnBatches, IrnSample, make_batch
from wsvis.irn.placement import Placement, canvas_size, draw_placement, fitted_size


def sample(height=24, width=40, seed=0, flow=True, stride=2):
    draw = np.random.default_rng(seed)
    size = (-(-height // stride), -(-width // stride), 2)
    return IrnSample(
        frame=draw.integers(0, 256, (height, width, 3), dtype=np.uint8),
        labels=draw.choice(np.array([0, 1, 3, 255], dtype=np.uint8), (height, width)),
        flow=draw.normal(size=size).astype(np.float32) if flow else None,
    )


@pytest.mark.parametrize(
    ("size", "canvas", "expected", "fitted"),
    [
        ((128, 192), (0, 0), (128, 192), (128, 192)),  # a frame's own size
        ((240, 427), (0, 0), (240, 432), (240, 427)),  # rounded up to whole multiples of 16
        ((100, 80), (512, 512), (512, 512), (100, 80)),  # small: as it is
        ((720, 1280), (512, 512), (512, 512), (288, 512)),  # large: shrunk, not cut
        ((1024, 2048), (256, 512), (256, 512), (256, 512)),
    ],
)
def test_canvas_and_fit(size, canvas, expected, fitted):
    assert canvas_size(*size, canvas) == expected
    assert fitted_size(*size, canvas) == fitted


def test_a_frame_as_it_is():
    """Frame at the top left, normalised; labels from the middle of each cell; padding is unsure."""
    item = sample()
    batch = make_batch([item], [Placement(24, 40, 0, 0, False)], (32, 48), "half")
    frame = torch.from_numpy(item.frame).permute(2, 0, 1).float()
    assert torch.allclose(batch.frames[0, :, :24, :40], (frame / 255 - 0.5) / 0.5, atol=1e-6)
    assert batch.frames[0, :, 24:].abs().max() == 0
    assert torch.equal(batch.labels[0, :6, :10], torch.from_numpy(item.labels[2::4, 2::4]))
    assert (batch.labels[0, 6:] == 255).all()
    assert batch.inside[0, :6, :10].all()
    assert batch.inside.sum() == 60


def test_flow_is_averaged_scaled_mirrored_and_repeated_at_the_rim():
    """Frame 16 x 16 -> 8 x 8, mirrored: cells average 4 x 4 of the flow's grid, vectors halve."""
    flow = np.arange(8 * 8 * 2, dtype=np.float32).reshape(8, 8, 2)
    item = IrnSample(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8), flow)
    batch = make_batch([item], [Placement(8, 8, 0, 0, True)], (16, 16), "half")
    assert batch.flow is not None
    left, right = flow[:4, :4].mean((0, 1)), flow[:4, 4:].mean((0, 1))
    assert batch.flow[0, 0, 0].tolist() == pytest.approx([-right[0] / 2, right[1] / 2])
    assert batch.flow[0, 0, 1].tolist() == pytest.approx([-left[0] / 2, left[1] / 2])
    assert torch.equal(batch.flow[0, 0, 3], batch.flow[0, 0, 1])
    assert torch.equal(batch.flow[0, 3, 0], batch.flow[0, 1, 0])


def test_cut_and_moved_frames_keep_frame_labels_and_flow_together():
    """A picture, labels and flow that all say where a cell came from still agree afterwards."""
    height, width = 64, 96
    ids = np.arange(16 * 24).reshape(16, 24) % 200
    cells = np.kron(ids, np.ones((4, 4)))
    item = IrnSample(
        frame=np.repeat(cells[..., None], 3, 2).astype(np.uint8),
        labels=cells.astype(np.uint8),
        flow=np.stack([ids, ids], -1).astype(np.float32),
    )
    assert item.frame.shape[:2] == (height, width)
    for top, left, mirrored in itertools.product((16, -16), (32, -8), (False, True)):
        batch = make_batch([item], [Placement(64, 96, top, left, mirrored)], (48, 80), "half")
        assert batch.flow is not None
        inside = batch.inside[0]
        grey = ((batch.frames[0, 0, 2::4, 2::4] * 0.5 + 0.5) * 255).round()
        assert torch.equal(batch.labels[0][inside].float(), grey[inside])
        assert torch.equal(batch.flow[0, :, :, 1][inside], grey[inside])
        assert inside.sum() == inside.any(1).sum() * inside.any(0).sum() > 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(20, 200), st.integers(20, 200)),
    low=st.floats(0.3, 1.0),
)
def test_random_placements_keep_their_promises(seed, size, low):
    """Multiples of 4, inside what is free, and always some of the frame on the canvas."""
    canvas = (64, 96)
    placed = draw_placement(np.random.default_rng(seed), *size, canvas, (low, 1.5), True)
    for start, length, room in (
        (placed.top, placed.height, canvas[0]),
        (placed.left, placed.width, canvas[1]),
    ):
        assert start % 4 == 0
        free = length - room
        assert min(free, 0) <= start <= max(free, 0)
    batch = make_batch([sample(*size, flow=False)], [placed], canvas, "imagenet")
    assert batch.inside.any()
    assert batch.flow is None


def batches(samples, **changes):
    settings = {"batch_size": 4, "seed": 1, "canvas": (0, 0), "scales": (1.0, 1.0)}
    return IrnBatches(samples, **(settings | changes))


def same(one, two):
    return all(
        torch.equal(getattr(one, name), getattr(two, name))
        for name in ("frames", "labels", "inside", "flow")
    )


def test_every_epoch_visits_every_sample_once_in_a_new_order():
    maker = batches([sample(seed=i) for i in range(9)], batch_size=3)
    assert maker.steps_per_epoch == 3
    orders = []
    for epoch in range(2):
        keys = [maker.batch(3 * epoch + step).keys for step in range(3)]
        orders.append([index for batch in keys for index, _ in batch])
        assert sorted(orders[-1]) == list(range(9))
    assert orders[0] != orders[1]


def test_starting_late_gives_the_same_batches():
    maker = batches([sample(seed=i) for i in range(5)], scales=(0.5, 1.5), canvas=(32, 32))
    late = next(maker(3))
    early = [batch for _, batch in zip(range(4), maker(0), strict=False)][3]
    assert same(early, late)
    assert late.keys is None


def test_workers_share_a_batch():
    samples = [sample(seed=i) for i in range(8)]
    whole = batches(samples).batch(1)
    shares = [batches(samples, worker=w, workers=2).batch(1) for w in range(2)]
    for w, share in enumerate(shares):
        assert torch.equal(share.frames, whole.frames[w::2])
        assert torch.equal(share.labels, whole.labels[w::2])


def test_no_sample_at_all():
    with pytest.raises(ValueError, match="0 samples"):
        batches([])
