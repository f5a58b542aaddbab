"""Which settings change which results: the promise behind every sweep."""

import pytest

from wsvis.config import Config
from wsvis.pipeline import BY_NAME, LABEL_SOURCES, STAGES
from wsvis.plan import affected, make_plan, merged, settings_read, stage_keys
from wsvis.seeds import stage_seed
from wsvis.settings import RENAMED, flatten, with_overrides
from wsvis.systems import SYSTEMS
from wsvis.types import Dataset

DATA = Dataset("d", ("a",), (), "f" * 64)
HELD_OUT = Dataset("h", ("a",), (), "e" * 64)
ALL = [stage.name for stage in STAGES if stage.name not in ("self_labels", "truth_labels")]
FOUND = {"predictions", "prediction_quality", "tracks", "track_quality", "consistency"}
LEARNT = {"system", *FOUND}
"""What there is once for each source of labels."""


def every_key(overrides, data=DATA):
    """Name -> key of every stage; those of a detector bear the source of its labels."""
    keys = {}
    for labels in LABEL_SOURCES:
        config = with_overrides(Config(), {**overrides, "labels": labels})
        for name, key in stage_keys(config, data, [*ALL, labels]).items():
            keys[f"{labels}:{name}" if name in LEARNT else name] = key
    return keys


def changed(overrides, data=DATA):
    before, after = every_key({}), every_key(overrides, data)
    return {name for name in before if before[name] != after[name]}


def of(labels):
    return {f"{labels}:{name}" for name in LEARNT}


TEACHER = {"teacher:system", "teacher:predictions"}
SELF = {"self_labels", *of("self_labels")}
DETECTOR = {*of("pseudo_labels"), *TEACHER, *SELF}
SUPERVISED = of("truth_labels")
REFINED = {"refined_labels", "refined_label_quality", *of("refined_labels")}
FCAM = {"fcam_labels", "fcam_label_quality", *of("fcam_labels")}
DETECTORS = DETECTOR | SUPERVISED | of("refined_labels") | of("fcam_labels")
FLOWIRN = {"ir_labels", "irn", "pseudo_labels", "pseudo_label_quality"} | DETECTOR | REFINED
MASKS = {"pseudo_masks", "pseudo_mask_quality"} | FCAM


def test_a_and_t_recompute_nothing_upstream_of_fcam():
    assert changed({"fcam.amplification": 3.0}) == FLOWIRN | MASKS
    assert changed({"fcam.percentile": 0.7}) == {
        *FLOWIRN,
        *MASKS,
        "motion_masks",
        "motion_quality",
    }


def test_the_threshold_reaches_labels_and_masks_only():
    assert changed({"ir_labels.foreground_threshold": 0.4}) == {
        *FLOWIRN,
        *MASKS,
        "cam_masks",
        "cam_quality",
    }


def test_lambda_recomputes_from_flowirn_training():
    assert changed({"flow_boundary.regularization": 1.0}) == FLOWIRN - {"ir_labels"}


def test_the_walk_recomputes_the_pseudo_labels_only():
    touched = changed({"walk.beta": 8.0})
    assert touched - DETECTOR - REFINED == {"pseudo_labels", "pseudo_label_quality"}


def test_delta_recomputes_from_the_flow_between_pairs_and_thresholds_from_the_detector():
    assert changed({"pairs.delta": 3}) == DETECTORS | {"pair_flow"}
    for name, value in (("iom_threshold", 0.4), ("box_iou_threshold", 0.4), ("enabled", False)):
        assert changed({f"maskconsist.{name}": value}) == DETECTORS


def test_without_maskconsist_its_thresholds_change_nothing():
    def key(delta=5, **maskconsist):
        named = {f"maskconsist.{name}": value for name, value in maskconsist.items()}
        config = with_overrides(Config(), {**named, "pairs.delta": delta})
        return stage_keys(config, DATA, ["system"])["system"]

    plain = key(enabled=False)
    assert key(enabled=False, iom_threshold=0.4, labels_first=False, start_step=7) == plain
    assert key(delta=3, enabled=False) != plain
    assert key(iom_threshold=0.4) != key()


