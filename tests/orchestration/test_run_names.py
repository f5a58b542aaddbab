"""Names of runs stay inside the output and are such as a folder can have."""

import subprocess
import sys
from pathlib import Path

import pytest

from wsvis.errors import InputError
from wsvis_platform.names import check_run_name
from wsvis_platform.options import AblationOptions, SweepOptions

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["", "ref", "a b", "lauf-ä", "100%", "it's", ".hidden", "n" * 200])
def test_a_plain_name_is_a_name(name: str):
    check_run_name("--name", name)


@pytest.mark.parametrize(
    "name",
    [
        "/etc",
        "../other",
        "..",
        ".",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\x1b[31m",
        "a\u202eb",
        "a\u2028b",
        "a\udcff",
        " ",
        "a ",
        "n" * 300,
        "ä" * 150,
    ],
)
def test_what_leaves_the_output_or_is_no_folder_is_one_line(name: str):
    with pytest.raises(InputError, match=r"^--name '") as error:
        SweepOptions(name=name)
    line = str(error.value)
    assert len(line) <= 500
    assert line.isprintable()
    assert "give a plain name" in line
    with pytest.raises(InputError):
        AblationOptions(name=name)


def test_a_name_outside_the_output_is_refused_before_anything_is_written(tmp_path: Path):
    output = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "experiments/sweep_fcam.py", "--name", "../up", "--output", str(output)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --name '../up': holds a slash")
    assert not list(tmp_path.iterdir())
