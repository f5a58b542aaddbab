"""Whether the labels of a stage can be learnt from: numbers and warnings that need no annotation.

A method that failed still gives labels, with scores. What gives it away: masks that cover the
frame, frames that show a class and have no label, scores that are all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from wsvis.masks import coco_mask
from wsvis.types import Dataset, FrameInstances, Video

WHOLE_FRAME = 0.8
"""A label that covers more of its frame than this says "everything"."""
MOST_WHOLE = 0.1
"""Share of whole-frame labels from which the labels count as collapsed."""
MOST_EMPTY = 0.5
"""Share of frames without a label, among those that show a class, from which it is said."""
MOST_TIED = 0.5
"""Share of equal scores from which scores do not rank."""
FEW_STEPS = 100
"""A training with fewer updates has hardly left its start."""


@dataclass(frozen=True)
class LabelHealth:
    """What the labels of one stage look like as a whole."""

    stage: str
    frames: int
    """Frames that show a class: only these can have a label."""
    empty_frames: int
    """Those of them without any label."""
    labels: int
    whole_frame: int
    """Labels that cover over 80 % of their frame."""
    median_area: float
    """Of a label, share of the frame; 0 where there is no label."""
    tied: float
    """Share of the labels that have the commonest score."""

    @property
    def labels_per_frame(self) -> float:
        """Mean over the frames that show a class."""
        return self.labels / self.frames if self.frames else 0.0

    @property
    def collapsed(self) -> bool:
        """Whether the labels are of no use: none at all, or whole frames."""
        nothing = self.labels == 0 < self.frames
        return nothing or self.whole_frame > MOST_WHOLE * self.labels

    @property
    def scores_rank(self) -> bool:
        """Whether scores tell labels apart; where not, they should not be shown."""
        return self.labels < 2 or self.tied <= MOST_TIED

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong, each with its cure; empty where nothing is."""
        cure = (
            "look at the films, add videos or frames without the class, or give more training steps"
            if self.stage.startswith("fcam")
            else "take masks straight from f-CAM"
        )
        lines = []
        if self.labels == 0 < self.frames:
            lines.append(f"{self.stage}: no frame has a label; {cure}")
        elif self.collapsed:
            lines.append(
                f"{self.stage}: {self.whole_frame} of {self.labels} labels cover over "
                f"{WHOLE_FRAME:.0%} of their frame; {cure}"
            )
        if self.labels > 0 and self.empty_frames > MOST_EMPTY * self.frames:
            lines.append(
                f"{self.stage}: {self.empty_frames} of {self.frames} frames that show a class have "
                "no label; lower ir_labels.foreground_threshold, or check labels.csv"
            )
        if not self.scores_rank:
            lines.append(
                f"{self.stage}: {self.tied:.0%} of the scores are equal, so they do not tell good "
                "labels from bad; set walk.scores to mass"
            )
        return tuple(lines)

    def lines(self) -> list[str]:
        """The numbers in one line for people, then the warnings."""
        share = self.whole_frame / self.labels if self.labels else 0.0
        return [
            f"{self.stage}: {self.labels_per_frame:.2f} labels per frame, median area "
            f"{self.median_area:.1%} of the frame, {share:.1%} cover over {WHOLE_FRAME:.0%}, "
            f"{self.empty_frames} of {self.frames} frames without one",
            *self.warnings,
        ]


def label_health(
    stage: str, videos: Iterable[tuple[Video, Sequence[FrameInstances]]]
) -> LabelHealth:
    """The numbers of a stage's labels.

    Args:
        stage: its name, for the lines.
        videos: each video with the labels of its frames
            (:func:`wsvis.payload.payload_to_instances` of the stage's result).
    """
    frames = empty = 0
    areas: list[float] = []
    scores: dict[float, int] = {}
    for video, labels in videos:
        for classes, instances in zip(video.labels, labels, strict=True):
            frames += bool(classes)
            empty += bool(classes) and len(instances) == 0
            if len(instances):
                pixels = coco_mask.area(list(instances.masks))
                areas += [int(area) / (video.height * video.width) for area in pixels]
            for score in instances.scores.round(6).tolist():
                scores[score] = scores.get(score, 0) + 1
    return LabelHealth(
        stage=stage,
        frames=frames,
        empty_frames=empty,
        labels=len(areas),
        whole_frame=sum(area > WHOLE_FRAME for area in areas),
        median_area=median(areas) if areas else 0.0,
        tied=max(scores.values(), default=0) / len(areas) if areas else 0.0,
    )


def inseparable_classes(dataset: Dataset) -> tuple[str, ...]:
    """Classes in every frame of their only video: no training can tell them from their scene."""
    videos_of: dict[int, list[Video]] = {}
    for video in dataset.videos:
        for label in {label for labels in video.labels for label in labels}:
            videos_of.setdefault(label, []).append(video)
    return tuple(
        dataset.classes[label]
        for label, videos in sorted(videos_of.items())
        if len(videos) == 1 and all(label in labels for labels in videos[0].labels)
    )


def training_warnings(
    dataset: Dataset, trained_classes: Iterable[str], steps: int | None = None
) -> tuple[str, ...]:
    """What the training of a class head must fail at, each with its cure.

    Args:
        dataset: the training videos.
        trained_classes: classes whose maps come from the trained head.
        steps: updates of the training; ``None`` where there is none.
    """
    trained = set(trained_classes)
    lines = []
    alone = [name for name in inseparable_classes(dataset) if name in trained]
    if alone:
        shown = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
        lines.append(
            f"{shown}: in every frame of the only video, so no head can tell object from scene; "
            "add videos or frames without it, or set classifier.head to imagenet and name ImageNet "
            "classes in classifier.class_map"
        )
    if trained and steps is not None and steps < FEW_STEPS:
        lines.append(
            f"the class head trains for {steps} steps only; raise classifier.min_steps to "
            f"{FEW_STEPS} or more"
        )
    return tuple(lines)
