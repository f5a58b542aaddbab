"""Check the synthetic set's difficulty on baselines: plain CAM, and a supervised detector.

    python tools/calibrate_synthetic.py --seed 101

About 6 minutes on one core. Draws throw-away clips (`throwaway<seed>-train` and `-val`; never the
project's own `train` and `val`), trains the classifier of the `cpu` preset, scores the masks of the
plain CAM on the 60 training clips, trains a small Mask R-CNN on ground truth and scores it on the
20 validation clips. Nothing that uses flow is measured here: on these figures the parameters in
`wsvis/data/synthetic_parameters.py` were chosen, then frozen (docs/synthetic.md).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import numpy as np
import torch
import tyro
from supervised_detector import Example, predict, train_detector

from wsvis.cam.cam import fold_batch_norm, multi_scale_cam
from wsvis.cam.classifier import Classifier, build_classifier
from wsvis.cam.pseudo_masks import pseudo_masks
from wsvis.cam.train_classifier import train_classifier
from wsvis.data.synthetic_clip import SyntheticClip, render
from wsvis.data.synthetic_parameters import CLASSES, GeneratorParameters
from wsvis.evaluation.frame_ap import FrameTruth, frame_ap
from wsvis.evaluation.semantic_iou import semantic_map, semantic_miou, truth_map
from wsvis.masks import encode_masks
from wsvis.types import FrameInstances


@dataclass(frozen=True)
class ClassifierSettings:
    """The `cpu` preset's, to be tried here before they go there."""

    pooling: str = "average"
    learning_rate: float = 3e-4
    head_rate_factor: float = 16.0
    epochs: float = 8.0
    batch_size: int = 16
    trainable: str = "all"


def main(
    seed: int,
    parameters: GeneratorParameters = GeneratorParameters(),  # noqa: B008 - frozen
    classifier: ClassifierSettings = ClassifierSettings(),
    weights: str = "standin",
    scales: tuple[float, ...] = (1.0, 2.0),
    thresholds: tuple[float, ...] = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5),
    train_clips: int = 60,
    val_clips: int = 20,
    detector_steps: int = 1400,
    threads: int = 1,
) -> None:
    """Print one JSON line per measurement.

    Args:
        seed: of the clips, the training and the throw-away split's name.
        parameters: of the generator; the frozen ones unless said.
        classifier: how it is trained.
        weights: initial weights of the backbone, for classifier and detector.
        scales: of the CAM.
        thresholds: of the CAM's masks; 0.3 is the one to compare.
        train_clips: clips to train on and to measure CAMs on.
        val_clips: clips to validate on.
        detector_steps: steps of the detector; 0 = no detector.
        threads: cores to use.
    """
    torch.set_num_threads(threads)
    clock = _Clock()
    train = [render(f"throwaway{seed}-train", i, parameters) for i in range(train_clips)]
    val = [render(f"throwaway{seed}-val", i, parameters) for i in range(val_clips)]
    clock.say("clips", heads=_median_head_share(train))

    model = build_classifier(
        "small", CLASSES, weights=weights, pooling=classifier.pooling, seed=seed
    )
    scores = train_classifier(
        model,
        [frame for clip in train for frame in clip.frames],
        np.concatenate([_present(clip) for clip in train]),
        seed=seed,
        optimiser="adamw",
        learning_rate=classifier.learning_rate,
        head_rate_factor=classifier.head_rate_factor,
        epochs=classifier.epochs,
        batch_size=classifier.batch_size,
        crop=0,
        resize_long_side=(0, 0),
        trainable=classifier.trainable,
        validation=(
            [frame for clip in val for frame in clip.frames],
            np.concatenate([_present(clip) for clip in val]),
        ),
    )
    clock.say("classifier", **{k: v for k, v in scores.items() if not k.startswith("AP/")})

    cams = _cams(model, train, scales)
    clock.say("cam", **_recalls(cams, train))
    truths = [truth for clip in train for truth in _truths(clip)]
    for threshold in thresholds:
        found = [
            pseudo_masks(cam, labels, parameters.height, parameters.width, threshold, 0.01)
            for clip, clip_cams in zip(train, cams, strict=True)
            for cam, labels in clip_cams
        ]
        clock.say("cam masks", threshold=threshold, **_scores(truths, found, train))

    if detector_steps:
        detector = train_detector(
            [example for clip in train for example in _examples(clip)],
            len(CLASSES),
            weights=weights,
            steps=detector_steps,
            seed=seed,
        )
        clock.say("detector trained")
        found = [predict(detector, frame) for clip in val for frame in clip.frames]
        truths = [truth for clip in val for truth in _truths(clip)]
        clock.say("detector", **_scores(truths, found, val, 0.5))


