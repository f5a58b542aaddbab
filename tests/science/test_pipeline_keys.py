"""Which settings change which results: the promise behind every sweep."""

import pytest

from wsvis.config import Config
from wsvis.pipeline import BY_NAME, STAGES
from wsvis.seeds import stage_seed
from wsvis.settings import flatten, with_overrides
from wsvis.stage_keys import LATER, needed, settings_read, stage_keys, trained_networks
from wsvis.types import Dataset

DATA = Dataset("d", ("a",), (), "f" * 64)
ALL = [stage.name for stage in STAGES]


def changed(overrides, data=DATA):
    before = stage_keys(Config(), DATA, ALL)
    after = stage_keys(with_overrides(Config(), overrides), data, ALL)
    return {name for name in ALL if before[name] != after[name]}


FOUND = {"predictions", "prediction_quality", "tracks", "track_quality", "consistency"}
SELF = {"self_labels", "self_detector", *(f"self_{name}" for name in FOUND)}
DETECTOR = {"detector", *FOUND, *SELF}
SUPERVISED = {"supervised_detector", *(f"supervised_{name}" for name in FOUND)}
REFINED_DETECTOR = {"refined_detector", *(f"refined_{name}" for name in FOUND)}
FCAM_DETECTOR = {"fcam_detector", *(f"fcam_{name}" for name in FOUND)}
REFINED = {"refined_labels", "refined_label_quality", *REFINED_DETECTOR}
FCAM = {"fcam_labels", "fcam_label_quality", *FCAM_DETECTOR}
DETECTORS = DETECTOR | SUPERVISED | REFINED_DETECTOR | FCAM_DETECTOR
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
    touched = changed({"irn.beta": 8.0})
    assert touched - DETECTOR - REFINED == {"pseudo_labels", "pseudo_label_quality"}


def test_delta_recomputes_from_the_flow_between_pairs_and_thresholds_from_the_detector():
    assert changed({"maskconsist.delta": 3}) == DETECTORS | {"delta_flow"}
    for name, value in (("iom_threshold", 0.4), ("box_iou_threshold", 0.4), ("enabled", False)):
        assert changed({f"maskconsist.{name}": value}) == DETECTORS


def test_without_maskconsist_its_thresholds_change_nothing():
    def key(**maskconsist):
        named = {f"maskconsist.{name}": value for name, value in maskconsist.items()}
        return stage_keys(with_overrides(Config(), named), DATA, ["detector"])["detector"]

    plain = key(enabled=False)
    assert key(enabled=False, iom_threshold=0.4, labels_first=False, start_step=7) == plain
    assert key(enabled=False, delta=3) != plain
    assert key(iom_threshold=0.4) != key()


def test_how_a_detector_looks_at_frames_trains_none_anew():
    # self-training learns from what is found
    untrained = {"detector", "supervised_detector", "refined_detector", "fcam_detector"}
    assert changed({"detector.score_threshold": 0.1}) == DETECTORS - untrained
    assert changed({"detector.infer_short_side": 0}) == DETECTORS - untrained
    assert changed({"detector.steps": 10}) == DETECTORS


def test_self_training_changes_nothing_before_its_labels():
    assert changed({"self_training.score": 0.7}) == SELF


def test_how_tracks_and_stability_are_measured_trains_nothing():
    prefixes = ("", "self_", "supervised_", "refined_", "fcam_")
    tracked = {f"{prefix}{name}" for prefix in prefixes for name in ("tracks", "track_quality")}
    assert changed({"tracking.class_mode": "per-class"}) == tracked
    assert changed({"consistency.truth_score": 0.3}) == {f"{p}consistency" for p in prefixes}


def test_the_upper_bound_needs_no_pseudo_label():
    names = {stage.name for stage in needed(["supervised_prediction_quality"])}
    assert not names & {"cam", "irn", "pseudo_labels", "detector"}


