"""Settings of weights: the name of known ones, or a file of one's own."""

from __future__ import annotations

import os
from pathlib import Path

WEIGHTS = frozenset({"classifier.weights", "detector.weights", "flow.weights"})
"""Settings that may name a file."""
FILES = frozenset({"classifier.class_map"})
"""Settings that name a file or nothing."""
SYNONYMS = Path(__file__).parent / "assets" / "imagenet_synonyms.json"
"""Class name -> names of ImageNet-1k; an empty list where ImageNet has nothing like it."""


def names_a_file(weights: str) -> bool:
    """Whether weights are given as a file; names such as ``IMAGENET1K_V1`` have no dot or slash."""
    return os.sep in weights or bool(Path(weights).suffix)
