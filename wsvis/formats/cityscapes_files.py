"""The Cityscapes benchmark's own files: ``gtFine_instanceIds`` pngs and result txts with masks.

A result txt has one line per prediction: mask png (relative), label id, confidence. It is named
``<city>_<sequence>_<frame>*.txt`` and lies anywhere below the folder of predictions.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from PIL import Image
from pycocotools import mask as coco_mask

from wsvis.data.cityscapes import THINGS
from wsvis.errors import InputError
from wsvis.evaluation.cityscapes_labels import class_ids
from wsvis.evaluation.frame_ap import FrameTruth
from wsvis.files.indexed_png import read_indexed_png
from wsvis.files.json_input import decoded_text
from wsvis.files.regular_file import open_regular, read_regular
from wsvis.masks import encode_masks
from wsvis.types import FrameInstances, Rle

_SUFFIX = "_gtFine_instanceIds.png"
_FRAME = re.compile(r"(.+?_[0-9]{6}_[0-9]{6}).*")
_KNOWN_IDS = range(-1, 34)
MAX_TXT_BYTES = 1 << 26
"""A line of a result txt has some 100 bytes, and an image a few hundred of them."""


def result_pairs(truth: Path, predictions: Path) -> list[tuple[Path, Path]]:
    """Each ground-truth png below ``truth`` with its result txt below ``predictions``.

    Raises:
        InputError: a folder is absent, there is no ground truth, or an image has no or two results.
    """
    for folder in (truth, predictions):
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder; check the path")
    pngs = sorted(truth.rglob(f"*{_SUFFIX}"))
    if not pngs:
        raise InputError(f"{truth}: holds no *{_SUFFIX}; give the folder gtFine/val")
    by_frame: dict[str, list[Path]] = defaultdict(list)
    for txt in sorted(predictions.rglob("*.txt")):
        match = _FRAME.fullmatch(txt.name)
        if match:
            by_frame[match[1]].append(txt)
    pairs = []
    for png in pngs:
        stem = png.name.removesuffix(_SUFFIX)
        txts = by_frame.get(stem, [])
        if len(txts) != 1:
            raise InputError(
                f"{predictions}: {len(txts)} files are named {stem}*.txt; give one per image, "
                "empty where nothing is found"
            )
        pairs.append((png, txts[0]))
    return pairs


def read_truth(path: Path) -> Int[np.ndarray, "H W"]:
    """Values of a ground-truth png.

    Raises:
        InputError: the png is damaged or holds values that are no instance ids.
    """
    ids = read_indexed_png(str(path))[0]
    classes = class_ids(ids)
    if classes.min() < 0 or classes.max() >= _KNOWN_IDS.stop:
        raise InputError(f"{path}: label id {classes.max()} is unknown; are these instanceIds?")
    return ids


def read_predictions(txt: Path, root: Path, height: int, width: int) -> FrameInstances:
    """Predictions of one image; those of classes without instances are passed over.

    Raises:
        InputError: a line that cannot be read, a mask that is absent, outside ``root``, listed
            twice or of another size.
    """
    labels: list[int] = []
    scores: list[float] = []
    masks: list[Rle] = []
    seen: set[Path] = set()
    label_of = {class_id: label for label, class_id in enumerate(THINGS)}
    for number, line in enumerate(_lines(txt), start=1):
        where = f"{txt}: line {number}"
        path, class_id, score = _parse(where, line, txt.parent, root)
        if path in seen:
            raise InputError(f"{where}: mask {path.name} is listed twice; remove one")
        seen.add(path)
        if class_id not in label_of:
            continue
        mask = _read_mask(path, where, height, width)
        labels.append(label_of[class_id])
        scores.append(score)
        masks += encode_masks(mask[None])
    return FrameInstances(np.array(labels, np.int64), np.array(scores), tuple(masks))


def coco_truth(instance_ids: Int[np.ndarray, "H W"]) -> FrameTruth:
    """The same ground truth for COCO's measure: groups are crowds, small objects count."""
    values = np.flatnonzero(np.bincount(instance_ids.ravel()))
    classes = class_ids(values[None])[0]
    things = np.isin(classes, list(THINGS))
    values, classes, order = values[things], classes[things], list(THINGS)
    labels = np.array([order.index(class_id) for class_id in classes], np.int64)
    masks = tuple(_masks_of_values(instance_ids, values))
    return FrameTruth(labels, masks, values < 1000)


def _masks_of_values(ids: Int[np.ndarray, "H W"], values: np.ndarray) -> list[Rle]:
    """The RLE of each value in a map, from the runs of the whole map."""
    height, width = ids.shape
    flat = ids.ravel(order="F")
    begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(begins[1:], flat.size)
    masks: list[Rle] = []
    for value in values:
        chosen = flat[begins] == value
        edges = np.stack([begins[chosen], ends[chosen]], axis=1).ravel()
        runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
        plain: Any = {"size": [height, width], "counts": runs}
        rle = coco_mask.frPyObjects(plain, height, width)
        masks.append({"size": [height, width], "counts": rle["counts"].decode()})
    return masks


def _read_mask(path: Path, where: str, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Where a png is not black, as the official script sees it; its size is checked first."""
    try:
        with (
            open_regular(path, "the mask is absent; restore the file") as file,
            Image.open(file, formats=("PNG",)) as image,
        ):
            if image.size != (width, height):
                raise InputError(
                    f"mask {path.name} is {image.width}x{image.height} pixels, its image "
                    f"{width}x{height}; export it at full size"
                )
            return np.asarray(image.convert("L")) != 0
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{where}: mask {path} is no readable png ({error}); export the mask again"
        ) from None


def _lines(txt: Path) -> list[str]:
    text = decoded_text(txt, read_regular(txt, MAX_TXT_BYTES))
    return [line for line in text.splitlines() if line.strip()]


def _parse(where: str, line: str, folder: Path, root: Path) -> tuple[Path, int, float]:
    words = line.split()
    try:
        name, number, score = words[0], float(words[1]), float(words[2])
    except (IndexError, ValueError):
        raise InputError(f"{where}: must be: mask png, label id, confidence") from None
    if len(words) != 3:
        raise InputError(f"{where}: has {len(words)} words; names of masks may hold no blank")
    if not math.isfinite(score):
        raise InputError(f"{where}: confidence {words[2]} is not a finite number")
    if number not in _KNOWN_IDS:
        raise InputError(f"{where}: label id {number:g} is unknown; use ids, not train ids")
    path = (folder / name.replace("\0", "/")).resolve()  # no name holds a null
    if Path(name).is_absolute() or not path.is_relative_to(root.resolve()):
        raise InputError(f"{where}: mask {name} lies outside {root}; use relative names inside it")
    return path, int(number), score
