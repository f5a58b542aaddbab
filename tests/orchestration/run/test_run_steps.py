"""What ``wsvis run`` decides without any annotation, and what it does with its folder."""

from dataclasses import replace

import pytest

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.label_health import LabelHealth
from wsvis.pipeline import BY_NAME
from wsvis.presets import PRESETS
from wsvis.types import Dataset
from wsvis_platform.command.run import whole_sets
from wsvis_platform.run.folder import open_folder
from wsvis_platform.run.steps import (
    FCAM,
    FLOWIRN,
    all_steps,
    chosen_labels,
    detector_steps,
    numbers_line,
    why_masks,
)

GOOD = LabelHealth("any", 10, 0, 20, 0, 0.10, 0.1)


@pytest.mark.parametrize(
    ("fcam", "flowirn", "chosen"),
    [
        (GOOD, GOOD, FLOWIRN),
        (GOOD, replace(GOOD, whole_frame=15), FCAM),
        (GOOD, replace(GOOD, labels=0, median_area=0.0), FCAM),
        (GOOD, replace(GOOD, median_area=0.14), FLOWIRN),
        (GOOD, replace(GOOD, median_area=0.16), FCAM),
        (replace(GOOD, labels=0, median_area=0.0), GOOD, FLOWIRN),
    ],
)
def test_a_detector_learns_from_flowirn_unless_its_labels_ran_away(fcam, flowirn, chosen):
    labels, reason = chosen_labels(fcam, flowirn)
    assert labels == chosen
    assert bool(reason) == (chosen == FCAM)


def test_masks_from_imagenets_head_are_learnt_from_without_flowirn():
    assert "--learn-from flowirn" in why_masks("imagenet")
    assert why_masks("trained") == ""


def test_every_step_names_stages_that_exist():
    for stop in ("masks", "labels", "detector", "tracks"):
        steps = all_steps(stop, "auto")
        for step in steps:
            assert {step.quality, *step.targets} <= set(BY_NAME)
    assert {step.learnt_from for step in steps if step.stage == "tracks"} == {FCAM, FLOWIRN}
    data = Dataset("d", ("a",), (), "f" * 64)
    for step in all_steps("tracks", "fcam"):
        assert "irn" not in {each.stage for each in step.plan(Config(), data).steps}
    assert detector_steps(FCAM)[0].settings(Config()).labels == FCAM


def test_numbers_are_said_in_points_and_nothing_measured_is_said_so():
    assert numbers_line({"ap50": 0.656, "miou": 0.5, "frames": 3}) == "AP50 65.6, mIoU 50.0"
    assert numbers_line({"ap50": 0.0, "ap25": None}) == "AP50 0.0"


def test_nothing_is_held_out_of_a_run_unless_asked():
    assert {make().data.split for make in whole_sets(PRESETS).values()} == {"all"}


def test_a_folder_is_known_again_by_its_data(tmp_path):
    config, out = Config(), tmp_path / "out"
    open_folder(out, config, "wsvis run one")
    open_folder(out, config, "wsvis run two")
    assert (out / "command.txt").read_text() == "wsvis run two\n"
    other = replace(config, data=replace(config.data, path="/elsewhere"))
    with pytest.raises(InputError, match="holds the run of the embedded clips"):
        open_folder(out, other, "wsvis run three")


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(InputError, match="holds other files"):
        open_folder(tmp_path, Config(), "wsvis run")
    with pytest.raises(InputError, match="is a file"):
        open_folder(tmp_path / "thesis.txt", Config(), "wsvis run")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
