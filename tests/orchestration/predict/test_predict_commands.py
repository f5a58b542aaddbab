"""``wsvis predict`` on small films with a detector of random weights."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import save

from orchestration.predict.predict_runs import (
    FRAMES,
    check_results,
    contents,
    film_of,
    run,
)
from reference.clips_on_disk import write_video
from wsvis.data.images import frame_rate, probe_video
from wsvis.errors import InputError
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis_platform.cli import dispatch
from wsvis_platform.predict.video import film_names

pytestmark = pytest.mark.ray


def test_films_and_tracks_of_a_folder_by_workers(films, checkpoint, capsys):
    out = run(films, checkpoint)
    assert contents(out) == ["results.json", "settings.json", "videos", "videos.json"]
    for name in ("first clip", "second"):
        assert contents(out / "videos" / name) == [
            "done.json", "results.json", "tracks.webm", "videos.json"
        ]  # fmt: skip
    counts = check_results(out, [FRAMES, 3])
    assert min(counts) > 0
    assert check_results(out / "videos" / "second", [3]) == counts[1:]
    film = str(film_of(out, "first clip"))
    assert probe_video(film) == (FRAMES, 48, 64)
    assert frame_rate(film) == pytest.approx(25)
    listed = json.loads((out / "videos.json").read_text())
    assert [v["name"] for v in listed["videos"]] == ["first clip", "second"]
    assert listed["videos"][0]["file"].endswith("films/first clip.mp4")
    said = capsys.readouterr().out
    assert f"first clip.mp4: {FRAMES} frames, {counts[0]} tracks" in said
    assert f"{sum(counts)} tracks in 2 videos" in said


def test_masks_are_drawn(films, checkpoint):
    out = run(films, checkpoint, films / "first clip.mp4", drawn_score=0.0)
    plain, drawn = (
        cv2.VideoCapture(str(path)).read()[1]
        for path in (films / "first clip.mp4", film_of(out, "first clip"))
    )
    # the film is grey; what is drawn on it has colours
    assert np.ptp(plain.astype(int), axis=2).mean() < 10
    assert np.ptp(drawn.astype(int), axis=2).mean() > 20


def test_every_nth_frame_other_trackers_no_film(films, checkpoint):
    for n, options in enumerate(({"method": "iou"}, {"flow": "none"}, {"method": "online"})):
        out = run(films, checkpoint, frame_step=4, film="none", max_tracks=2, **options)
        assert not list(out.glob("videos/*/tracks.*"))
        assert all(count <= 2 for count in check_results(out, [3, 1]))  # frames 0, 4, 8; 0
        out.rename(films.parent / f"out{n}")


def test_a_slower_film_keeps_its_pace(films, checkpoint):
    out = run(films, checkpoint, films / "first clip.mp4", frame_step=5)
    film = str(film_of(out, "first clip"))
    assert probe_video(film)[0] == 2
    assert frame_rate(film) == pytest.approx(5)


def cut_off(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def test_workers_name_a_broken_film_in_one_line_and_go_on(films, checkpoint, capsys):
    write_video(films / "broken.mp4", 30)
    cut_off(films / "broken.mp4")
    (films / "empty.mp4").write_bytes(b"")
    out = run(films, checkpoint)
    assert contents(out / "videos") == ["first clip", "second"]
    check_results(out, [FRAMES, 3])
    with (out / "unusable.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0].rpartition("/")[2] for row in rows] == ["video", "broken.mp4", "empty.mp4"]
    said = capsys.readouterr().out.splitlines()
    for name in ("broken", "empty"):
        (line,) = [line for line in said if f"{name}.mp4" in line]
        assert line.startswith("warning: ")
    assert "2 of 4 could not be used" in said[-1]


def test_a_film_that_breaks_off_is_one_warning(films, checkpoint, capsys):
    damaged = write_video(films / "damaged.avi", 30, "MJPG")
    cut_off(damaged)
    out = run(films, checkpoint, damaged, films / "second.avi")
    assert check_results(out, [3])
    lines = [line for line in capsys.readouterr().out.splitlines() if "damaged.avi" in line]
    assert len(lines) == 1
    assert lines[0].startswith("warning: ")


def test_nothing_that_works_is_an_error_and_leaves_nothing(films, checkpoint):
    bad = films / "bad.mp4"
    bad.write_bytes(b"not a film")
    with pytest.raises(InputError, match=r"bad\.mp4: is not a video") as error:
        run(films, checkpoint, bad)
    assert "\n" not in str(error.value)
    (films / "worse.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the 2 videos can be used; the first: .*bad"):
        run(films, checkpoint, bad, films / "worse.mp4")
    assert not (films.parent / "out").exists()


def test_a_bad_checkpoint_is_one_line_and_nothing_is_written(films, checkpoint, tmp_path):
    whole = from_bytes(Path(checkpoint).read_bytes())
    part = {name: array for name, array in whole.arrays.items() if "fpn" not in name}
    contents = {
        "text": b"no checkpoint at all",
        "classifier": to_bytes(Payload({}, {"kind": "classifier"})),
        "part": to_bytes(Payload(part, whole.data)),
        "odd": to_bytes(Payload(whole.arrays, {**whole.data, "classes": "three"})),
        "list": save({}, metadata={"data": "[1]"}),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=re.escape(str(tmp_path / name))) as error:
            run(films, str(tmp_path / name))
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="nowhere: there is no such file"):
        run(films, str(tmp_path / "nowhere"))
    assert not (films.parent / "out").exists()


def test_wrong_places_and_values_are_one_line(films, checkpoint, tmp_path):
    with pytest.raises(InputError, match="there is no such file or folder"):
        run(films, checkpoint, tmp_path / "none")
    (tmp_path / "void").mkdir()
    with pytest.raises(InputError, match="void: holds no video"):
        run(films, checkpoint, tmp_path / "void")
    with pytest.raises(InputError, match="--frame-step is 0"):
        run(films, checkpoint, frame_step=0)
    with pytest.raises(InputError, match="no flow provider is called 'dis-quick'"):
        run(films, checkpoint, flow="dis-quick")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    with pytest.raises(InputError, match="exists already"):
        run(films, checkpoint)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_the_command_takes_several_files(films, checkpoint, tmp_path):
    words = ["predict", "--checkpoint", checkpoint, "--out", str(tmp_path / "there")]
    places = [str(films / "second.avi"), str(films / "first clip.mp4")]
    dispatch([*words, "--film", "none", "--score", "0.2", "--videos", *places])
    check_results(tmp_path / "there", [3, FRAMES])


def test_films_keep_the_names_of_their_files():
    paths = ["/a/dog.mp4", "/b/dog.avi", "/b/Dog.mov", "/c/a%b#ü;$.mp4", "/c/.mp4", "/c/.%.mp4"]
    assert film_names(paths) == ["dog", "dog-2", "Dog-3", "a_b_ü__", "mp4", "_"]


def test_an_empty_folder_of_the_users_own_stays(films, checkpoint):
    damaged = write_video(films / "damaged.avi", 30, "MJPG")
    cut_off(damaged)
    out = films.parent / "out"
    out.mkdir()
    with pytest.raises(InputError, match="damaged"):
        run(films, checkpoint, damaged)
    assert out.is_dir()
    assert not list(out.iterdir())
