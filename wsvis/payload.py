"""What a stage hands on: named arrays plus plain data, in one file that cannot trick its reader.

The file is safetensors (no pickle, sizes checked by the format), with the plain data as JSON in its
metadata. Network weights, flow, maps and masks all travel in this form.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as save_arrays

from wsvis.low_precision import widened
from wsvis.types import FrameInstances

MAX_HEADER_BYTES = 100_000_000
"""The safetensors format's own bound on its header."""

_KINDS = {"BOOL": "?", "C64": "<c8"} | {
    f"{letter.upper()}{8 * size}": f"<{letter}{size}"
    for letter, sizes in (("f", (2, 4, 8)), ("i", (1, 2, 4, 8)), ("u", (1, 2, 4, 8)))
    for size in sizes
}
"""The format's names of NumPy's types."""


@dataclass(frozen=True)
class Payload:
    """Result of a stage for one video, or for the whole data set."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    """Anything JSON can say."""

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays in memory."""
        return sum(array.nbytes for array in self.arrays.values())


def to_bytes(payload: Payload) -> bytes:
    """The payload as a safetensors file; the same payload always gives the same bytes."""
    arrays = {name: np.ascontiguousarray(payload.arrays[name]) for name in sorted(payload.arrays)}
    text = json.dumps(payload.data, sort_keys=True, separators=(",", ":"))
    return save_arrays(arrays, metadata={"data": text})


def from_bytes(content: bytes) -> Payload:
    """The payload in a file's bytes; numbers of types that NumPy lacks come as float32.

    Raises:
        ValueError: the bytes are not a payload.
    """
    if len(content) < 8:
        raise ValueError("too short to be a safetensors file")
    (header_length,) = struct.unpack("<Q", content[:8])
    if header_length > min(MAX_HEADER_BYTES, len(content) - 8):
        raise ValueError("the safetensors header is longer than the file")
    try:
        arrays = {name: _array(name, part) for name, part in deserialize(content)}
        header = json.loads(content[8 : 8 + header_length])
        data = json.loads(header.get("__metadata__", {}).get("data", "{}"))
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a safetensors file ({error})") from None
    except RecursionError:
        raise ValueError("its plain data is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("its plain data has no names")
    return Payload(arrays, data)


def _array(name: str, part: Mapping[str, Any]) -> np.ndarray:
    """An array of a safetensors file, whose sizes the format's own reader has checked."""
    kind, content = part["dtype"], part["data"]
    flat = widened(kind, content)
    if flat is None:
        if kind not in _KINDS:
            raise ValueError(f"{name} is of the type {kind}; convert it to float32")
        flat = np.frombuffer(content, dtype=_KINDS[kind])
    return flat.reshape(part["shape"])


def instances_to_payload(frames: list[FrameInstances]) -> Payload:
    """Per-frame instances of one video, ready to be stored."""
    return Payload(
        arrays={
            "count": np.array([len(frame) for frame in frames], dtype=np.int64),
            "labels": np.concatenate([frame.labels for frame in frames] or [np.zeros(0, np.int64)]),
            "scores": np.concatenate(
                [frame.scores for frame in frames] or [np.zeros(0, np.float32)]
            ),
        },
        data={"masks": [rle for frame in frames for rle in frame.masks]},
    )


def payload_to_instances(payload: Payload) -> list[FrameInstances]:
    """The inverse of :func:`instances_to_payload`."""
    ends = np.cumsum(payload.arrays["count"])
    masks = payload.data["masks"]
    return [
        FrameInstances(
            labels=payload.arrays["labels"][end - n : end],
            scores=payload.arrays["scores"][end - n : end],
            masks=tuple(masks[end - n : end]),
        )
        for n, end in zip(payload.arrays["count"].tolist(), ends.tolist(), strict=True)
    ]
