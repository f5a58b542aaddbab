"""The script of a synthetic clip: which things are in it, where, how they and the camera move.

Positions and velocities are planned as seen in the middle frame, where the camera's transform is
the identity. Kinds that must be frequent enough (static clips, each class) go by the clip's index,
in shuffled blocks; everything else is drawn from the clip's own seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

from wsvis.data.synthetic_motion import compose, similarity
from wsvis.data.synthetic_parameters import CLASSES, VERSION, GeneratorParameters


@dataclass(frozen=True)
class Body:
    """One object or distractor: its class (-1 for a distractor) and its motion in the world."""

    label: int
    length: float
    """Planned length in pixels; the sprite is scaled to it."""
    position: tuple[float, float]
    velocity: tuple[float, float]
    angle: float
    spin: float
    growth: float
    mirrored: bool


@dataclass(frozen=True)
class Scene:
    """One clip before it is drawn. Later bodies are in front."""

    bodies: tuple[Body, ...]
    camera: str
    """still, pan or follow."""
    camera_velocity: tuple[float, float]
    zoom_rate: float
    roll_rate: float
    is_static: bool
    """No object moves in the world (the camera and distractors may)."""
    first_of_class_touching: int
    """Neighbours planned to touch the first object and to share its class."""


def clip_rng(split: str, index: int, purpose: str) -> Generator:
    """The random numbers of one purpose of one clip; depends on nothing else."""
    digest = hashlib.sha256(f"synthetic/{VERSION}/{split}/{index}/{purpose}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def plan_scene(split: str, index: int, parameters: GeneratorParameters) -> Scene:
    """Everything that happens in clip ``index`` of ``split``."""
    p, rng = parameters, clip_rng(split, index, "scene")
    unit = p.height / 128
    first_label = int(_shuffled(split, "class", index, len(CLASSES)))
    is_static = bool(_shuffled(split, "static", index, p.static_every) == 0)
    count = 1 + int(rng.choice(3, p=p.instances))
    camera = ("still", "pan", "follow")[int(rng.choice(3, p=p.cameras))]
    if is_static and camera == "follow":
        camera = "pan"

    pan = _vector(rng, *p.pan_speed, unit) if camera == "pan" else np.zeros(2)
    seen = _vector(rng, *p.object_speed, unit)
    if camera == "follow":
        pan, seen = seen, np.zeros(2)
    first = _body(rng, p, first_label, _place(rng, p), seen + pan, is_static)
    bodies, touching = [first], 0
    for _ in range(count - 1):
        same = bool(rng.random() < p.same_class)
        if same:
            touching += 1
            bodies.append(_neighbour(rng, p, bodies[0], is_static, bodies))
        else:
            other = int((first_label + rng.integers(1, len(CLASSES))) % len(CLASSES))
            velocity = _vector(rng, *p.object_speed, unit) + pan
            bodies.append(_body(rng, p, other, _place(rng, p), velocity, is_static))
    for _ in range(int(rng.choice(3, p=p.distractors))):
        velocity = _vector(rng, *p.object_speed, unit) + pan
        bodies.append(_body(rng, p, -1, _place(rng, p), velocity, False))
    order = rng.permutation(len(bodies))
    moving = float(camera != "still")
    return Scene(
        bodies=tuple(bodies[i] for i in order),
        camera=camera,
        camera_velocity=(float(pan[0]), float(pan[1])),
        zoom_rate=moving * float(rng.uniform(-p.zoom_rate, p.zoom_rate)),
        roll_rate=moving * float(rng.uniform(-p.roll_rate, p.roll_rate)),
        is_static=is_static,
        first_of_class_touching=touching,
    )


def camera_poses(scene: Scene, parameters: GeneratorParameters) -> Float[np.ndarray, "T 2 3"]:
    """World to frame, for every frame."""
    p = parameters
    middle = np.asarray([(p.width - 1) / 2, (p.height - 1) / 2])
    poses = []
    for t in _times(p):
        seen_from = middle + t * np.asarray(scene.camera_velocity)
        about_centre = similarity(
            (1 + scene.zoom_rate) ** t, np.radians(scene.roll_rate) * t, middle[0], middle[1]
        )
        poses.append(compose(about_centre, similarity(1.0, 0.0, -seen_from[0], -seen_from[1])))
    return np.stack(poses)


def body_poses(body: Body, parameters: GeneratorParameters) -> Float[np.ndarray, "T 2 3"]:
    """Body (pixels about its centre, unturned) to world, for every frame."""
    poses = []
    for t in _times(parameters):
        x, y = (p + t * v for p, v in zip(body.position, body.velocity, strict=True))
        pose = similarity((1 + body.growth) ** t, body.angle + body.spin * t, x, y)
        if body.mirrored:
            pose[:, 0] *= -1
        poses.append(pose)
    return np.stack(poses)


def _times(p: GeneratorParameters) -> Float[np.ndarray, " T"]:
    return np.arange(p.frames) - (p.frames - 1) / 2


def _shuffled(split: str, purpose: str, index: int, size: int) -> int:
    """Position ``index`` of an endless row of shuffled blocks, each holding 0..size-1 once."""
    block, place = divmod(index, size)
    return int(clip_rng(split, block, f"block of {purpose}").permutation(size)[place])


def _vector(rng: Generator, low: float, high: float, unit: float) -> np.ndarray:
    angle, length = rng.uniform(0, 2 * np.pi), unit * rng.uniform(low, high)
    return length * np.asarray([np.cos(angle), np.sin(angle)])


def _place(rng: Generator, p: GeneratorParameters) -> np.ndarray:
    return np.asarray([p.width * rng.uniform(0.2, 0.8), p.height * rng.uniform(0.25, 0.75)])


def _body(
    rng: Generator,
    p: GeneratorParameters,
    label: int,
    position: np.ndarray,
    velocity: np.ndarray,
    is_static: bool,
) -> Body:
    sizes = p.object_length if label >= 0 else p.distractor_size
    spin, growth = rng.uniform(-p.spin_rate, p.spin_rate), rng.uniform(-1, 1) * p.growth_rate
    if is_static:
        velocity, spin, growth = np.zeros(2), 0.0, 0.0
    return Body(
        label=label,
        length=p.height / 128 * float(rng.uniform(*sizes)),
        position=(float(position[0]), float(position[1])),
        velocity=(float(velocity[0]), float(velocity[1])),
        angle=float(rng.uniform(-0.7, 0.7)),
        spin=float(np.radians(spin)),
        growth=float(growth),
        mirrored=bool(rng.random() < 0.5),
    )


def _neighbour(
    rng: Generator, p: GeneratorParameters, first: Body, is_static: bool, others: list[Body]
) -> Body:
    """A body of the first one's class that touches it in the middle frame, moving otherwise.

    Of several random places the one that stays within the frame and farthest from the other
    neighbours is taken.
    """
    velocity = np.asarray(first.velocity) + _vector(rng, *p.neighbour_velocity, p.height / 128)
    body = _body(rng, p, first.label, np.zeros(2), velocity, is_static)
    reach = 0.5 * (first.length + body.length) * rng.uniform(*p.touching)
    places = [np.asarray(first.position) + _vector(rng, reach, reach, 1.0) for _ in range(8)]

    def room(place: np.ndarray) -> float:
        inside = min(place[0], p.width - place[0], place[1], p.height - place[1])
        apart = [np.hypot(*(place - other.position)) for other in others[1:]]
        return min([inside, *apart])

    best = max(places, key=room)
    return Body(**{**body.__dict__, "position": (float(best[0]), float(best[1]))})
