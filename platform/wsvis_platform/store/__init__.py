"""Stored results: keys, quarantine, workers that compute what is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    # the room was a module of this name; what it held is found in it still
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module("wsvis_platform.store.store"), name)
