"""What the tracking commands read besides the predictions: frames, flow, a network to recognise by.

T frames, H W pixels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from wsvis.data.images import read_image
from wsvis.errors import InputError
from wsvis.files.regular_file import read_regular
from wsvis.flow.provider import FlowProvider
from wsvis.formats.vis_truth import VideoEntry, VisTruth, frame_paths

Images = Sequence[UInt8[np.ndarray, "H W 3"]]
BackwardFlow = Callable[[VideoEntry, Images], list[np.ndarray] | None]
"""Gives the T - 1 fields F_{t+1 -> t} of a video, [H, W, 2] in pixels of its frames; ``None``: all
is still."""

_NO_HEADER = np.zeros(4, np.int64)
MAX_FLOW_BYTES = 4 << 30
"""Of a stored video: a thousand frames of 1920x1080 have some 2 GB."""


def video_images(listed: VisTruth, video: VideoEntry, folder: Path) -> list[np.ndarray]:
    """The listed frames of one video, RGB.

    Raises:
        InputError: a frame is absent, broken, or of another size than listed.
    """
    images = []
    for path in frame_paths(listed, video, folder):
        image = read_image(str(path))
        if image.shape[:2] != (video.height, video.width):
            raise InputError(
                f"{path}: is {image.shape[1]}x{image.shape[0]} pixels, but {listed.path} lists "
                f"video {video.id} as {video.width}x{video.height}; correct the list"
            )
        images.append(image)
    return images


def still(video: VideoEntry, images: Images) -> None:
    """No flow."""


def flow_provider(name: str, weights: str) -> FlowProvider:
    """The provider that --flow and --flow-weights name.

    Raises:
        InputError: no such provider; weights that are absent or do not fit.
    """
    from wsvis.flow.provider import make_flow_provider

    try:
        return make_flow_provider(name, weights, device="auto")
    except InputError as error:  # which names settings of a configuration
        reason = str(error).replace("flow.weights", "--flow-weights")
        raise InputError(reason.replace("flow.provider", "--flow")) from None


def computed_flow(name: str, weights: str) -> BackwardFlow:
    """Flow computed from the frames.

    Raises:
        InputError: as :func:`flow_provider`.
    """
    from wsvis.flow.provider import prepare_frames

    provider = flow_provider(name, weights)

    def backward(video: VideoEntry, images: Images) -> list[np.ndarray]:
        seen = prepare_frames(np.stack(images), provider.gray)
        return list(provider.flow(seen[1:], seen[:-1])) if len(seen) > 1 else []

    return backward


def stored_flow(folder: Path) -> BackwardFlow:
    """Flow kept as the flow stage keeps it: ``NAME.safetensors`` per video.

    NAME is the folder of the video's frames, or its id.

    Raises:
        InputError: (when called) no such file, unreadable, or not between the listed frames.
    """
    from wsvis.flow.codec import decode_flow
    from wsvis.flow.field import regrid_flow
    from wsvis.payload import from_bytes

    def backward(video: VideoEntry, images: Images) -> list[np.ndarray]:
        if video.length == 1:
            return []
        names = [f"{video.name}.safetensors", f"{video.id}.safetensors"]
        # a name from outside may be longer than a file's can be, which this takes for absent
        path = next((folder / name for name in names if os.path.isfile(folder / name)), None)
        if path is None:
            raise InputError(
                f"{folder}: holds no {' or '.join(names)}; compute flow for video {video.id}, "
                "or give --flow a provider's name"
            )
        try:
            payload = from_bytes(read_regular(path, MAX_FLOW_BYTES))
            encoded = {
                name.removeprefix("backward."): array
                for name, array in payload.arrays.items()
                if name.startswith("backward.")
            }
            # before anything is decoded: a file of a megabyte may claim gigabytes of vectors
            pairs, *size = encoded.get("header", _NO_HEADER)[1:4].tolist()
            if size[0] * size[1] > video.height * video.width:
                raise ValueError(f"its {size} vectors are more than the video's pixels")
            fits = pairs == video.length - 1 and payload.data.get("chained", True)
            back = decode_flow(encoded) if fits else []
        except (ValueError, TypeError, IndexError) as error:
            raise InputError(f"{path}: is no stored flow ({error}); compute it again") from None
        if not fits:
            raise InputError(
                f"{path}: its {pairs} pairs of frames are not the {video.length - 1} between "
                f"the listed frames of video {video.id}; compute flow between these (gap 1), or "
                "give --flow a provider's name"
            )
        return [regrid_flow(field, video.height, video.width) for field in back]

    return backward


def flow_source(name: str, weights: str = "") -> tuple[BackwardFlow, bool]:
    """Where flow comes from, and whether it needs the frames.

    Args:
        name: ``none``, a provider's name, or a folder.
        weights: of a provider that has some.
    """
    if name == "none":
        return still, False
    if Path(name).is_dir():
        return stored_flow(Path(name)), False
    if "/" in name or "\\" in name:
        raise InputError(f"{name}: no such folder; give one with stored flow, or a provider's name")
    return computed_flow(name, weights), True


def reid_source(
    backbone_name: str, weights: str, padding: str, normalisation: str, crop: int
) -> Callable[[Images, Sequence], list[np.ndarray]]:
    """A function from frames and their predictions to a vector for each prediction.

    Raises:
        InputError: no such backbone, or weights that do not fit it.
    """
    import torch

    from wsvis.backbones.networks import STAGES, build_backbone
    from wsvis.backbones.weights import load_backbone_weights
    from wsvis.settings import suggestion
    from wsvis.tracking.reid import reid_descriptors

    if backbone_name not in STAGES:
        raise InputError(f"--reid is {backbone_name!r}; {suggestion(backbone_name, STAGES)}")
    backbone = build_backbone(backbone_name, stride_two_padding=padding)
    load_backbone_weights(backbone, weights)
    backbone.to("cuda" if torch.cuda.is_available() else "cpu")

    def descriptors(images: Images, detections: Sequence) -> list[np.ndarray]:
        return reid_descriptors(
            backbone, images, detections, normalisation=normalisation, crop=crop
        )

    return descriptors
