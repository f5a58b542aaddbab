"""Tables of ablations: the numbers, the paired test, and where each cell comes from."""

import math

import pytest

from wsvis.evaluation.report import json_ready
from wsvis_platform.report.tables import (
    Columns,
    latex_table,
    markdown_table,
    paired_difference,
    table_cells,
    uneven,
)
from wsvis_platform.report.trace import traced_rows
from wsvis_platform.results import Measurement, Row, merged


def measurement(*ap50, coverage=1.0, seeds=None):
    seeds = seeds or tuple(range(len(ap50)))
    rows = [{"ap50": value, "ap25": 2 * value, "miou": 0.5} for value in ap50]
    keys = [{"pseudo_label_quality": f"key{seed}"} for seed in seeds]
    return Measurement({"x": 1}, seeds, rows, keys, ("a",), ("b",), coverage)


def test_paired_difference_by_hand():
    # differences .1, .2, .3: mean .2, std .1, t = .2 / (.1 / sqrt 3) = 3.464, two-sided p = .0742
    found = paired_difference(measurement(0.3, 0.5, 0.7), measurement(0.2, 0.3, 0.4))
    assert found.mean == pytest.approx(0.2)
    assert found.std == pytest.approx(0.1)
    assert found.p == pytest.approx(0.0742, abs=1e-4)


def test_pairing_beats_the_spread_of_the_seeds():
    # scores spread by .3 over seeds, yet every seed gains .10 to .12
    gain = paired_difference(measurement(0.21, 0.51, 0.82), measurement(0.1, 0.4, 0.7))
    assert gain.p < 0.01


def test_no_spread_or_one_seed_has_no_p():
    assert math.isnan(paired_difference(measurement(0.5, 0.5), measurement(0.25, 0.25)).p)
    single = paired_difference(measurement(0.5), measurement(0.25))
    assert single.mean == pytest.approx(0.25)
    assert math.isnan(single.std)
    assert math.isnan(single.p)


@pytest.mark.parametrize(
    "other", [measurement(0.1, 0.2, seeds=(0, 2)), measurement(0.1, 0.2, coverage=0.9)]
)
def test_runs_that_differ_in_seeds_or_coverage_are_not_compared(other):
    with pytest.raises(ValueError, match=r"cannot be paired|covers"):
        paired_difference(other, measurement(0.1, 0.2))


def test_a_row_that_covers_other_videos_has_no_gain_and_is_named():
    rows = [
        Row("a", measurement(0.1, 0.2), measurement(0.1, 0.2)),
        Row("b", measurement(0.2, 0.2), measurement(0.3, 0.3, coverage=0.9)),
    ]
    _, cells = table_cells(rows, Columns(("ap50",)))
    assert cells[1][1:4] == ["20.0 ± 0.0", "+5.0 ± 7.1", "0.500"]
    assert cells[1][4:] == ["30.0 ± 0.0", "n/a", ""]
    assert uneven(rows) == [
        "b: 90% of the held-out videos could be used, for a 100%: no gain is given"
    ]


def test_json_gets_no_nan():
    scores = {"tc": math.nan, "rows": ({"x": math.inf}, 1.5, "nan")}
    assert json_ready(scores) == {"tc": None, "rows": [{"x": None}, 1.5, "nan"]}


ROWS = [
    Row("IRN", measurement(0.2, 0.3, 0.4), measurement(0.1, 0.1, 0.1), {"YTVIS": 25.42}),
    Row("flow_IRN", measurement(0.3, 0.5, 0.7), None, {"YTVIS": 28.45, "Cityscapes": 10.75}),
]


def test_cells_of_a_table():
    heads, cells = table_cells(ROWS)
    assert heads[:6] == ["", "AP50", "AP25", "mIoU", "AP50 gain", "p"]
    assert cells[0][:2] == ["IRN", "30.0 ± 10.0"]
    assert cells[0][4:6] == ["", ""]
    assert cells[1][4:6] == ["+20.0 ± 10.0", "0.074"]
    assert cells[0][-2:] == ["25.42", ""]
    assert cells[1][-2:] == ["28.45", "10.75"]
    assert cells[0][heads.index("held-out AP50")] == "10.0 ± 0.0"
    assert cells[1][heads.index("held-out AP50")] == ""


def scored(ap50, tc, instances):
    rows = [
        {"ap50": a, "tc": b, "instances_per_frame": c}
        for a, b, c in zip(ap50, tc, instances, strict=True)
    ]
    return Measurement({}, (0, 1), rows, [{}, {}])


