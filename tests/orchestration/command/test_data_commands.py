"""``wsvis data``: what it prints and how it ends."""

from __future__ import annotations

import pytest

from reference.clips_on_disk import write_ytvis_files, ytvis_content
from wsvis.data.splits import load_split
from wsvis_platform.command.data import data_check, data_split, data_synth
from wsvis_platform.console import run_command


def ended(command) -> int:
    with pytest.raises(SystemExit) as end:
        run_command(command)
    return end.value.code


def test_synth_then_check(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert ended(lambda: data_synth(out, videos=2, frames=4, height=64, width=96)) == 0
    assert "instances.json: 2 clips, 8 classes" in capsys.readouterr().out
    assert ended(lambda: data_check(out)) == 0
    shown = capsys.readouterr().out
    assert "out (ytvis): 2 videos, 8 frames (4 to 4 per video)" in shown
    assert "sizes (videos): 96x64 (2)" in shown
    assert "labelled frames" in shown
    assert "nothing is wrong" in shown
    assert ended(lambda: data_synth(out)) == 2  # it is there already
    assert capsys.readouterr().err.startswith(f"error: {out}: exists already")


def test_check_lists_every_problem_and_ends_with_two(tmp_path, capsys):
    content = ytvis_content(3)
    content["videos"][0]["length"] = 1
    path = str(write_ytvis_files(tmp_path, content))
    frame = tmp_path / "JPEGImages" / "clip3" / "00001.jpg"
    frame.write_bytes(frame.read_bytes()[:-9])
    assert ended(lambda: data_check(path)) == 2
    shown = capsys.readouterr()
    problems = [line for line in shown.out.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 3  # the video, the annotation of a video left out, the frame
    assert "class3" in shown.out  # what is in it is shown all the same
    assert shown.err == f"error: {path}: 3 problems; each is listed with its cure\n"


@pytest.mark.parametrize("make", [None, "text", "folder"])
def test_check_of_something_else_is_one_line(tmp_path, capsys, make):
    path = tmp_path / "thing"
    if make == "text":
        path.write_text("hello")
    elif make == "folder":
        path.mkdir()
    assert ended(lambda: data_check(str(path))) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {path}: ")


def test_split_is_saved(tmp_path, capsys):
    content = ytvis_content(4)
    for annotation in content["annotations"]:
        annotation["category_id"] = 10
    path = str(write_ytvis_files(tmp_path, content))
    out = str(tmp_path / "split.json")
    assert ended(lambda: data_split(path, out, held_out_per_class=1)) == 0
    assert "3 train, 1 val" in capsys.readouterr().out
    assert len(load_split(out).val) == 1
    (tmp_path / "city" / "gtFine").mkdir(parents=True)
    assert ended(lambda: data_split(str(tmp_path / "city"), out)) == 2
    assert "has its own split" in capsys.readouterr().err


def test_a_split_without_validation_videos_is_not_written(tmp_path, capsys):
    path = str(write_ytvis_files(tmp_path, ytvis_content(3)))
    out = tmp_path / "split.json"
    assert ended(lambda: data_split(path, str(out))) == 2
    assert "no class has two videos, so that none is held out" in capsys.readouterr().err
    assert not out.exists()
    assert ended(lambda: data_check(path)) == 0
    shown = capsys.readouterr().out
    assert "warning: 3 of 3 classes have one video" in shown
    assert "nothing is wrong" in shown
