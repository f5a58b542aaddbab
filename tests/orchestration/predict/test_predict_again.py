"""``wsvis predict`` goes on: what is done, who else is at it, what died, what was asked for."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from orchestration.predict.predict_runs import CLASSES, FRAMES, check_results, film_of, run
from reference.clips_on_disk import write_video
from wsvis.errors import InputError
from wsvis.flow.opencv_flow import OpenCvFlow
from wsvis_platform.predict.folder import PredictJob
from wsvis_platform.predict.video import BackwardFlow, find_videos, read_detector
from wsvis_platform.predict.worker import MOST_DEATHS, VideoPredictor
from wsvis_platform.run_lock import only_driver

pytestmark = pytest.mark.ray


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
