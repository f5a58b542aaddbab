"""A compact lossy form of flow: coarser grid, fixed point, horizontal differences, zstandard.

P pairs, H W cells of the field given, h w cells of the grid stored. The encoded form is a few plain
arrays, so that any container of arrays (ours is safetensors) can hold it. Error and size are
measured in docs/flow_codec.md.

    blob     uint8   one zstandard frame per pair: [2, h, w] int16 (u, then v), each row as its
                     first value and differences to the left neighbour, in units of ``step`` pixels
    offsets  int64   [P + 1] where each pair's frame begins in ``blob``
    header   int64   [version, P, h, w]
    step     float32 [1] pixels per unit
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import zstandard
from jaxtyping import Float32

from wsvis.flow.field import area_mean

VERSION = 1
FINEST_STEP = 1 / 32
"""Pixels. Rounding error at most 1/64 px per component, far below the error of any estimator."""
LARGEST_UNIT = 32766
"""Of int16; one less than it holds, so that rounding cannot step over the edge."""
LEVEL = 1
MAX_CELLS = 1 << 31
"""No blob may claim more cells than this in all: a hostile header must not allocate memory."""


def encode_flow(
    flow: Float32[np.ndarray, "P H W 2"], stored_stride: int = 1
) -> dict[str, np.ndarray]:
    """Fields as a few small arrays.

    Lossy in two ways: the mean over blocks of ``stored_stride`` pixels, and rounding to 1/32 px.
    Where a vector exceeds 1023 px the step doubles for the whole video until it fits: nothing is
    clipped.

    Args:
        flow: vectors in any unit of length; pixels of the frame by convention.
        stored_stride: the grid kept is this many cells coarser; vectors keep their unit.

    Raises:
        ValueError: a vector that is not finite.
    """
    grids = [area_mean(field, stored_stride) for field in flow]
    step = _step_for(max((_largest(grid) for grid in grids), default=0.0))
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True)
    frames = [compressor.compress(_differences(grid, step)) for grid in grids]
    height, width = (-(-side // stored_stride) for side in flow.shape[1:3])
    return {
        "blob": np.frombuffer(b"".join(frames), dtype=np.uint8),
        "offsets": np.cumsum([0, *map(len, frames)], dtype=np.int64),
        "header": np.array([VERSION, len(grids), height, width], dtype=np.int64),
        "step": np.array([step], dtype=np.float32),
    }


def decode_flow(
    encoded: Mapping[str, np.ndarray], pairs: slice = slice(None)
) -> Float32[np.ndarray, "P h w 2"]:
    """The fields of some pairs (all by default) on the stored grid.

    Everything is checked before memory is taken for it.

    Raises:
        ValueError: the arrays are not what :func:`encode_flow` makes.
    """
    blob, offsets, (count, height, width), step = _checked(encoded)
    numbers = range(count)[pairs]
    expected = 2 * height * width * 2
    decompressor = zstandard.ZstdDecompressor()
    flow = np.empty((len(numbers), height, width, 2), dtype=np.float32)
    for row, p in enumerate(numbers):
        frame = blob[offsets[p] : offsets[p + 1]].tobytes()
        try:
            if zstandard.frame_content_size(frame) != expected:
                raise ValueError(f"encoded flow: pair {p} is not {height}x{width} vectors")
            units = decompressor.decompress(frame, max_output_size=expected)
        except zstandard.ZstdError as error:
            raise ValueError(f"encoded flow: pair {p} cannot be decompressed ({error})") from None
        if len(units) != expected:
            raise ValueError(f"encoded flow: pair {p} is not {height}x{width} vectors")
        differences = np.frombuffer(units, dtype="<i2").reshape(2, height, width)
        # int16 sums wrap around just as the differences did
        values = np.cumsum(differences, axis=2, dtype=np.int16)
        np.multiply(values[0], step, out=flow[row, ..., 0], casting="unsafe")
        np.multiply(values[1], step, out=flow[row, ..., 1], casting="unsafe")
    return flow


def _largest(grid: np.ndarray) -> float:
    largest = max(float(grid.max(initial=0)), -float(grid.min(initial=0)))
    if not np.isfinite(largest):
        raise ValueError("flow holds a vector that is not finite")
    return largest


def _step_for(largest: float) -> float:
    """The finest power of two in which ``largest`` still fits."""
    step = FINEST_STEP
    while largest / step > LARGEST_UNIT:
        step *= 2
    return step


def _differences(grid: np.ndarray, step: float) -> bytes:
    units = np.rint(grid * np.float32(1 / step)).astype("<i2")
    # planes of u and v: neighbours in memory are then neighbours in space
    planes = np.ascontiguousarray(np.moveaxis(units, -1, 0))
    differences = planes.copy()
    differences[:, :, 1:] -= planes[:, :, :-1]
    return differences.tobytes()


def _checked(
    encoded: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, list[int], tuple[int, int, int], np.float32]:
    kinds = {"blob": np.uint8, "offsets": np.int64, "header": np.int64, "step": np.float32}
    for name, kind in kinds.items():
        array = encoded.get(name)
        if not isinstance(array, np.ndarray) or array.dtype != kind or array.ndim != 1:
            raise ValueError(f"encoded flow: {name} is missing or no {np.dtype(kind)} vector")
    blob, offsets, header = encoded["blob"], encoded["offsets"], encoded["header"].tolist()
    if len(header) != 4 or header[0] != VERSION:
        raise ValueError(f"encoded flow: header {header[:5]} is not one of version {VERSION}")
    count, height, width = header[1:]
    if min(count, height, width) < 0 or max(header[1:]) > MAX_CELLS:
        raise ValueError(f"encoded flow: {count} pairs of {height}x{width} cells is not possible")
    if count * height * width > MAX_CELLS:
        raise ValueError(f"encoded flow: {count} pairs of {height}x{width} cells is too much")
    if len(offsets) != count + 1 or offsets[0] != 0 or offsets[-1] != len(blob):
        raise ValueError("encoded flow: offsets do not span the blob")
    if (np.diff(offsets) <= 0).any():
        raise ValueError("encoded flow: offsets do not increase")
    (step,) = encoded["step"] if len(encoded["step"]) == 1 else (np.float32(np.nan),)
    if not (np.isfinite(step) and step > 0):
        raise ValueError("encoded flow: step is not one positive number")
    return blob, offsets.tolist(), (count, height, width), step
