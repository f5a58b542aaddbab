"""Figures of a sweep: the best is ringed, failed trials are seen, importance finds what matters."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from wsvis_platform.report.figures import objective_figure
from wsvis_platform.report.importance_figure import importance_figure, setting_importance

AXES = ("fcam.amplification", "fcam.percentile")


def row(a: float, t: float, mean: float, std: float = math.nan, camera: str = "none") -> dict:
    return {
        "fcam.amplification": a,
        "fcam.percentile": t,
        "fcam.compensation": camera,
        "ap50": mean,
        "ap50_std": std,
    }


def many(count: int) -> list[dict[str, Any]]:
    """The objective depends on A alone."""
    values = np.random.default_rng(3).uniform(size=(count, 2))
    cameras = ["none", "median", "affine"]
    return [row(1 + 5 * a, t, a, 0.01, cameras[i % 3]) for i, (a, t) in enumerate(values)]


def texts(figure: Figure) -> str:
    axes = figure.axes[0]
    return " | ".join([axes.get_title("left"), *(text.get_text() for text in axes.texts)])


def drawn(figure: Figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    file.seek(0)
    return imread(file)


def test_the_best_is_ringed_at_its_place_with_mean_and_std_in_points():
    figure = objective_figure(
        [row(2, 0.8, 0.10, 0.02), row(3, 0.9, 0.253, 0.012), row(1, 0.5, 0.2)], AXES, "ap50"
    )
    assert "best 25.3 ± 1.2" in texts(figure)
    ring = figure.axes[0].collections[-1]
    assert np.asarray(ring.get_offsets()).tolist() == [[3, 0.9]]
    assert "AP50 of 3 trials" in texts(figure)


def test_one_seed_shows_no_deviation():
    assert texts(objective_figure([row(2, 0.8, 0.1)], AXES, "ap50")).endswith("best 10.0")


def test_a_trial_without_a_number_is_never_best_and_is_shown_as_failed():
    figure = objective_figure([row(2, 0.8, math.nan), row(3, 0.9, 0.1)], AXES, "ap50")
    assert "best 10.0" in texts(figure)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["failed"]
    assert "best" not in texts(objective_figure([row(2, 0.8, math.nan)], AXES, "ap50"))


def test_words_get_their_own_markers_and_may_be_an_axis():
    rows = [row(2, 0.8, 0.1, camera="none"), row(3, 0.9, 0.2, camera="median")]
    legend = objective_figure(rows, AXES, "ap50").axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["median", "none"]
    other = objective_figure(rows, ("fcam.compensation", "fcam.percentile"), "ap50").axes[0]
    assert [tick.get_text() for tick in other.get_xticklabels()] == ["median", "none"]


@pytest.mark.parametrize("count", [0, 1, 12])
def test_every_figure_can_be_drawn(count: int):
    for figure in (
        objective_figure(many(count), AXES, "ap50"),
        importance_figure(many(count), "ap50", 0),
    ):
        picture = drawn(figure)
        assert picture[..., :3].min() < 0.9
        assert picture[..., :3].max() == 1
    assert "no finished trial" in texts(objective_figure([], AXES, "ap50"))


def test_trials_on_one_line_or_all_alike_are_drawn():
    line = [row(a, 0.8, a / 20) for a in range(1, 15)]
    alike = [row(2, 0.8, 0.1) for _ in range(15)]
    for rows in (line, alike):
        assert drawn(objective_figure(rows, AXES, "ap50"))[..., :3].min() < 0.5


def test_importance_finds_the_one_setting_that_matters_and_is_repeatable():
    found = setting_importance(many(40), "ap50", seed=0)
    assert next(iter(found)) == "fcam.amplification"
    assert found["fcam.amplification"] > 0.9
    assert set(found) == {"fcam.amplification", "fcam.percentile", "fcam.compensation"}
    assert sum(found.values()) == pytest.approx(1)
    assert found == setting_importance(many(40), "ap50", seed=0)
    assert "What AP50 depended on, 40 trials" in texts(importance_figure(many(40), "ap50", 0))


def test_importance_says_nothing_where_nothing_can_be_said():
    assert setting_importance(many(7), "ap50", 0) == {}
    constant = [{**each, "ap50": 0.2} for each in many(20)]
    assert setting_importance(constant, "ap50", 0) == {}
    nothing_varies = [row(2, 0.8, i / 20) for i in range(20)]
    assert setting_importance(nothing_varies, "ap50", 0) == {}
    unfinished = many(6) + [row(2, 0.8, math.nan)] * 10
    assert setting_importance(unfinished, "ap50", 0) == {}
    few = importance_figure(many(7), "ap50", 0)
    assert few.get_suptitle().startswith("7 trials: too few")
    assert len(few.axes) == 3  # the objective over each of the three settings
    assert all(len(ax.lines[0].get_xdata()) == 7 for ax in few.axes)


def test_every_pair_of_settings_that_vary_has_a_panel():
    figure = objective_figure(many(12), AXES, "ap50")
    labels = {(ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes if ax.get_xlabel()}
    assert ("A, amplification", "T, flow percentile") in labels
    assert ("A, amplification", "camera compensation") in labels
    assert len(labels) == 3


def test_pruned_trials_are_hollow_and_never_best():
    rows = [row(2, 0.8, 0.1), {**row(3, 0.9, 0.9), "pruned": True}]
    figure = objective_figure(rows, AXES, "ap50")
    assert "best 10.0" in texts(figure)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["pruned"]
    hollow = figure.axes[0].collections[1]
    assert np.asarray(hollow.get_facecolor())[0].tolist() == [1, 1, 1, 1]