def test_how_a_detector_looks_at_frames_trains_none_anew():
    # self-training learns from what is found
    untrained = {f"{n}:system" for n in LABEL_SOURCES if n != "self_labels"} | {"teacher:system"}
    assert changed({"inference.score_threshold": 0.1}) == DETECTORS - untrained
    assert changed({"inference.short_side": 0}) == DETECTORS - untrained
    assert changed({"detector.steps": 10}) == DETECTORS


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_is_trained_anew_for_its_own_settings_and_for_no_others(system):
    def key(**settings):
        named = {"system": system, **{n.replace("__", "."): v for n, v in settings.items()}}
        return stage_keys(with_overrides(Config(), named), DATA, ["system"])["system"]

    mine = system == "mask_rcnn"
    assert (key(maskconsist__iom_threshold=0.4) != key()) is mine
    assert (key(pairs__delta=3) != key()) is mine
    assert (key(boxinst__pairwise=0.0) != key()) is not mine
    assert key(detector__steps=10) != key()
    others = [name for name in SYSTEMS if name != system]
    assert key() not in [key(system=name) for name in others]


def test_self_training_changes_nothing_before_its_labels():
    assert changed({"self_training.score": 0.7}) == SELF


def test_how_tracks_and_stability_are_measured_trains_nothing():
    tracked = {f"{n}:{name}" for n in LABEL_SOURCES for name in ("tracks", "track_quality")}
    assert changed({"tracking.class_mode": "per-class"}) == tracked
    steady = {f"{n}:consistency" for n in LABEL_SOURCES}
    assert changed({"consistency.truth_score": 0.3}) == steady


def names(plan):
    return [step.name for step in plan.steps]


def test_the_upper_bound_needs_no_pseudo_label():
    config = with_overrides(Config(), {"labels": "truth_labels"})
    needed = set(names(make_plan(config, DATA, ["prediction_quality"])))
    assert not needed & {"cam", "irn", "pseudo_labels"}


def test_only_measuring_and_the_upper_bound_see_annotated_masks():
    seeing = {stage.name for stage in STAGES if stage.sees_truth}
    measuring = {n for n in seeing if n.endswith("_quality")}
    assert seeing - measuring == {"truth_labels"}
    assert "classifier_quality" not in seeing  # class labels are enough
    config = Config()
    learnt_from = {name for stage in STAGES for name in stage.roles(config).values()}
    assert not measuring & learnt_from


def test_every_setting_reaches_a_stage():
    """All but the seed, which is split, and the two that say which stages and systems there are."""
    config = with_overrides(Config(), {"mask_crf.enabled": True})
    arms = [with_overrides(config, {"system": system}) for system in SYSTEMS]
    named = {n for stage in STAGES for arm in arms for n in stage.depends_on(arm)}
    left = {n for n in flatten(config) if n not in named and n.split(".")[0] not in named}
    assert {n for n in left if not n.startswith("data.")} == {
        *("labels", "self_training.teacher"),  # which stage an input is
    }
    assert "self_labels" in changed({"self_training.teacher": "fcam_labels"})


@pytest.mark.parametrize("name", ["classifier.weights", "detector.weights", "flow.weights"])
def test_a_weights_file_counts_by_what_it_holds(tmp_path, name):
    stage = {"flow": "flow", "detector": "system", "classifier": "classifier"}[name.split(".")[0]]
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"

    def key(path):
        return stage_keys(with_overrides(Config(), {name: str(path)}), DATA, [stage])[stage]

    first.write_bytes(b"one")
    second.write_bytes(b"one")
    before = key(first)
    assert key(second) == before
    first.write_bytes(b"others")
    assert key(first) != before
    assert key("IMAGENET1K_V1") != key("IMAGENET1K_V2")
    assert key(tmp_path) != key("nowhere.pth")  # neither holds anything: their names count


