"""Tracks that cannot be measured are refused before the COCO tools see them."""

import json
import math

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from science.evaluation.test_video_ap import WIDTH, one_video, strip
from wsvis.errors import InputError
from wsvis.evaluation.tracks import FoundTrack, TrueTrack, track_areas
from wsvis.evaluation.video_ap import match_video, video_ap
from wsvis.masks import encode_masks


def broken_counts():
    good = strip(1, 2)["counts"]
    return [
        "",
        good[:-1],
        good + "1",
        good[0] + "P" + good[1:],
        "\x7f" + good,
        "é" + good,
        "ooooooooooooooooo1",
        json.dumps(good),
    ]


@pytest.mark.parametrize("counts", broken_counts())
def test_unsound_masks_are_refused_before_the_coco_tools_see_them(counts):
    bad = {"size": [1, WIDTH], "counts": counts}
    found = FoundTrack(0, 0.5, (strip(1), bad), where="results.json: result 7")
    with pytest.raises(InputError, match=r"results.json: result 7, frame 1: [^\n]*$"):
        match_video(one_video([], [found]), 1)


def test_wrong_sizes_lengths_scores_and_doubles_are_refused_in_one_line():
    other = encode_masks(np.ones((1, 2, WIDTH), bool))[0]
    good = FoundTrack(0, 0.5, (strip(1), None))
    cases = [
        (FoundTrack(0, 0.5, (other, None)), "RLE size"),
        (FoundTrack(0, 0.5, (strip(1),)), "has 1 frames, its video 2"),
        (FoundTrack(0, math.nan, (strip(1), None)), "score nan"),
        (FoundTrack(0, math.inf, (strip(1), None)), "score inf"),
    ]
    for found, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            video_ap([one_video([], [found])], 1)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="video 1: appears twice"):
        video_ap([one_video([], [good]), one_video([], [good])], 1)
    with pytest.raises(ValueError, match="label 3"):
        video_ap([one_video([], [FoundTrack(3, 0.5, (None, None))])], 1)


def test_more_than_255_masks_of_a_video():
    # The COCO tools' own area function fails on these with numpy 2.
    masks = [strip(*range(1 + n % 9)) for n in range(300)]
    areas = track_areas([TrueTrack(0, masks)], 1, WIDTH, 300)
    assert areas.tolist() == [[int(coco_mask.area(dict(rle))) for rle in masks]]
