from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvis.masks import encode_masks
from wsvis.types import FrameInstances
from wsvis.viz.heat import heat_bar, heat_over_frame
from wsvis.viz.strips import cam_strip, matched_ids, stack_strips


def instances(*boxes, height=48, width=64):
    """Rectangles (top, bottom, left, right) as instances of class 0."""
    masks = np.zeros((len(boxes), height, width), bool)
    for n, (top, bottom, left, right) in enumerate(boxes):
        masks[n, top:bottom, left:right] = True
    scores = np.linspace(0.9, 0.5, len(boxes)).astype(np.float32)
    return FrameInstances(np.zeros(len(boxes), np.int64), scores, tuple(encode_masks(masks)))


def scene(seed=0):
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    cam = rng.random((2, 3, 4))
    return frame, rng.normal(size=(24, 32, 2)), cam, 2 * cam


def test_cold_places_show_the_dimmed_grey_frame_and_hot_ones_the_heat():
    frame = np.full((10, 20, 3), 200, np.uint8)
    out = heat_over_frame(frame, np.zeros((10, 20)))
    # Cold: 0.9 * 0.9 * 200 + 0.1 * inferno(0) = 162 + 0.1 * (0.4, 0.1, 3.5) = (162, 162, 162).
    assert (out == 162).all()
    heat = np.zeros((10, 20))
    heat[:, 10:] = 1
    hot = heat_over_frame(frame, heat)
    # inferno ends in a light yellow: red and green high, blue lower.
    assert hot[5, 18, 0] > hot[5, 18, 2] + 50
    np.testing.assert_array_equal(hot[:, :8], out[:, :8])


def test_heat_depends_on_the_map_over_its_maximum_and_ignores_what_is_not_finite():
    frame, _, cam, _ = scene()
    one = heat_over_frame(frame, cam[0], maximum=1.0)
    np.testing.assert_array_equal(heat_over_frame(frame, 4 * cam[0], maximum=4.0), one)
    broken = cam[0].copy()
    broken[0, 0] = np.nan
    zero = cam[0].copy()
    zero[0, 0] = 0
    np.testing.assert_array_equal(heat_over_frame(frame, broken), heat_over_frame(frame, zero))
    np.testing.assert_array_equal(  # what is past the maximum stays hottest
        heat_over_frame(frame, np.full((3, 4), 7.0)), heat_over_frame(frame, np.ones((3, 4)))
    )


def test_the_threshold_line_runs_where_the_map_crosses_it():
    frame = np.zeros((40, 40, 3), np.uint8)
    heat = np.zeros((40, 40))
    heat[10:30, 10:30] = 0.5
    without = heat_over_frame(frame, heat)
    changed = (heat_over_frame(frame, heat, threshold=0.3) != without).any(-1)
    assert changed[10, 10:30].all()
    assert not changed[15:25, 15:25].any()
    assert not changed[:5].any()
    np.testing.assert_array_equal(heat_over_frame(frame, heat, threshold=0.6), without)


def test_the_bar_runs_from_dark_to_light():
    bar = heat_bar(50, 4).astype(int).sum(-1)
    assert (np.diff(bar[0]) >= 0).mean() > 0.9
    assert bar[0, 0] < 60
    assert bar[0, -1] > 500


def test_a_pseudo_mask_takes_the_colour_of_the_object_it_overlaps_most():
    truth = instances((0, 20, 0, 20), (20, 40, 30, 60))
    found = instances((22, 40, 30, 60), (0, 10, 40, 60), (0, 20, 0, 18), (5, 15, 5, 15))
    # Found 0 lies on truth 1, 2 on truth 0 (IoU 0.9; found 3 has 0.25 there and must yield),
    # 1 on nothing: 1 and 3 get the first numbers past the truth's, 2 and 3.
    assert matched_ids(found, truth) == [1, 2, 0, 3]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 5), st.integers(0, 5))
def test_ids_are_never_shared_within_a_frame(seed, found, true):
    rng = np.random.default_rng(seed)
    boxes = [(t, t + 1 + h, x, x + 1 + w) for t, h, x, w in rng.integers(0, 20, (found + true, 4))]
    ids = matched_ids(instances(*boxes[:found]), instances(*boxes[found:]))
    assert len(set(ids)) == found


