"""The held-out split of the paper: per class, some training videos are kept for validation.

Source: Liu et al., CVPR 2021, Sec. 4.1: "10 videos from each category" of YouTube-VIS are held out,
390 in all, since some of the 400 draws are the same video of several classes; 1,848 remain.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wsvis.errors import InputError
from wsvis.files.atomic import write_text
from wsvis.files.json_input import read_json
from wsvis.types import Dataset

SPLIT_VERSION = 1
"""Raised when the same videos and seed would be split in another way."""


@dataclass(frozen=True)
class Split:
    """Ids of the videos on each side, and what they were drawn from."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    held_out_per_class: int
    seed: int

    @property
    def hash(self) -> str:
        """Hash of the two lists, as saved with them."""
        text = json.dumps([SPLIT_VERSION, self.train, self.val])
        return hashlib.sha256(text.encode()).hexdigest()


def held_out_split(
    classes_of: Mapping[str, Sequence[str]], held_out_per_class: int, seed: int
) -> Split:
    """Videos drawn for validation, class by class, and the rest.

    Source: Sec. 4.1. Each class draws ``held_out_per_class`` of its videos on its own and the
    validation side is the union, which is what makes 390 of 40 x 10 draws. The paper is silent on
    classes with few videos; here

    - a class with fewer than twice as many draws half of its videos, rounded down;
    - no draw takes a class's last training video, so a class with a single video stays in training.

    The order of a draw is the order of hash(seed, class, video id): neither the order of the videos
    nor a video added later to another class changes it.

    Args:
        classes_of: for each video id the classes it shows; videos without classes stay in training.
        held_out_per_class: n >= 1.
        seed: which split.
    """
    if held_out_per_class < 1:
        raise ValueError(f"held_out_per_class is {held_out_per_class}; it must be at least 1")
    members: dict[str, list[str]] = {}
    for video, classes in classes_of.items():
        for name in set(classes):
            members.setdefault(name, []).append(video)
    left = {name: len(videos) for name, videos in members.items()}
    val: set[str] = set()
    # Rare classes first: a frequent class can more easily do without one of its videos.
    for name in sorted(members, key=lambda c: (len(members[c]), c)):
        missing = min(held_out_per_class, len(members[name]) // 2)
        for video in sorted(members[name], key=lambda v: _draw_order(seed, name, v)):
            if missing == 0:
                break
            if video in val:
                missing -= 1
            elif all(left[c] > 1 for c in set(classes_of[video])):
                missing -= 1
                val.add(video)
                for c in set(classes_of[video]):
                    left[c] -= 1
    return Split(
        train=tuple(video for video in classes_of if video not in val),
        val=tuple(video for video in classes_of if video in val),
        held_out_per_class=held_out_per_class,
        seed=seed,
    )


def split_dataset(dataset: Dataset, held_out_per_class: int, seed: int) -> Split:
    """The held-out split of a data set, by the classes its videos show."""
    classes_of = {
        video.id: [dataset.classes[c] for c in {label for frame in video.labels for label in frame}]
        for video in dataset.videos
    }
    return held_out_split(classes_of, held_out_per_class, seed)


def save_split(split: Split, path: str) -> None:
    """Write the split as JSON, hash and version included."""
    content = {
        "version": SPLIT_VERSION,
        "held_out_per_class": split.held_out_per_class,
        "seed": split.seed,
        "hash": split.hash,
        "val": list(split.val),
        "train": list(split.train),
    }
    write_text(path, json.dumps(content, indent=1) + "\n")


def load_split(path: str) -> Split:
    """Read a split that ``save_split`` wrote.

    Raises:
        InputError: the file is no split, of another version, or was changed by hand.
    """
    content = read_json(path)
    try:
        split = Split(
            train=tuple(str(video) for video in content["train"]),
            val=tuple(str(video) for video in content["val"]),
            held_out_per_class=int(content["held_out_per_class"]),
            seed=int(content["seed"]),
        )
        version, written_hash = content["version"], content["hash"]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: is not a split; write one with wsvis data split") from None
    if version != SPLIT_VERSION:
        raise InputError(
            f"{path}: is a split of version {version}, not {SPLIT_VERSION}; write anew"
        )
    if written_hash != split.hash:
        raise InputError(f"{path}: does not match its own hash, so it was changed; write it anew")
    return split


def check_split_fits(split: Split, dataset: Dataset, path: str) -> None:
    """Refuse a split whose videos are not exactly those of the data set."""
    known, listed = {video.id for video in dataset.videos}, {*split.train, *split.val}
    strange, missing = sorted(listed - known), sorted(known - listed)
    if strange or missing:
        example = (
            f"{strange[0]!r} is not in the data set" if strange else f"{missing[0]!r} is not in it"
        )
        raise InputError(
            f"{os.fspath(path)}: is the split of another data set ({example}); write it anew"
        )


def _draw_order(seed: int, name: str, video: str) -> bytes:
    return hashlib.sha256(json.dumps([SPLIT_VERSION, seed, name, video]).encode()).digest()
