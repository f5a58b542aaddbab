import dataclasses
import json

import pytest

from wsvis import __version__
from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.setting_descriptions import settings_of
from wsvis_platform.cli import dispatch
from wsvis_platform.cluster import gpus
from wsvis_platform.help_pages import requested_help
from wsvis_platform.options import AblationOptions, FlowirnOptions, RunOptions, SweepOptions
from wsvis_platform.study.experiment import parse_experiment
from wsvis_platform.synonyms import unknown_option

PRESETS = {"cpu": Config}
GROUPS = [f.name for f in dataclasses.fields(Config) if f.name not in ("seed", "labels", "system")]


def page(*arguments):
    return requested_help(arguments, "sweep.py", "One.\n\nTwo.", (SweepOptions(),), Config())


def test_the_first_page_fits_on_a_screen_and_names_every_option_and_group(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = page("--seeds", "3", "--help")
    assert text is not None
    lines = text.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    for field in dataclasses.fields(SweepOptions):
        assert f"--{field.name.replace('_', '-')} " in text
    for group in GROUPS:
        assert f"\n  {group} " in text
    assert "--labels " in text
    assert "--system " in text
    assert "Two." not in text


def test_the_page_of_a_group_has_its_settings_with_range_and_default():
    text = page("--help", "fcam")
    assert text is not None
    assert "--fcam.percentile number  [0 to 1; default 0.8]" in text
    assert "none|median|affine|homography" in text
    assert "--cam.scales" not in text


def test_everything_on_one_page():
    text = page("--help-all")
    assert text is not None
    assert "Two." in text
    for group in GROUPS:
        for setting in settings_of(getattr(Config(), group), group):
            assert f"--{group}.{setting.name.replace('_', '-')}" in text


def test_no_page_where_none_is_asked_for_and_one_line_for_a_group_that_is_none():
    assert page("--seeds", "1") is None
    with pytest.raises(InputError, match="did you mean 'fcam'"):
        page("--help", "fcma")


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_has_a_description_and_every_number_a_range(group):
    for setting in settings_of(getattr(Config(), group), group):
        assert setting.description, f"{group}.{setting.name}"
        if "number" in setting.kind:
            assert setting.limits is not None, f"{group}.{setting.name}"


@pytest.mark.parametrize("kind", [RunOptions, AblationOptions, FlowirnOptions, SweepOptions])
def test_every_option_has_a_description(kind):
    assert [s.name for s in settings_of(kind()) if not s.description] == []


def test_help_ends_the_command(capsys):
    with pytest.raises(SystemExit) as stop:
        parse_experiment("sweep.py", "About.", PRESETS, SweepOptions, ["--help", "cam"])
    assert stop.value.code == 0
    assert "--cam.scales" in capsys.readouterr().out


NAMES = [
    *("--gpus", "--output", "--data.path", "--classifier.learning-rate"),
    *("--irn.learning-rate", "--irn.learning-rate-end", "--classifier.batch-size"),
]


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("--gpu", "give --gpus"),
        ("--device=cuda", "give --gpus"),
        ("--lr", "give --classifier.learning-rate or --irn.learning-rate"),
        ("--batch_size", "give --classifier.batch-size"),
        ("--data", "give --data.path"),
        ("--out", "give --output"),
        ("--outptu", "did you mean '--output'?"),
    ],
)
def test_what_people_type_is_answered_with_the_right_name(given, answer):
    assert unknown_option(given, NAMES).endswith(answer)


def test_gpus_are_all_there_are_or_a_number_of_them():
    assert gpus.gpus_to_use("auto", 3) == 3
    assert gpus.gpus_to_use("2", 3) == 2
    with pytest.raises(InputError, match="--gpus 4: this machine has 3; give at most 3"):
        gpus.gpus_to_use("4", 3)
    with pytest.raises(InputError, match="has none; leave it out"):
        gpus.gpus_to_use("1", 0)
    assert gpus.with_gpus(SweepOptions(), 0).gpus_per_worker == 0
    assert gpus.with_gpus(SweepOptions(gpus_per_worker=0.5), 2).gpus_per_worker == 0.5
    assert gpus.with_gpus(SweepOptions(gpus="0"), 2).gpus_per_worker == 0
    with pytest.raises(InputError, match="--gpus is 'all'"):
        RunOptions(gpus="all")


def test_version(capsys):
    dispatch(["--version"])
    assert capsys.readouterr().out == f"wsvis {__version__}\n"


def test_doctor_names_what_would_fail(tmp_path, capsys):
    dispatch(["doctor", "--output", str(tmp_path), "--json"])
    findings = json.loads(capsys.readouterr().out)
    assert {"versions", "machine", "disk", "GPU"} <= {each["subject"] for each in findings}
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SystemExit) as stop:
        dispatch(["doctor", "--output", str(blocked / "below")])
    assert stop.value.code == 1
    assert "bad  disk" in capsys.readouterr().out
