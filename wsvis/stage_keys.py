"""Which stages a target needs, and the key of each: what makes two runs share a result."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from wsvis.config import Config
from wsvis.pipeline import STAGES, TRAINED
from wsvis.seeds import stage_seed
from wsvis.settings import config_slice
from wsvis.stage import Stage
from wsvis.types import Dataset
from wsvis.weights_files import FILES, SYNONYMS, WEIGHTS, names_a_file

SCHEME = 2
"""Of the keys; raised where they change although results do not (2: settings that nothing read are
gone)."""

LATER: Mapping[str, Any] = {
    "classifier.head": "trained",
    "classifier.class_map": "",
    "classifier.min_steps": 0,
    "classifier.max_steps": 0,
    "irn.min_steps": 0,
    "irn.max_steps": 0,
    "irn.scores": "peak",
}
"""Settings that came after results had been stored, and the value with which a stage does what it
did before: it is no part of the key, so that those results still count."""


def needed(targets: Iterable[str], given: Iterable[str] = ()) -> list[Stage]:
    """The stages that the targets need, inputs first; a given stage's own inputs are not needed."""
    names, stopped = set(targets), set(given)
    for stage in reversed(STAGES):
        if stage.name in names and stage.name not in stopped:
            names.update(stage.inputs)
    return [stage for stage in STAGES if stage.name in names and stage.name not in stopped]


def settings_read(config: Config, stages: Iterable[Stage]) -> dict[str, Any]:
    """Dotted name -> value of what these stages depend on, and of what names the data."""
    names = dict.fromkeys(name for stage in stages for name in stage.settings)
    return config_slice(config, ("data", *names))


def stage_keys(
    config: Config, dataset: Dataset, targets: Iterable[str], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Stage name -> content-addressed key, for all stages the targets need.

    Args:
        config: the whole run's settings; each stage sees only its slice.
        dataset: gives the data fingerprint.
        targets: names of the stages wanted.
        given: keys taken as they are, for instance a classifier trained on another split.
    """
    keys: dict[str, str] = dict(given or {})
    config = config.in_effect()
    for stage in needed(targets, keys):
        identity: dict[str, Any] = {
            "stage": stage.name,
            "version": stage.version,
            "settings": _with_contents(config_slice(config, stage.settings)),
            "inputs": {name: keys[name] for name in stage.inputs},
            "data": dataset.fingerprint,
        }
        if stage.seeded:
            identity["seed"] = stage_seed(config.seed, stage.name)
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        keys[stage.name] = hashlib.sha256(text.encode()).hexdigest()[:32]
    return keys


def _with_contents(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with what a file holds in place of where it lies, without what changes nothing.

    With the ImageNet head the shipped table of class names counts too.
    """
    counted = {n: v for n, v in settings.items() if n not in LATER or LATER[n] != v}
    for name, value in counted.items():
        if name in FILES or (name in WEIGHTS and names_a_file(value)):
            counted[name] = _digest(value) or value
    if counted.get("classifier.head") == "imagenet":
        counted["class names"] = _digest(str(SYNONYMS))
    return counted


def _digest(path: str) -> str:
    """SHA-256 of a file; empty where there is none (a name of torchvision's weights, say)."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return ""
    return "" if os.path.isdir(path) else _digest_of(path, about.st_size, about.st_mtime_ns)


@lru_cache
def _digest_of(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def trained_networks(
    config: Config, targets: Iterable[str], trained_on: Dataset | None
) -> dict[str, str]:
    """Keys of the networks the targets rest on, trained on other videos; nothing without those.

    To measure on held-out videos: what is trained comes from the training videos.
    """
    if trained_on is None:
        return {}
    trained = [stage.name for stage in needed(targets) if stage.name in TRAINED]
    keys = stage_keys(config, trained_on, trained)
    return {name: keys[name] for name in trained}
