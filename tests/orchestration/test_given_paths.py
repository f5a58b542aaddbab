"""Paths a user gives: absolute once the options are read, or one line; odd names in every place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.settings import flatten, with_overrides
from wsvis_platform.given_paths import absolute_path, absolute_settings
from wsvis_platform.options import RunOptions
from wsvis_platform.record.database_uri import database_file, database_uri
from wsvis_platform.record.mlflow_runs import Runs
from wsvis_platform.study.experiment import parse_experiment

ROOT = Path(__file__).resolve().parents[2]


def parse(*arguments: str) -> tuple[RunOptions, Config]:
    return parse_experiment("x.py", "About.", {"cpu": Config}, RunOptions, arguments)[:2]


def test_every_relative_path_begins_where_the_command_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    options, config = parse(
        *("--output", "out", "--data.path", "clips/instances.json", "--data.frames", "../frames"),
        *("--data.split-file", "split.json", "--classifier.weights", "own.safetensors"),
        *("--flow.weights", "./raft.pth", "--detector.weights", "nets/own.pth.tar"),
    )
    assert options.output == f"{tmp_path}/out"
    assert config.data.path == f"{tmp_path}/clips/instances.json"
    assert config.data.frames == f"{tmp_path}/../frames"
    assert config.data.split_file == f"{tmp_path}/split.json"
    assert config.classifier.weights == f"{tmp_path}/own.safetensors"
    assert config.flow.weights == f"{tmp_path}/./raft.pth"
    assert config.detector.weights == f"{tmp_path}/nets/own.pth.tar"


def test_paths_in_a_config_file_too_and_absolute_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    settings = {"data.path": "clips", "classifier.weights": "/nets/a.pth", "data.frames": "~/jpg"}
    (tmp_path / "deep" / "c.json").write_text(json.dumps(settings))
    _, config = parse("--config-file", "deep/c.json")
    assert config.data.path == f"{tmp_path}/clips"
    assert config.classifier.weights == "/nets/a.pth"
    assert config.data.frames == os.path.expanduser("~/jpg")


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "standin", "none", "classifier", "C_T_V2", ""])
def test_names_of_weights_stay_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / (name or "x")).touch()  # a file of that name changes nothing
    given = {f"{group}.weights": name for group in ("classifier", "detector", "flow")}
    settings = flatten(absolute_settings(with_overrides(Config(), given)))
    assert {settings[setting] for setting in given} == {name}


def test_a_link_stays_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # frames lie beside the link, not beside what it points to
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.json").symlink_to("/elsewhere/instances.json")
    assert absolute_path("link.json", "--data.path") == f"{tmp_path}/link.json"


@pytest.mark.parametrize(
    ("path", "said"),
    [("caf\udce9", "not UTF-8"), ("a\0b", "no path holds")],
)
def test_a_name_no_file_can_have_everywhere_is_one_line(path: str, said: str):
    for arguments in (("--output", path), ("--data.path", path)):
        with pytest.raises(InputError, match=said) as error:
            parse(*arguments)
        assert str(error.value).startswith(arguments[0])
        str(error.value).encode()  # can be shown


def test_an_empty_output_and_a_folder_that_is_gone_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(InputError, match="--output is empty"):
        parse("--output", "")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for output in ("runs", str(tmp_path)):
        with pytest.raises(InputError, match="was deleted"):
            parse("--output", output)


ODD = [
    "plain",
    "a b",
    "job%2Fmain",
    "what?",
    "colon:x",
    "\u00f1and\u00fa",
    "q'u\"ote",
    "h#x",
    "a\nb",
]


@pytest.mark.parametrize("name", ODD)
def test_a_databases_uri_leads_back_to_its_file(name: str, tmp_path: Path):
    file = tmp_path / name / "mlflow.db"
    assert database_file(database_uri(file)) == file
    assert database_file("http://10.0.0.1:5000") is None


@pytest.mark.slow
def test_the_database_lies_in_the_output_folder_and_nothing_beside_it(tmp_path: Path):
    for name in ("job%2Fmain", "what?"):
        runs = Runs.open("", tmp_path / name, "x")
        run, _ = runs.find_or_create("r", "r", {}, None)
        runs.artifacts(run, {"a": 1}, {}, ())
        assert (tmp_path / name / "mlflow.db").is_file()
        assert list((tmp_path / name).rglob("settings.json"))
    assert sorted(os.listdir(tmp_path)) == ["job%2Fmain", "what?"]


@pytest.mark.parametrize("name", [*ODD[:-1], "relative"])
def test_make_ui_names_any_output_as_it_is(name: str, tmp_path: Path):
    output = name if name == "relative" else str(tmp_path / name)
    shown = subprocess.run(
        ["make", "-n", "ui", f"OUTPUT={output}"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    command = shown[shown.index("--output") :].strip()
    said = subprocess.run(["sh", "-c", f'set -- {command}; printf %s "$2"'], capture_output=True)
    assert said.stdout.decode() == output


def test_a_video_whose_name_is_no_utf8_is_read_like_any_other(tmp_path: Path):
    code = """
import os, sys, numpy as np
from pathlib import Path
from wsvis.data.images import probe_video
from wsvis.viz.movies import write_mp4
path = Path(os.fsdecode(os.fsencode(sys.argv[1]) + b"/caf\\xe9.mp4"))
write_mp4(path, [np.full((16, 32, 3), 20 * n, np.uint8) for n in range(5)])
print(probe_video(str(path)))
"""  # in a process of its own: OpenCV used to crash
    paths = os.pathsep.join(folder for folder in sys.path if folder)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "(5, 16, 32)\n", done.stderr
