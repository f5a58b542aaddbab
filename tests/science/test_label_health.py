"""Numbers and warnings about labels, without a single annotated mask."""

import numpy as np
import pytest

from reference.clips_on_disk import HEIGHT, WIDTH, rectangle
from wsvis.label_health import inseparable_classes, label_health, training_warnings
from wsvis.types import Dataset, FrameFiles, FrameInstances, Video

WHOLE = rectangle(0, 0, HEIGHT, WIDTH)
HALF = rectangle(0, 0, HEIGHT, WIDTH // 2)


def video(*labels, name="v"):
    return Video(name, HEIGHT, WIDTH, labels, FrameFiles(tuple(f"{n}.png" for n in labels)))


def found(*masks, scores=None):
    scores = scores or [0.1 * (n + 1) for n in range(len(masks))]
    return FrameInstances(
        np.zeros(len(masks), np.int64), np.array(scores, np.float32), tuple(masks)
    )


def test_three_labels_in_two_of_three_frames():
    clip = video((0,), (0,), (0,), ())
    health = label_health("labels", [(clip, [found(HALF, WHOLE), found(HALF), found(), found()])])
    assert (health.frames, health.empty_frames, health.labels, health.whole_frame) == (3, 1, 3, 1)
    assert health.labels_per_frame == 1.0
    assert health.median_area == pytest.approx(0.5)
    assert health.lines()[0] == (
        "labels: 1.00 labels per frame, median area 50.0% of the frame, 33.3% cover over 80%, "
        "1 of 3 frames without one"
    )


def test_whole_frames_are_named_with_the_cure():
    health = label_health("pseudo_labels", [(video((0,)), [found(WHOLE)])])
    assert health.collapsed
    assert health.warnings == (
        "pseudo_labels: 1 of 1 labels cover over 80% of their frame; take masks straight from "
        "f-CAM",
    )


def test_sound_labels_have_no_warning():
    clip = video((0,), (0,))
    health = label_health("labels", [(clip, [found(HALF), found(HALF, scores=[0.7])])])
    assert health.warnings == ()
    assert not health.collapsed


def test_no_label_at_all():
    health = label_health("fcam_labels", [(video((0,), ()), [found(), found()])])
    assert health.collapsed
    assert "no frame has a label" in health.warnings[0]
    assert health.median_area == 0


def test_background_alone_is_nothing_to_warn_of():
    health = label_health("labels", [(video((), ()), [found(), found()])])
    assert health.warnings == ()
    assert health.labels_per_frame == 0


def test_equal_scores_do_not_rank():
    frames = [found(HALF, scores=[1.0]) for _ in range(4)]
    health = label_health("labels", [(video(*[(0,)] * 4), frames)])
    assert not health.scores_rank
    assert "walk.scores" in health.warnings[0]
    assert label_health("labels", [(video((0,)), frames[:1])]).scores_rank


def test_a_class_that_never_leaves_its_only_video():
    data = Dataset(
        "d",
        ("dog", "cat", "cow"),
        (video((0, 1), (0,), name="a"), video((2,), (2,), name="b"), video((2,), name="c")),
        "",
    )
    assert inseparable_classes(data) == ("dog",)
    assert "dog: in every frame" in training_warnings(data, data.classes, 500)[0]
    assert training_warnings(data, ["cat", "cow"], 500) == ()
    assert "12 steps" in training_warnings(data, ["cat"], 12)[0]
