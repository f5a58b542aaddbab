import json

import cv2
import numpy as np
import pytest
from PIL import Image

from wsvis.errors import InputError
from wsvis.masks import encode_masks
from wsvis_platform.command.evaluate import (
    evaluate_cityscapes,
    evaluate_frames,
    evaluate_tc,
    evaluate_vis,
)
from wsvis_platform.command.export import export

HEIGHT, WIDTH, FRAMES = 48, 64, 3


def square(left, width=16):
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[0, 12:28, left : left + width] = True
    return encode_masks(mask)[0]


@pytest.fixture
def files(tmp_path):
    """A textured square that moves right by 4 pixels a frame; tracks that follow it."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 2)
    patch = cv2.GaussianBlur(rng.integers(0, 255, (16, 16, 3), np.uint8), (0, 0), 1)
    folder = tmp_path / "JPEGImages" / "a"
    folder.mkdir(parents=True)
    names = [f"a/{t}.png" for t in range(FRAMES)]
    for t, name in enumerate(names):
        frame = ground.copy()
        frame[12:28, 8 + 4 * t : 24 + 4 * t] = patch
        cv2.imwrite(str(tmp_path / "JPEGImages" / name), frame)
    track = [square(8 + 4 * t) for t in range(FRAMES)]
    truth = {
        "videos": [
            {"id": 1, "height": HEIGHT, "width": WIDTH, "length": FRAMES, "file_names": names}
        ],
        "categories": [{"id": 1, "name": "box"}, {"id": 2, "name": "none"}],
        "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "segmentations": track}],
    }
    results = [
        {"video_id": 1, "category_id": 1, "score": 0.9, "segmentations": track},
        {"video_id": 1, "category_id": 1, "score": 0.01, "segmentations": [square(40), None, None]},
    ]
    for name, content in (("gt.json", truth), ("results.json", results)):
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def paths(files):
    return {"gt": str(files / "gt.json"), "results": str(files / "results.json")}


def test_vis(files, capsys):
    out = files / "numbers.json"
    arguments = paths(files)
    report = evaluate_vis(**arguments, json=str(out), per_class=True)
    written = json.loads(out.read_text())
    assert written["AP"] == pytest.approx(1) == report["AP"]
    assert {"AP", "AP50", "AP75", "AR1", "AR10", "AR100"} <= set(written)
    assert written["APl"] is None
    assert written["classes"]["none"]["AP"] is None
    shown = capsys.readouterr().out
    assert "100.00" in shown
    assert "n/a" in shown
    assert evaluate_vis(**arguments, processes=2)["AP"] == report["AP"]
    with pytest.raises(InputError, match="--processes is 0"):
        evaluate_vis(**arguments, processes=0)


def test_frames(files, capsys):
    report = evaluate_frames(
        **paths(files),
        per_class=True,
        json=str(files / "o.json"),
    )
    assert report["AP50"] == pytest.approx(1)
    assert report["frames"] == FRAMES
    assert report["instances_per_frame"] == 1  # the weak detection does not enter
    assert json.loads((files / "o.json").read_text())["classes"]["box"]["AP75"] == pytest.approx(1)
    assert "AP25" in capsys.readouterr().out


def test_tc(files, capsys):
    arguments = paths(files)
    report = evaluate_tc(**arguments, symmetric=True, json=str(files / "tc.json"))
    assert report["TC"] == pytest.approx(1)
    assert report["pairs"] == FRAMES - 1
    assert json.loads((files / "tc.json").read_text())["TC_backward"] == pytest.approx(1)
    assert "TC" in capsys.readouterr().out
    jumping = [square(8), square(30), square(8)]  # where the object never is
    found = [{"video_id": 1, "category_id": 1, "score": 0.9, "segmentations": jumping}]
    (files / "results.json").write_text(json.dumps(found))
    assert evaluate_tc(**arguments)["TC"] == 0


def test_tc_refuses_frames_of_another_size(files):
    Image.new("RGB", (10, 10)).save(files / "JPEGImages/a/1.png")
    with pytest.raises(InputError, match="video 1 is listed as 64x48, but a frame is 10x10"):
        evaluate_tc(**paths(files))


def test_cityscapes(tmp_path, capsys):
    ids = np.full((20, 40), 7, np.uint16)
    ids[:, :20] = 26000
    mask = np.where(ids == 26000, 255, 0).astype(np.uint8)
    stem = "ulm_000000_000019"
    (tmp_path / "gt").mkdir()
    (tmp_path / "pred").mkdir()
    Image.fromarray(ids).save(tmp_path / f"gt/{stem}_gtFine_instanceIds.png")
    Image.fromarray(mask).save(tmp_path / "pred/0.png")
    (tmp_path / f"pred/{stem}.txt").write_text("0.png 26 0.5\n")
    out = tmp_path / "o.json"
    report = evaluate_cityscapes(
        gt=str(tmp_path / "gt"), pred=str(tmp_path / "pred"), json=str(out)
    )
    assert report["AP"] == report["AP50"] == report["mIoU"] == 1
    assert report["coco_AP50"] == pytest.approx(1)
    written = json.loads(out.read_text())
    assert written["classes"]["car"] == {"AP": 1, "AP50": 1, "IoU": 1}
    assert written["classes"]["person"]["AP"] is None
    assert "bicycle" in capsys.readouterr().out


def test_export(files, capsys):
    assert export(results=str(files / "results.json"), out=str(files / "out.zip")) == 2
    assert "2 tracks" in capsys.readouterr().out


def test_bad_input_writes_nothing(files):
    (files / "results.json").write_text("")
    with pytest.raises(InputError, match="is empty"):
        evaluate_vis(**paths(files), json=str(files / "o.json"))
    assert not (files / "o.json").exists()
