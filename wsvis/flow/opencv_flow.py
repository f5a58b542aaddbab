"""Flow by OpenCV: DIS (Kroeger et al. 2016) and Farneback (2003); no weights, one CPU core.

P pairs of frames, H W pixels, C = 3 (RGB) or 1 (gray).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from wsvis.errors import InputError
from wsvis.flow.provider import FlowProvider

DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
SMALLEST = 16
"""Pixels of a side below which frames are continued."""
Calculate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two gray frames -> flow [H, W, 2]."""


class OpenCvFlow:
    """A flow provider around one of OpenCV's estimators, pair after pair.

    DIS reads beyond frames whose coarsest level is smaller than its patches, and crashes or raises;
    frames below ``SMALLEST`` pixels are therefore continued by their border pixels to that size,
    and the flow is cut back to the frame.
    """

    gray = True
    batch = 1

    def __init__(self, calculate: Calculate) -> None:
        self._calculate = calculate

    def flow(
        self, first: UInt8[np.ndarray, "P H W C"], second: UInt8[np.ndarray, "P H W C"]
    ) -> Float32[np.ndarray, "P H W 2"]:
        """Flow of each pair, in pixels.

        Raises:
            InputError: frames too small for the estimator.
        """
        fields = []
        for a, b in zip(first, second, strict=True):
            try:
                fields.append(self._of_any_size(_as_gray(a), _as_gray(b)))
            except cv2.error as error:
                height, width = first.shape[1:3]
                raise InputError(
                    f"OpenCV finds no flow in frames of {width}x{height} pixels "
                    f"({error.err}); use larger frames"
                ) from None
        if len(fields) == 1:
            return fields[0][None]  # no copy
        return np.stack(fields) if fields else np.empty((*first.shape[:3], 2), dtype=np.float32)

    def _of_any_size(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        height, width = a.shape
        below, right = max(0, SMALLEST - height), max(0, SMALLEST - width)
        if not below and not right:
            return self._calculate(a, b)
        margins = (0, below, 0, right, cv2.BORDER_REPLICATE)
        larger = self._calculate(cv2.copyMakeBorder(a, *margins), cv2.copyMakeBorder(b, *margins))
        return np.ascontiguousarray(larger[:height, :width])


def _calc(estimator: cv2.DenseOpticalFlow, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # no start value, so that a pair's result does not depend on the pair before it
    return estimator.calc(a, b, None)  # pyright: ignore[reportArgumentType, reportCallIssue]


def _as_gray(frame: np.ndarray) -> np.ndarray:
    return frame[..., 0] if frame.shape[-1] == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def dis_flow(preset: str) -> OpenCvFlow:
    """Dense inverse search at one of OpenCV's presets: ultrafast, fast or medium."""
    estimator = cv2.DISOpticalFlow.create(DIS_PRESETS[preset])
    return OpenCvFlow(partial(_calc, estimator))


def farneback_flow() -> OpenCvFlow:
    """Farneback's polynomial expansion, with the settings of OpenCV's tutorial."""
    estimator = cv2.FarnebackOpticalFlow.create(
        numLevels=3,
        pyrScale=0.5,
        fastPyramids=False,
        winSize=15,
        numIters=3,
        polyN=5,
        polySigma=1.2,
        flags=0,
    )
    return OpenCvFlow(partial(_calc, estimator))


OPENCV_PROVIDERS: dict[str, Callable[[], FlowProvider]] = {
    **{f"dis-{preset}": partial(dis_flow, preset) for preset in DIS_PRESETS},
    "farneback": farneback_flow,
}
