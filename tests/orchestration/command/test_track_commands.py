import json
import math

import cv2
import numpy as np
import pytest
from PIL import Image

from wsvis.errors import InputError
from wsvis.flow.codec import encode_flow
from wsvis.masks import encode_masks
from wsvis.payload import Payload, to_bytes
from wsvis_platform.command.evaluate import evaluate_vis
from wsvis_platform.command.track import draw_results, track

HEIGHT, WIDTH, FRAMES, STEP = 48, 96, 4, 14


def square(left, width=12):
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[0, 16:32, max(left, 0) : left + width] = True
    return encode_masks(mask)[0]


@pytest.fixture
def files(tmp_path):
    """A textured square that moves right by more than its width each frame; a video with nothing.

    Only flow can link it. Predictions are the square, and in frame 1 something else far off.
    """
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 2)
    patch = rng.integers(0, 255, (16, 12, 3), np.uint8)
    names = [f"a/{t}.png" for t in range(FRAMES)]
    for t, name in enumerate(names):
        frame = ground.copy()
        frame[16:32, 8 + STEP * t : 20 + STEP * t] = patch
        (tmp_path / "JPEGImages" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "JPEGImages" / name), frame)
    masks = [square(8 + STEP * t) for t in range(FRAMES)]
    listed = {"height": HEIGHT, "width": WIDTH, "length": FRAMES, "file_names": names}
    truth = {
        "videos": [{"id": 5, **listed}, {"id": 2, **listed}],
        "categories": [{"id": 7, "name": "box"}, {"id": 3, "name": "ball"}],
        "annotations": [{"id": 1, "video_id": 5, "category_id": 7, "segmentations": masks}],
    }
    found = [
        {"video_id": 5, "frame": t, "category_id": 7, "score": 0.5, "segmentation": mask}
        for t, mask in enumerate(masks)
    ]
    found.append(
        {"video_id": 5, "frame": 1, "category_id": 3, "score": 0.3, "segmentation": square(80)}
    )
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps(found))
    back = np.zeros((FRAMES - 1, HEIGHT, WIDTH, 2), np.float32)
    back[..., 0] = -STEP
    store_flow(tmp_path / "flow" / "a.safetensors", back)
    return tmp_path


def store_flow(path, back, **data):
    path.parent.mkdir(exist_ok=True)
    arrays = {f"backward.{name}": array for name, array in encode_flow(back).items()}
    arrays |= {f"forward.{name}": array for name, array in encode_flow(-back).items()}
    path.write_bytes(to_bytes(Payload(arrays, {"chained": True, **data})))


def run(files, **options):
    paths = {
        "predictions": str(files / "found.json"),
        "videos": str(files / "gt.json"),
        "out": str(files / "out.json"),
        "flow": str(files / "flow"),
    }
    track(**{**paths, **options})
    return json.loads((files / "out.json").read_text())


def test_stored_flow_links_what_moves(files, capsys):
    moving, other = run(files)
    assert (moving["video_id"], moving["category_id"], moving["score"]) == (5, 7, 0.5)
    assert moving["segmentations"] == [square(8 + STEP * t) for t in range(FRAMES)]
    assert (other["category_id"], other["segmentations"][1]) == (3, square(80))
    assert other["segmentations"][0] is None
    assert "2 tracks in 2 videos" in capsys.readouterr().out
    report = evaluate_vis(gt=str(files / "gt.json"), results=str(files / "out.json"))
    assert report["AP"] == pytest.approx(1)


def test_flow_on_a_coarser_grid_and_by_the_id_of_the_video(files):
    (files / "flow" / "a.safetensors").unlink()
    back = np.zeros((FRAMES - 1, HEIGHT // 2, WIDTH // 2, 2), np.float32)
    back[..., 0] = -STEP  # pixels of the frame on every grid
    store_flow(files / "flow" / "5.safetensors", back)
    assert len(run(files)) == 2


def test_without_flow_the_online_and_the_iou_tracker_break_the_track(files):
    # Forest Path Cutting still joins the pieces, by their place.
    assert len(run(files, flow="none", method="iou")) == 5
    assert len(run(files, flow="none", method="online")) == 5
    assert len(run(files, flow="none")) < 5
    assert len(run(files, method="online")) == 2


def test_computed_flow_and_reid_need_the_frames(files):
    for flow in ("dis-fast", "none"):
        found = run(files, flow=flow, reid="small", reid_weights="none", reid_crop=32)
        assert sum(m is not None for e in found for m in e["segmentations"]) == FRAMES + 1
    with pytest.raises(InputError, match=r"nowhere.a.0\.png: .*absent"):
        run(files, flow="dis-fast", frames=str(files / "nowhere"))
    assert run(files, frames=str(files / "nowhere"))  # stored flow needs none


def test_modes_and_limits_reach_the_tracker(files):
    assert len(run(files, max_tracks=1)) == 1
    assert len(run(files, max_tracks=1, class_mode="per-class")) == 2
    assert [e["score"] for e in run(files, scoring="mean")] == [0.5, 0.3]
    assert len(run(files, min_score=0.4)) == 1
    (files / "found.json").write_text("[]")
    assert run(files) == []


def spoil(files, name, change):
    content = json.loads((files / name).read_text())
    change(content)
    (files / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"video_id": 9}, "found.json: result 0: video_id 9 is not among"),
        ({"category_id": 1}, "found.json: result 0: category_id 1 is not among"),
        ({"frame": FRAMES}, "found.json: result 0: frame 4 is not in 0..3"),
        ({"score": math.nan}, "found.json: result 0: score is nan"),
        ({"score": "high"}, "found.json: result 0: score is 'high'"),
        ({"segmentation": None}, "found.json: result 0: has no segmentation"),
        (
            {"segmentation": {"size": [9, 9], "counts": "a"}},
            r"frame 0: RLE size \[9, 9\]",
        ),
        (
            {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "132"}},
            "result 0, frame 0: RLE counts sum to 6, not 48 x 96",
        ),
    ],
)
def test_bad_predictions_are_one_line_and_write_nothing(files, change, said):
    spoil(files, "found.json", lambda found: found[0].update(change))
    with pytest.raises(InputError, match=said) as error:
        run(files)
    assert "\n" not in str(error.value)
    assert not (files / "out.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[{]", '{"a": [1]}', "3"])
