"""``wsvis predict`` on small films with a detector of random weights."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import save

from reference.clips_on_disk import write_video
from wsvis.data.images import frame_rate, probe_video
from wsvis.detectors.build import build_detector
from wsvis.detectors.checkpoint import detector_to_payload
from wsvis.errors import InputError
from wsvis.evaluation.vis_results import open_results
from wsvis.evaluation.vis_truth import open_truth
from wsvis.flow.opencv_flow import OpenCvFlow
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis_platform.cli import dispatch
from wsvis_platform.predict_commands import predict
from wsvis_platform.predict_video import BackwardFlow, film_names, find_videos, read_detector

CLASSES = ["cat", "dog", "owl"]
FRAMES = 10
"""More than one chunk of frames."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "detector.safetensors"
    model = build_detector(len(CLASSES), backbone="small", seed=1)
    about = {"class_names": CLASSES, "short_side": 48}
    path.write_bytes(to_bytes(detector_to_payload(model, about)))
    return str(path)


@pytest.fixture
def films(tmp_path):
    write_video(tmp_path / "films" / "first clip.mp4", FRAMES)
    write_video(tmp_path / "films" / "second.avi", 3, "MJPG")
    (tmp_path / "films" / "notes.txt").write_text("no film")
    return tmp_path / "films"


def run(films, checkpoint, *videos, **options):
    out = films.parent / "out"
    given = {"score": 0.2, "detections": 5, **options}
    predict(checkpoint=checkpoint, videos=tuple(map(str, videos or [films])), out=str(out), **given)
    return out


def check_results(out, lengths):
    """The two files are YouTube-VIS's; gives the number of tracks per video."""
    truth = open_truth(out / "videos.json", need_annotations=False)
    assert truth.classes == tuple(CLASSES)
    assert {v.name: v.length for v in truth.videos.values()} == {
        str(n): length for n, length in enumerate(lengths, start=1)
    }
    loaded = [load() for load in open_results(out / "results.json", truth)]
    for video, length in zip(loaded, lengths, strict=True):
        for track in video.found:
            assert len(track.segmentations) == length
            assert track.score > 0
    return [len(video.found) for video in loaded]


def test_films_and_tracks_of_a_folder(films, checkpoint, capsys):
    out = run(films, checkpoint)
    assert sorted(path.name for path in out.iterdir()) == [
        "first clip.webm", "results.json", "second.webm", "videos.json"
    ]  # fmt: skip
    counts = check_results(out, [FRAMES, 3])
    assert min(counts) > 0
    assert probe_video(str(out / "first clip.webm")) == (FRAMES, 48, 64)
    assert frame_rate(str(out / "first clip.webm")) == pytest.approx(25)
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
        for path in (films / "first clip.mp4", out / "first clip.webm")
    )
    # the film is grey; what is drawn on it has colours
    assert np.ptp(plain.astype(int), axis=2).mean() < 10
    assert np.ptp(drawn.astype(int), axis=2).mean() > 20


def test_every_nth_frame_other_trackers_no_film(films, checkpoint):
    for n, options in enumerate(({"method": "iou"}, {"flow": "none"}, {"method": "online"})):
        out = run(films, checkpoint, frame_step=4, film="none", max_tracks=2, **options)
        assert sorted(p.name for p in out.iterdir()) == ["results.json", "videos.json"]
        assert all(count <= 2 for count in check_results(out, [3, 1]))  # frames 0, 4, 8; 0
        out.rename(films.parent / f"out{n}")


def test_a_slower_film_keeps_its_pace(films, checkpoint):
    out = run(films, checkpoint, films / "first clip.mp4", frame_step=5)
    assert probe_video(str(out / "first clip.webm"))[0] == 2
    assert frame_rate(str(out / "first clip.webm")) == pytest.approx(5)


def cut_off(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def test_a_broken_film_is_named_in_one_line_and_the_others_go_on(films, checkpoint, capsys):
    write_video(films / "broken.mp4", 30)
    cut_off(films / "broken.mp4")
    (films / "empty.mp4").write_bytes(b"")
    out = run(films, checkpoint)
    assert {path.name for path in out.glob("*.webm")} == {"first clip.webm", "second.webm"}
    check_results(out, [FRAMES, 3])
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


def test_a_trouble_of_flow_names_its_film_and_its_options(films, checkpoint, monkeypatch, capsys):
    with pytest.raises(InputError, match=r"^--flow-weights: nowhere\.pth: is not there"):
        run(films, checkpoint, flow="raft-small", flow_weights="nowhere.pth")
    flow, calls = OpenCvFlow.flow, []

    def too_small(self, first, second):
        calls.append(len(first))
        if calls == [7, 2, 2]:  # two chunks of the film before
            raise InputError("no flow in frames this small")
        return flow(self, first, second)

    monkeypatch.setattr(OpenCvFlow, "flow", too_small)
    run(films, checkpoint)
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "this small" in each]
    assert line.startswith(f"warning: {films}/second.avi: no flow")


def test_files_come_in_order_and_once(films):
    write_video(films / "clip10.mp4", 2)
    write_video(films / "clip9.MP4", 2)
    found = find_videos([str(films), str(films / "second.avi")])
    names = [path.rsplit("/", 1)[1] for path in found]
    assert sorted(names) == ["clip10.mp4", "clip9.MP4", "first clip.mp4", "second.avi"]
    assert names.index("clip9.MP4") < names.index("clip10.mp4")


def test_a_detector_says_what_it_was_trained_on(checkpoint):
    detector = read_detector(checkpoint)
    assert detector.class_names == tuple(CLASSES)
    assert detector.short_side == 48


def test_kept_flow_is_the_flow_that_was_given():
    flow = BackwardFlow(8, 12)
    fields = np.arange(5, dtype=np.float32)[:, None, None, None] * np.ones((1, 8, 12, 2), "f4")
    flow.add(fields[:2])
    flow.add(fields[2:])
    assert len(flow) == 5
    np.testing.assert_allclose([flow[t].mean() for t in range(5)], range(5), atol=1 / 64)
    assert flow[4].shape == (8, 12, 2)
    with pytest.raises(IndexError):
        flow[5]


def test_the_detector_of_a_run_is_found_in_its_folder(films, checkpoint):
    trained = films.parent / "trained"
    with pytest.raises(InputError, match="trained: there is no such folder"):
        run(films, "", run=str(trained))
    trained.mkdir()
    with pytest.raises(InputError, match=r"holds no detector\.safetensors"):
        run(films, "", run=str(trained))
    with pytest.raises(InputError, match="--run"):
        run(films, "")
    Path(trained / "detector.safetensors").write_bytes(Path(checkpoint).read_bytes())
    assert check_results(run(films, "", run=str(trained)), [FRAMES, 3])
