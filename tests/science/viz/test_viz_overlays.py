import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvis.masks import encode_masks
from wsvis.types import FrameInstances
from wsvis.viz.overlays import overlay_instances, overlay_masks
from wsvis.viz.palette import COLOURS, colours_of, ink_on
from wsvis.viz.text import shortened, text_size, write_text


def two_squares(height=60, width=80):
    masks = np.zeros((2, height, width), bool)
    masks[0, 20:40, 10:30] = True
    masks[1, 30:50, 50:70] = True
    return masks


def relative_luminance(colour):
    out = 0.0
    for value, weight in zip(colour, (0.2126, 0.7152, 0.0722), strict=True):
        c = value / 255
        out += weight * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
    return out


def test_an_id_keeps_its_colour_and_neighbours_differ():
    np.testing.assert_array_equal(colours_of([3, 24]), [COLOURS[3], COLOURS[3]])  # 24 = 21 + 3
    assert len({tuple(c) for c in COLOURS.tolist()}) == len(COLOURS) == 21


def test_ink_always_has_the_contrast_that_wcag_asks_of_text():
    for colour in COLOURS:
        paper, ink = relative_luminance(colour), relative_luminance(ink_on(colour))
        light, dark = max(paper, ink), min(paper, ink)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_the_middle_of_a_mask_is_mixed_with_its_colour_and_the_rest_untouched():
    frame = np.full((60, 80, 3), 100, np.uint8)
    colours = np.array([[200, 0, 100], [0, 0, 0]], np.uint8)
    out = overlay_masks(frame, two_squares(), colours, opacity=0.5)
    # 0.5 * 100 + 0.5 * (200, 0, 100) = (150, 50, 100); 0.5 * 100 + 0.5 * 0 = 50.
    np.testing.assert_array_equal(out[30, 20], [150, 50, 100])
    np.testing.assert_array_equal(out[40, 60], [50, 50, 50])
    assert (out[:15] == 100).all()
    assert (frame == 100).all()


def test_a_small_mask_inside_a_large_one_is_drawn_over_it_in_any_order():
    masks = np.zeros((2, 60, 80), bool)
    masks[0, 25:35, 35:45] = True
    masks[1, 5:55, 5:75] = True
    frame = np.zeros((60, 80, 3), np.uint8)
    colours = np.array([[250, 0, 0], [0, 0, 250]], np.uint8)
    one = overlay_masks(frame, masks, colours)
    other = overlay_masks(frame, masks[::-1], colours[::-1])
    np.testing.assert_array_equal(one, other)
    assert one[30, 40, 0] > one[30, 40, 2]


def test_empty_masks_and_no_masks_leave_the_frame_as_it_is():
    frame = np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3)
    none = np.zeros((0, 60, 80), bool)
    np.testing.assert_array_equal(overlay_masks(frame, none, colours_of([])), frame)
    empty = np.zeros((1, 60, 80), bool)
    np.testing.assert_array_equal(
        overlay_masks(frame, empty, colours_of([0]), captions=["x"]), frame
    )


def test_captions_of_masks_at_one_place_do_not_cover_each_other():
    masks = np.zeros((3, 120, 160), bool)
    masks[:, 60:100, 60:100] = True
    masks[1, 60:62] = False
    frame = np.full((120, 160, 3), 128, np.uint8)
    colours = colours_of([0, 1, 2])
    out = overlay_masks(frame, masks, colours, captions=["a", "b", "c"], opacity=0.0)
    # Each caption's card keeps its own, otherwise unused, paper colour somewhere.
    for colour in colours:
        paper = np.round(0.1 * 128 + 0.9 * colour.astype(float))
        assert (np.abs(out.astype(float) - paper).max(-1) <= 12).sum() > 30


def test_the_number_of_captions_is_checked():
    with pytest.raises(ValueError, match="1 captions for 2 masks"):
        overlay_masks(
            np.zeros((60, 80, 3), np.uint8), two_squares(), colours_of([0, 1]), captions=["a"]
        )


def test_colour_by_class_gives_two_of_a_class_one_colour():
    masks = two_squares()
    found = FrameInstances(
        np.array([4, 4]), np.array([0.9, 0.8], np.float32), tuple(encode_masks(masks))
    )
    frame = np.zeros((60, 80, 3), np.uint8)
    names = ["a", "b", "c", "d", "e"]
    by_class = overlay_instances(frame, found, names, colour_by="class")
    by_instance = overlay_instances(frame, found, names)
    by_track = overlay_instances(frame, found, names, ids=[4, 4])
    np.testing.assert_array_equal(by_class[38, 20], by_class[48, 60])
    assert (by_instance[38, 20] != by_instance[48, 60]).any()
    np.testing.assert_array_equal(by_track, by_class)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.integers(8, 40), st.integers(8, 40))
def test_any_masks_can_be_drawn_with_any_captions(seed, height, width):
    rng = np.random.default_rng(seed)
    masks = rng.random((4, height, width)) < rng.random((4, 1, 1))
    frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = overlay_masks(frame, masks, colours_of(range(4)), captions=["", "i", "wide" * 20, "é"])
    assert out.shape == frame.shape
    assert out.dtype == np.uint8


def test_text_is_shortened_to_the_room_there_is():
    assert shortened("person", 12, 1000) == "person"
    cut = shortened("a long name of a class", 12, 60)
    assert cut.endswith("…")
    assert text_size(cut, 12)[0] <= 60
    assert shortened("person", 12, 3) == ""


def test_text_is_written_where_asked_and_may_hang_over_the_edge():
    image = np.full((40, 60, 3), 255, np.uint8)
    write_text(image, "wsvis", 20, 10, size=12)
    assert (image[:10] == 255).all()
    assert (image[:, :20] == 255).all()
    assert image[10:30, 20:].min() < 100
    before = image.copy()
    write_text(image, "out", 100, 100, size=12)
    np.testing.assert_array_equal(image, before)
    write_text(image, "over", -10, 30, size=12)
    assert (image != before).any()
