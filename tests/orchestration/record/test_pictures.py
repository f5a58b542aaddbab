"""Strips of pictures: what was no input is said, and which frame is shown."""

import numpy as np
import pytest

from wsvis.config import Config
from wsvis.settings import with_overrides
from wsvis.types import Dataset
from wsvis_platform.record.pictures import FramePictures, stacked, unused_panels

DATA = Dataset("d", ("a",), (), "f" * 64)
PLAIN = {"fcam.amplification": 1.0}
IRN = {**PLAIN, "flow_boundary.weight": 0.0}


@pytest.mark.parametrize(
    ("masks", "overrides", "unused"),
    [
        ("pseudo_masks", {}, set()),
        ("pseudo_masks", PLAIN, {"f-CAM", "flow"}),
        ("cam_masks", {}, {"f-CAM", "flow"}),
        ("motion_masks", {}, {"CAM", "f-CAM"}),
        ("pseudo_labels", {}, set()),
        ("pseudo_labels", PLAIN, {"f-CAM"}),  # f-Bound reads flow
        ("pseudo_labels", IRN, {"f-CAM", "flow"}),
        ("predictions", {**IRN, "maskconsist.enabled": False}, {"f-CAM", "flow"}),
        ("predictions", {**IRN, "maskconsist.enabled": True}, {"f-CAM"}),
        (
            "predictions",
            {"labels": "truth_labels", "maskconsist.enabled": False},
            {"CAM", "f-CAM", "flow"},
        ),
    ],
)
def test_panels_that_are_no_input_of_the_masks(masks, overrides, unused):
    assert unused_panels(with_overrides(Config(), overrides), DATA, masks) == unused


def test_strips_are_stacked_under_their_captions_and_none_is_a_blank():
    strip = np.zeros((20, 300, 3), np.uint8)
    one = FramePictures("clip-7, frame 3", strip, strip)
    other = FramePictures("clip-8, frame 3", strip, strip)
    assert (stacked([one], "title") != stacked([other], "title")).any()
    assert stacked([]).min() == 255
