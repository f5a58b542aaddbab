import numpy as np
import pytest

from reference.tracking_scenes import HEIGHT, WIDTH, frame_of
from wsvis.types import Instance, Track
from wsvis.viz.palette import colours_of
from wsvis.viz.track_overlays import contact_sheet, draw_tracks, paired_ids, track_film

NAMES = ["cat", "dog"]


def rle(left, top, right, bottom):
    return frame_of((left, top, right, bottom, 1.0, 0)).masks[0]


def track(number, *masks, label=0, score=0.5):
    return Track(number, label, score, masks, tuple(None if m is None else 0.5 for m in masks))


LEFT, RIGHT = rle(5, 5, 20, 35), rle(40, 5, 55, 35)
FRAMES = [np.full((HEIGHT, WIDTH, 3), 100, np.uint8) for _ in range(4)]


def test_a_track_keeps_its_colour_in_every_frame_and_is_drawn_only_where_it_is():
    tracks = [track(0, LEFT, None, RIGHT, LEFT), track(1, None, None, LEFT, None)]
    film = list(track_film(FRAMES, tracks, NAMES))
    colours = colours_of([0, 1]).astype(float)
    expected = np.round(0.6 * 100 + 0.4 * colours)
    np.testing.assert_array_equal(film[0][30, 12], expected[0])
    np.testing.assert_array_equal(film[3][30, 12], expected[0])
    np.testing.assert_array_equal(film[2][30, 47], expected[0])
    np.testing.assert_array_equal(film[2][30, 12], expected[1])
    assert (film[1] == 100).all()


def test_low_scoring_tracks_can_be_left_out():
    tracks = [track(0, LEFT, None, None, None, score=0.2), track(1, RIGHT, None, None, None)]
    (first, *_) = track_film(FRAMES, tracks, NAMES, min_score=0.3)
    assert (first[15:, :25] == 100).all()
    assert (first[:, 42:53] != 100).any()


def test_colours_can_be_given_and_captions_left_away():
    frame = draw_tracks(FRAMES[0], [track(0, LEFT)], 0, NAMES, colour_ids=[4], captions=False)
    np.testing.assert_array_equal(frame[30, 12], np.round(60 + 0.4 * colours_of([4])[0]))
    np.testing.assert_array_equal(frame[9, 12], frame[30, 12])  # no caption over the mask's top


def test_a_track_takes_the_number_of_the_object_it_fits_best():
    truth = [Instance(7, 0, (LEFT, LEFT)), Instance(9, 1, (RIGHT, None))]
    found = [
        track(0, rle(0, 0, 3, 3), None),  # fits nothing
        track(1, RIGHT, None, label=0),  # fits object 1, whatever its class
        track(2, LEFT, RIGHT),  # object 0: 450 shared of 3 * 450
        track(3, LEFT, LEFT),  # object 0, perfectly
    ]
    assert paired_ids(found, truth) == [2, 1, 3, 0]
    assert paired_ids(found, []) == [0, 1, 2, 3]
    assert paired_ids([], truth) == []


def test_a_sheet_shows_truth_above_tracks_and_bars_where_they_are():
    tracks = [track(0, LEFT, None, None, LEFT)]
    truth = [Instance(1, 0, (LEFT, LEFT, LEFT, LEFT))]
    plain = contact_sheet(FRAMES, tracks, NAMES, columns=4, width=120)
    both = contact_sheet(FRAMES, tracks, NAMES, truth=truth, title="a clip", columns=4, width=120)
    assert plain.shape[1] == both.shape[1] == 4 * 120 + 3 * 6 + 2 * 6
    assert len(both) > len(plain) + 80
    # The track's bar is in its colour in the first and the last quarter, and absent between.
    colour = colours_of([0])[0]
    width = plain.shape[1] - 12
    row = plain[-14] if (plain[-14] == colour).all(-1).any() else plain[-18]
    hits = np.flatnonzero((row == colour).all(-1)) - 6
    hits = hits[hits >= 230]
    quarter = (width - 230) / 4
    assert hits.min() < 230 + 2
    assert hits.max() > width - 4
    assert not ((hits > 230 + quarter + 1) & (hits < 230 + 3 * quarter - 1)).any()


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_sheets_of_short_videos_and_of_none_found(frames):
    nothing = contact_sheet(FRAMES[:frames], [], NAMES, columns=3, width=100)
    one = contact_sheet(
        FRAMES[:frames], [track(0, *[LEFT] * frames)], NAMES, truth=[], columns=3, width=100
    )
    assert nothing.shape[1] == one.shape[1] == 3 * 100 + 2 * 6 + 2 * 6


def test_a_sheet_with_too_many_tracks_says_so():
    tracks = [track(n, LEFT, LEFT) for n in range(6)]
    few = contact_sheet(FRAMES[:2], tracks, NAMES, columns=2, width=200, most=2)
    every = contact_sheet(FRAMES[:2], tracks, NAMES, columns=2, width=200)
    assert len(few) < len(every)
    assert few[6:30].min() < 100  # the line "best 2 of 6 tracks"
