"""Descriptions of runs and experiments in MLflow: a tag in Markdown, which people edit too."""

from __future__ import annotations

from collections.abc import Mapping

NOTE = "mlflow.note.content"
_OURS = "<!-- wsvis -->"
"""First line of a description that a later run may replace; MLflow does not show it."""


def note_tag(text: str) -> dict[str, str]:
    """The tag that holds a description."""
    return {NOTE: f"{_OURS}\n{text}"}


def may_describe(tags: Mapping[str, str]) -> bool:
    """Whether a description may be written: none is there, or one that a person has not made."""
    return tags.get(NOTE, "").startswith(_OURS) or not tags.get(NOTE, "").strip()
