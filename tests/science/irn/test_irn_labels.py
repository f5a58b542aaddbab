import numpy as np
import pytest

from wsvis.cam.ir_labels import UNSURE, combine_labels, label_map
from wsvis.irn.labels import refined_ir_labels


def clip(frames=2, height=24, width=32):
    """Bright object on the right half; class 200 fires a little short of it, class 3 nowhere."""
    pictures = np.full((frames, height, width, 3), 30, np.uint8)
    pictures[:, :, 16:] = 200
    maps = np.zeros((2, height, width), np.float32)
    maps[1, :, 19:] = 1.0
    return pictures, maps, np.array([3, 200])


def test_labels_reach_the_edge_of_the_object():
    pictures, maps, ids = clip()
    strict = np.stack([label_map(maps, ids, 0.3)] * 2)
    refined = refined_ir_labels(
        pictures, strict, strict, [ids, ids], appearance_sigma=8.0, stride=1
    )
    assert (refined[:, :, 17:] == 201).all()
    assert (refined[:, :, :15] == 0).all()


def test_without_iterations_it_is_the_plain_combination():
    """0 iterations: the most likely label is the one given."""
    pictures, maps, ids = clip()
    maps = maps + 0.1 * (np.arange(32) > 10)
    strict, lenient = (np.stack([label_map(maps, ids, t)] * 2) for t in (0.3, 0.05))
    refined = refined_ir_labels(pictures, strict, lenient, [ids, ids], iterations=0, stride=1)
    assert np.array_equal(refined[0], combine_labels(strict[0], lenient[0]))
    assert {0, 201, UNSURE} == set(np.unique(refined).tolist())


def test_frames_with_other_classes_and_without_any():
    pictures, maps, ids = clip(frames=3)
    other = np.array([7])
    nothing = np.zeros((24, 32), np.uint8)
    strict = np.stack([label_map(maps, ids, 0.3), nothing, label_map(maps[1:], other, 0.3)])
    none = np.zeros(0, dtype=np.int64)
    refined = refined_ir_labels(pictures, strict, strict, [ids, none, other], stride=2)
    assert set(np.unique(refined[0])) == {0, 201}
    assert refined[1].max() == 0
    assert set(np.unique(refined[2])) == {0, 8}


def test_no_frame():
    empty = np.zeros((0, 8, 8), np.uint8)
    assert refined_ir_labels(np.zeros((0, 8, 8, 3), np.uint8), empty, empty, []).shape == (0, 8, 8)


def test_a_label_that_the_frame_does_not_have_is_background():
    """A programming slip upstream cannot make up a class."""
    pictures, maps, ids = clip()
    strict = np.stack([label_map(maps, ids, 0.3)] * 2)
    refined = refined_ir_labels(pictures, strict, strict, [ids[:1], ids[:1]])
    assert refined.max() == pytest.approx(0)
