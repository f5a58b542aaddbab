import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from reference.tracking_scenes import frame_of
from wsvis.evaluation.tracks import FoundTrack, TrueTrack, VideoTracks
from wsvis.viz.metric_charts import class_bars, pr_curves
from wsvis.viz.worst_videos import fit, video_fit, worst_first


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def labels(axes):
    return [line.get_label() for line in axes.get_lines() if not line.get_label().startswith("_")]


def test_curves_show_the_given_precision_and_its_mean():
    precision = np.zeros((2, 101, 3))
    precision[0, :, 0] = 1.0
    precision[0, :51, 1] = 0.5
    precision[:, :, 2] = np.nan  # no ground truth: neither drawn nor averaged
    figure = pr_curves(precision, (0.5, 0.75), ["cat", "dog", "cow"], title="t")
    left, right = figure.axes
    # Class 1: 51 of 101 samples at 0.5 -> 25.2; mean with 100: 62.6.
    assert labels(left) == ["IoU 0.50: AP 62.6", "IoU 0.75: AP 0.0"]
    assert labels(right) == ["cat: AP 100.0", "dog: AP 25.2"]
    np.testing.assert_allclose(left.get_lines()[0].get_ydata()[[0, 100]], [0.75, 0.5])
    assert drawn(figure).std() > 10


def test_of_many_classes_the_extremes_are_named():
    precision = np.repeat(np.arange(9)[None, None] / 10.0, 101, axis=1)
    right = pr_curves(precision, (0.5,), [f"c{n}" for n in range(9)]).axes[1]
    named = [text.split(":")[0] for text in labels(right)]
    assert named == ["c8", "c7", "c6", "c2", "c1", "c0"]
    assert len(right.get_lines()) == 9


def test_bars_are_sorted_and_classes_without_truth_are_named_below():
    figure = class_bars(
        {
            "cat": {"AP": 0.2, "AP50": 0.4, "x": 1.0},
            "dog": {"AP": 0.5, "AP50": 0.9, "x": 1.0},
            "cow": {"AP": float("nan"), "AP50": float("nan"), "x": 1.0},
        }
    )
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["cat", "dog"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([20, 50])
    np.testing.assert_allclose(axes.get_lines()[0].get_xdata(), [40, 90])
    assert figure.get_supxlabel() == "no ground truth: cow"
    assert drawn(figure).std() > 10


def test_charts_without_any_class_are_empty_but_drawn():
    assert drawn(class_bars({})).size
    assert drawn(pr_curves(np.full((1, 101, 2), np.nan), (0.5,), ["a", "b"])).size


def test_fit_by_hand():
    iou = np.array([[0.8, 0.1], [0.6, 0.3], [0.9, 0.9]])
    found, true = np.array([0, 0, 1]), np.array([0, 0])
    # Class 1 fits nothing. Best pairs: 0-0 and 1-1: 0.8 + 0.3; left over: score 0.5.
    assert fit(iou, found, true, np.array([0.9, 0.9, 0.5])) == pytest.approx(1.1 / 2.5)
    assert fit(np.zeros((0, 2)), found[:0], true, np.zeros(0)) == 0
    assert fit(np.zeros((0, 0)), found[:0], true[:0], np.zeros(0)) == 1
    assert fit(np.zeros((1, 0)), found[:1], true[:0], np.array([0.3])) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(1, 4))
def test_fit_is_a_share_and_more_false_tracks_lower_it(seed, found, true):
    rng = np.random.default_rng(seed)
    iou, scores = rng.random((found, true)), rng.random(found)
    f, t = rng.integers(0, 2, found), rng.integers(0, 2, true)
    value = fit(iou, f, t, scores)
    assert 0 <= value <= 1
    more = fit(np.vstack([iou, np.zeros(true)]), np.append(f, 0), t, np.append(scores, 0.4))
    assert more <= value
    assert fit(np.eye(true), t, t, np.ones(true)) == 1


def test_the_fit_of_a_video_and_the_order():
    a, b = (frame_of((x, 0, x + 10, 10, 1.0, 0)).masks[0] for x in (0, 30))
    truth = [TrueTrack(0, [a, a]), TrueTrack(0, [b, b], crowd=True)]
    found = [FoundTrack(0, 0.5, [a, None])]
    # Crowds do not count; IoU of the one pair: 100 / 200.
    assert video_fit(VideoTracks(1, 40, 60, 2, truth, found)) == pytest.approx(0.5)
    assert worst_first({3: 0.2, 1: 0.5, 2: 0.2}) == [2, 3, 1]
