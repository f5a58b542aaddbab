"""How runs are called and described in MLflow."""

import pytest

from wsvis_platform.report.notes import row_note, sweep_note, trial_name
from wsvis_platform.results import Measurement, Row


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (
            {
                "fcam.amplification": 1.587,
                "fcam.percentile": 0.8,
                "ir_labels.foreground_threshold": 0.213,
            },
            "07 A 1.59 T .80 thr .21",
        ),
        ({"fcam.compensation": "median"}, "07 camera median"),
        ({"flow_boundary.regularization": 0.0537}, "07 lambda .054"),
        ({"pairs.delta": 5, "maskconsist.iom_threshold": 0.5}, "07 delta 5 IoM .50"),
        ({"walk.steps": 256, "walk.beta": 10.0}, "07 steps 256 beta 10.00"),
        ({}, "07"),
    ],
)
def test_a_trial_is_called_by_its_number_and_settings(overrides, name):
    assert trial_name("07", overrides) == name


def test_a_pruned_trial_says_so_in_its_name():
    assert trial_name("12", {"fcam.percentile": 0.5}, pruned=True) == "12 pruned T .50"


FOUND = Measurement({"fcam.percentile": 0.8}, (0, 3), [{"ap50": 0.2}, {"ap50": 0.3}])


def test_a_description_has_mean_seeds_held_out_and_the_strip():
    other = Measurement({}, (0, 3), [{"ap50": 0.1}, {"ap50": 0.1}])
    text = row_note("abc", FOUND, other, "detectors/ours_seed0.safetensors", False)
    lines = text.splitlines()
    assert "| training clips | 25.0 ± 7.1 | n/a | n/a |" in lines
    assert "| held-out clips | 10.0 ± 0.0 | n/a | n/a |" in lines
    assert "| training clips, seed 3 | 30.0 | n/a | n/a |" in lines
    assert "detectors/ours_seed0.safetensors" in text
    assert lines[-1].endswith("(get-artifact?path=pictures%2Fstrip.jpg&run_uuid=abc)")
    assert "runed" not in text


def test_the_description_of_a_pruned_trial_begins_with_that():
    assert row_note("abc", FOUND, None, "", True).startswith("Pruned after seed 3")


def test_a_sweep_is_described_by_best_row_pictures_and_table():
    text = sweep_note("abc", Row("best of the sweep", FOUND), "| a |\n", ["objective.png"])
    assert text.startswith("Best: **best of the sweep**, T 0.80")
    assert "![objective.png](get-artifact?path=objective.png&run_uuid=abc)" in text
    assert text.index("| a |") < text.index("![")  # the numbers are what is seen first
    long = sweep_note("abc", Row("ours", FOUND), "| a |\n" * 5000, ["objective.png"])
    assert len(long) < 7000
    assert long.endswith("(get-artifact?path=objective.png&run_uuid=abc)")
