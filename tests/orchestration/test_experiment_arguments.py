import json
import sys
from pathlib import Path

import pytest

from wsvis.errors import InputError
from wsvis_platform.options import PredictionSweepOptions, SweepOptions
from wsvis_platform.study.experiment import parse_experiment

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
from wsvis.presets import PRESETS


def parse(*arguments):
    return parse_experiment("sweep.py", "About.", PRESETS, SweepOptions, arguments)


def test_every_preset_is_a_valid_configuration_and_named_in_the_help():
    for name, preset in PRESETS.items():
        options, config, chosen = parse("--preset", name)
        assert config == preset()
        assert chosen == name
        assert options.seeds == (0, 1)


def test_the_paper_presets_hold_the_papers_values():
    ytvis, cityscapes = PRESETS["paper-ytvis"](), PRESETS["paper-cityscapes"]()
    assert (ytvis.fcam.amplification, ytvis.fcam.percentile) == (2.0, 0.8)
    assert (cityscapes.fcam.amplification, cityscapes.fcam.percentile) == (5.0, 0.5)
    for config in (ytvis, cityscapes):
        assert config.fcam.compensation == "none"
        assert config.classifier.backbone == "resnet50"
        assert config.detector.backbone == "resnet50"
        assert (config.detector.learning_rate, config.inference.short_side) == (0.002, 480)
        # frames as far apart as the paper's are neighbours in both lists
        assert config.pairs.delta == 1
    assert (ytvis.detector.steps, cityscapes.detector.steps) == (90_000, 75_000)


def test_a_sweep_over_the_detector_maximises_what_it_finds():
    options, _, _ = parse_experiment("s.py", "About.", PRESETS, PredictionSweepOptions, [])
    assert (options.target, options.metric) == ("prediction_quality", "ap50")
    with pytest.raises(InputError, match="prediction_ap50"):
        parse_experiment(
            "s.py", "About.", PRESETS, PredictionSweepOptions, ["--objective", "pseudo_mask_ap50"]
        )


def test_dotted_settings_and_options_stand_side_by_side():
    options, config, _ = parse(
        "--fcam.amplification", "3", "--seeds", "4", "5", "--num-samples", "2", "--cam.scales", "1"
    )
    assert config.fcam.amplification == 3.0
    assert config.cam.scales == (1.0,)
    assert options.seeds == (4, 5)
    assert options.num_samples == 2


def test_a_config_file_lies_over_the_preset_and_under_the_command_line(tmp_path):
    file = tmp_path / "best.json"
    file.write_text(json.dumps({"fcam.amplification": 4, "fcam.percentile": 0.7}))
    _, config, _ = parse("--config-file", str(file), "--fcam.percentile", "0.9")
    assert config.fcam.amplification == 4.0
    assert config.fcam.percentile == 0.9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "davis-mimi"], "did you mean 'davis-mini'?"),
        (["--fcam.amplificatoin", "2"], "did you mean '--fcam.amplification'?"),
        (["--num-sample", "2"], "did you mean '--num-samples'?"),
        (["--fcam.amplification", "0.5"], "fcam.amplification is 0.5; it must lie from 1"),
        (["--fcam.percentile", "1.5"], "fcam.percentile is 1.5; it must lie from 0 to 1"),
        (["--fcam.percentile", "high"], "--fcam.percentile"),
        (["--fcam.compensation", "medain"], "median"),
        (["--irn.beta", "3"], "it is --walk.beta now"),
        (["--system", "mask_rcn"], "mask_rcnn"),
        (["--labels", "pseudo"], "pseudo_labels"),
        (["--seeds", "1", "1"], "twice"),
        (["--objective", "pseudo_label_ap60"], "pseudo_label_ap50"),
        (["--config-file", "nowhere.json"], "nowhere.json: there is no such file"),
        (["--preset"], "--preset"),
        (["stray"], "stray"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it_and_the_cure(arguments, said):
    with pytest.raises(InputError) as error:
        parse(*arguments)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds no settings"),
        ('{"fcam.ampl": 1}', "did you mean 'fcam.amplification'?"),
        ('{"fcam.amplification": "big"}', "must be of type float"),
        ('{"maskconsist.delta": 3}', "it is pairs.delta now"),
    ],
)
def test_a_bad_config_file_is_named(tmp_path, content, said):
    file = tmp_path / "c.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"c\.json") as error:
        parse("--config-file", str(file))
    assert said in str(error.value)
