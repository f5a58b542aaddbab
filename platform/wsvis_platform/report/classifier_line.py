"""How well the classifiers behind a sweep know clips they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wsvis.config import Config
from wsvis.plan import stage_keys
from wsvis.types import Dataset
from wsvis_platform.store.store import Store

CLASSIFIER_QUALITY = "classifier_quality"
"""The stage that measures them."""


def classifier_line(
    config: Config, seeds: Sequence[int], held_out: Dataset, trained_on: Dataset, store: Store
) -> str:
    """Mean average precision of the frame classifiers on held-out clips, seed by seed."""
    parts = []
    for seed in seeds:
        keys = stage_keys(replace(config, seed=seed), held_out, [CLASSIFIER_QUALITY], trained_on)
        parts.append(store.read(CLASSIFIER_QUALITY, keys[CLASSIFIER_QUALITY]).data["mAP"])
    shown = ", ".join(f"{100 * value:.1f}" for value in parts)
    return f"classifier mAP on held-out clips, seed by seed: {shown}"