@pytest.mark.parametrize("labels", ["pseudo_labels", "self_labels"])
def test_held_out_videos_get_the_networks_of_the_training_videos(labels):
    config = with_overrides(Config(), {"labels": labels})
    plan = make_plan(config, HELD_OUT, ["prediction_quality"], DATA)
    trained = stage_keys(config, DATA, ["prediction_quality"])
    assert names(plan) == ["frames", "predictions", "prediction_quality"]
    assert list(plan.networks) == [trained["system"]]
    assert plan.keys()["system"] == trained["system"]
    # what makes the network, should it be missing, is planned on the training videos
    network = plan.networks[trained["system"]]
    assert {step.data for step in network.steps} == {DATA.fingerprint}
    assert network.keys() == {name: trained[name] for name in names(network)}
    assert network.steps[-1].name == "system"
    assert make_plan(config, DATA, ["prediction_quality"]).networks == {}


def test_the_crf_reaches_the_labels_and_what_learns_from_them():
    assert changed({"crf.enabled": False}) == FLOWIRN
    # the CRF on masks has the same kernels, and a switch of its own
    on = {"mask_crf.enabled": True}
    before, after = every_key(on), every_key({**on, "crf.stride": 4})
    assert {n for n in before if before[n] != after[n]} == FLOWIRN | FCAM


def test_compensation_recomputes_motion_but_neither_flow_nor_cam():
    touched = changed({"fcam.compensation": "median"})
    assert "motion" in touched
    assert not touched & {"flow", "cam", "classifier", "frames", "cam_quality"}


def test_the_seed_reaches_training_and_what_follows_it_only():
    touched = changed({"seed": 1})
    assert "classifier" in touched
    assert "cam" in touched
    assert not touched & {"frames", "flow", "motion", "motion_quality"}


def test_flow_does_not_depend_on_the_classifier_nor_the_cam_on_flow():
    assert "cam" not in changed({"flow.provider": "farneback"})
    assert "flow" not in changed({"classifier.backbone": "resnet18"})


def test_other_data_changes_everything():
    assert changed({}, HELD_OUT) == set(every_key({}))


def test_every_setting_a_stage_names_exists_and_every_input_comes_before_it():
    seen, config = set(), Config()
    for stage in STAGES:
        for name in stage.roles(config).values():
            # a label source comes after the stage that its teacher is
            assert name in seen or name.startswith("teacher:"), stage.name
        ways = (stage.per_video, stage.whole, stage.training)
        assert sum(way is not None for way in ways) == 1, stage.name
        for name in stage.depends_on(config):
            assert any(k == name or k.startswith(name + ".") for k in flatten(config)), name
        seen.add(stage.name)


def test_only_what_the_target_needs_is_run():
    assert names(make_plan(Config(), DATA, ["motion"])) == ["frames", "flow", "motion"]


def test_settings_that_agree_share_their_steps():
    configs = [with_overrides(Config(), {"walk.beta": beta}) for beta in (8.0, 9.0)]
    plans = [make_plan(config, DATA, ["pseudo_label_quality"]) for config in configs]
    both = merged(plans)
    assert len(both.steps) == len(plans[0].steps) + 2
    levels = [[step.stage for step in level] for level in both.levels()]
    assert ["pseudo_labels", "pseudo_labels"] in levels
    assert [set(level) for level in levels if len(set(level)) > 1] == []
    order = [step.key for level in both.levels() for step in level]
    for step in both.steps:
        for source in step.inputs.values():
            assert order.index(source.key) < order.index(step.key)


def test_the_part_of_a_plan_that_a_step_needs():
    plan = make_plan(Config(), DATA, ["prediction_quality", "pseudo_mask_quality"])
    part = plan.until(plan.step("cam"))
    assert names(part) == ["frames", "classifier", "cam"]


