"""Draws a synthetic clip from its script, and answers questions about its exact motion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from wsvis.data.synthetic_motion import (
    compose,
    render_layer,
    rigid_flow,
    rigid_occlusion,
    similarity,
)
from wsvis.data.synthetic_parameters import GeneratorParameters
from wsvis.data.synthetic_scene import Scene, body_poses, camera_poses, clip_rng, plan_scene
from wsvis.data.synthetic_sprites import (
    SUPERSAMPLING,
    Sprite,
    distractor_sprite,
    object_sprite,
)
from wsvis.data.synthetic_textures import background_image
from wsvis.errors import InputError

MARGIN = 40
"""Background kept around the frame for a moving camera; beyond it the picture is mirrored."""


@dataclass(frozen=True, eq=False)
class SyntheticClip:
    """One rendered clip and all that is known about it. Layer 0 is the background."""

    frames: UInt8[np.ndarray, "T H W 3"]
    masks: Bool[np.ndarray, "N T H W"]
    """Visible pixels of each object."""
    head_masks: Bool[np.ndarray, "N T H W"]
    """The part of them that is head."""
    labels: Int[np.ndarray, " N"]
    annotated: Bool[np.ndarray, "N T"]
    """Enough of the object is visible to count."""
    visible: Int[np.ndarray, "T H W"]
    """Index of the layer each pixel shows; greater is nearer."""
    object_layers: tuple[int, ...]
    """Layer of each object; the other layers are the background and distractors."""
    poses: Float[np.ndarray, "L T 2 3"]
    """Canvas of each layer to frame."""
    coverages: tuple[np.ndarray, ...]
    """Coverage of each layer on its canvas."""
    degraded: Bool[np.ndarray, " T"]
    """Frames that were blurred or lost contrast: there, colours do not follow the flow."""
    scene: Scene

    @cached_property
    def forward_flow(self) -> Float[np.ndarray, "S H W 2"]:
        """float32, from frame t to t + 1, for the S = T - 1 pairs."""
        return self._flows(1)

    @cached_property
    def backward_flow(self) -> Float[np.ndarray, "S H W 2"]:
        """float32, entry t from frame t + 1 to t."""
        return self._flows(-1)

    @cached_property
    def occlusion(self) -> Bool[np.ndarray, "S H W"]:
        """Pixels of frame t whose point frame t + 1 does not show."""
        return self._occlusions(1)

    @cached_property
    def backward_occlusion(self) -> Bool[np.ndarray, "S H W"]:
        """Pixels of frame t + 1 whose point frame t does not show."""
        return self._occlusions(-1)

    def flow(self, first: int, second: int) -> Float[np.ndarray, "H W 2"]:
        """float32, exact flow between any two frames."""
        exact = rigid_flow(self.visible[first], self.poses[:, first], self.poses[:, second])
        return exact.astype(np.float32)

    def occluded(self, first: int, second: int) -> Bool[np.ndarray, "H W"]:
        """Pixels of frame ``first`` whose point frame ``second`` does not show."""
        return rigid_occlusion(
            self.visible[first], self.coverages, self.poses[:, first], self.poses[:, second]
        )

    def _pairs(self, step: int) -> list[tuple[int, int]]:
        pairs = [(t, t + 1) for t in range(len(self.frames) - 1)]
        return pairs if step > 0 else [(b, a) for a, b in pairs]

    def _flows(self, step: int) -> np.ndarray:
        flows = [self.flow(a, b) for a, b in self._pairs(step)]
        return np.stack(flows) if flows else np.zeros((0, *self.visible.shape[1:], 2), np.float32)

    def _occlusions(self, step: int) -> np.ndarray:
        hidden = [self.occluded(a, b) for a, b in self._pairs(step)]
        return np.stack(hidden) if hidden else np.zeros((0, *self.visible.shape[1:]), bool)


def render(split: str, index: int, parameters: GeneratorParameters) -> SyntheticClip:
    """A clip with given parameters. Only calibration uses others than the frozen ones."""
    if split not in ("train", "val") and not split.endswith(("-train", "-val")):
        raise InputError(f"the synthetic data set has no split {split!r}; choose train or val")
    p, is_val = parameters, split.endswith("val")
    unit, height, width = p.height / 128, p.height, p.width
    scene = plan_scene(split, index, p)
    cameras = camera_poses(scene, p)
    rng = clip_rng(split, index, "looks")
    margin = round(MARGIN * unit)
    backdrop = background_image(rng, height + 2 * margin, width + 2 * margin, unit, is_val)
    shift = similarity(1.0, 0.0, -float(margin), -float(margin))
    poses = [np.stack([compose(camera, shift) for camera in cameras])]
    sprites: list[Sprite] = []
    for body in scene.bodies:
        if body.label >= 0:
            sprite = object_sprite(rng, body.label, body.length, p, is_val)
        else:
            sprite = distractor_sprite(rng, body.length, unit, is_val)
        centre = (sprite.image.shape[0] - 1) / 2 / SUPERSAMPLING
        to_body = similarity(1 / SUPERSAMPLING, 0.0, -centre, -centre)
        in_world = body_poses(body, p)
        poses.append(
            np.stack(
                [compose(c, compose(w, to_body)) for c, w in zip(cameras, in_world, strict=True)]
            )
        )
        sprites.append(sprite)
    return _draw(scene, backdrop, sprites, np.stack(poses), clip_rng(split, index, "camera"), p)


def _draw(
    scene: Scene,
    backdrop: np.ndarray,
    sprites: list[Sprite],
    poses: np.ndarray,
    rng: np.random.Generator,
    p: GeneratorParameters,
) -> SyntheticClip:
    frames = np.zeros((p.frames, p.height, p.width, 3), np.float32)
    visible = np.zeros((p.frames, p.height, p.width), np.int64)
    heads = np.zeros(visible.shape, bool)
    for t in range(p.frames):
        frames[t] = render_layer(backdrop, poses[0, t], p.height, p.width, fill=True)
        for layer, sprite in enumerate(sprites, start=1):
            seen = render_layer(sprite.image, poses[layer, t], p.height, p.width, fill=False)
            head = render_layer(sprite.head, poses[layer, t], p.height, p.width, fill=False)
            frames[t] = frames[t] * (1 - seen[..., 3:]) + seen[..., :3]
            shows = seen[..., 3] >= 0.5
            visible[t][shows] = layer
            heads[t][shows] = head[shows] >= 0.5
    degraded = _degrade(frames, rng, p)
    object_layers = tuple(i for i, b in enumerate(scene.bodies, start=1) if b.label >= 0)
    masks = np.stack([visible == layer for layer in object_layers])
    return SyntheticClip(
        frames=np.round(255 * np.clip(frames, 0, 1)).astype(np.uint8),
        masks=masks,
        head_masks=masks & heads,
        labels=np.asarray([b.label for b in scene.bodies if b.label >= 0], dtype=np.int64),
        annotated=masks.sum((2, 3)) >= p.min_visible * (p.height / 128) ** 2,
        visible=visible,
        object_layers=object_layers,
        poses=poses,
        coverages=(np.ones(backdrop.shape[:2], np.float32), *(s.image[..., 3] for s in sprites)),
        degraded=degraded,
        scene=scene,
    )


def _degrade(
    frames: np.ndarray, rng: np.random.Generator, p: GeneratorParameters
) -> Bool[np.ndarray, " T"]:
    """Blur one or two frames, or take contrast from them, in place; say which."""
    degraded = np.zeros(len(frames), bool)
    if rng.random() >= p.degraded:
        return degraded
    start, length = int(rng.integers(len(frames))), int(rng.integers(1, 3))
    blur = rng.random() < 0.5
    sigma = p.height / 128 * float(rng.uniform(*p.blur_sigma))
    left = float(rng.uniform(*p.contrast_left))
    for t in range(start, min(start + length, len(frames))):
        degraded[t] = True
        if blur:
            frames[t] = cv2.GaussianBlur(frames[t], (0, 0), sigma)
        else:
            mean = frames[t].mean((0, 1), keepdims=True)
            frames[t] = mean + left * (frames[t] - mean)
    return degraded
