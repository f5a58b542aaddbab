"""The embedded data set: clips rendered from code, with exact masks, flow and occlusion.

Nothing is downloaded and nothing is global: a clip is a function of the version, its split and its
index. docs/synthetic.md says what is in it and why.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from wsvis.data.config import DataConfig
from wsvis.data.synthetic_clip import SyntheticClip, render
from wsvis.data.synthetic_parameters import CLASSES, VERSION, GeneratorParameters, with_size
from wsvis.data.synthetic_sprites import BODY_HUES, HEAD_HUES, HUE_JITTER
from wsvis.data.synthetic_textures import TEXTURES
from wsvis.errors import InputError
from wsvis.masks import encode_masks
from wsvis.types import Dataset, Instance, Rle, SyntheticSource, Video

CACHED_CLIPS = 96
"""Clips whose frames stay in memory (0.8 MB each at the frozen size)."""

Sizes = tuple[tuple[str, float | int], ...]
"""A source's ``generator`` as something that can be a key."""


def render_clip(source: SyntheticSource) -> SyntheticClip:
    """The clip a source describes; the same on every machine and in every process."""
    return render(source.split, source.index, with_size(source.generator))


def clip_frames(source: SyntheticSource) -> UInt8[np.ndarray, "T H W 3"]:
    """RGB frames of a clip, read-only, from memory where they were rendered lately."""
    return _cached_frames(source.split, source.index, tuple(sorted(source.generator.items())))


@functools.lru_cache(maxsize=CACHED_CLIPS)
def _cached_frames(split: str, index: int, sizes: Sizes) -> np.ndarray:
    frames = render(split, index, with_size(dict(sizes))).frames
    frames.setflags(write=False)
    return frames


def synthetic_dataset(
    split: str = DataConfig.split,
    videos: int = DataConfig.synthetic_videos,
    generator: Mapping[str, int] | None = None,
) -> Dataset:
    """The first ``videos`` clips of a split, with labels per frame and ground truth.

    Args:
        split: ``train`` or ``val``; they share no texture, no seed. Throw-away splits for
            calibration are called ``<anything>-train`` and ``<anything>-val``.
        videos: number of clips (the project uses 60 and 20).
        generator: another ``height``, ``width`` or number of ``frames``, if any.
    """
    if videos < 1:
        raise InputError(f"the synthetic data set needs at least 1 clip, not {videos}")
    parameters = with_size(generator or {})
    sources = [SyntheticSource(split, i, dict(generator or {})) for i in range(videos)]
    return Dataset(
        name=f"synthetic-{split}",
        classes=CLASSES,
        videos=tuple(_video(source) for source in sources),
        fingerprint=_fingerprint(split, videos, parameters),
    )


def _fingerprint(split: str, videos: int, parameters: GeneratorParameters) -> str:
    what = {
        "version": VERSION,
        "split": split,
        "videos": videos,
        "classes": CLASSES,
        "looks": (TEXTURES, BODY_HUES, HEAD_HUES, HUE_JITTER),
        "parameters": dataclasses.asdict(parameters),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _video(source: SyntheticSource) -> Video:
    labels, instances, size = _annotations(
        source.split, source.index, tuple(sorted(source.generator.items()))
    )
    name = f"synthetic-{source.split}-{source.index:04d}"
    return Video(name, size[0], size[1], labels, source, instances)


@functools.lru_cache(maxsize=1024)
def _annotations(
    split: str, index: int, sizes: Sizes
) -> tuple[tuple[tuple[int, ...], ...], tuple[Instance, ...], tuple[int, int]]:
    clip = render(split, index, with_size(dict(sizes)))
    count, length, height, width = clip.masks.shape
    instances = []
    for n in range(count):
        rles: list[Rle | None] = list(encode_masks(clip.masks[n]))
        shown = tuple(rle if clip.annotated[n, t] else None for t, rle in enumerate(rles))
        instances.append(Instance(id=n + 1, label=int(clip.labels[n]), segmentations=shown))
    labels = tuple(
        tuple(sorted({int(c) for c in clip.labels[clip.annotated[:, t]]})) for t in range(length)
    )
    return labels, tuple(instances), (height, width)
