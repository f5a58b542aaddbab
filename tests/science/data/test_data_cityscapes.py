"""The Cityscapes folders: snippets around the annotated frame."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from reference.clips_on_disk import HEIGHT, WIDTH, picture, write_image
from wsvis.data.cityscapes import THINGS, read_cityscapes
from wsvis.data.config import DataConfig
from wsvis.data.frames import read_frames, read_pairs
from wsvis.data.load import load_dataset
from wsvis.errors import InputError
from wsvis.masks import decode_masks


def write_snippet(root, side, city, number, t, last):
    """Frames 0..last, red = frame number; a car, a person, a group of cars, a caravan, road."""
    stem = f"{city}_{number:06d}"
    for n in range(last + 1):
        name = f"{stem}_{n:06d}_leftImg8bit.png"
        write_image(root / "leftImg8bit_sequence" / side / city / name, picture(n))
    values = np.full((HEIGHT, WIDTH), 7, dtype=np.int32)  # road
    values[0], values[1], values[2], values[3] = 26000, 24003, 26, 29001  # a caravan is no thing
    folder = root / "gtFine" / side / city
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}_{t:06d}_gtFine_instanceIds.png"
    Image.fromarray(values.astype(np.uint16)).save(path)
    (folder / f"{stem}_{t:06d}_gtFine_labelIds.png").write_bytes(b"")
    return path


@pytest.fixture
def root(tmp_path):
    write_snippet(tmp_path, "train", "aachen", 0, 19, 29)
    write_snippet(tmp_path, "train", "bochum", 1, 4, 7)  # t + 3 is the last frame there is
    write_snippet(tmp_path, "val", "lindau", 0, 19, 20)
    return tmp_path


def reds(frames):
    return frames[..., 0].mean((1, 2)).astype(int).tolist()


def test_training_snippets(root):
    dataset = read_cityscapes(str(root), "train")
    assert dataset.classes == tuple(THINGS.values())
    assert dataset.category_ids == tuple(THINGS)
    assert [v.id for v in dataset.videos] == ["aachen_000000_000019", "bochum_000001_000004"]
    first, second = dataset.videos
    assert reds(read_frames(first)) == [16, 19, 22]
    assert [reds(part) for part in read_pairs(first, 1)] == [[16, 19, 22], [17, 20, 23]]
    assert [reds(part) for part in read_pairs(first, 1, raw=False)] == [[16, 19], [19, 22]]
    assert [reds(part) for part in read_pairs(second, 1)] == [[1, 4], [2, 5]]
    assert first.labels == ((0, 2),) * 3  # person and car
    assert first.instances is None


def test_validation_frames(root):
    (video,) = read_cityscapes(str(root), "val").videos
    assert reds(read_frames(video)) == [19]
    assert [reds(part) for part in read_pairs(video, 1)] == [[19], [20]]
    found = [(i.id, i.label, i.is_crowd) for i in video.instances]
    assert found == [(26, 2, True), (24003, 0, False), (26000, 2, False)]
    masks = decode_masks([i.segmentations[0] for i in video.instances], HEIGHT, WIDTH)
    assert [np.flatnonzero(mask.any(1)).tolist() for mask in masks] == [[2], [1], [0]]


def test_by_configuration(root):
    data = DataConfig(kind="cityscapes", path=str(root), split="all")
    assert len(load_dataset(data).videos) == 3
    assert len(load_dataset(data).classes) == 8  # fixed, whatever occurs


def test_what_can_be_missing(root, tmp_path):
    with pytest.raises(InputError, match=r"gtFine/train: there is no such folder"):
        read_cityscapes(str(tmp_path / "other"))
    gone = root / "leftImg8bit_sequence/train/aachen/aachen_000000_000016_leftImg8bit.png"
    gone.unlink()
    video = read_cityscapes(str(root)).videos[0]
    with pytest.raises(InputError, match=r"000016_leftImg8bit\.png: the frame is listed but"):
        read_frames(video)
    mask = write_snippet(root, "val", "lindau", 0, 19, 20)
    mask.write_bytes(mask.read_bytes()[:60])
    assert (
        "instanceIds.png: is no readable PNG" in read_cityscapes(str(root), "val").videos[0].problem
    )
    mask.rename(mask.parent / "x_gtFine_instanceIds.png")
    with pytest.raises(InputError, match=r"x_gtFine_instanceIds\.png: is not named"):
        read_cityscapes(str(root), "val")
    (mask.parent / "x_gtFine_instanceIds.png").unlink()
    with pytest.raises(InputError, match=r"holds no .*instanceIds\.png"):
        read_cityscapes(str(root), "val")
