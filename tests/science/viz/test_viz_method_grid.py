"""Several methods on the same frames."""

import numpy as np
import pytest

from reference.clips_on_disk import HEIGHT, WIDTH, rectangle
from wsvis.chosen_instances import kept
from wsvis.types import FrameInstances
from wsvis.viz.method_grid import method_grid


def found(*scores):
    masks = tuple(rectangle(2, 3 + 4 * n, 9, 6 + 4 * n) for n in range(len(scores)))
    return FrameInstances(np.zeros(len(scores), np.int64), np.array(scores, np.float32), masks)


FRAMES = [np.full((HEIGHT, WIDTH, 3), 40 * n, np.uint8) for n in range(3)]


def test_weak_detections_are_left_out():
    chosen = kept(found(0.9, 0.2, 0.3), 0.3)
    assert chosen.scores.tolist() == [pytest.approx(0.9), pytest.approx(0.3)]
    assert chosen.masks == (found(0.9, 0.2, 0.3).masks[0], found(0.9, 0.2, 0.3).masks[2])


def test_a_row_per_method_and_one_for_the_truth():
    rows = {"a": [found(0.9)] * 3, "b": [found()] * 3}
    with_truth = method_grid(FRAMES, rows, [found(1.0)] * 3, ["thing"], height=60)
    without = method_grid(FRAMES, rows, None, ["thing"], height=60)
    assert with_truth.shape[1] == without.shape[1]
    assert with_truth.shape[0] * 2 == without.shape[0] * 3
    third = without.shape[0] // 2
    # b finds nothing: its pictures are the bare frames
    bare = method_grid(FRAMES, {"b": [found()] * 3}, None, ["thing"], height=60)
    np.testing.assert_array_equal(without[third:], bare)
    assert (without[:third] != without[third:]).any()


def test_an_object_keeps_its_colour_where_the_order_of_detections_changes():
    masks = (rectangle(2, 3, 12, 12), rectangle(14, 20, 22, 38))  # larger ones are drawn first
    truth = FrameInstances(np.zeros(2, np.int64), np.ones(2, np.float32), masks)
    turned = FrameInstances(truth.labels[::-1], truth.scores[::-1], truth.masks[::-1])
    one = method_grid(FRAMES[:1], {"m": [truth]}, [truth], ["thing"])
    other = method_grid(FRAMES[:1], {"m": [turned]}, [truth], ["thing"])
    np.testing.assert_array_equal(one, other)


def test_rows_of_other_length_are_refused():
    with pytest.raises(ValueError, match="a has 2 frames, not 3"):
        method_grid(FRAMES, {"a": [found()] * 2}, None, ["thing"])