THREE = [
    Row("A", scored((0.2, 0.2), (0.5, 0.5), (1, 2)), scored((0.1, 0.1), (0.4, 0.4), (1, 1))),
    Row("B", scored((0.3, 0.5), (0.5, 0.7), (1, 2)), scored((0.2, 0.2), (0.4, 0.6), (1, 1))),
    Row(
        "C",
        scored((0.3, 0.6), (0.5, 0.9), (1, 2)),
        scored((0.2, 0.3), (0.4, 0.7), (2, 3)),
        {"YTVIS": 1, "TC": 2},
        against="B",
    ),
]


def test_a_table_shows_the_columns_sides_and_gains_it_is_told_to():
    columns = Columns(
        ("ap50", "instances_per_frame"), ("ap50", "tc"), ("held-out", "training"), ("TC",)
    )
    heads, cells = table_cells(THREE, columns)
    assert heads == [
        "",
        "AP50",
        "instances per frame",
        "AP50 gain",
        "p of AP50",
        "TC gain",
        "p of TC",
        "training AP50",
        "training instances per frame",
        "training AP50 gain",
        "training p of AP50",
        "training TC gain",
        "training p of TC",
        "paper, TC",
    ]
    assert cells[0][1:7] == ["10.0 ± 0.0", "1.00 ± 0.00", "", "", "", ""]
    assert cells[1][3] == "+10.0 ± 0.0"
    # C is held against B, not against A: .0 and .1
    assert cells[2][1:4] == ["25.0 ± 7.1", "2.50 ± 0.71", "+5.0 ± 7.1"]
    assert cells[2][5] == "+5.0 ± 7.1"
    assert cells[2][-1] == "2.00"
    assert [row["compared_with"] for row in traced_rows(THREE)] == ["A", "A", "B"]


def test_a_table_of_held_out_clips_falls_back_to_the_training_clips():
    held_out = Columns(("ap50",), sides=("held-out",))
    assert table_cells(THREE, held_out)[1][0][1] == "10.0 ± 0.0"
    without = [Row(row.name, row.measurement) for row in THREE[:2]]
    assert table_cells(without, held_out)[1][0][1] == "20.0 ± 0.0"


def test_a_tiny_p_is_not_shown_as_nothing():
    # differences .3, .3001, .2999: t = 5196 with two degrees of freedom
    rows = [Row("A", measurement(0.1, 0.1, 0.1)), Row("B", measurement(0.4, 0.4001, 0.3999))]
    assert table_cells(rows)[1][1][5] == "<0.001"
    assert r"$<$0.001" in latex_table(rows, "")


def test_markdown_and_latex_have_every_row_and_column():
    text = markdown_table(ROWS, "Caption.")
    lines = text.splitlines()
    assert {line.count("|") for line in lines[:4]} == {lines[0].count("|")}
    assert lines[-1] == "Caption."
    latex = latex_table(ROWS, "50 % of it")
    assert r"flow\_IRN" in latex
    assert r"$\pm$" in latex
    assert r"50 \% of it" in latex
    body = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert len({line.count("&") for line in body}) == 1
    assert len(body) == 3


def test_every_cell_traces_to_its_stored_results():
    traced = traced_rows(ROWS)
    run = traced[0]["training"]["runs"][2]
    assert run == {
        "seed": 2,
        "scores": {"ap50": 0.4, "ap25": 0.8, "miou": 0.5},
        "store_keys": {"pseudo_label_quality": "key2"},
    }
    assert traced[0]["held_out"]["runs"][0]["scores"]["ap50"] == 0.1
    assert "held_out" not in traced[1]


def test_seeds_measured_apart_merge_into_one_measurement():
    parts = [
        Measurement({"x": 1}, (0,), [{"ap50": 0.1}], [{"s": "a"}], ("irn",), ("cam",), 1.0),
        Measurement({"x": 1}, (3,), [{"ap50": 0.3}], [{"s": "b"}], (), ("irn", "cam"), 0.5),
    ]
    whole = merged(parts)
    assert whole.seeds == (0, 3)
    assert whole.mean("ap50") == pytest.approx(0.2)
    assert whole.keys == [{"s": "a"}, {"s": "b"}]
    assert whole.computed == ("irn",)
    assert whole.reused == ("cam",)
    assert whole.coverage == 0.5
