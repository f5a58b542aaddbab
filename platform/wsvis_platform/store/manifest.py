"""What an entry of the store says of itself: its items, who has none and why, where it came from.

A manifest is trusted only where it is a plain file whose content has its own checksum and the
types written here; whatever else stands in its place vouches for nothing.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BAD_INPUT = "bad input"
"""The video itself cannot be used; true for as long as its files stay as they are."""
NO_INPUT = "no input"
"""A stage before has no result for the video; true for as long as that is so."""
DIED = "died"
"""Processes died at the video, also when it was tried alone; true until somebody clears it."""
KINDS = (BAD_INPUT, NO_INPUT, DIED)


class CorruptEntryError(Exception):
    """A stored file does not match its checksum, or is gone."""

    def __init__(self, stage: str, key: str, item: str, reason: str) -> None:
        super().__init__(f"{stage}/{key}/{item}: {reason}")
        self.stage, self.key, self.item, self.reason = stage, key, item, reason

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is rebuilt from its text alone, unless it says how
        return type(self), (self.stage, self.key, self.item, self.reason)


@dataclass(frozen=True)
class Reason:
    """Why a video has no result."""

    text: str
    kind: str = ""
    """One of ``KINDS``; empty in entries of older programs, which did not tell them apart."""
    fingerprint: str = ""
    """Of the video's own files when it failed."""

    @classmethod
    def parse(cls, content: Any) -> Reason:
        """From a file's JSON.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(content, dict):
            raise ValueError("not a record of a reason")
        parts = [content.get("reason"), content.get("kind", ""), content.get("fingerprint", "")]
        if not all(isinstance(part, str) for part in parts):
            raise ValueError("a reason that is no text")
        return cls(*parts)

    def plain(self) -> dict[str, str]:
        """The inverse of :meth:`parse`."""
        return {"reason": self.text, "kind": self.kind, "fingerprint": self.fingerprint}


@dataclass(frozen=True)
class Manifest:
    """What an entry holds and where it came from."""

    stage: str
    key: str
    items: dict[str, dict[str, Any]]
    """Item -> {sha256, bytes}."""
    quarantined: dict[str, str] = field(default_factory=dict)
    """Video -> the reason why it has no result."""
    causes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Video -> kind of that reason and fingerprint of its files, see :class:`Reason`."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Settings, input keys, data fingerprint, seed, videos that results before lacked."""
    seconds: float = 0.0
    machine: str = ""
    created: str = ""

    @property
    def coverage(self) -> float:
        """Share of the videos that have a result."""
        total = len(self.items) + len(self.quarantined)
        return len(self.items) / total if total else 0.0

    def reasons(self) -> dict[str, Reason]:
        """Video -> why it has no result, with the kind of the reason."""
        return {
            video: Reason.parse({**self.causes.get(video, {}), "reason": text})
            for video, text in self.quarantined.items()
        }

    def to_bytes(self) -> bytes:
        """As a file, with the content's own checksum."""
        content = json.loads(json.dumps(asdict(self)))
        content["checksum"] = _content_checksum(content)
        return json.dumps(content, indent=1).encode()


def read_manifest(path: Path, stage: str, key: str) -> Manifest | None:
    """The manifest of an entry; ``None`` where there is none that can be trusted.

    Raises:
        OSError: the file cannot be read, which says nothing about its content.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError:
        if path.is_symlink():  # one that leads nowhere, or round in a circle
            return None
        raise
    try:
        return parse_manifest(json.loads(content), stage, key)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def parse_manifest(content: Any, stage: str, key: str) -> Manifest:
    """A manifest from JSON, every type checked.

    Raises:
        ValueError, KeyError, TypeError: it is not the manifest of this entry.
    """
    if not isinstance(content, dict):
        raise ValueError("not an object")
    checksum = content.pop("checksum")
    if checksum != _content_checksum(content):
        raise ValueError("checksum")
    manifest = Manifest(**content)
    items, texts = manifest.items, manifest.quarantined
    sound = (
        (manifest.stage, manifest.key) == (stage, key)
        and all(isinstance(each, dict) for each in (items, texts, manifest.causes, manifest.origin))
        and all(
            isinstance(about, Mapping)
            and isinstance(about.get("sha256"), str)
            and type(about.get("bytes")) is int
            for about in items.values()
        )
        and all(isinstance(text, str) for text in texts.values())
        and all(isinstance(cause, dict) for cause in manifest.causes.values())
        and isinstance(manifest.seconds, (int, float))
        and isinstance(manifest.machine, str)
        and isinstance(manifest.created, str)
        and isinstance(manifest.origin.get("omitted", []), list)
    )
    if not sound:
        raise ValueError("types")
    manifest.reasons()
    return manifest


def checksum_of(content: bytes) -> str:
    """SHA-256 (hex) of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def _content_checksum(content: Mapping[str, Any]) -> str:
    return checksum_of(json.dumps(content, sort_keys=True).encode())
