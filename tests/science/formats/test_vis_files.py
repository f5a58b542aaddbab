import json
import math

import numpy as np
import pytest

from reference.video_ap import video_ap as slow_video_ap
from reference.vis_cases import random_case
from wsvis.errors import InputError
from wsvis.evaluation.frame_ap import FrameAp
from wsvis.evaluation.report import video_numbers, write_report
from wsvis.evaluation.video_ap import video_ap
from wsvis.formats.frame_results import found_frames, open_frame_results, true_frames
from wsvis.formats.json_elements import elements, reread
from wsvis.formats.server_zip import write_server_zip
from wsvis.formats.vis_results import open_results
from wsvis.formats.vis_truth import frame_paths, open_truth
from wsvis.masks import decode_masks, encode_masks

HEIGHT, WIDTH, FRAMES = 4, 6, 2


def rle(*columns, height=HEIGHT):
    mask = np.zeros((1, height, WIDTH), bool)
    mask[0, :, list(columns)] = True
    return encode_masks(mask)[0]


def truth():
    return {
        "videos": [
            {"id": 5, "height": HEIGHT, "width": WIDTH, "length": FRAMES}
            | {"file_names": ["a/0.jpg", "a/1.jpg"]}
        ],
        "categories": [{"id": 3, "name": "Käse"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": 1, "video_id": 5, "category_id": 3, "iscrowd": 0}
            | {"segmentations": [rle(0, 1), None], "areas": [8, None]}
        ],
    }


def results():
    return [
        {"video_id": 5, "category_id": 3, "score": 0.5, "segmentations": [rle(0, 1), rle(4)]},
        {"video_id": 5, "category_id": 9, "score": 0.25, "segmentations": [None, rle(2)]},
    ]


def frame_results():
    return [
        {"video_id": 5, "frame": t, "category_id": c, "score": s, "segmentation": m}
        for t, c, s, m in [(0, 3, 0.5, rle(0, 1)), (1, 3, 0.5, rle(4)), (1, 9, 0.25, rle(2))]
    ]


class Files:
    """Writes the two files and measures them."""

    def __init__(self, folder):
        self.truth, self.results = folder / "instances.json", folder / "results.json"

    def write(self, truth, results):
        for path, content in ((self.truth, truth), (self.results, results)):
            raw = isinstance(content, bytes)
            path.write_bytes(content if raw else json.dumps(content).encode())
        return self

    def video_numbers(self):
        truth = open_truth(self.truth)
        measured = video_ap(open_results(self.results, truth), len(truth.classes))
        return video_numbers(measured)

    def frame_numbers(self):
        truth = open_truth(self.truth)
        places = open_frame_results(self.results, truth)
        measure = FrameAp(len(truth.classes), (0.5,))
        for video in truth.videos.values():
            found = found_frames(truth, self.results, video, places)
            for real, mine in zip(true_frames(truth, video), found, strict=True):
                measure.add(real, mine)
        return measure.numbers()


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.mark.parametrize("seed", [3, 5])
def test_files_give_the_numbers_of_the_definition(files, seed):
    content, found = random_case(seed, videos=6)
    numbers = files.write(content, found).video_numbers()
    slow = slow_video_ap(content, found)
    assert numbers == pytest.approx(slow, abs=1e-9, nan_ok=True)


def test_stated_areas_decide_the_range_not_the_masks(files):
    content = truth()
    content["annotations"][0]["areas"] = [200**2, None]
    numbers = files.write(content, results()).video_numbers()
    assert math.isnan(numbers["APs"])
    assert numbers["APm"] == numbers["AP"] > 0
    del content["annotations"][0]["areas"]
    assert math.isnan(files.write(content, results()).video_numbers()["APm"])


def test_all_three_forms_of_a_mask_are_read(files):
    compressed = rle(0, 1)
    runs = {"size": [HEIGHT, WIDTH], "counts": [0, 2 * HEIGHT, 4 * HEIGHT]}
    polygon = [[0, 0, 2, 0, 2, HEIGHT, 0, HEIGHT]]
    for form in (compressed, runs, polygon):
        content = truth()
        content["annotations"][0]["segmentations"][0] = form
        found = [results()[0] | {"segmentations": [compressed, None]}]
        assert files.write(content, found).video_numbers()["AP"] == pytest.approx(1)


def test_an_empty_list_of_results_scores_zero(files):
    numbers = files.write(truth(), []).video_numbers()
    assert numbers["AP"] == numbers["AR10"] == 0


def change(target, **members):
    """A content whose first entry of the list ``target`` has other members."""
    content = truth()
    content[target][0] = content[target][0] | members
    return content


def double(target):
    content = truth()
    content[target].append(content[target][0])
    return content


def without(member):
    content = truth()
    del content[member]
    return content


BAD_TRUTH = [
    (b"", "instances.json: is empty"),
    (b"  \n", "instances.json: is empty"),
    (b"[1, 2]", "instances.json: no ground truth: the list videos"),
    (b'{"videos": [', "instances.json: is not complete JSON at byte"),
    (b"\x00\x01", "instances.json: is not complete JSON at byte 0"),
    (b"[" * 100_000, "nested too deeply"),
    (without("annotations"), "the list annotations is missing or empty"),
    (without("categories"), "the list categories is missing or empty"),
    (double("videos"), "video id 5 appears twice"),
    (double("categories"), "category id 3 appears twice"),
    (double("annotations"), "annotation id 1 appears twice"),
    (change("annotations", video_id=6), "annotation 1: video_id 6 is not among"),
    (change("annotations", category_id=1), "annotation 1: category_id 1 is not among"),
    (change("annotations", segmentations=[None]), "annotation 1: 1 segmentations, but video 5 has"),
    (change("annotations", segmentations=None), "annotation 1: has no list of segmentations"),
    (change("annotations", id="x"), "an annotation: id is 'x'"),
    (change("videos", height=0), "video 5: 2 frames of 6x0 cannot be"),
    (change("videos", height=1 << 20, width=1 << 20), "cannot be"),
    (change("videos", length=3), "video 5: length is 3, but it has 2 file_names"),
    (change("videos", id=True), "a video: id is True"),
    (change("annotations", areas=["big", None]), "annotation 1: areas must be numbers of pixels"),
    (
        change("annotations", segmentations=[rle(0, height=5), None]),
        r"annotation 1, frame 0: RLE size \[5, 6\]",
    ),
    (
        change("annotations", segmentations=[{"size": [4, 6], "counts": "05"}, None]),
        "annotation 1, frame 0: RLE",
    ),
]


@pytest.mark.parametrize(("content", "message"), BAD_TRUTH)
def test_bad_ground_truth_is_one_clear_line(files, content, message):
    with pytest.raises(InputError, match=message) as caught:
        files.write(content, results()).video_numbers()
    assert "\n" not in str(caught.value)


def entry(**members):
    first, second = results()
    return [first, second | members]


BAD_RESULTS = [
    (b"", "results.json: is empty"),
    (b'{"a": [1]}', "results.json: must be a list"),
    (b'{"a": 1}', "results.json: must be a list"),
    (b"{}", "results.json: must be a list"),
    (b"3", "neither a list nor an object"),
    (b'[{"video_id": 5}]', "result 0: category_id is None"),
    (b"[7]", "result 0: is no object"),
    (b"[] []", "something follows the end"),
    (entry(video_id=7), "result 1: video_id 7 is not among the ground truth's videos"),
    (entry(video_id="5"), "result 1: video_id is '5'; it must be a whole number"),
    (entry(category_id=4), "result 1: category_id 4"),
    (entry(segmentations=[None]), "result 1: 1 segmentations, but video 5 has 2 frames"),
    (entry(segmentations=[None] * 3), "result 1: 3 segmentations, but video 5 has 2 frames"),
    (entry(score=math.nan), "result 1: score is nan; it must be a finite number"),
    (entry(score=math.inf), "result 1: score is inf"),
    (entry(score=None), "result 1: score is None"),
    (entry(score="0.5"), "result 1: score is '0.5'"),
    (entry(segmentations=[None, rle(0, height=5)]), r"result 1, frame 1: RLE size \[5, 6\]"),
    (
        entry(segmentations=[None, {"size": [HEIGHT, WIDTH], "counts": "01"}]),
        "result 1, frame 1: RLE counts sum to 1, not 4 x 6 = 24",
    ),
    (
        entry(segmentations=[None, {"size": [HEIGHT, WIDTH], "counts": rle(1)["counts"] + "1"}]),
        "result 1, frame 1: RLE counts sum to",
    ),
    (entry(segmentations=[None, {"counts": "01"}]), "result 1, frame 1: a segmentation is"),
]


@pytest.mark.parametrize(("content", "message"), BAD_RESULTS)
def test_bad_results_are_one_clear_line(files, content, message):
    with pytest.raises(InputError, match=message) as caught:
        files.write(truth(), content).video_numbers()
    assert "\n" not in str(caught.value)


def test_absent_files_are_named(files, tmp_path):
    with pytest.raises(InputError, match=r"nothing\.json: there is no such file"):
        open_truth(tmp_path / "nothing.json")


def test_frame_results_in_both_forms(files):
    # Class 3: frame 0 found exactly, and with that recall is 1, so that the false mask in frame 1,
    # next in the order of the file at an equal score, costs nothing. Class 9 has no ground truth.
    by_frame = files.write(truth(), frame_results()).frame_numbers()
    by_track = files.write(truth(), results()).frame_numbers()
    assert by_frame == by_track == {"AP50": pytest.approx(1)}


BAD_FRAMES = [
    ({"frame": 2}, r"result 1: frame 2 is not in 0\.\.1"),
    ({"frame": -1}, "result 1: frame -1"),
    ({"frame": None}, "result 1: frame is None"),
    ({"segmentation": None}, "result 1: has no segmentation"),
    ({"score": math.nan}, "result 1: score is nan"),
    ({"video_id": 1}, "result 1: video_id 1"),
    ({"segmentation": rle(0, height=5)}, "result 1, frame 1: RLE size"),
    ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "0"}}, "result 1, frame 1: RLE"),
]


