"""The two sides of a sweep's data: clips that choose the setting, and clips that choose nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wsvis.config import Config
from wsvis.data.config import DataConfig
from wsvis.data.load import load_dataset, read_dataset, resolved
from wsvis.data.select import keep_used_classes
from wsvis.data.splits import save_split, split_dataset
from wsvis.errors import InputError
from wsvis.types import Dataset
from wsvis_platform.console import Screen
from wsvis_platform.options import RunOptions


def load_both(
    config: Config, options: RunOptions, screen: Screen
) -> tuple[Dataset, Dataset | None]:
    """The training videos, and the validation videos where there is a split."""
    dataset = load_dataset(config.data)
    for remark in dataset.remarks:
        screen.warn(f"{dataset.name}: {remark}")
    if not options.held_out or config.data.split != "train":
        return dataset, None
    try:
        return dataset, load_dataset(replace(config.data, split="val"))
    except InputError as error:
        screen.warn(f"nothing is held out: {error}")
        return dataset, None


def save_held_out(config: Config, folder: Path) -> None:
    """Which videos were held out, as a file for --data.split-file."""
    if resolved(config.data).kind in ("synthetic", "cityscapes") or config.data.split_file:
        return
    whole = keep_used_classes(read_dataset(config.data))
    split = split_dataset(whole, config.data.held_out_per_class, config.data.split_seed)
    save_split(split, str(folder / "split.json"))


def describe(dataset: Dataset) -> str:
    """Videos, frames and classes in numbers, and of how many where not all are used."""
    used = len(dataset.videos), sum(video.length for video in dataset.videos)
    videos, frames = (
        f"{part} of {whole}" if whole > part else f"{part}"
        for part, whole in zip(used, dataset.listed, strict=True)
    )
    return f"{videos} videos, {frames} frames, {len(dataset.classes)} classes"


def data_line(config: DataConfig, dataset: Dataset) -> str:
    """What is used, and as what kind of data set it was read."""
    kind = resolved(config).kind
    how = f"{kind}, told from the path" if config.kind == "auto" and config.path else kind
    return f"{dataset.name} (data.kind {how}): {describe(dataset)}"
