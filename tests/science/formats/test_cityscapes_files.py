import numpy as np
import pytest
from PIL import Image

from wsvis.errors import InputError
from wsvis.evaluation.cityscapes_ap import cityscapes_ap
from wsvis.evaluation.frame_ap import frame_ap
from wsvis.formats.cityscapes_files import coco_truth, read_predictions, read_truth, result_pairs
from wsvis.masks import decode_masks

HEIGHT, WIDTH = 10, 30
STEM = "aachen_000000_000019"


def truth_ids():
    """Road with a car (200 pixels), a group of cars and a small person."""
    ids = np.full((HEIGHT, WIDTH), 7, np.uint16)
    ids[:, :20] = 26000
    ids[:, 25:28] = 26
    ids[:5, 28:] = 24003
    return ids


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def columns(left, right, value=255):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, left:right] = value
    return mask


@pytest.fixture
def folders(tmp_path):
    save(tmp_path / f"gt/aachen/{STEM}_gtFine_instanceIds.png", truth_ids())
    save(tmp_path / "pred/masks/0.png", columns(0, 20))
    save(tmp_path / "pred/masks/1.png", columns(25, 28, value=1))
    write(tmp_path, "masks/0.png 26 0.9", "masks/1.png 26 0.8", "masks/1.png 7 0.8")
    return tmp_path


def write(folder, *lines):
    text = folder / f"pred/{STEM}_result.txt"
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text("\n".join(lines) + "\n")


def read(folders):
    (png, txt), *_ = result_pairs(folders / "gt", folders / "pred")
    ids = read_truth(png)
    return ids, read_predictions(txt, folders / "pred", *ids.shape)


def test_official_files_are_read(folders):
    write(folders, "masks/0.png 26 0.9", "masks/1.png 26.0 0.8")
    ids, found = read(folders)
    assert ids.tolist() == truth_ids().tolist()
    assert found.labels.tolist() == [2, 2]
    assert found.scores.tolist() == [0.9, 0.8]
    assert (decode_masks(found.masks, HEIGHT, WIDTH)[1] == (columns(25, 28) > 0)).all()
    result = cityscapes_ap([(ids, found)])
    assert result["classes"]["car"]["AP"] == 1  # the second lies on a group
    assert np.isnan(result["classes"]["person"]["AP"])  # 10 pixels are too few to count


def test_the_same_files_by_cocos_measure(folders):
    write(folders, "masks/0.png 26 0.9", "masks/1.png 26 0.8")
    ids, found = read(folders)
    truth = coco_truth(ids)
    assert dict(zip(truth.labels.tolist(), truth.crowd.tolist(), strict=False)) == {
        0: False,
        2: False,
    }
    assert truth.labels[truth.crowd].tolist() == [2]
    assert frame_ap([truth], [found], 8, (0.5,))["AP50"] == pytest.approx(0.5)  # the person counts


def test_masks_of_cocos_truth_are_those_of_the_map():
    ids = np.random.default_rng(0).choice([7, 26, 26000, 24001], (9, 11)).astype(np.int32)
    truth = coco_truth(ids)
    masks = decode_masks(truth.masks, 9, 11)
    assert truth.labels.tolist() == [2, 0, 2]  # values 26, 24001, 26000
    for mask, value in zip(masks, (26, 24001, 26000), strict=True):
        np.testing.assert_array_equal(mask, ids == value)


def test_an_image_without_predictions_and_classes_without_instances(folders):
    write(folders)
    assert len(read(folders)[1]) == 0
    write(folders, "masks/0.png 7 0.9")
    assert len(read(folders)[1]) == 0


BAD_LINES = [
    (("masks/0.png 26",), "line 1: must be: mask png, label id, confidence"),
    (("masks/0.png 26 0.9", "masks/1.png x 0.9"), "line 2: must be"),
    (("masks/0.png 26 0.9 4",), "line 1: has 4 words"),
    (("masks/0.png 26 nan",), "line 1: confidence nan is not a finite number"),
    (("masks/0.png 99 0.9",), "line 1: label id 99 is unknown"),
    (("masks/0.png 26 0.9", "masks/0.png 26 0.8"), "line 2: mask 0.png is listed twice"),
    (("masks/9.png 26 0.9",), "line 1: .*9.png: the mask is absent"),
    (("../gt/x.png 26 0.9",), "line 1: mask ../gt/x.png lies outside"),
    (("/etc/x.png 26 0.9",), "line 1: mask /etc/x.png lies outside"),
    (("masks/small.png 26 0.9",), "line 1: mask small.png is 5x10 pixels, its image 30x10"),
    (("masks/broken.png 26 0.9",), "line 1: mask .*broken.png is no readable png"),
]


@pytest.mark.parametrize(("lines", "message"), BAD_LINES)
def test_bad_predictions_are_one_clear_line(folders, lines, message):
    save(folders / "pred/masks/small.png", columns(0, 5)[:, :5])
    (folders / "pred/masks/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    write(folders, *lines)
    with pytest.raises(InputError, match=message) as caught:
        read(folders)
    assert "\n" not in str(caught.value)
    assert "_result.txt" in str(caught.value)


def test_missing_and_doubled_files_are_named(folders):
    with pytest.raises(InputError, match="no such folder"):
        result_pairs(folders / "nothing", folders / "pred")
    with pytest.raises(InputError, match=r"holds no \*_gtFine_instanceIds.png"):
        result_pairs(folders / "pred", folders / "pred")
    other = folders / f"pred/copy/{STEM}.txt"
    other.parent.mkdir()
    other.write_text("")
    with pytest.raises(InputError, match=f"2 files are named {STEM}"):
        result_pairs(folders / "gt", folders / "pred")
    save(folders / "gt/aachen/aachen_000001_000019_gtFine_instanceIds.png", truth_ids())
    other.unlink()
    with pytest.raises(InputError, match="0 files are named aachen_000001"):
        result_pairs(folders / "gt", folders / "pred")
    save(folders / "gt/bad.png", np.full((2, 2), 65000, np.uint16))
    with pytest.raises(InputError, match="label id 65 is unknown"):
        read_truth(folders / "gt/bad.png")
