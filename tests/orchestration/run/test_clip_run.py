"""``wsvis run`` on tiny videos: what it leaves, how it goes on, what it refuses."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from wsvis.data.synthetic import synthetic_dataset
from wsvis.data.write_ytvis import write_ytvis
from wsvis.errors import InputError
from wsvis.exports.video_files import write_video_files
from wsvis.formats.vis_results import open_results
from wsvis.formats.vis_truth import open_truth
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.command.export import export
from wsvis_platform.command.run import run
from wsvis_platform.predict.video import read_detector
from wsvis_platform.run_lock import only_driver

pytestmark = [pytest.mark.slow, pytest.mark.ray]

FRAMES = 5
SIZE = {"frames": FRAMES, "height": 96, "width": 128}
QUICK = [
    *("--preset", "cpu", "--learn-from", "flowirn", "--flow.provider", "dis-ultrafast"),
    *("--classifier.weights", "none", "--classifier.epochs", "1", "--cam.scales", "1"),
    *("--irn.epochs", "1", "--walk.steps", "8", "--walk.refinements", "5"),
    *("--detector.steps", "2", "--pairs.delta", "1", "--inference.score-threshold", "0"),
]


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    with start_ray(num_cpus=2):
        yield


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user") / "clips"
    dataset = synthetic_dataset("train", 3, SIZE)
    write_video_files(dataset, str(folder))
    return folder


def arguments(clips, out, *more):
    return ["--videos", str(clips), "--out", str(out), *QUICK, *more]


@pytest.fixture(scope="module")
def finished(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "out"
    run(arguments(clips, out))
    return out


def frames_of(film):
    reader, frames = cv2.VideoCapture(str(film)), []
    while (read := reader.read())[0]:
        frames.append(read[1])
    return np.stack(frames)


def test_a_run_leaves_films_masks_tracks_a_detector_and_a_report(finished):
    names = {f"synthetic-train-{n:04d}" for n in range(3)}
    assert {film.stem for film in (finished / "films").glob("*.webm")} == names
    assert all(len(frames_of(film)) == FRAMES for film in (finished / "films").iterdir())
    truth = open_truth(finished / "videos.json", need_annotations=False)
    found = [load() for load in open_results(finished / "results.json", truth)]
    assert len(found) == 3
    coco = COCO(str(finished / "coco.json"))
    assert len(coco.imgs) == 3 * FRAMES
    shown = sum(
        mask is not None for v in found for track in v.predicted for mask in track.segmentations
    )
    assert len(coco.anns) == shown
    for name in names:
        pictures = sorted((finished / "masks" / name).iterdir())
        assert [path.name for path in pictures] == [f"{t:05d}.png" for t in range(FRAMES)]
        with Image.open(pictures[0]) as image:
            assert (image.mode, image.size) == ("P", (128, 96))
    assert len(read_detector(str(finished / "detector.safetensors")).class_names) == 3
    assert (finished / "command.txt").read_text().startswith("wsvis run --videos ")
    log = (finished / "run.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in log)
    assert any("data.kind video-files, told from the path" in line for line in log)


def test_the_report_needs_nothing_but_its_films(finished):
    text = (finished / "report.html").read_text()
    places = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert all(place.startswith(("data:image/jpeg;base64,", "films/")) for place in places)
    films = [place for place in places if place.startswith("films/")]
    assert len(films) == 3
    assert all((finished / film).is_file() for film in films)
    assert "http" not in text
    assert "no annotated masks to measure against" in text


def test_the_same_command_goes_on_where_it_stopped(clips, finished, tmp_path, capsys):
    store = ["--store", str(tmp_path / "store")]
    run(arguments(clips, tmp_path / "out", "--stop-after", "masks", *store))
    assert not (tmp_path / "out" / "detector.safetensors").exists()
    assert len(list((tmp_path / "out" / "films").iterdir())) == 3
    capsys.readouterr()
    damaged = next((tmp_path / "store" / "objects" / "fcam_labels").glob("*/*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    run(arguments(clips, tmp_path / "out", *store))
    said = capsys.readouterr().out
    assert "classifier: reused" in said
    assert "pseudo_masks: reused" in said
    assert f"fcam_labels: stored files of {damaged.stem} are damaged" in said
    for film in (finished / "films").iterdir():
        again = frames_of(tmp_path / "out" / "films" / film.name)
        np.testing.assert_array_equal(frames_of(film), again)
    tracks = [(out / "results.json").read_text() for out in (finished, tmp_path / "out")]
    assert tracks[0] == tracks[1]


def test_results_go_to_annotation_tools(finished, tmp_path):
    assert export(run=str(finished), form="davis", out=str(tmp_path / "masks")) == 3 * FRAMES
    tracks = export(run=str(finished), form="cvat", out=str(tmp_path / "cvat"))
    files = sorted((tmp_path / "cvat").iterdir())
    assert [path.name for path in files] == [f"synthetic-train-{n:04d}.xml" for n in range(3)]
    assert sum(len(ElementTree.parse(path).findall("track")) for path in files) == tracks
    export(run=str(finished), form="coco", out=str(tmp_path / "coco.json"))
    assert len(COCO(str(tmp_path / "coco.json")).imgs) == 3 * FRAMES


def test_the_folder_of_another_run_is_refused(finished, tmp_path):
    write_video_files(synthetic_dataset("val", 1, SIZE), str(tmp_path / "clips"))
    with pytest.raises(InputError, match="holds the run of"):
        run(arguments(tmp_path / "clips", finished))


def test_annotated_masks_are_measured_where_there_are_some(tmp_path, capsys):
    path = write_ytvis(synthetic_dataset("train", 2, SIZE), str(tmp_path / "set"))
    run(["--data.path", path, *QUICK, "--out", str(tmp_path / "out"), "--stop-after", "masks"])
    assert "masks from f-CAM, against annotated masks: AP50" in capsys.readouterr().out
    assert "AP50" in (tmp_path / "out" / "report.html").read_text()
    truth = open_truth(Path(path))
    assert len(list(open_results(tmp_path / "out" / "results.json", truth))) == 2


def test_a_run_killed_three_times_gives_the_same_films(clips, finished, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "wsvis_platform.cli", "run", *arguments(clips, out)]
    moments = {
        "labels begin": lambda said: "step labels" in said,
        "the detector begins": lambda said: "step detector" in said,
        "the first film is there": lambda said: any(out.glob("films/*.webm")),
    }
    log = out / "run.log"
    for what, has_come in moments.items():
        before = len(log.read_text()) if log.exists() else 0
        started = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            deadline = time.monotonic() + 500
            while not (log.exists() and has_come(log.read_text()[before:])):
                assert started.poll() is None, what
                assert time.monotonic() < deadline, what
                time.sleep(0.02)
        finally:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
    assert not (out / "report.html").exists()
    run(arguments(clips, out))
    for film in (finished / "films").iterdir():
        np.testing.assert_array_equal(frames_of(film), frames_of(out / "films" / film.name))
    assert (out / "results.json").read_text() == (finished / "results.json").read_text()


def test_a_second_run_into_one_folder_is_refused(clips, finished):
    said = (finished / "run.log").read_text()
    with only_driver(finished, "--out"), pytest.raises(InputError, match=r"--out out: .* already"):
        run(arguments(clips, finished))
    assert (finished / "run.log").read_text() == said


def test_what_names_the_data_is_asked_for_once(clips, tmp_path):
    with pytest.raises(InputError, match="--videos is empty"):
        run(["--preset", "cpu", "--out", str(tmp_path / "out")])
    with pytest.raises(InputError, match="both name the data"):
        run(arguments(clips, tmp_path / "out", "--data.path", "elsewhere"))
    with pytest.raises(InputError, match="--learn-from auto, fcam or flowirn"):
        run(arguments(clips, tmp_path / "out", "--labels", "flowirn"))
    with pytest.raises(InputError, match="--out is empty"):
        run(["--videos", str(clips)])
    assert not (tmp_path / "out").exists()
