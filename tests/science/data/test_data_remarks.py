"""What is said about labels before anything is trained."""

from __future__ import annotations

import dataclasses

import pytest

from reference.clips_on_disk import write_ytvis_files, ytvis_content
from wsvis.data.config import DataConfig
from wsvis.data.load import load_dataset, read_dataset
from wsvis.data.remarks import nothing_to_learn, remarks
from wsvis.data.validate import check_dataset
from wsvis.errors import InputError


def config(tmp_path, content):
    path = write_ytvis_files(tmp_path, content)
    return DataConfig(kind="ytvis", path=str(path), split="all")


@pytest.mark.parametrize("change", ["no annotations", "no masks"])
def test_a_data_set_without_any_label_is_refused(tmp_path, change):
    content = ytvis_content(2)
    if change == "no annotations":
        content["annotations"] = []
    for annotation in content["annotations"]:
        annotation["segmentations"] = [None] * 4
    data = config(tmp_path, content)
    with pytest.raises(InputError, match=r"instances\.json: no frame shows any class"):
        load_dataset(data)
    (problem,) = check_dataset(data).problems
    assert "no frame shows any class" in problem


def test_no_video_that_can_be_read_is_another_reason(tmp_path):
    dataset = read_dataset(config(tmp_path, ytvis_content(2)))
    bad = [dataclasses.replace(video, problem="a.mp4: is gone") for video in dataset.videos]
    assert nothing_to_learn(dataset) == ""
    assert nothing_to_learn(dataclasses.replace(dataset, videos=tuple(bad))) == (
        "none of its 2 videos can be used; the first: a.mp4: is gone"
    )


def test_classes_of_one_video_and_crowds_are_told_of_the_whole(tmp_path):
    content = ytvis_content(4)
    content["annotations"][1]["category_id"] = 10
    data = config(tmp_path, content)
    (line,) = load_dataset(dataclasses.replace(data, split="train", held_out_per_class=1)).remarks
    assert line == (
        "2 of 4 classes have one video, which stays in training, so that none is held out: "
        "class3, class4"
    )
    assert check_dataset(data).notes == (line,)
    assert check_dataset(data).problems == ()
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    dataset = read_dataset(config(tmp_path / "crowd", content))
    assert remarks(dataset, split_by_class=False) == (
        "all objects are crowds, which no measure counts; check 'iscrowd'",
    )


def test_notes_of_videos_are_handed_on(tmp_path):
    dataset = read_dataset(config(tmp_path, ytvis_content(8)))
    noted = tuple(dataclasses.replace(video, note=f"{video.id}: cut") for video in dataset.videos)
    lines = remarks(dataclasses.replace(dataset, videos=noted), split_by_class=False)
    assert lines == (*(f"clip{k}: cut" for k in range(1, 6)), "3 more videos are used in part")
