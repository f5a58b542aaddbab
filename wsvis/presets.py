"""Named runs: functions that return a whole configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from wsvis.cam.config import (
    CamConfig,
    ClassifierConfig,
    FCamConfig,
    IrLabelsConfig,
    PseudoMasksConfig,
)
from wsvis.config import Config
from wsvis.data.config import DataConfig
from wsvis.flow.config import FlowConfig
from wsvis.irn.config import FlowBoundaryConfig, IrnConfig, WalkConfig
from wsvis.maskconsist.config import MaskConsistConfig
from wsvis.refinement.config import CrfConfig, MaskCrfConfig
from wsvis.systems.config import DetectorConfig, InferenceConfig, PairsConfig


def cpu() -> Config:
    """The embedded synthetic clips on two cores, nothing downloaded."""
    return Config(
        flow=FlowConfig(provider="dis-medium", stored_stride=2),
        classifier=ClassifierConfig(
            backbone="small",
            weights="standin",
            optimiser="adamw",
            # 1e-3 knows the classes better (held-out mAP .94 instead of .86) and makes worse maps:
            # it looks at heads alone, and plain IRN's AP50 halves (docs/LOG.md)
            learning_rate=3e-4,
            head_rate_factor=16.0,
            epochs=6.0,
            batch_size=16,
            crop=0,
            resize_long_side=(0, 0),
            trainable="all",
        ),
        cam=CamConfig(scales=(1.0, 2.0)),
        fcam=FCamConfig(compensation="median"),
        pseudo_masks=PseudoMasksConfig(),
        # kernels and radii for frames a third as wide as the paper's
        crf=CrfConfig(
            smoothness_sigma=1.5, appearance_sigma=19.2, colour_sigma=15.0, stride=4, neighbours=32
        ),
        irn=IrnConfig(
            initial="classifier",
            boundary_channels=16,
            displacement_channels=32,
            canvas=(0, 0),
            scales=(1.0, 1.0),
            mirror=False,
            radius_train=5,
            optimiser="adamw",
            learning_rate=1e-2,
            displacement_rate_factor=1.0,
            epochs=2.0,
            batch_size=16,
        ),
        walk=WalkConfig(steps=128, cluster_threshold=0.6),
        # Eq. 3 breaks even at a flow jump of about four lambda: neighbours here differ by 1.2 to
        # 2.8 pixels per frame, on frames a third as wide as the paper's
        flow_boundary=FlowBoundaryConfig(regularization=0.3),
        detector=DetectorConfig(
            backbone="small",
            weights="classifier",
            frozen_stages=0,
            steps=1400,
            optimiser="adamw",
            # at 2e-4 masks are still half box after these steps, also those learnt from true masks
            learning_rate=1e-3,
            backbone_rate_factor=0.3,
            schedule="cosine",
            warm_up=100,
            short_sides=(0, 0),
        ),
        inference=InferenceConfig(short_side=0),
    )


def davis_mini() -> Config:
    """Real clips in YouTube-VIS format; give --data.path and --classifier.weights."""
    return Config(
        data=DataConfig(kind="ytvis", split="train", held_out_per_class=1, frame_step=6),
        flow=FlowConfig(provider="dis-medium", stored_stride=2),
        classifier=ClassifierConfig(
            backbone="mobilenet_v2",
            weights="",
            normalisation="half",
            stride_two_padding="same",
            optimiser="adamw",
            # the head alone: with a few hundred frames, fine-tuning more made its maps worse
            learning_rate=1e-3,
            head_rate_factor=10.0,
            epochs=20.0,
            trainable="head",
            crop=0,
            resize_long_side=(0, 0),
        ),
        cam=CamConfig(scales=(1.0, 1.5)),
        fcam=FCamConfig(amplification=3.0, percentile=0.8, compensation="median"),
        ir_labels=IrLabelsConfig(foreground_threshold=0.6),
        crf=CrfConfig(stride=4),
        # ImageNet's features as they are, as in the paper; small branches for two cores
        irn=IrnConfig(
            boundary_channels=16,
            displacement_channels=32,
            canvas=(0, 0),
            scales=(1.0, 1.0),
            mirror=False,
            radius_train=5,
            optimiser="adamw",
            learning_rate=1e-2,
            displacement_rate_factor=1.0,
            epochs=3.0,
            batch_size=16,
        ),
        # ImageNet's features again, by way of the classifier, whose backbone did not learn
        detector=DetectorConfig(
            backbone="mobilenet_v2",
            weights="classifier",
            steps=1400,
            optimiser="adamw",
            learning_rate=2e-4,
            backbone_rate_factor=0.3,
            schedule="cosine",
            warm_up=100,
            short_sides=(0, 0),
        ),
        inference=InferenceConfig(short_side=0),
        # every sixth frame is listed: one listed frame is six raw ones, the paper has five
        pairs=PairsConfig(delta=1),
    )


def clips() -> Config:
    """A user's own videos with ImageNet weights: masks with no training, then flowIRN, a detector.

    Class maps come from ImageNet's own head, camera motion is taken out, and a CRF fits the masks:
    docs/class_maps.md says what this measured. ``classifier.weights`` is torchvision's name or a
    local file; ``clips-standin`` needs neither.
    """
    return Config(
        data=DataConfig(kind="auto", split="all"),
        flow=FlowConfig(provider="dis-medium", long_side=480, stored_stride=2),
        classifier=ClassifierConfig(
            backbone="mobilenet_v2",
            weights="IMAGENET1K_V1",
            head="imagenet",
            normalisation="auto",
            stride_two_padding="auto",
            optimiser="adamw",
            learning_rate=1e-3,
            head_rate_factor=10.0,
            epochs=20.0,
            min_steps=200,
            max_steps=4000,
            trainable="head",
            crop=0,
            resize_long_side=(0, 0),
        ),
        cam=CamConfig(scales=(1.0, 1.5, 2.0), long_side=480),
        fcam=FCamConfig(amplification=3.0, percentile=0.8, compensation="affine"),
        ir_labels=IrLabelsConfig(foreground_threshold=0.45),
        crf=CrfConfig(stride=4),
        mask_crf=MaskCrfConfig(enabled=True, long_side=480),
        irn=IrnConfig(
            boundary_channels=16,
            displacement_channels=32,
            canvas=(288, 480),
            scales=(1.0, 1.0),
            mirror=False,
            radius_train=5,
            optimiser="adamw",
            learning_rate=1e-2,
            displacement_rate_factor=1.0,
            epochs=3.0,
            min_steps=100,
            max_steps=4000,
            batch_size=16,
        ),
        walk=WalkConfig(scores="mass"),
        detector=DetectorConfig(
            backbone="mobilenet_v2",
            weights="classifier",
            steps=800,
            optimiser="adamw",
            learning_rate=2e-4,
            backbone_rate_factor=0.3,
            schedule="cosine",
            warm_up=100,
            short_sides=(240, 240),
            background_frames=True,
        ),
        # the mask head of a hundred predictions takes longer than all the rest of a frame
        inference=InferenceConfig(short_side=240, detections=30),
        maskconsist=MaskConsistConfig(predictions=30),
    )


def clips_standin() -> Config:
    """A user's own videos where no weights can be had: our small backbone, a head trained on them.

    Nothing is downloaded. Meant for the embedded synthetic clips and for small frames; on real
    videos it is far below ``clips``.
    """
    small, own = cpu(), clips()
    return replace(
        small,
        data=own.data,
        classifier=replace(small.classifier, min_steps=300, max_steps=4000),
        mask_crf=MaskCrfConfig(enabled=True),
        irn=replace(small.irn, min_steps=100, max_steps=4000),
        walk=replace(small.walk, scores="mass"),
        detector=replace(small.detector, background_frames=True),
    )


def paper_ytvis() -> Config:
    """The paper's settings for YouTube-VIS; give --data.path. Needs a GPU and ImageNet weights."""
    return Config(
        data=DataConfig(kind="ytvis", split="train"),
        flow=FlowConfig(provider="raft-large", weights="C_T_SKHT_V2"),
        # its listed frames lie five raw frames apart, the paper's delta
        pairs=PairsConfig(delta=1),
    )


def paper_cityscapes() -> Config:
    """The paper's settings for Cityscapes; give --data.path. Needs a GPU and ImageNet weights."""
    return replace(
        paper_ytvis(),
        data=DataConfig(kind="cityscapes", split="train"),
        fcam=FCamConfig(amplification=5.0, percentile=0.5),
        # three frames of each snippet are listed, three raw frames apart: the paper's delta
        pairs=PairsConfig(delta=1),
        detector=DetectorConfig(steps=75_000),
    )


PRESETS: dict[str, Callable[[], Config]] = {
    "cpu": cpu,
    "clips": clips,
    "clips-standin": clips_standin,
    "davis-mini": davis_mini,
    "paper-ytvis": paper_ytvis,
    "paper-cityscapes": paper_cityscapes,
}
