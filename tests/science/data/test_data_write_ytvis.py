"""A data set written as YouTube-VIS and read back; folders that appear whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from reference.clips_on_disk import write_ytvis_files, ytvis_content
from wsvis.data.frames import read_frames
from wsvis.data.synthetic import synthetic_dataset
from wsvis.data.write_ytvis import write_pseudo_labels, write_ytvis
from wsvis.data.write_ytvis import ytvis_content as content_of
from wsvis.data.ytvis import read_ytvis
from wsvis.errors import InputError
from wsvis.files.atomic import new_folder, write_text
from wsvis.masks import encode_masks
from wsvis.types import FrameInstances


def test_what_was_written_is_read_back(tmp_path):
    dataset = synthetic_dataset("train", 2)
    told = []
    path = write_ytvis(dataset, str(tmp_path / "out"), lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]
    again = read_ytvis(path)
    assert again.classes == dataset.classes
    for old, new in zip(dataset.videos, again.videos, strict=True):
        assert (new.id, new.height, new.width) == (old.id, old.height, old.width)
        assert new.labels == old.labels
        assert [(i.label, i.segmentations) for i in new.instances] == [
            (i.label, i.segmentations) for i in old.instances
        ]
        error = read_frames(new).astype(int) - read_frames(old)
        assert np.abs(error).mean() < 4  # JPEG


def test_ids_crowds_boxes_and_areas(tmp_path):
    content = ytvis_content(2)
    content["annotations"][1]["iscrowd"] = 1
    dataset = read_ytvis(str(write_ytvis_files(tmp_path, content)))
    written = content_of(dataset)
    assert [c["id"] for c in written["categories"]] == [10, 20]
    first, second = written["annotations"]
    # rows 2..7 and columns 3..8: x 3, y 2, width 6, height 6, 36 pixels
    assert first["bboxes"] == [[3, 2, 6, 6], None, [3, 2, 6, 6], [3, 2, 6, 6]]
    assert first["areas"] == [36, None, 36, 36]
    assert (second["video_id"], second["category_id"], second["iscrowd"]) == (2, 20, 1)
    assert content_of(dataclasses.replace(dataset, category_ids=()))["categories"][1]["id"] == 2


def test_labels_without_masks_are_refused(tmp_path):
    dataset = synthetic_dataset("train", 1)
    bare = dataclasses.replace(dataset.videos[0], instances=None)
    with pytest.raises(InputError, match=r"labels without masks, .* keep its labels\.csv"):
        write_ytvis(dataclasses.replace(dataset, videos=(bare,)), str(tmp_path / "out"))
    silent = dataclasses.replace(bare, labels=((),) * bare.length)
    write_ytvis(dataclasses.replace(dataset, videos=(silent,)), str(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "instances.json").read_text())["annotations"] == []


def test_a_bad_frame_leaves_nothing_behind(tmp_path):
    dataset = read_ytvis(str(write_ytvis_files(tmp_path / "in", ytvis_content(2))))
    os.unlink(dataset.videos[1].source.paths[2])
    with pytest.raises(InputError, match="absent"):
        write_ytvis(dataset, str(tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    dataset = synthetic_dataset("train", 1)
    write_ytvis(dataset, str(tmp_path / "out"))  # empty: taken
    with pytest.raises(InputError, match="out: exists already; remove it or choose another name"):
        write_ytvis(dataset, str(tmp_path / "out"))
    (tmp_path / "file").write_text("")
    for path in ("file", "file/out"):
        with pytest.raises(InputError, match=r"exists already|cannot be written"):
            write_ytvis(dataset, str(tmp_path / path))


def test_text_is_whole_or_absent(tmp_path):
    path = tmp_path / "a.txt"
    write_text(str(path), "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(str(path), "new \udcff")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_folder_is_visible_only_at_the_end(tmp_path):
    with new_folder(str(tmp_path / "deep" / "out")) as folder:
        assert not (tmp_path / "deep" / "out").exists()
        with open(os.path.join(folder, "a"), "w") as file:
            file.write("x")
    assert (tmp_path / "deep" / "out" / "a").read_text() == "x"
    with pytest.raises(KeyboardInterrupt), new_folder(str(tmp_path / "two")):
        raise KeyboardInterrupt
    assert not (tmp_path / "two").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


def write_beside_frames(dataset, content, folder):
    """The labels in place of the ground truth of a data set on disk."""
    path = write_ytvis(dataset, str(folder))
    write_text(path, json.dumps(content))
    return path


def test_pseudo_labels_are_single_frame_annotations_with_scores(tmp_path):
    dataset = synthetic_dataset("train", 2)
    video = dataset.videos[0]
    square = np.zeros((2, video.height, video.width), dtype=bool)
    square[0, 2:8, 3:9] = True
    square[1, 20:30, 40:60] = True
    masks = encode_masks(square)
    nothing = FrameInstances(np.zeros(0, np.int64), np.zeros(0, np.float32), ())
    found = [nothing] * video.length
    found[4] = FrameInstances(np.array([2, 5]), np.array([0.75, 0.5], np.float32), tuple(masks))
    path = tmp_path / "labels.json"
    count = write_pseudo_labels(dataset, {video.id: found}.get, path)
    assert count == 2
    content = json.loads(path.read_text())
    first, second = content["annotations"]
    assert (first["score"], second["score"]) == (0.75, 0.5)
    assert (first["category_id"], second["category_id"]) == (3, 6)
    assert first["bboxes"][4] == [3, 2, 6, 6]
    assert [t for t, rle in enumerate(second["segmentations"]) if rle] == [4]
    again = read_ytvis(write_beside_frames(dataset, content, tmp_path / "clips"))
    assert again.videos[0].labels[4] == (2, 5)
    assert again.videos[0].labels[3] == ()


@pytest.mark.parametrize(
    "renamed", ["{}", "\u00f1and\u00fa/{}", "part1/{}"], ids=["plain", "not ASCII", "nested"]
)
def test_pseudo_labels_name_the_frames_they_were_made_for(renamed, tmp_path):
    path = Path(write_ytvis(synthetic_dataset("train", 2, {"frames": 3}), str(tmp_path / "clips")))
    content = json.loads(path.read_text())
    for video in content["videos"]:
        names = [renamed.format(name) for name in video["file_names"]]
        for old, new in zip(video["file_names"], names, strict=True):
            (path.parent / "JPEGImages" / new).parent.mkdir(parents=True, exist_ok=True)
            (path.parent / "JPEGImages" / old).rename(path.parent / "JPEGImages" / new)
        video["file_names"] = names
    path.write_text(json.dumps(content))
    dataset = read_ytvis(str(path))
    nothing = FrameInstances(np.zeros(0, np.int64), np.zeros(0, np.float32), ())
    labels = tmp_path / "elsewhere" / "labels.json"
    write_pseudo_labels(dataset, lambda _: [nothing] * 3, labels)
    content = json.loads(labels.read_text())
    again = read_ytvis(str(labels), content["info"]["frames_folder"])
    assert [v.source for v in again.videos] == [v.source for v in dataset.videos]
    assert all(os.path.isfile(p) for video in again.videos for p in video.source.paths)