def test_a_strip_has_six_panels_of_the_same_size():
    frame, flow, cam, fcam = scene()
    truth = instances((0, 20, 0, 20))
    strip = cam_strip(frame, flow, cam, fcam, truth, truth, ["thing"], height=96)
    # Panels are 96 x (64 * 96 / 48) = 96 x 128, with five gaps of 6.
    assert strip.shape[1] == 6 * 128 + 5 * 6
    panels = [strip[-96:, 134 * n : 134 * n + 128] for n in range(6)]
    for one, other in pairwise(panels[:5]):
        assert (one != other).mean() > 0.2
    # The last two differ by the score in the caption only: the colours are the same.
    np.testing.assert_array_equal(panels[4][80:, 80:], panels[5][80:, 80:])


def test_amplified_places_look_hotter_than_before():
    frame, flow, cam, _ = scene()
    cam = np.full((3, 4), 0.4)
    fcam = cam.copy()
    fcam[:, 2:] *= 2
    strip = cam_strip(frame, flow, cam, fcam, instances(), None, [], height=48).astype(int)
    before = strip[-48:, 2 * 70 : 2 * 70 + 64]
    after = strip[-48:, 3 * 70 : 3 * 70 + 64]
    np.testing.assert_array_equal(before[:, :20], after[:, :20])
    assert after[:, 45:, 0].mean() > before[:, 45:, 0].mean() + 20


def test_missing_flow_truth_classes_and_instances_are_all_fine():
    frame, _, cam, fcam = scene()
    bare = cam_strip(frame, None, cam[:0], fcam[:0], instances(), None, [])
    with_masks = cam_strip(
        frame, None, cam[0], fcam[0], instances(), np.ones((1, 48, 64), bool), []
    )
    assert bare.shape == with_masks.shape


def test_strips_of_different_width_are_stacked_under_a_title():
    narrow, wide = np.zeros((10, 50, 3), np.uint8), np.full((20, 80, 3), 9, np.uint8)
    bare = stack_strips([narrow, wide])
    titled = stack_strips([narrow, wide], "A = 2")
    assert bare.shape == (10 + 6 + 20 + 6, 80 + 12, 3)
    np.testing.assert_array_equal(titled[-len(bare) :], bare)
    assert titled[: -len(bare)].min() < 100  # the title's ink
    np.testing.assert_array_equal(bare[:10, 6:56], narrow)
    with pytest.raises(ValueError, match="no strips"):
        stack_strips([])


def test_a_panel_that_was_no_input_says_so_instead_of_a_map():
    frame, flow, cam, fcam = scene()
    drawn = cam_strip(frame, flow, cam, fcam, instances(), None, [], height=48)
    without = {
        name: cam_strip(frame, flow, cam, fcam, instances(), None, [], height=48, unused={name})
        for name in ("flow", "CAM", "f-CAM")
    }
    for n, name in enumerate(without, start=1):
        panel = slice(70 * n, 70 * n + 64)
        blank = without[name][-48:, panel]
        assert (blank == 225).all(-1).mean() > 0.8  # paper, but for the ink of the note
        assert blank.min() < 200
        assert (drawn[-48:, panel] == 225).all(-1).mean() < 0.1
        np.testing.assert_array_equal(without[name][-48:, :64], drawn[-48:, :64])
    last = cam_strip(frame, None, cam, fcam, instances(), None, [], height=48)
    assert (
        last[-48:, 70:134] != without["flow"][-48:, 70:134]
    ).any()  # no next frame: another note


def test_every_strip_can_have_a_line_above_it():
    strips = [np.zeros((10, 300, 3), np.uint8)] * 2
    bare = stack_strips(strips)
    captioned = stack_strips(strips, captions=["a, frame 3", "b, frame 4"])
    height = (len(captioned) - len(bare)) // 2
    assert height > 10
    parts = captioned[:height], captioned[height + 16 : 2 * height + 16]
    assert all(part.min() < 100 for part in parts)  # ink
    assert (parts[0] != parts[1]).any()
    np.testing.assert_array_equal(captioned[height : height + 16], bare[:16])
