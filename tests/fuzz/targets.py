"""What is fuzzed: every reader of files from outside, and the sound files to begin with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch
from PIL import Image

from fuzz.mutators import mutated_bytes, mutated_json, mutated_table
from wsvis.backbones.networks import build_backbone
from wsvis.backbones.weights import load_backbone_weights, save_backbone
from wsvis.config import Config
from wsvis.data.config import DataConfig
from wsvis.data.images import decode_video, frame_rate, probe_video, read_image
from wsvis.data.load import load_dataset
from wsvis.data.splits import Split, load_split, save_split
from wsvis.files.indexed_png import read_indexed_png
from wsvis.flow.codec import encode_flow
from wsvis.payload import Payload, to_bytes
from wsvis.weights_input import read_payload, read_tensors
from wsvis_platform.command.data import data_check, data_synth
from wsvis_platform.command.evaluate import evaluate_frames, evaluate_vis
from wsvis_platform.command.export import export
from wsvis_platform.command.track import track
from wsvis_platform.config_files import read_config, write_config

Mutate = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Target:
    """One reader."""

    files: dict[str, Mutate]
    """What may be made unsound, and how."""
    read: Callable[[Path, str], object]
    """Called with the folder of all files and the one that was changed."""


def make_sound_files(folder: Path) -> None:
    """One small file of each kind; every target reads them without a complaint."""
    data_synth(str(folder), videos=2, frames=3, height=32, width=48)
    truth = json.loads((folder / "instances.json").read_text())
    tracks, frames = [], []
    for each in truth["annotations"]:
        about = {"video_id": each["video_id"], "category_id": each["category_id"], "score": 0.5}
        masks = each["segmentations"]
        tracks.append(about | {"segmentations": masks})
        polygon = [[1.0, 1, 9, 1, 9.5, 9, 1, 9]]
        forms = [mask if t else polygon for t, mask in enumerate(masks)]
        frames += [about | {"frame": t, "segmentation": m} for t, m in enumerate(forms) if m]
    (folder / "tracks.json").write_text(json.dumps(tracks))
    (folder / "frames.json").write_text(json.dumps(frames))
    names = [str(video["id"]) for video in truth["videos"]]
    split = Split(tuple(names[1:]), tuple(names[:1]), held_out_per_class=1, seed=0)
    save_split(split, str(folder / "split.json"))
    write_config(folder / "config.json", Config())
    _make_pictures(folder)
    torch.manual_seed(0)
    backbone = build_backbone("small")
    save_backbone(backbone, folder / "b.safetensors")
    torch.save({"state_dict": {"a": torch.ones(3), "b": torch.ones(2, 2)}}, folder / "b.pth")
    (folder / "flow").mkdir()
    encoded = encode_flow(np.zeros((2, 32, 48, 2), np.float32))
    arrays = {f"backward.{name}": array for name, array in encoded.items()}
    for video in truth["videos"]:
        (folder / f"flow/{video['id']}.safetensors").write_bytes(to_bytes(Payload(arrays)))


def _make_pictures(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "a.jpg"), image)
    cv2.imwrite(str(folder / "a.png"), image)
    Image.fromarray(image[..., 0] // 64).save(folder / "numbers.png")
    (folder / "videos").mkdir()
    for name, code in (("a.mp4", "mp4v"), ("b.avi", "MJPG")):
        writer = cv2.VideoWriter(
            str(folder / "videos" / name), cv2.VideoWriter.fourcc(*code), 5, (64, 48)
        )
        for t in range(4):
            writer.write(np.full((48, 64, 3), 40 * t, np.uint8))
        writer.release()
    (folder / "videos/labels.csv").write_text(
        "video,first_frame,last_frame,class\na.mp4,0,3,dog\nb.avi,1,2,cat\n"
    )


def _ytvis(folder: Path, name: str) -> None:
    load_dataset(DataConfig(kind="ytvis", path=str(folder / "instances.json")))


def _video(folder: Path, name: str) -> None:
    path = str(folder / name)
    frame_rate(path)
    count, _, _ = probe_video(path)
    for _ in decode_video(path, min(count, 100), lambda _: True):
        pass


def _checked(folder: Path, name: str) -> None:
    data_check(str(folder / "videos"))


def _backbone(folder: Path, name: str) -> None:
    load_backbone_weights(build_backbone("small"), str(folder / name))
    read_payload(folder / name, "is absent")


def _truth_and(results: str) -> dict[str, Mutate]:
    return {"instances.json": mutated_json, results: mutated_json}


def _measured_tracks(folder: Path, name: str) -> None:
    evaluate_vis(gt=str(folder / "instances.json"), results=str(folder / "tracks.json"))


def _measured_frames(folder: Path, name: str) -> None:
    evaluate_frames(gt=str(folder / "instances.json"), results=str(folder / "frames.json"))


def _tracked(folder: Path, name: str) -> None:
    track(
        predictions=str(folder / "frames.json"),
        videos=str(folder / "instances.json"),
        out=str(folder / "out.json"),
        flow=str(folder / "flow"),
    )


TARGETS = {
    "ytvis": Target({"instances.json": mutated_json}, _ytvis),
    "vis": Target(_truth_and("tracks.json"), _measured_tracks),
    "frames": Target(_truth_and("frames.json"), _measured_frames),
    "export": Target(
        {"tracks.json": mutated_json},
        lambda folder, name: export(results=str(folder / name), out=str(folder / "out.zip")),
    ),
    "track": Target(
        _truth_and("frames.json")
        | {"flow/1.safetensors": mutated_bytes, "flow/2.safetensors": mutated_bytes},
        _tracked,
    ),
    "split": Target(
        {"split.json": mutated_json}, lambda folder, name: load_split(str(folder / name))
    ),
    "config": Target(
        {"config.json": mutated_json}, lambda folder, name: read_config(folder / name, Config())
    ),
    "labels": Target({"videos/labels.csv": mutated_table}, _checked),
    "images": Target(
        {"a.jpg": mutated_bytes, "a.png": mutated_bytes},
        lambda folder, name: read_image(str(folder / name)),
    ),
    "numbers": Target(
        {"numbers.png": mutated_bytes}, lambda folder, name: read_indexed_png(str(folder / name))
    ),
    "videos": Target({"videos/a.mp4": mutated_bytes, "videos/b.avi": mutated_bytes}, _video),
    "backbone": Target({"b.safetensors": mutated_bytes}, _backbone),
    "torch": Target(
        {"b.pth": mutated_bytes}, lambda folder, name: read_tensors(folder / name, "is absent")
    ),
}