@pytest.mark.parametrize(("members", "message"), BAD_FRAMES)
def test_bad_frame_results_are_one_clear_line(files, members, message):
    content = frame_results()
    content[1] = content[1] | members
    with pytest.raises(InputError, match=message) as caught:
        files.write(truth(), content).frame_numbers()
    assert "\n" not in str(caught.value)


def test_frames_are_found_and_kept_inside_their_folder(files, tmp_path):
    files.write(truth(), [])
    opened = open_truth(files.truth)
    assert opened.classes == ("Käse", "dog")
    video = opened.videos[5]
    assert frame_paths(opened, video, tmp_path) == [tmp_path / "a/0.jpg", tmp_path / "a/1.jpg"]
    files.write(change("videos", file_names=["../0.jpg", "a/1.jpg"]), [])
    opened = open_truth(files.truth)
    with pytest.raises(InputError, match="outside the frames folder"):
        frame_paths(opened, opened.videos[5], tmp_path)


def test_elements_give_the_place_of_each_value(tmp_path, monkeypatch):
    monkeypatch.setattr("wsvis.formats.json_elements.CHUNK", 7)  # every value is cut somewhere
    content = {
        "info": {"a": [1, {"b": "]},["}]},
        "names": ["Käse", "\u65e5\u672c", 'quo"te', "[{"],
        "numbers": [1, 23456789012, -3.25e-2, True, None, [], {}],
        "nothing": [],
    }
    path = tmp_path / "x.json"
    for text in (json.dumps(content), json.dumps(content, indent=3, ensure_ascii=False)):
        path.write_text(text, encoding="utf-8")
        found = list(elements(path))
        assert [e.member for e in found] == ["names"] * 4 + ["numbers"] * 7
        values = [reread(path, [(e.begin, e.end)])[0] for e in found]
        assert values == content["names"] + content["numbers"]
        assert [e.value for e in found[4:]] == content["numbers"]
    path.write_bytes(b"\xef\xbb\xbf[1, 2]")
    assert [e.value for e in elements(path)] == [1, 2]