def test_what_a_sweep_changes_is_all_that_comes_after_its_settings():
    plan = make_plan(Config(), DATA, ["pseudo_label_quality"])
    changing = affected(plan, ["fcam.amplification", "walk.beta"])
    assert {step.name for step in plan.steps if step.key in changing} == {
        *("ir_labels", "irn", "pseudo_labels", "pseudo_label_quality"),
    }


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_stage_seeds_are_stable_valid_and_independent_by_name(seed):
    assert stage_seed(seed, "classifier") == stage_seed(seed, "classifier")
    assert stage_seed(seed, "classifier") != stage_seed(seed, "irn")
    assert 0 <= stage_seed(seed, "classifier") < 2**31


def test_names_are_unique():
    assert len(BY_NAME) == len(STAGES)


def test_the_crf_on_masks_trains_nothing_but_detectors_on_refined_labels():
    assert changed({"mask_crf.enabled": True}) == REFINED | FCAM


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_setting_by_its_old_name_is_told_the_new_one(old, new):
    flat = flatten(Config())
    assert old not in flat
    assert new in flat
    with pytest.raises(ValueError, match=f"no setting is called {old}; it is {new} now"):
        with_overrides(Config(), {old: flat[new]})


@pytest.mark.parametrize(
    "settings",
    [
        {"flow_boundary.regularization": 0.7},
        {"flow_boundary.gradient": "magnitude"},
        {"flow.provider": "farneback"},
        {"fcam.percentile": 0.5},
        {"fcam.compensation": "median"},
    ],
)
def test_plain_irn_is_not_trained_again_for_what_it_does_not_use(settings):
    plain = {"fcam.amplification": 1.0, "flow_boundary.weight": 0.0}

    def keys(more):
        return stage_keys(with_overrides(Config(), {**plain, **more}), DATA, ["pseudo_labels"])

    assert keys(settings) == keys({})
    assert keys({"irn.epochs": 1.0}) != keys({})


def test_what_a_class_map_says_counts_and_not_where_it_lies(tmp_path):
    def key(name, text):
        path = tmp_path / name
        path.write_text(text)
        named = {"classifier.trainable": "head", "classifier.head": "imagenet"}
        config = with_overrides(Config(), {**named, "classifier.class_map": str(path)})
        return stage_keys(config, DATA, ["classifier"])["classifier"]

    assert key("a.json", '{"a": []}') == key("b.json", '{"a": []}')
    assert key("a.json", '{"a": []}') != key("a.json", '{"a": ["tench"]}')


def test_settings_read_are_those_that_change_the_key_and_the_data():
    read = settings_read(Config(), make_plan(Config(), DATA, ["pseudo_mask_quality"]).steps)
    whole = flatten(Config())
    assert {name: whole[name] for name in read} == read
    assert {"fcam.amplification", "classifier.backbone", "data.path"} <= read.keys()
    groups = {name.split(".")[0] for name in read}
    assert groups == {"data", "flow", "classifier", "cam", "fcam", "ir_labels", "pseudo_masks"}


@pytest.mark.parametrize(
    ("off", "settings", "target"),
    [
        (
            {"flow_boundary.weight": 0.0},
            {"flow_boundary.regularization": 0.7, "flow_boundary.gradient": "magnitude"},
            "irn",
        ),
        ({"mask_crf.enabled": False}, {"mask_crf.min_area": 0.3}, "refined_labels"),
        ({"maskconsist.enabled": False}, {"maskconsist.iom_threshold": 0.9}, "system"),
        ({"crf.enabled": False}, {"crf.stride": 8}, "ir_labels"),
    ],
)
def test_a_group_that_is_off_counts_as_off_only(off, settings, target):
    on = with_overrides(Config(), {name: type(v)(True) for name, v in off.items()})

    def key(config, more):
        return stage_keys(with_overrides(config, more), DATA, [target])[target]

    without = with_overrides(Config(), off)
    assert key(without, settings) == key(without, {})
    assert key(on, settings) != key(on, {})
    assert key(on, {}) != key(without, {})
