"""Tracks in the forms of other programs, read back by their own rules."""

import json
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from wsvis.data.config import DataConfig
from wsvis.data.load import load_dataset
from wsvis.exports.coco import write_coco
from wsvis.exports.cvat import mask_polygons, write_cvat
from wsvis.exports.davis_masks import davis_palette, write_davis_masks
from wsvis.exports.stored_tracks import safe_name, stored_tracks
from wsvis.exports.tracked_video import TrackedVideo, categories_of
from wsvis.exports.ytvis import ytvis_annotations
from wsvis.formats.track_results import results_of, write_results
from wsvis.masks import decode_masks, encode_masks
from wsvis.types import Track

HEIGHT, WIDTH = 24, 40
CATEGORIES = categories_of(["cat", "owl"], [4, 9])


def rle(*boxes):
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    for top, left, bottom, right in boxes:
        mask[0, top:bottom, left:right] = True
    return encode_masks(mask)[0]


def video(*tracks, length=3):
    return TrackedVideo(7, "park", HEIGHT, WIDTH, length, tracks)


FIRST = Track(0, 1, 0.9, (rle((2, 3, 12, 20)), None, rle((4, 5, 14, 22))), (0.8, None, 0.7))
SECOND = Track(1, 0, 0.5, (rle((8, 10, 20, 30)), rle((8, 10, 20, 30)), None), (0.5, 0.5, None))


def test_coco_reads_back(tmp_path):
    assert write_coco(tmp_path / "coco.json", [video(FIRST, SECOND)], CATEGORIES) == 4
    coco = COCO(str(tmp_path / "coco.json"))
    assert [image["file_name"] for image in coco.imgs.values()] == [
        f"park/{t:05d}.jpg" for t in range(3)
    ]
    (owl,) = coco.loadAnns(coco.getAnnIds(imgIds=[3]))
    assert (owl["category_id"], owl["score"], owl["track_id"]) == (9, 0.7, 0)
    assert owl["bbox"] == [5, 4, 17, 10]
    assert owl["area"] == 170
    np.testing.assert_array_equal(
        coco.annToMask(owl).astype(bool), decode_masks([FIRST.segmentations[2]], HEIGHT, WIDTH)[0]
    )
    assert coco.getCatIds(catNms=["owl"]) == [9]


def test_davis_masks_hold_track_numbers_and_the_better_track_is_in_front(tmp_path):
    assert write_davis_masks(tmp_path, video(FIRST, SECOND)) == 3
    with Image.open(tmp_path / "park" / "00000.png") as image:
        values = np.asarray(image)
        palette = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    first, second = decode_masks([FIRST.segmentations[0], SECOND.segmentations[0]], HEIGHT, WIDTH)
    np.testing.assert_array_equal(values == 1, first)
    np.testing.assert_array_equal(values == 2, second & ~first)
    np.testing.assert_array_equal(palette[:3], [[0, 0, 0], [128, 0, 0], [0, 128, 0]])
    assert sorted(path.name for path in (tmp_path / "park").iterdir()) == [
        "00000.png", "00001.png", "00002.png"
    ]  # fmt: skip


def test_the_palette_is_that_of_pascal_voc():
    known = {0: (0, 0, 0), 1: (128, 0, 0), 5: (128, 0, 128), 8: (64, 0, 0), 255: (224, 224, 192)}
    palette = davis_palette()
    assert {n: tuple(palette[n].tolist()) for n in known} == known
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


def drawn(element):
    points = [[float(v) for v in p.split(",")] for p in element.get("points").split(";")]
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(canvas, [np.array(points).round().astype(np.int32)], 1)
    return canvas.astype(bool)


def test_cvat_tracks_cover_the_masks_and_end_where_they_end(tmp_path):
    path = tmp_path / "park.xml"
    assert write_cvat(path, video(FIRST, SECOND), CATEGORIES) == 2
    root = ET.parse(path).getroot()
    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/size") == "3"
    assert [e.text for e in root.findall("meta/task/labels/label/name")] == ["cat", "owl"]
    owl, cat = root.findall("track")
    assert (owl.get("label"), cat.get("label")) == ("owl", "cat")
    shown = [(p.get("frame"), p.get("outside"), p.get("keyframe")) for p in owl]
    assert shown == [("0", "0", "1"), ("1", "1", "1"), ("2", "0", "1")]
    assert [(p.get("frame"), p.get("outside")) for p in cat] == [("0", "0"), ("1", "0"), ("2", "1")]
    for polygon, mask in ((owl[0], FIRST.segmentations[0]), (cat[1], SECOND.segmentations[1])):
        np.testing.assert_array_equal(drawn(polygon), decode_masks([mask], HEIGHT, WIDTH)[0])


def test_a_mask_in_parts_becomes_grouped_tracks_for_cvat(tmp_path):
    split = Track(0, 0, 0.9, (rle((0, 0, 10, 10), (12, 20, 20, 24)),), (0.9,))
    assert write_cvat(tmp_path / "a.xml", video(split, length=1), CATEGORIES) == 2
    big, small = ET.parse(tmp_path / "a.xml").getroot().findall("track")
    assert big.get("group_id") == small.get("group_id") is not None
    assert drawn(big[0]).sum() == 100
    assert drawn(small[0]).sum() == 32


def test_specks_have_no_polygon():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3, 4] = mask[10, 5:9] = True
    assert mask_polygons(mask) == []


def test_a_results_file_is_read_back_as_it_was_written(tmp_path):
    whole = video(FIRST, SECOND)
    results, listing = tmp_path / "results.json", tmp_path / "videos.json"
    write_results(str(results), results_of(7, whole.tracks, CATEGORIES.ids))
    listing.write_text(json.dumps({"videos": [whole.entry()], "categories": CATEGORIES.entries()}))
    videos, categories = stored_tracks(results, listing)
    (read,) = videos
    assert categories == CATEGORIES
    assert (read.number, read.name, read.length) == (7, "park", 3)
    assert [t.segmentations for t in read.tracks] == [t.segmentations for t in whole.tracks]
    assert [(t.label, t.score) for t in read.tracks] == [(1, 0.9), (0, 0.5)]


def test_ytvis_annotations_are_a_data_set(tmp_path):
    for t in range(3):
        frame = tmp_path / "JPEGImages" / "park" / f"{t:05d}.jpg"
        frame.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(frame), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(ytvis_annotations([video(FIRST, SECOND)], CATEGORIES)))
    dataset = load_dataset(DataConfig(path=str(path), split="all"))
    assert dataset.classes == ("cat", "owl")
    (loaded,) = dataset.videos
    assert loaded.number == 7
    assert loaded.labels == ((0, 1), (0,), (1,))
    assert [i.segmentations for i in loaded.instances] == [
        FIRST.segmentations, SECOND.segmentations
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a/b", ".hidden", ""])
def test_a_video_cannot_leave_the_folder(name):
    assert "/" not in safe_name(name)
    assert safe_name(name)[0] != "."
