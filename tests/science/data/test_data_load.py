"""From configuration to videos: classes, split, frame step, fingerprint."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

from reference.clips_on_disk import SHARED, picture, write_image, write_ytvis_files, ytvis_content
from wsvis.data.config import DataConfig
from wsvis.data.fingerprint import dataset_fingerprint, file_digest
from wsvis.data.frames import read_frames, read_pairs
from wsvis.data.load import load_dataset, read_dataset, resolved
from wsvis.data.select import every_nth_frame, keep_used_classes, only_videos
from wsvis.data.splits import Split, save_split, split_dataset
from wsvis.errors import InputError


@pytest.fixture
def content():
    """Six clips of two classes out of three listed, five frames each."""
    content = ytvis_content(6, 5)
    content["categories"] = [{"id": n, "name": f"c{n}"} for n in (4, 9, 2)]
    for k, annotation in enumerate(content["annotations"]):
        annotation["category_id"] = (2, 4)[k % 2]
    return content


@pytest.fixture
def config(tmp_path, content):
    path = write_ytvis_files(tmp_path / "set", content)
    return DataConfig(kind="ytvis", path=str(path), split="all")


def test_unused_classes_are_left_out(config):
    whole, used = read_dataset(config), load_dataset(config)
    assert whole.classes == ("c4", "c9", "c2")
    assert (used.classes, used.category_ids) == (("c4", "c2"), (4, 2))
    assert [v.labels[0] for v in whole.videos] == [(2,), (0,)] * 3
    assert [v.labels[0] for v in used.videos] == [(1,), (0,)] * 3
    assert [v.instances[0].label for v in used.videos] == [1, 0] * 3
    assert keep_used_classes(used) == used


def test_classes_are_numbered_before_anything_is_chosen(config):
    one = load_dataset(dataclasses.replace(config, videos=1))
    assert (len(one.videos), one.classes) == (1, ("c4", "c2"))


def test_the_two_sides_share_their_classes_and_no_video(config):
    sides = {
        split: load_dataset(dataclasses.replace(config, split=split, held_out_per_class=1))
        for split in ("train", "val")
    }
    assert sides["train"].classes == sides["val"].classes
    ids = {split: {video.id for video in side.videos} for split, side in sides.items()}
    assert (len(ids["train"]), len(ids["val"])) == (4, 2)
    assert not ids["train"] & ids["val"]
    shown = {labels for video in sides["val"].videos for labels in video.labels}
    assert {(0,), (1,)} <= shown  # one held-out video of each class


def test_a_saved_split_is_used(config, tmp_path):
    other = Split(tuple(f"clip{k}" for k in (2, 3, 4, 5)), ("clip1", "clip6"), 1, 0)
    assert split_dataset(load_dataset(config), 1, 0).val != other.val
    path = str(tmp_path / "split.json")
    save_split(other, path)
    val = load_dataset(dataclasses.replace(config, split="val", split_file=path))
    assert [video.id for video in val.videos] == list(other.val)
    data = dataclasses.replace(config, split="val", split_file=str(tmp_path / "no.json"))
    with pytest.raises(InputError, match=r"no\.json: there is no such file"):
        load_dataset(data)


def test_a_side_without_videos_says_what_to_do(tmp_path):
    path = write_ytvis_files(tmp_path, ytvis_content(2))
    with pytest.raises(InputError, match=r"'val' holds no video, .* choose data\.split all"):
        load_dataset(DataConfig(kind="ytvis", path=str(path), split="val"))


def test_frame_step_keeps_flow_to_the_next_raw_frame(config):
    full, thin = (load_dataset(dataclasses.replace(config, frame_step=n)).videos[0] for n in (1, 2))
    assert (full.length, thin.length) == (5, 3)
    assert np.array_equal(read_frames(thin), read_frames(full)[::2])
    first, second = read_pairs(thin, 1)
    assert np.array_equal(first, read_frames(full)[[0, 2]])
    assert np.array_equal(second, read_frames(full)[[1, 3]])
    assert thin.labels == full.labels[::2]
    assert thin.instances[0].segmentations == full.instances[0].segmentations[::2]
    assert every_nth_frame(thin, 2).source.successors == thin.source.successors[::2]
    assert every_nth_frame(full, 1) is full


def test_an_object_the_step_skips_is_dropped(config, content, tmp_path):
    masks = content["annotations"][0]["segmentations"]
    content["annotations"][0]["segmentations"] = [None, masks[0], None, masks[0], None]
    path = str(write_ytvis_files(tmp_path / "other", content))
    thin = load_dataset(dataclasses.replace(config, path=path, frame_step=2))
    assert thin.videos[0].instances == ()
    assert thin.videos[0].labels == ((), (), ())
    assert len(thin.videos[1].instances) == 1


def test_generated_data():
    config = DataConfig(synthetic_videos=6)
    train, val, both = (
        load_dataset(dataclasses.replace(config, split=split)) for split in ("train", "val", "all")
    )
    assert (len(train.videos), len(val.videos), len(both.videos)) == (6, 2, 8)
    assert train.classes == val.classes
    assert len({d.fingerprint for d in (train, val, both)}) == 3
    assert load_dataset(config) == train
    assert load_dataset(dataclasses.replace(config, videos=4)).videos == train.videos[:4]
    assert len(load_dataset(dataclasses.replace(config, videos=99)).videos) == 6
    with pytest.raises(InputError, match="frame_step is 2"):
        load_dataset(dataclasses.replace(config, frame_step=2))


@pytest.mark.parametrize("kind", ["ytvis", "video-files", "davis", "cityscapes"])
def test_missing_paths(tmp_path, kind):
    with pytest.raises(InputError, match="path is empty; give the path"):
        load_dataset(DataConfig(kind=kind))
    with pytest.raises(InputError, match=r"none.*: there is no such"):
        load_dataset(DataConfig(kind=kind, path=str(tmp_path / "none")))


def test_the_fingerprint_is_of_content_not_of_place(config, tmp_path):
    before = load_dataset(config).fingerprint
    assert load_dataset(config).fingerprint == before
    shutil.copytree(tmp_path / "set", tmp_path / "copy")
    moved = dataclasses.replace(config, path=str(tmp_path / "copy" / "instances.json"))
    assert load_dataset(moved).fingerprint == before
    frame = tmp_path / "copy" / "JPEGImages" / "clip3" / "00002.jpg"
    data = bytearray(frame.read_bytes())
    data[-20] ^= 1
    frame.write_bytes(data)
    assert load_dataset(moved).fingerprint != before
    frame.unlink()
    absent = load_dataset(moved).fingerprint  # an absent frame stops nothing yet
    write_image(frame, picture(2))
    assert len({before, absent}) == 2
    assert load_dataset(moved).fingerprint == before


def test_whatever_changes_a_result_changes_the_fingerprint(config):
    dataset = load_dataset(config)
    video = dataset.videos[0]
    instance = video.instances[0]

    def with_video(**changes):
        changed = dataclasses.replace(video, **changes)
        return dataclasses.replace(dataset, videos=(changed, *dataset.videos[1:]))

    def with_instance(**changes):
        return with_video(instances=(dataclasses.replace(instance, **changes),))

    paths = video.source.paths
    frames_and_raw = [
        dataclasses.replace(video.source, paths=paths[:3]),
        dataclasses.replace(video.source, paths=paths[:3], successors=paths[3:]),
        dataclasses.replace(video.source, paths=paths[:4], successors=paths[4:]),
    ]
    variants = [
        dataset,
        dataclasses.replace(dataset, classes=("c4", "other")),
        dataclasses.replace(dataset, videos=dataset.videos[1:]),
        dataclasses.replace(dataset, videos=dataset.videos[::-1]),
        with_video(labels=((0, 1), *video.labels[1:])),
        with_video(id="renamed"),
        with_video(instances=None),
        with_video(instances=()),
        with_video(problem="bad"),
        with_instance(label=0),
        with_instance(is_crowd=True),
        with_instance(segmentations=(None, *instance.segmentations[1:])),
        *(with_video(source=source) for source in frames_and_raw),
    ]
    assert len({dataset_fingerprint(variant) for variant in variants}) == len(variants)
    assert dataset_fingerprint(dataset, "generator 2") != dataset_fingerprint(dataset)
    assert dataset_fingerprint(only_videos(dataset, [v.id for v in dataset.videos])) == (
        dataset_fingerprint(dataset)
    )


def test_digest_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    # BLAKE2b with 32 bytes of output, of no input (the algorithm's published value).
    assert file_digest(str(tmp_path / "a")) == (
        "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"
    )
    assert file_digest(str(tmp_path)) == file_digest(str(tmp_path / "b")) == "absent"


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="no real clips on this machine")
def test_real_clips_split_sensibly():
    config = DataConfig(
        kind="ytvis", path=str(SHARED / "data" / "davis-mini"), held_out_per_class=1, split="val"
    )
    val = load_dataset(config)
    shown = {val.classes[c] for video in val.videos for labels in video.labels for c in labels}
    assert shown == {"person", "sedan", "dog"}  # the classes with more than one clip
    assert len(val.videos) == 3
    assert len(val.classes) == 12
    train = load_dataset(dataclasses.replace(config, split="train"))
    assert len(train.videos) == 20


def test_the_kind_is_told_from_the_path(tmp_path):
    path = str(write_ytvis_files(tmp_path, ytvis_content(2)))
    assert resolved(DataConfig(path=path)).kind == "ytvis"
    assert resolved(DataConfig()).kind == "synthetic"
    loaded = load_dataset(DataConfig(path=path, split="all"))
    assert loaded == load_dataset(DataConfig(kind="ytvis", path=path, split="all"))


def test_a_path_is_never_ignored(tmp_path):
    for config in (DataConfig(path=str(tmp_path)), DataConfig(kind="synthetic", path="clips")):
        with pytest.raises(InputError, match=config.path):
            load_dataset(config)


def test_a_data_set_says_of_how_many_frames_it_is_a_part(tmp_path):
    path = str(write_ytvis_files(tmp_path, ytvis_content(3)))
    loaded = load_dataset(DataConfig(path=path, split="all", frame_step=2, videos=2))
    assert sum(video.length for video in loaded.videos) == 4
    assert loaded.listed == (3, 12)
