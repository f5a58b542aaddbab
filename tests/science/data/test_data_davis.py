"""DAVIS-style folders: numbered masks, classes from labels.csv."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from reference.clips_on_disk import HEIGHT, WIDTH, write_frames
from wsvis.data.davis import read_davis
from wsvis.data.frames import read_frames
from wsvis.errors import InputError
from wsvis.files.indexed_png import read_indexed_png
from wsvis.masks import decode_masks


def write_mask(path, values, palette=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, dtype=np.uint8), "P" if palette else "L")
    if palette:
        image.putpalette([7 * n % 256 for n in range(768)])
    image.save(path)


def numbered(*objects):
    """Object k + 1 fills row k, unless it is not among ``objects``."""
    values = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for number in objects:
        values[number - 1] = number
    return values


@pytest.fixture
def root(tmp_path):
    """Two clips: ``one`` with objects 1 and 2 (2 absent from frame 1), ``two`` as in DAVIS 2016."""
    root = tmp_path / "davis"
    write_frames(root / "JPEGImages" / "480p" / "one", [0, 1, 2])
    write_frames(root / "JPEGImages" / "480p" / "two", [0, 1])
    for t, objects in enumerate([(1, 2), (1,), (1, 2)]):
        values = numbered(*objects)
        values[-1] = 255
        write_mask(root / "Annotations" / "480p" / "one" / f"{t:05d}.png", values)
    for t in range(2):
        write_mask(
            root / "Annotations" / "480p" / "two" / f"{t:05d}.png", 255 * numbered(1), palette=False
        )
    return root


def label(root, *rows):
    (root / "labels.csv").write_text("\n".join(["clip,object,class", *rows]) + "\n")
    return str(root)


def test_objects_and_classes(root):
    dataset = read_davis(label(root, "one,1,horse", "one,02,rider", "two,,dog"))
    assert dataset.name == "davis"
    assert dataset.classes == ("dog", "horse", "rider")
    one, two = dataset.videos
    assert (one.id, one.height, one.width) == ("one", HEIGHT, WIDTH)
    assert one.labels == ((1, 2), (1,), (1, 2))
    assert [(i.id, i.label) for i in one.instances] == [(1, 1), (2, 2)]
    assert one.instances[1].segmentations[1] is None
    masks = decode_masks([i.segmentations[0] for i in one.instances], HEIGHT, WIDTH)
    assert [np.flatnonzero(mask.any(1)).tolist() for mask in masks] == [[0], [1]]  # no void row
    assert [(i.id, i.label) for i in two.instances] == [(1, 0)]
    assert read_frames(two).shape == (2, HEIGHT, WIDTH, 3)


def test_one_class_for_all_objects_of_a_clip(root):
    dataset = read_davis(label(root, "one,,horse", "one,2,rider", "two,1,dog"))
    assert [i.label for i in dataset.videos[0].instances] == [1, 2]
    assert read_davis(label(root, "one,,x", "two,,x")).classes == ("x",)


def test_a_clip_without_masks_shows_its_classes(root):
    for path in (root / "Annotations" / "480p" / "two").iterdir():
        path.unlink()
    (root / "Annotations" / "480p" / "two").rmdir()
    two = read_davis(label(root, "one,,horse", "two,1,dog", "two,2,cat")).videos[1]
    assert two.instances is None
    assert two.labels == ((0, 1), (0, 1))
    assert two.height == HEIGHT


def test_without_labels_there_is_one_clear_error(root):
    with pytest.raises(InputError, match=r"labels\.csv: there is no such file, and masks carry no"):
        read_davis(str(root))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("three,1,dog", "line 4: there is no clip 'three' in JPEGImages"),
        ("one,x,dog", "line 4: object 'x' is not a number"),
        ("one,0,dog", "line 4: object '0' is not a number from 1 on"),
        ("two,,dog", "line 4: object '' of two has a class already"),
        ("one,3,", "line 4: has no class"),
        ("one,7,dog", r"object 7 of one \(dog\) has no pixel in any mask"),
    ],
)
def test_a_wrong_line_is_named_with_its_cure(root, row, reason):
    path = label(root, "one,,horse", "two,,dog", row)
    with pytest.raises(InputError, match=rf"labels\.csv: {reason}"):
        read_davis(path)
    problems: list[str] = []
    assert len(read_davis(path, problems.append).videos) == 2
    assert len(problems) == 1


def test_bad_masks_set_their_clip_aside(root):
    annotations = root / "Annotations" / "480p"
    path = label(root, "one,1,horse", "two,,dog")
    assert "object 2 has no class; add a line to" in read_davis(path).videos[0].problem
    path = label(root, "one,,horse", "two,,dog")

    def problem_of_two():
        one, two = read_davis(path).videos
        assert not one.problem
        assert two.length == 2
        with pytest.raises(InputError):
            read_frames(two)
        return two.problem

    mask = annotations / "two" / "00001.png"
    data = mask.read_bytes()
    mask.write_bytes(data[: len(data) // 2])
    assert problem_of_two().endswith("00001.png: is no readable PNG; copy or export the mask again")
    mask.unlink()
    assert problem_of_two().endswith("00001.png: the mask is absent; restore the file")
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(mask)
    assert "00001.png: holds colours (RGB)" in problem_of_two()
    write_mask(mask, np.zeros((HEIGHT, WIDTH + 1)))
    assert problem_of_two().endswith("00001.png: differs in size from the clip's first mask")


def test_folders(tmp_path):
    with pytest.raises(InputError, match="no such folder; give the folder that holds JPEGImages"):
        read_davis(str(tmp_path / "none"))
    with pytest.raises(InputError, match="JPEGImages: there is no such folder"):
        read_davis(str(tmp_path))
    (tmp_path / "JPEGImages" / "one").mkdir(parents=True)
    assert "holds no frame" in read_davis(label(tmp_path, "one,,x")).videos[0].problem


def test_sixteen_bit_numbers(tmp_path):
    values = np.array([[0, 24, 26001]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    read, palette = read_indexed_png(str(tmp_path / "a.png"))
    assert read.tolist() == [[0, 24, 26001]]
    assert not palette


def test_a_hostile_png_is_refused(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((50, 50), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr("wsvis.files.indexed_png.MAX_PIXELS", 2499)
    with pytest.raises(InputError, match="more pixels than a mask may have"):
        read_indexed_png(str(tmp_path / "a.png"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match=r"a\.png"):
        read_indexed_png(str(tmp_path / "a.png"))
