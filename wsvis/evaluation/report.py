"""Measures as plain numbers under their usual names, and as JSON with every digit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsvis.evaluation.greedy_matching import COCO_THRESHOLDS
from wsvis.evaluation.precision_recall import mean_over_classes
from wsvis.evaluation.video_ap import AREA_RANGES, TRACK_LIMITS, VideoAp
from wsvis.files.atomic import write_text

_AT50, _AT75 = COCO_THRESHOLDS.index(0.5), COCO_THRESHOLDS.index(0.75)


def video_numbers(result: VideoAp) -> dict[str, float]:
    """The twelve numbers of the YouTube-VIS tool in [0, 1]; NaN where it prints -1.

    AP (.50:.05:.95), AP50, AP75; APs, APm, APl by area; AR1, AR10, AR100 by tracks per video and
    class; ARs, ARm, ARl by area with 100 tracks.
    """
    return _numbers(result, slice(None))


def video_numbers_by_class(result: VideoAp, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """The same twelve numbers of each class."""
    return {name: _numbers(result, slice(c, c + 1)) for c, name in enumerate(classes)}


def _numbers(result: VideoAp, which: slice) -> dict[str, float]:
    ap, ar = result.precision[..., which], result.recall[..., which]
    area = {name: index for index, name in enumerate(AREA_RANGES)}
    numbers = {
        "AP": mean_over_classes(ap[area["all"]]),
        "AP50": mean_over_classes(ap[area["all"], _AT50]),
        "AP75": mean_over_classes(ap[area["all"], _AT75]),
    }
    sizes = ("small", "medium", "large")
    numbers |= {f"AP{name[0]}": mean_over_classes(ap[area[name]]) for name in sizes}
    for m, limit in enumerate(TRACK_LIMITS):
        numbers[f"AR{limit}"] = mean_over_classes(ar[area["all"], m])
    return numbers | {f"AR{name[0]}": mean_over_classes(ar[area[name], -1]) for name in sizes}


def json_ready(value: Any) -> Any:
    """The value with numpy numbers as Python's and NaN as ``None``: JSON knows no NaN."""
    if isinstance(value, Mapping):
        return {str(name): json_ready(member) for name, member in value.items()}
    if isinstance(value, np.ndarray):
        return json_ready(value.tolist())
    if isinstance(value, list | tuple):
        return [json_ready(member) for member in value]
    if isinstance(value, np.generic):
        return json_ready(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """The report as JSON, unrounded, NaN as null; nothing half-written."""
    write_text(str(path), json.dumps(json_ready(report), indent=2, allow_nan=False) + "\n")
