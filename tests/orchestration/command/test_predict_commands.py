"""``wsvis predict`` on small films with a detector of random weights."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import save

from reference.clips_on_disk import write_video
from wsvis.data.images import frame_rate, probe_video
from wsvis.errors import InputError
from wsvis.flow.opencv_flow import OpenCvFlow
from wsvis.formats.vis_results import open_results
from wsvis.formats.vis_truth import open_truth
from wsvis.payload import Payload, from_bytes, to_bytes
from wsvis.systems.mask_rcnn.build import build_detector
from wsvis.systems.mask_rcnn.checkpoint import detector_to_payload
from wsvis_platform.cli import dispatch
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.command.predict import predict
from wsvis_platform.predict import run as predict_run
from wsvis_platform.predict.folder import PredictJob
from wsvis_platform.predict.video import BackwardFlow, film_names, find_videos, read_detector
from wsvis_platform.predict.worker import MOST_DEATHS, VideoPredictor, draw_film
from wsvis_platform.run_lock import only_driver

pytestmark = pytest.mark.ray
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


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    with start_ray(num_cpus=2):
        yield


@pytest.fixture(autouse=True)
def one_process(request, monkeypatch):
    """Ray Data takes seconds to start: only tests about it have their videos done by workers."""

    def outcomes(job, rows, machine, *, look):
        predictor = VideoPredictor(job, 1) if look and rows else dict
        return (draw_film(predictor(row), job) for row in rows)

    if "workers" not in request.function.__name__:
        monkeypatch.setattr(predict_run, "ray_outcomes", outcomes)


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


def contents(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def film_of(out, name):
    return out / "videos" / name / "tracks.webm"


def check_results(out, lengths):
    """The two files are YouTube-VIS's; gives the number of tracks per video."""
    truth = open_truth(out / "videos.json", need_annotations=False)
    assert truth.classes == tuple(CLASSES)
    assert [video.length for video in truth.videos.values()] == lengths
    loaded = [load() for load in open_results(out / "results.json", truth)]
    for video, length in zip(loaded, lengths, strict=True):
        for track in video.predicted:
            assert len(track.segmentations) == length
            assert track.score > 0
    return [len(video.predicted) for video in loaded]


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


def job_of(films, checkpoint, **options):
    given = {
        "detector": checkpoint,
        "short_side": -1,
        "frame_step": 1,
        "keep_readable": False,
        "score": 0.2,
        "detections": 5,
        "classes": (),
        "flow": "dis-medium",
        "flow_weights": "",
        "method": "forest",
        "max_tracks": 20,
        "min_score": 0.0,
        "drawn_score": 0.1,
        "film": "none",
        "out": str(films.parent / "out"),
    }
    Path(given["out"]).mkdir(exist_ok=True)
    return PredictJob(**{**given, **options})


def test_a_trouble_of_flow_names_its_film_and_its_options(films, checkpoint, monkeypatch):
    with pytest.raises(InputError, match=r"^--flow-weights: nowhere\.pth: is not there"):
        run(films, checkpoint, flow="raft-small", flow_weights="nowhere.pth")

    def too_small(self, first, second):
        raise InputError("no flow in frames this small")

    monkeypatch.setattr(OpenCvFlow, "flow", too_small)
    predictor = VideoPredictor(job_of(films, checkpoint), 1)
    row = predictor({"path": str(films / "second.avi"), "name": "second"})
    assert row["status"] == "unusable"
    assert row["detail"].startswith(f"{films}/second.avi: no flow")


def test_what_is_done_is_not_done_again(films, checkpoint, capsys):
    out = run(films, checkpoint)
    before = {path: path.stat().st_mtime_ns for path in out.glob("videos/*/*")}
    whole = (out / "results.json").read_bytes()
    film_of(out, "second").unlink()
    write_video(films / "third.mp4", 4)
    capsys.readouterr()
    run(films, checkpoint)
    said = capsys.readouterr().out
    assert "2 of 3 videos are done already" in said
    check_results(out, [FRAMES, 3, 4])
    for path, time in before.items():
        if path != film_of(out, "second"):
            assert path.stat().st_mtime_ns == time
    assert film_of(out, "second").is_file()  # drawn from its stored tracks
    # another film of the same name is another video
    write_video(films / "second.avi", 5, "MJPG")
    run(films, checkpoint)
    check_results(out, [FRAMES, 5, 4])
    # one that is done but for its results
    (out / "videos" / "third" / "results.json").unlink()
    (films / "second.avi").unlink()
    (films / "third.mp4").unlink()
    run(films, checkpoint)
    assert (out / "results.json").read_bytes() != whole  # the second's went with its film
    check_results(out, [FRAMES])


def test_a_folder_goes_on_with_the_same_settings_only(films, checkpoint):
    out = run(films, checkpoint, film="none")
    with pytest.raises(InputError, match="holds predictions with another --max-tracks"):
        run(films, checkpoint, film="none", max_tracks=3)
    with pytest.raises(InputError, match="holds predictions with another --score"):
        run(films, checkpoint, score=0.3)
    run(films, checkpoint, films / "second.avi")  # films may be wished for later
    assert film_of(out, "second").is_file()
    assert not film_of(out, "first clip").is_file()


def test_a_second_command_on_one_folder_is_refused(films, checkpoint):
    out = run(films, checkpoint, films / "second.avi")
    with only_driver(out, "--out"), pytest.raises(InputError, match=r"--out out: .*already"):
        run(films, checkpoint)
    run(films, checkpoint, films / "second.avi")


def test_chosen_classes_and_scores(films, checkpoint):
    every = run(films, checkpoint, film="none", detections=100)
    tracks = json.loads((every / "results.json").read_text())
    most = Counter(track["category_id"] for track in tracks).most_common(1)[0][0]
    middle = sorted(track["score"] for track in tracks)[len(tracks) // 2]
    every.rename(films.parent / "every")
    for number, name in enumerate(CLASSES, start=1):
        some = run(films, checkpoint, film="none", detections=100, classes=(name,))
        left = {track["category_id"] for track in json.loads((some / "results.json").read_text())}
        assert left <= {number}
        assert left or number != most
        some.rename(films.parent / name)
    best = run(films, checkpoint, film="none", detections=100, min_score=middle)
    scores = [track["score"] for track in json.loads((best / "results.json").read_text())]
    assert 0 < len(scores) < len(tracks)
    assert min(scores) >= middle
    with pytest.raises(InputError, match=r"--classes cats: .* did you mean 'cat'\?"):
        run(films, checkpoint, classes=("cats",))


def test_a_video_at_which_processes_die_is_set_aside(films, checkpoint):
    job = job_of(films, checkpoint)
    row = {"path": str(films / "second.avi"), "name": "second"}
    predictor = VideoPredictor(job, 1)
    note = Path(job.out) / "working" / "second.json"
    note.parent.mkdir()
    note.write_text(json.dumps([MOST_DEATHS, 0, 3]))  # what two deaths leave
    outcome = predictor(row)
    assert outcome["status"] == "unusable"
    assert "died 2 times" in outcome["detail"]
    assert predictor(row)["status"] == "done"  # tried afresh by the next command


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
