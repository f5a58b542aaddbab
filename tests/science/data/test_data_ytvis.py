"""The YouTube-VIS reader: all forms of masks, and every kind of wrong file."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import masks as slow
from reference.clips_on_disk import (
    HEIGHT,
    SHARED,
    WIDTH,
    rectangle,
    write_frames,
    write_ytvis_files,
    ytvis_content,
)
from wsvis.data.frames import read_frames
from wsvis.data.ytvis import raw_successors, read_ytvis
from wsvis.errors import InputError
from wsvis.masks import decode_masks


def test_what_the_file_says(tmp_path):
    dataset = read_ytvis(str(write_ytvis_files(tmp_path / "mine", ytvis_content())))
    assert dataset.name == "mine"
    assert dataset.classes == ("class1", "class2", "class3")
    assert dataset.category_ids == (10, 20, 30)
    assert [video.id for video in dataset.videos] == ["clip1", "clip2", "clip3"]
    video = dataset.videos[1]
    assert (video.height, video.width, video.length) == (HEIGHT, WIDTH, 4)
    assert video.labels == ((1,), (), (1,), (1,))
    (instance,) = video.instances
    assert (instance.id, instance.label, instance.is_crowd) == (102, 1, False)
    assert [rle is None for rle in instance.segmentations] == [False, True, False, False]
    assert read_frames(video).shape == (4, HEIGHT, WIDTH, 3)
    assert read_ytvis(str(tmp_path / "mine")) == dataset  # the folder does as well


def test_the_three_forms_of_a_mask_are_one(tmp_path):
    content = ytvis_content(1)
    compressed = rectangle(2, 3, 8, 9)
    uncompressed = {"size": [HEIGHT, WIDTH], "counts": slow.run_lengths(compressed["counts"])}
    polygon = [[3, 2, 9, 2, 9, 8, 3, 8]]
    content["annotations"][0]["segmentations"] = [compressed, uncompressed, polygon, None]
    (video,) = read_ytvis(str(write_ytvis_files(tmp_path, content))).videos
    *masks, last = video.instances[0].segmentations
    assert last is None
    expected = np.zeros((3, HEIGHT, WIDTH), dtype=bool)
    expected[:, 2:8, 3:9] = True
    assert np.array_equal(decode_masks(masks, HEIGHT, WIDTH), expected)


def test_a_mask_without_a_pixel_is_an_absent_object(tmp_path):
    content = ytvis_content(1)
    nothing = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
    content["annotations"][0]["segmentations"] = [nothing, [], rectangle(0, 0, 1, 1), None]
    (video,) = read_ytvis(str(write_ytvis_files(tmp_path, content))).videos
    assert [rle is None for rle in video.instances[0].segmentations] == [True, True, False, True]
    assert video.labels == ((), (), (0,), ())


def test_several_objects_of_several_classes(tmp_path):
    content = ytvis_content(2)
    for number, category, crowd in [(7, 20, 1), (8, 20, 0)]:
        extra = dict(content["annotations"][0], id=number, category_id=category, iscrowd=crowd)
        content["annotations"].append(extra)
    video = read_ytvis(str(write_ytvis_files(tmp_path, content))).videos[0]
    assert [(i.id, i.label, i.is_crowd) for i in video.instances] == [
        (101, 0, False),
        (7, 1, True),
        (8, 1, False),
    ]
    assert video.labels[0] == (0, 1)


@pytest.mark.parametrize("annotations", [[], None])
def test_a_file_without_annotations_has_no_ground_truth(tmp_path, annotations):
    content = {**ytvis_content(2), "annotations": annotations}
    dataset = read_ytvis(str(write_ytvis_files(tmp_path, content)))
    assert [video.instances for video in dataset.videos] == [None, None]
    assert dataset.videos[0].labels == ((),) * 4


def test_ids_fall_back_to_numbers(tmp_path):
    content = ytvis_content(2)
    content["videos"][1]["file_names"] = ["clip1/00000.jpg", "other/00000.jpg"]
    content["videos"][1]["length"] = 2
    content["annotations"].pop()
    dataset = read_ytvis(str(write_ytvis_files(tmp_path, content)))
    assert [video.id for video in dataset.videos] == ["000001", "000002"]


def test_raw_frames_between_the_listed_are_their_successors(tmp_path):
    content = ytvis_content(1)
    content["videos"][0]["file_names"] = [f"clip1/{t:05d}.jpg" for t in (0, 5, 10, 15)]
    path = write_ytvis_files(tmp_path, content)
    assert read_ytvis(str(path)).videos[0].source.successors is None
    folder = tmp_path / "JPEGImages" / "clip1"
    write_frames(folder, [1, 2, 3, 4, 6, 11, 14])
    names = [name.rsplit("/", 1)[1] for name in read_ytvis(str(path)).videos[0].source.successors]
    assert names == ["00001.jpg", "00006.jpg", "00011.jpg"]  # nothing follows 15
    write_frames(folder, [16])
    assert read_ytvis(str(path)).videos[0].source.successors[-1].endswith("00016.jpg")


def test_successors_follow_numbers_not_letters(tmp_path):
    write_frames(tmp_path, [0])
    for n in (9, 10, 11):
        (tmp_path / f"f{n}.jpg").write_bytes(b"")
    paths = [str(tmp_path / "f9.jpg"), str(tmp_path / "f11.jpg")]
    assert raw_successors(paths) == (str(tmp_path / "f10.jpg"),)
    assert raw_successors([str(tmp_path / "f12.jpg"), str(tmp_path / "f9.jpg")]) is None
    assert raw_successors([str(tmp_path / "no" / "1.jpg")]) is None


def test_frames_may_lie_elsewhere(tmp_path):
    path = write_ytvis_files(tmp_path / "a", ytvis_content(1))
    (tmp_path / "a" / "JPEGImages").rename(tmp_path / "frames")
    with pytest.raises(InputError, match=r"JPEGImages: there is no such folder; .*data\.frames"):
        read_ytvis(str(path))
    dataset = read_ytvis(str(path), frames=str(tmp_path / "frames"))
    assert read_frames(dataset.videos[0]).shape[0] == 4


def write_json(tmp_path, content):
    (tmp_path / "JPEGImages").mkdir(exist_ok=True)
    path = tmp_path / "instances.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ('{"videos": NaN}', "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "is not YouTube-VIS"),
        ("7", "is not YouTube-VIS"),
        ('{"images": [1], "categories": [{"id": 1, "name": "a"}]}', "is not YouTube-VIS"),
        ('{"videos": {}, "categories": []}', "is not YouTube-VIS"),
        ("\udcff", "is not JSON .it begins with bytes"),
        ('{"a": "\udcff"}', "is not UTF-8"),
    ],
)
def test_a_file_that_is_something_else(tmp_path, text, reason):
    path = write_json(tmp_path, "")
    with open(path, "wb") as file:
        file.write(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=f"instances.json: .*{reason}"):
        read_ytvis(path)


def test_a_path_where_nothing_is(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: there is no such file; check the path"):
        read_ytvis(str(tmp_path / "none.json"))


WRONG = {
    "video id": (("videos", 0, "id", "x"), "video 0 needs an id"),
    "video twice": (("videos", 1, "id", 1), "video 1 needs an id"),
    "no size": (("videos", 0, "height", 0), "video 1 has the size 40x0"),
    "huge size": (("videos", 0, "width", 10**9), "video 1 has the size"),
    "no frames": (("videos", 0, "file_names", []), "video 1 lists 0 frames"),
    "length": (("videos", 0, "length", 9), "video 1 lists 4 frames, its length says 9"),
    "absolute": (("videos", 0, "file_names", ["/etc/a.jpg"] * 4), "names '/etc/a.jpg', outside"),
    "parent": (("videos", 0, "file_names", ["a/../../b.jpg"] * 4), "outside the frames folder"),
    "drive": (("videos", 0, "file_names", ["C:/a.jpg"] * 4), "outside the frames folder"),
    "backslash": (("videos", 0, "file_names", ["..\\a.jpg"] * 4), "outside the frames folder"),
    "no name": (("videos", 0, "file_names", [None] * 4), "outside the frames folder"),
    "category id": (("categories", 0, "id", "1"), "category 0 needs a whole-number id"),
    "category name": (("categories", 0, "name", ""), "category 0 needs a whole-number id and"),
    "category twice": (("categories", 1, "name", "class1"), "'class1' .* is listed twice"),
    "annotation id": (("annotations", 0, "id", None), "annotation 0 needs an id"),
    "annotation twice": (("annotations", 1, "id", 101), "annotation 101 needs an id"),
    "of no video": (("annotations", 0, "video_id", 99), "belongs to video 99, which is not listed"),
    "of no class": (("annotations", 0, "category_id", 5), "belongs to category 5, which is not"),
    "COCO": (("annotations", 0, "segmentations", None), "annotation 101 needs .*format"),
    "too few": (("annotations", 0, "segmentations", [None]), "1 segmentations for 4 frames"),
    "counts": (
        ("annotations", 0, "segmentations", [None, {"size": [24, 40], "counts": [9]}, None, None]),
        "annotation 101, frame 1: RLE counts sum to 9, not 24 x 40 = 960",
    ),
    "text counts": (
        ("annotations", 0, "segmentations", [{"size": [24, 40], "counts": "123"}] + [None] * 3),
        "annotation 101, frame 0: RLE counts sum to 6, not 24 x 40 = 960",
    ),
    "size": (
        ("annotations", 0, "segmentations", [{"size": [40, 24], "counts": "123"}] + [None] * 3),
        r"annotation 101, frame 0: RLE size \[40, 24\] is not the video's \[24, 40\]",
    ),
    "mask": (("annotations", 0, "segmentations", ["x"] * 4), "annotation 101, frame 0: a segm"),
}


@pytest.mark.parametrize(("change", "reason"), WRONG.values(), ids=list(WRONG))
def test_wrong_content_is_one_line_or_a_list(tmp_path, change, reason):
    content = ytvis_content()
    group, index, name, value = change
    content[group][index][name] = value
    path = write_json(tmp_path, content)
    with pytest.raises(InputError, match=reason) as error:
        read_ytvis(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    problems: list[str] = []
    rest = read_ytvis(path, on_problem=problems.append)
    assert problems[0] == str(error.value)
    assert "clip3" in {video.id for video in rest.videos}  # the sound part is still read


def test_all_problems_are_told(tmp_path):
    content = ytvis_content()
    content["videos"][0]["length"] = 1
    content["annotations"][1]["segmentations"] = ["x", "y", None, None]
    problems: list[str] = []
    read_ytvis(write_json(tmp_path, content), on_problem=problems.append)
    assert len(problems) == 4  # the video, its annotation, two masks


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["size", "counts", "id"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None)  # a deadline would measure the machine
@given(st.data())
def test_any_change_gives_a_data_set_or_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    content = ytvis_content(2)
    node = content
    while True:  # walk down a random way, then replace what is there
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        deeper = isinstance(node[key], dict | list) and node[key]
        if not deeper or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(JSON)
    path = write_json(folder, content)
    problems: list[str] = []
    with contextlib.suppress(InputError):
        read_ytvis(path, on_problem=problems.append)
    try:
        read_ytvis(path)
        first = ""
    except InputError as error:
        first = str(error)
    assert bool(problems) <= bool(first)
    for problem in filter(None, [first, *problems]):
        assert problem.startswith(str(folder))
        assert "\n" not in problem


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="no real clips on this machine")
@pytest.mark.parametrize(
    ("name", "videos", "frames", "instances"),
    [("davis-mini", 23, 813, 23), ("davis-composite", 24, 480, 60)],
)
def test_real_clips(name, videos, frames, instances):
    dataset = read_ytvis(str(SHARED / "data" / name / "instances.json"))
    assert len(dataset.videos) == videos
    assert sum(video.length for video in dataset.videos) == frames
    assert sum(len(video.instances) for video in dataset.videos) == instances
    video = dataset.videos[0]
    assert read_frames(video).shape == (video.length, 240, 427, 3)
