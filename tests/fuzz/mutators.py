"""Sound files made unsound: bytes changed, JSON bent, CSV lines spoilt, all seeded."""

from __future__ import annotations

import codecs
import copy
import json
import math
from random import Random
from typing import Any

NASTY: list[Any] = [
    *(None, True, "", [], {}, 0, -1, 1.5, 1e308, math.nan, -math.inf, 1 << 31, 1 << 63, 10**400),
    *("\ud800", "a\0b", "../x", "/dev/zero", "\u2028\x1b[31m", "x" * 5000, "é" * 300, "9" * 5000),
    *([None] * 3000, [[[[]]]], {"size": [4, 4], "counts": "04"}, {"size": [1 << 15] * 2}, 10**9),
]
DEEP = "[" * 20_000 + "]" * 20_000
DIGITS = "7" * 5000


def mutated_bytes(content: bytes, source: Random) -> bytes:
    """A few bytes changed, taken out, doubled or cut off, headers more often than the rest."""
    data = bytearray(content)
    for _ in range(source.choice((1, 1, 2, 8))):
        reach = len(data) if source.random() < 0.5 else min(len(data), 512)
        at = source.randrange(reach) if reach else 0
        kind = source.randrange(6)
        if kind == 0 and data:
            data[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            data[at : at + 4] = source.choice((b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"))
        elif kind == 2:
            del data[at : at + source.randrange(1, 64)]
        elif kind == 3:
            data[at:at] = data[at : at + source.randrange(1, 64)]
        elif kind == 4:
            del data[source.randrange(len(data) + 1) :]
        else:
            data[at:at] = source.randbytes(source.randrange(1, 16))
    return bytes(data)


def mutated_json(content: bytes, source: Random) -> bytes:
    """One to three values replaced, doubled, renamed or dropped; sometimes in another encoding."""
    value = json.loads(content)
    for _ in range(source.choice((1, 1, 2, 3))):
        value = _bent(value, source)
    text = json.dumps(value, ensure_ascii=source.random() < 0.7)
    if source.random() < 0.1:
        text = text.replace("1", source.choice((DEEP, DIGITS)), 1)
    way = source.randrange(10)
    if way == 0:
        return codecs.BOM_UTF16_LE + text.encode("utf-16-le", "surrogatepass")
    if way == 1:
        return text.encode("latin-1", "replace")
    if way == 2:
        return mutated_bytes(text.encode("utf-8", "surrogatepass"), source)
    return text.encode("utf-8", "surrogatepass")


def mutated_table(content: bytes, source: Random) -> bytes:
    """A CSV file with a field replaced, a line spoilt, or bytes changed."""
    lines = content.decode().split("\n")
    at = source.randrange(len(lines))
    kind = source.randrange(5)
    if kind == 0:
        fields = lines[at].split(",")
        fields[source.randrange(len(fields))] = str(source.choice((DIGITS, "-1", '"', "a,b", "\0")))
        lines[at] = ",".join(fields)
    elif kind == 1:
        lines[at] += source.choice((",", '"', ",x,y", ";", "\r", "\x85"))
    elif kind == 2:
        lines.insert(at, source.choice(lines))
    elif kind == 3:
        return "\n".join(lines).encode(source.choice(("utf-16", "utf-32", "cp037")))
    else:
        return mutated_bytes(content, source)
    return "\n".join(lines).encode()


def _bent(value: Any, source: Random) -> Any:
    """The value with something in it replaced."""
    if not isinstance(value, list | dict) or not value or source.random() < 0.02:
        return copy.deepcopy(source.choice(NASTY))
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = source.choice(keys)
    kind = source.randrange(8)
    if kind == 0:
        del value[key]
    elif kind == 1 and isinstance(value, list):
        value.insert(key, copy.deepcopy(value[key]))
    elif kind == 1:
        value[f"{key}{source.choice(('', ' ', 's'))}"] = value.pop(key)
    else:
        value[key] = _bent(value[key], source)
    return value
