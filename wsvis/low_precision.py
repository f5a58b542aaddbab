"""Numbers of 16 and 8 bits that NumPy lacks, made float32: bfloat16 and the two float8 of OCP.

Every value of these types is a float32, so that nothing is lost.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

_BIAS = 7
"""Of the exponents of E4M3."""


def widened(kind: str, content: bytes | bytearray) -> Float32[np.ndarray, " N"] | None:
    """The numbers of a safetensors type that NumPy lacks, or ``None`` for a type not known here.

    Args:
        kind: ``BF16``, ``F8_E4M3`` or ``F8_E5M2``.
        content: the numbers, lowest byte first.
    """
    if kind == "BF16":  # the upper half of a float32
        return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    if kind == "F8_E5M2":  # the upper half of a float16
        return (
            (np.frombuffer(content, np.uint8).astype(np.uint16) << 8)
            .view(np.float16)
            .astype(np.float32)
        )
    if kind == "F8_E4M3":
        return _E4M3.take(np.frombuffer(content, np.uint8))
    return None


def e4m3_values(codes: UInt8[np.ndarray, " N"]) -> Float32[np.ndarray, " N"]:
    """What bytes stand for in E4M3: sign, 4 bits exponent (bias 7), 3 bits fraction.

    Micikevicius et al. 2022 (FP8 formats for deep learning): (-1)^s 2^(e - 7) (1 + f / 8), without
    the 1 and with e = 1 where the exponent's bits are 0; no infinity; all bits set: NaN.
    """
    sign = np.where(codes & 0x80, -1.0, 1.0)
    exponent, fraction = (codes >> 3) & 15, codes & 7
    size = np.where(exponent > 0, 8.0 + fraction, fraction) / 8
    values = sign * size * 2.0 ** (np.maximum(exponent, 1).astype(np.float64) - _BIAS)
    return np.where(codes & 0x7F == 0x7F, np.nan, values).astype(np.float32)


_E4M3 = e4m3_values(np.arange(256, dtype=np.uint8))