class _Clock:
    """Prints results with the CPU-seconds since the last ones."""

    def __init__(self) -> None:
        self.last = time.process_time()

    def say(self, what: str, **numbers: float) -> None:
        now = time.process_time()
        rounded = {name: round(float(value), 4) for name, value in numbers.items()}
        print(json.dumps({"what": what, **rounded, "cpu_s": round(now - self.last, 1)}), flush=True)
        self.last = now


def _present(clip: SyntheticClip) -> np.ndarray:
    """Bool [T, C]."""
    present = np.zeros((len(clip.frames), len(CLASSES)), bool)
    for label, shown in zip(clip.labels, clip.annotated, strict=True):
        present[shown, label] = True
    return present


def _median_head_share(clips: list[SyntheticClip]) -> float:
    shares = [clip.head_masks.sum((1, 2, 3)) / clip.masks.sum((1, 2, 3)) for clip in clips]
    return float(np.median(np.concatenate(shares)))


def _truths(clip: SyntheticClip) -> list[FrameTruth]:
    truths = []
    for t in range(len(clip.frames)):
        shown = clip.annotated[:, t]
        labels, masks = clip.labels[shown], encode_masks(clip.masks[shown, t])
        truths.append(FrameTruth(labels, tuple(masks), np.zeros(len(labels), bool)))
    return truths


def _examples(clip: SyntheticClip) -> list[Example]:
    return [
        Example(frame, clip.labels[shown], clip.masks[shown, t])
        for t, (frame, shown) in enumerate(zip(clip.frames, clip.annotated.T, strict=True))
        if shown.any()
    ]


def _cams(
    model: Classifier, clips: list[SyntheticClip], scales: tuple[float, ...]
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """For each clip and frame the maps and their classes."""
    folded = fold_batch_norm(model)
    result = []
    for clip in clips:
        present = _present(clip)
        maps = multi_scale_cam(
            folded, torch.from_numpy(clip.frames), torch.from_numpy(present), scales=scales
        )
        labels = [np.flatnonzero(row) for row in present]
        result.append([(m.numpy(), k) for m, k in zip(maps, labels, strict=True)])
    return result


def _recalls(
    cams: list[list[tuple[np.ndarray, np.ndarray]]], clips: list[SyntheticClip]
) -> dict[str, float]:
    """Share of head and of body pixels where the class's map exceeds 0.3."""
    hit, total = np.zeros(2), np.zeros(2)
    for clip, frames in zip(clips, cams, strict=True):
        for t, (maps, labels) in enumerate(frames):
            large = np.repeat(np.repeat(maps, 4, 1), 4, 2)[:, : clip.masks.shape[2]] > 0.3
            for n in np.flatnonzero(clip.annotated[:, t]):
                fires = large[np.flatnonzero(labels == clip.labels[n])[0]][:, : clip.masks.shape[3]]
                body = clip.masks[n, t] & ~clip.head_masks[n, t]
                for part, mask in enumerate((clip.head_masks[n, t], body)):
                    hit[part] += (fires & mask).sum()
                    total[part] += mask.sum()
    return {"head_recall": hit[0] / total[0], "body_recall": hit[1] / total[1]}


def _scores(
    truths: list[FrameTruth],
    found: list[FrameInstances],
    clips: list[SyntheticClip],
    score_threshold: float = 0.0,
) -> dict[str, float]:
    size = clips[0].visible.shape[1:]
    maps = (
        (truth_map(truth, *size), semantic_map(instances, *size, score_threshold=score_threshold))
        for truth, instances in zip(truths, found, strict=True)
    )
    miou = semantic_miou(maps, len(CLASSES))["mIoU"]
    assert isinstance(miou, float)
    return {**frame_ap(truths, found, len(CLASSES)), "mIoU": miou}


if __name__ == "__main__":
    tyro.cli(main)
