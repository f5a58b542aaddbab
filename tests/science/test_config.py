import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvis.cam.config import FCamConfig
from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.settings import config_slice, flatten, with_overrides


def test_defaults_are_the_papers_values():
    config = Config()
    assert config.fcam.amplification == 2.0
    assert config.fcam.percentile == 0.8
    assert config.fcam.compensation == "none"
    assert config.ir_labels.foreground_threshold == 0.30
    assert config.ir_labels.background_threshold == 0.05
    assert config.classifier.backbone == "resnet50"
    assert config.cam.scales == (1.0, 0.5, 1.5, 2.0)


def test_flat_names_survive_json_and_rebuild_the_same_configuration():
    config = with_overrides(Config(), {"fcam.amplification": 3.5, "cam.scales": (1.0, 2.0)})
    text = json.dumps(flatten(config))
    assert with_overrides(Config(), json.loads(text)) == config


def test_every_leaf_can_be_overridden_with_its_own_value():
    config = Config()
    for name, value in flatten(config).items():
        assert with_overrides(config, {name: value}) == config


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("fcam.amplification", 0.5, "fcam.amplification is 0.5; it must lie from 1"),
        ("fcam.percentile", 1.2, "fcam.percentile is 1.2; it must lie from 0 to 1"),
        ("fcam.percentile", float("nan"), "it must be a number"),
        ("fcam.compensation", "medain", "did you mean 'median'?"),
        ("fcam.percentle", 0.5, "did you mean 'fcam.percentile'?"),
        ("classifier.backbone", "resnet51", "did you mean 'resnet50'?"),
        ("fcam.amplification", "three", "must be of type float"),
        ("cam.flip", 1, "must be of type bool"),
        ("detector.short_sides", (512, 480), "give the smaller side first"),
        ("detector.short_sides", (0, 480), "or 0 0 for frames as they are"),
        ("seed", -1, "seed is -1"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_how_to_mend_it(name, value, said):
    with pytest.raises(InputError) as error:
        with_overrides(Config(), {name: value})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@given(st.floats(1, 1e6), st.floats(0, 1))
def test_every_value_in_range_is_taken(amplification, percentile):
    config = FCamConfig(amplification=amplification, percentile=percentile)
    assert (config.amplification, config.percentile) == (amplification, percentile)


def test_configurations_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 3  # pyright: ignore


def test_a_slice_takes_leaves_and_groups_and_refuses_unknown_names():
    config = Config()
    assert config_slice(config, ("fcam.amplification",)) == {"fcam.amplification": 2.0}
    assert set(config_slice(config, ("ir_labels",))) == {
        "ir_labels.foreground_threshold",
        "ir_labels.background_threshold",
    }
    with pytest.raises(KeyError):
        config_slice(config, ("fcam.ampl",))


def test_a_pair_of_numbers_takes_two():
    with pytest.raises(InputError, match=r"detector\.short_sides has 3 values; give 2"):
        with_overrides(Config(), {"detector.short_sides": [1, 2, 3]})