def test_elements_refuse_what_is_not_json(tmp_path):
    path = tmp_path / "x.json"
    for text in ("[1 2]", "[1,", '{"a" 1}', "{1: 2}", '{"a": [1}', "[1]]", "nul", "[01]", "[1,]"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"x\.json: is not complete JSON"):
            list(elements(path))


def test_server_zip(files, tmp_path):
    import zipfile

    found = [r | {"extra": "dropped"} for r in results()]
    files.write(truth(), found)
    out = tmp_path / "deep" / "submission.zip"
    assert write_server_zip(files.results, out) == 2
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["results.json"]
        assert json.loads(archive.read("results.json")) == results()
    first = out.read_bytes()
    write_server_zip(files.results, out)
    assert out.read_bytes() == first
    for bad in ([], entry(score=math.nan)):
        files.write(truth(), bad)
        with pytest.raises(InputError, match=r"results.json: (holds no tracks|result 1: score)"):
            write_server_zip(files.results, out)
        assert out.read_bytes() == first
    assert [p.name for p in out.parent.iterdir()] == ["submission.zip"]


def test_a_place_that_cannot_be_written_is_named(files, tmp_path):
    files.write(truth(), results())
    with pytest.raises(InputError, match="cannot be written"):
        write_server_zip(files.results, files.truth / "below-a-file.zip")


def test_errors_come_whole_from_other_processes(files):
    wrong_size = next(content for content, said in BAD_RESULTS if "RLE size" in said)
    files.write(truth(), wrong_size)
    opened = open_truth(files.truth)
    with pytest.raises(InputError, match="result 1, frame 1: RLE size"):
        video_ap(open_results(files.results, opened), 2, processes=2)


def test_reports_are_unrounded_and_nan_is_null(tmp_path):
    path = tmp_path / "a" / "report.json"
    write_report(
        path, {"AP": 1 / 3, "APl": math.nan, "IoU": np.array([0.1, math.nan]), "n": np.int64(3)}
    )
    assert json.loads(path.read_text()) == {"AP": 1 / 3, "APl": None, "IoU": [0.1, None], "n": 3}


def test_masks_without_pixels_are_present_for_tracks_and_absent_for_frames(files):
    empty = rle()
    assert not decode_masks([empty], HEIGHT, WIDTH).any()
    content = change("annotations", segmentations=[rle(0, 1), empty], areas=[8, 0])
    found = [results()[0] | {"segmentations": [rle(0, 1), None]}]
    assert files.write(content, found).video_numbers()["AP"] == pytest.approx(1)
    assert files.frame_numbers() == {"AP50": pytest.approx(1)}
