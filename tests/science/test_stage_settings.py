"""A stage reads every setting that it names, and can read no other."""

import dataclasses
import pickle

import pytest

from science.irn.test_irn_stages import TINY
from wsvis import stage as stage_file
from wsvis.config import Config
from wsvis.data.config import DataConfig
from wsvis.data.load import load_dataset
from wsvis.data.write_ytvis import write_ytvis
from wsvis.one_machine import InMemory, run_step
from wsvis.pipeline import BY_NAME, STAGES
from wsvis.plan import make_plan, merged
from wsvis.setting_views import only
from wsvis.settings import config_slice, flatten, with_overrides
from wsvis.systems import SYSTEMS

QUICK = {
    "data.videos": 1,
    "detector.backbone": "small",
    "detector.weights": "standin",
    "detector.frozen_stages": 0,
    "detector.steps": 1,
    "detector.short_sides": (0, 0),
    "inference.short_side": 0,
    "inference.score_threshold": 0.0,
    "self_training.score": 0.0,
    "self_training.frame_classes": False,
    "pairs.delta": 1,
    "boxinst.mask_channels": 4,
}
TARGETS = [stage.name for stage in STAGES if stage.name.endswith(("_quality", "consistency"))]
RUNS = [
    {
        "labels": "self_labels",
        "mask_crf.enabled": True,
        "motion_split.enabled": True,
        "irn.frozen": False,
    },
    {"system": "boxinst", "irn.initial": "classifier", "detector.weights": "classifier"},
    {"system": "condinst", "labels": "truth_labels"},
]

ONLY_WITH_IMAGENETS_HEAD = {"classifier.class_map"}
"""Its weights are no part of the project; tests/science/backbones has one of its own."""


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Stage -> dotted names of the settings that it read in three small runs."""
    names = {stage.name: set() for stage in STAGES}
    named = {stage.name: set() for stage in STAGES}

    def view(self, config):
        chosen = self.depends_on(config)
        named[self.name] |= set(config_slice(config, chosen))
        return only(config, chosen, names[self.name].add)

    patch = pytest.MonkeyPatch()
    patch.setattr(stage_file.Stage, "view", view)
    configs = [with_overrides(TINY, {**QUICK, **run}) for run in RUNS]
    data = load_dataset(configs[0].data)
    plans = [make_plan(config, data, [*TARGETS, config.labels]) for config in configs]
    # where every frame is listed, flow from one to the next is there already
    path = write_ytvis(data, str(tmp_path_factory.mktemp("clips")))
    thinned = DataConfig(kind="ytvis", path=str(path), split="all", frame_step=2)
    plans.append(make_plan(configs[0], load_dataset(thinned), ["step_flow"]))
    memory, plan = InMemory(), merged(plans)
    for step in plan.steps:
        run_step(step, plan.dataset(step), memory)
    patch.undo()
    return names, named


@pytest.mark.slow
@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_every_setting_that_a_stage_names_is_read(read, stage):
    names, named = read
    assert named[stage] - names[stage] - {"seed", *ONLY_WITH_IMAGENETS_HEAD} == set()


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_no_other_setting_can_be_read(stage):
    config = Config()
    view = BY_NAME[stage].view(config)
    named = set(config_slice(config, BY_NAME[stage].depends_on(config)))
    for name, value in flatten(config).items():
        group, _, leaf = name.partition(".")
        if name in named:
            assert getattr(getattr(view, group), leaf) == value if leaf else True
            continue
        with pytest.raises(AttributeError, match="is no setting of this stage"):
            _ = getattr(getattr(view, group), leaf) if leaf else getattr(view, group)


def test_a_view_says_what_a_switched_off_group_is_in_effect():
    config = with_overrides(
        Config(), {"flow_boundary.weight": 0.0, "flow_boundary.regularization": 9.0}
    )
    view = only(config, ["flow_boundary", "irn.epochs"])
    assert view.flow_boundary.regularization == Config().flow_boundary.regularization
    # a leaf that is named alone is as it was set
    assert only(config, ["flow_boundary.regularization"]).flow_boundary.regularization == 9.0
    assert isinstance(view, Config)
    with pytest.raises(AttributeError, match=r"irn\.frozen is no setting"):
        _ = view.irn.frozen
    with pytest.raises(AttributeError, match="fcam is no setting"):
        _ = view.fcam


def test_a_view_does_not_travel():
    """Processes get the whole configuration and make the view themselves."""
    with pytest.raises(TypeError, match="does not travel"):
        pickle.dumps(only(Config(), ["flow"]))


def test_every_group_of_settings_belongs_to_a_stage():
    groups = {
        f.name for f in dataclasses.fields(Config) if f.name not in ("seed", "data", "labels")
    }
    arms = [with_overrides(Config(), {"system": system}) for system in SYSTEMS]
    named = {n.split(".")[0] for stage in STAGES for arm in arms for n in stage.depends_on(arm)}
    assert groups - named == set()