def test_files_that_are_no_list_of_predictions(files, text):
    (files / "found.json").write_text(text)
    with pytest.raises(InputError, match=r"found\.json") as error:
        run(files)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"predictions": "no/such.json"}, r"no/such\.json: there is no such file"),
        ({"flow": "no/such/folder"}, "no/such/folder: no such folder"),
        ({"flow": "dis-quick"}, "no flow provider is called 'dis-quick'"),
        ({"reid": "resnet51"}, "--reid is 'resnet51'; did you mean 'resnet50'"),
        ({"reid": "small", "reid_weights": "no/such.pth"}, r"no/such\.pth"),
        ({"min_score": 1.5}, "--min-score is 1.5; it must lie from 0 to 1"),
        ({"max_tracks": -1}, "--max-tracks is -1"),
    ],
)
def test_bad_options_are_one_line(files, options, said):
    with pytest.raises(InputError, match=said) as error:
        run(files, **options)
    assert "\n" not in str(error.value)


def test_a_place_that_cannot_be_written(files):
    with pytest.raises(InputError, match=r"out\.json: cannot be written"):
        run(files, out=str(files / "gt.json" / "out.json"))


def test_flow_that_does_not_fit_is_named(files):
    path = files / "flow" / "a.safetensors"
    store_flow(path, np.zeros((FRAMES, HEIGHT, WIDTH, 2), np.float32))
    with pytest.raises(InputError, match=r"a\.safetensors: its 4 pairs of frames are not the 3"):
        run(files)
    store_flow(path, np.zeros((FRAMES - 1, HEIGHT, WIDTH, 2), np.float32), chained=False)
    with pytest.raises(InputError, match="compute flow between these"):
        run(files)
    path.write_bytes(b"not flow at all")
    with pytest.raises(InputError, match=r"a\.safetensors: is no stored flow"):
        run(files)
    path.unlink()
    with pytest.raises(InputError, match=r"holds no a\.safetensors or 5\.safetensors"):
        run(files)


def test_pictures_come_worst_first(files):
    run(files)
    spoil(files, "out.json", lambda found: found.pop(0))  # video 5 loses its object
    (files / "JPEGImages" / "a").rename(files / "JPEGImages" / "b")
    spoil(files, "gt.json", lambda gt: [
        v.update(file_names=[n.replace("a/", "b/") for n in v["file_names"]]) for v in gt["videos"]
    ])  # fmt: skip
    out = files / "pictures"
    draw_results(
        gt=str(files / "gt.json"), results=str(files / "out.json"), out=str(out), film="gif"
    )
    names = sorted(p.name for p in out.iterdir())
    assert names == [
        "01_b.gif", "01_b.png", "02_b.gif", "02_b.png", "classes.png", "pr_curves.png"
    ]  # fmt: skip
    with Image.open(out / "01_b.gif") as gif:
        assert gif.n_frames == FRAMES
    worst, best = (np.asarray(Image.open(out / f"{n}_b.png")) for n in ("01", "02"))
    # Video 5 has an object and a false track to list, video 2 neither.
    assert len(worst) > len(best)


def test_pictures_without_ground_truth_and_without_films(files):
    run(files)
    spoil(files, "gt.json", lambda gt: gt.pop("annotations"))
    out = files / "pictures"
    arguments = {"gt": str(files / "gt.json"), "results": str(files / "out.json"), "out": str(out)}
    draw_results(**arguments, videos=1, film="none")
    assert [p.name for p in out.iterdir()] == ["01_a.png"]
    with pytest.raises(InputError, match="exists already"):
        draw_results(**arguments)


def test_a_missing_frame_leaves_no_half_made_folder(files):
    run(files)
    (files / "JPEGImages" / "a" / "2.png").unlink()
    with pytest.raises(InputError, match=r"a.2\.png: .*absent"):
        draw_results(
            gt=str(files / "gt.json"),
            results=str(files / "out.json"),
            out=str(files / "pictures"),
        )
    assert not (files / "pictures").exists()
    assert not list(files.glob(".writing*"))
