"""The stages of motion: flow both ways between frames, and how far pixels move by themselves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wsvis.config import Config
from wsvis.data.frames import read_frames, read_pairs
from wsvis.flow.camera_motion import frame_motion
from wsvis.flow.codec import decode_flow, encode_flow
from wsvis.flow.config import FlowConfig
from wsvis.flow.provider import make_flow_provider, video_flow
from wsvis.flow.provider import pair_flow as flow_of_pairs
from wsvis.payload import Payload
from wsvis.stage import Process
from wsvis.types import FrameFiles, Video, VideoFile


def has_network(settings: Config) -> bool:
    """Whether flow is computed by a network."""
    return settings.flow.provider.startswith("raft-")


def flow(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """Forward and backward flow of every frame pair, compressed."""
    return _both_ways(settings.flow, 1, raw=True)


def pair_flow(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """The same between listed frames ``pairs.delta`` apart: the pairs a detector learns from.

    Both frames of a pair have labels, so with a delta of 1 too it goes to the next listed frame.
    """
    return _both_ways(settings.flow, settings.pairs.delta, raw=False)


def step_flow(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """The same between each listed frame and the next, along which objects are followed.

    Where every frame is listed, ``flow`` is that already.
    """
    between = _both_ways(settings.flow, 1, raw=False)

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        known = inputs["flow"]
        return known if known.data["chained"] else between(video, {})

    return process


def _both_ways(chosen: FlowConfig, gap: int, raw: bool) -> Process:
    provider = make_flow_provider(chosen.provider, chosen.weights, device="auto")

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        # where the listed frames are a subsample, flow goes to the next raw frame, not the next
        # listed one: those pairs do not chain
        chained = not (raw and gap == 1 and _is_subsample(video))
        size = chosen.long_side, chosen.stored_stride
        if chained:
            forward, backward = video_flow(read_frames(video), provider, gap, *size)
        else:
            first, second = read_pairs(video, gap)
            forward, backward = flow_of_pairs(first, second, provider, *size)
        arrays: dict[str, np.ndarray] = {}
        for name, field in (("forward", forward), ("backward", backward)):
            encoded = encode_flow(field)
            arrays.update({f"{name}.{part}": array for part, array in encoded.items()})
        return Payload(arrays, {"pairs": len(forward), "gap": gap, "chained": chained})

    return process


def _is_subsample(video: Video) -> bool:
    """Whether raw frames lie between the listed ones."""
    source = video.source
    if isinstance(source, FrameFiles):
        return source.successors is not None
    return isinstance(source, VideoFile) and source.step > 1


def decoded_flow(payload: Payload, pairs: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Forward and backward fields of a video, float32 [P, h, w, 2], vectors in frame pixels.

    Args:
        payload: of a flow stage.
        pairs: which pairs; all by default.
    """
    fields = [
        decode_flow(
            {
                key.removeprefix(f"{name}."): array
                for key, array in payload.arrays.items()
                if key.startswith(f"{name}.")
            },
            pairs,
        )
        for name in ("forward", "backward")
    ]
    return fields[0], fields[1]


def motion(settings: Config, wholes: Mapping[str, Payload]) -> Process:
    """Length of each pixel's own motion per frame, the camera's taken out as configured."""

    def process(video: Video, inputs: Mapping[str, Payload]) -> Payload:
        forward, backward = decoded_flow(inputs["flow"])
        spacing = video.width / forward.shape[2] if forward.size else 1.0
        magnitude = frame_motion(
            forward,
            backward,
            video.length,
            settings.fcam.compensation,
            spacing,
            chained=inputs["flow"].data["chained"],
        )
        # half a pixel in a thousand is finer than any flow is right
        return Payload({"magnitude": magnitude.astype(np.float16)})

    return process
