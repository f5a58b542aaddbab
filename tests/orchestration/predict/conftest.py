"""Films, a detector of random weights, and a Ray for the tests of ``wsvis predict``."""

import pytest

from orchestration.predict.predict_runs import CLASSES, FRAMES
from reference.clips_on_disk import write_video
from wsvis.payload import to_bytes
from wsvis.systems.checkpoint import detector_to_payload
from wsvis.systems.mask_rcnn.build import build_detector
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.predict import run as predict_run
from wsvis_platform.predict.worker import VideoPredictor, draw_film


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
