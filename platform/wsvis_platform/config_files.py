"""Configurations as JSON files of dotted names, which a sweep writes and any experiment reads."""

from __future__ import annotations

import json
from pathlib import Path

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.files.atomic import write_text
from wsvis.files.json_input import read_json
from wsvis.settings import flatten, with_overrides

MAX_BYTES = 1 << 20
"""All settings together have some 5 kB."""


def write_config(path: Path, config: Config) -> None:
    """The whole configuration under its dotted names; give it back with ``--config-file``."""
    write_text(path, json.dumps(flatten(config), indent=1) + "\n")


def read_config(path: str | Path, base: Config) -> Config:
    """``base`` with the settings of a file that :func:`write_config` made (or part of them).

    Raises:
        InputError: the file is absent or no such file, or names an unknown setting.
    """
    content = read_json(path, MAX_BYTES, unique_names=True)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no settings; give a file a sweep wrote")
    try:
        return with_overrides(base, content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