def test_only_measuring_and_the_upper_bound_see_annotated_masks():
    seeing = {stage.name for stage in STAGES if stage.sees_truth}
    measuring = {n for n in seeing if n.endswith("_quality")}
    assert seeing - measuring == {"truth_labels"}
    assert "classifier_quality" not in seeing  # class labels are enough
    learnt_from = {name for stage in STAGES for name in stage.inputs}
    assert not measuring & learnt_from


def test_every_setting_of_the_detector_reaches_it_or_its_predictions():
    every = {n for n in flatten(Config()) if n.startswith(("detector.", "maskconsist."))}
    used = (BY_NAME["detector"].settings, BY_NAME["predictions"].settings)
    named = {name for names in used for name in names}
    assert {n for n in every if n not in named and n.split(".")[0] not in named} == set()


@pytest.mark.parametrize("name", ["classifier.weights", "detector.weights", "flow.weights"])
def test_a_weights_file_counts_by_what_it_holds(tmp_path, name):
    stage = {"flow": "flow", "detector": "detector", "classifier": "classifier"}[name.split(".")[0]]
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


def test_held_out_videos_get_the_networks_of_the_training_videos():
    held_out = Dataset("h", ("a",), (), "e" * 64)
    given = trained_networks(Config(), ["prediction_quality"], DATA)
    assert given == {
        name: key
        for name, key in stage_keys(Config(), DATA, ALL).items()
        if name in ("classifier", "irn", "detector")
    }
    names = [stage.name for stage in needed(["prediction_quality"], given)]
    assert names == ["frames", "predictions", "prediction_quality"]
    keys = stage_keys(Config(), held_out, ["prediction_quality"], given)
    assert keys["detector"] == given["detector"]
    assert trained_networks(Config(), ["prediction_quality"], None) == {}


def test_the_crf_reaches_the_labels_and_what_learns_from_them():
    assert changed({"crf.enabled": False}) == FLOWIRN | FCAM


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
    assert changed({}, Dataset("d", ("a",), (), "e" * 64)) == set(ALL)


def test_every_setting_a_stage_names_exists_and_every_input_comes_before_it():
    seen = set()
    for stage in STAGES:
        assert set(stage.inputs) <= seen, stage.name
        assert (stage.per_video is None) != (stage.whole is None), stage.name
        for name in stage.settings:
            assert any(k == name or k.startswith(name + ".") for k in flatten(Config())), name
        seen.add(stage.name)


def test_a_given_key_replaces_a_stage_and_all_before_it():
    keys = stage_keys(Config(), DATA, ["cam"], {"classifier": "abc"})
    assert keys["classifier"] == "abc"
    assert keys["cam"] != stage_keys(Config(), DATA, ["cam"])["cam"]
    names = [stage.name for stage in needed(["cam"], ["classifier"])]
    assert names == ["frames", "cam"]


def test_only_what_the_target_needs_is_run():
    assert [stage.name for stage in needed(["motion"])] == ["frames", "flow", "motion"]


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_stage_seeds_are_stable_valid_and_independent_by_name(seed):
    assert stage_seed(seed, "classifier") == stage_seed(seed, "classifier")
    assert stage_seed(seed, "classifier") != stage_seed(seed, "irn")
    assert 0 <= stage_seed(seed, "classifier") < 2**31


def test_names_are_unique():
    assert len(BY_NAME) == len(STAGES)


def test_the_crf_on_masks_trains_nothing_but_detectors_on_refined_labels():
    assert changed({"mask_crf.enabled": True}) == REFINED | FCAM


def test_settings_that_came_later_leave_the_keys_as_they_were():
    config = Config()
    names = set(flatten(config))
    assert set(LATER) <= names
    for name, value in LATER.items():
        assert flatten(config)[name] == value  # the default does what was done before
    assert (
        changed({"irn.scores": "mass"})
        == {"pseudo_labels", "pseudo_label_quality"} | DETECTOR | REFINED
    )
    assert "classifier" in changed({"classifier.min_steps": 5})


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
    read = settings_read(Config(), needed(["pseudo_mask_quality"]))
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
        ({"maskconsist.enabled": False}, {"maskconsist.iom_threshold": 0.9}, "detector"),
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
