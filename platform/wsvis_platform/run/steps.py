"""The steps of ``wsvis run``: which stages each needs, and how good its instances are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from wsvis.config import Config
from wsvis.label_health import LabelHealth, label_health
from wsvis.payload import payload_to_instances
from wsvis.pipeline import BY_NAME
from wsvis.plan import Plan, Source, make_plan
from wsvis.systems.config import LabelSource
from wsvis.types import Dataset, FrameInstances, Video
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import StoreInputs

Name = Literal["masks", "labels", "detector", "tracks"]
ORDER: tuple[Name, ...] = ("masks", "labels", "detector", "tracks")


@dataclass(frozen=True)
class Step:
    """One step, with instances (or tracks) per video as its result."""

    name: Name
    title: str
    """What people read."""
    stage: str
    """Whose results these are."""
    learnt_from: LabelSource | None = None
    """Labels behind a detector."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Stages to bring into the store."""
        return (self.stage, "step_flow")

    def settings(self, config: Config) -> Config:
        """The run's settings, with the labels that the detector learns from."""
        return replace(config, labels=self.learnt_from) if self.learnt_from else config

    def plan(self, config: Config, dataset: Dataset) -> Plan:
        """All that leads to its result."""
        return make_plan(self.settings(config), dataset, self.targets)

    @property
    def quality(self) -> str:
        """The stage that measures it against annotated masks."""
        return QUALITY[self.stage]


FCAM: LabelSource = "fcam_labels"
FLOWIRN: LabelSource = "refined_labels"
"""Stages of labels: straight from class maps, and of flowIRN; both after a CRF where it is on."""
QUALITY = {
    FCAM: "fcam_label_quality",
    FLOWIRN: "refined_label_quality",
    "predictions": "prediction_quality",
    "tracks": "track_quality",
}
MOST_GROWN = 1.5
"""Median area of flowIRN's labels over that of the masks from which the walk has run away."""
MASKS = Step("masks", "masks from f-CAM", FCAM)
LABELS = Step("labels", "labels of flowIRN", FLOWIRN)


def detector_steps(labels: LabelSource) -> tuple[Step, Step]:
    """The detector that learns from a stage of labels, and the tracks of what it finds."""
    source = "f-CAM masks" if labels == FCAM else "flowIRN labels"
    return (
        Step("detector", f"detector, learnt from {source}", "predictions", labels),
        Step("tracks", "tracks of the detector", "tracks", labels),
    )


def wanted(step: Name, stop_after: Name) -> bool:
    """Whether a run that stops after a step does this one."""
    return ORDER.index(step) <= ORDER.index(stop_after)


def annotated_part(dataset: Dataset) -> Dataset | None:
    """The videos with annotated masks, ``None`` where there is none."""
    videos = tuple(video for video in dataset.videos if video.instances is not None)
    return replace(dataset, videos=videos) if videos else None


def measured(
    step: Step, config: Config, annotated: Dataset | None, store: Store, key: str
) -> dict[str, float | None]:
    """How good a step's result is where there are annotated masks; empty where there are none."""
    if annotated is None:
        return {}
    stage = BY_NAME[step.quality]
    (role,) = stage.roles(config)
    inputs = StoreInputs(store, {role: Source(step.stage, key)})
    assert stage.whole is not None
    return dict(stage.whole(stage.view(config), annotated, inputs, None).data)


def health_of(step: Step, dataset: Dataset, store: Store, key: str) -> LabelHealth:
    """What a step's labels look like, where no annotation tells how good they are."""
    inputs = StoreInputs(store, {"labels": Source(step.stage, key)})

    def labels() -> Iterator[tuple[Video, list[FrameInstances]]]:
        for video in dataset.videos:
            payload = inputs.video("labels", video.id)
            if payload is not None:
                yield video, payload_to_instances(payload)

    return label_health(step.stage, labels())


def all_steps(stop_after: Name, labels: Literal["auto", "fcam", "flowirn"]) -> list[Step]:
    """Every step that a run may come to do, for checks before any work."""
    steps = [MASKS]
    sources = {"auto": (FLOWIRN, FCAM), "fcam": (FCAM,), "flowirn": (FLOWIRN,)}[labels]
    if labels != "fcam":
        steps.append(LABELS)
    for source in sources:
        steps += detector_steps(source)
    return [step for step in steps if wanted(step.name, stop_after)]


def why_masks(head: str) -> str:
    """Why masks straight from f-CAM are learnt from without asking flowIRN; empty: it is asked.

    On all three sets of real clips that were tried, masks from ImageNet's own head and a CRF fitted
    far better than flowIRN's labels (docs/LOG.md), and nothing tells that without annotations.

    Args:
        head: ``classifier.head``.
    """
    if head != "imagenet":
        return ""
    return (
        "class maps come from ImageNet's own head, and on every real set measured its masks fitted "
        "better than flowIRN's labels; --learn-from flowirn trains it all the same"
    )


def chosen_labels(fcam: LabelHealth, flowirn: LabelHealth) -> tuple[LabelSource, str]:
    """Which labels a detector should learn from, and why not flowIRN's where they are unfit.

    Told without any annotation: flowIRN's walk has failed where it covers whole frames, or where
    its labels are far larger than the masks it started from, which hold the whole object already.

    Args:
        fcam: of the masks straight from f-CAM.
        flowirn: of flowIRN's labels.
    """
    if flowirn.collapsed:
        return FCAM, "flowIRN's labels are none, or cover whole frames"
    if fcam.collapsed:
        return FLOWIRN, ""
    if flowirn.median_area > MOST_GROWN * fcam.median_area:
        return FCAM, (
            f"flowIRN's labels are {flowirn.median_area / fcam.median_area:.1f} times as large as "
            "the masks that they come from"
        )
    return FLOWIRN, ""


def numbers_line(numbers: dict[str, float | None]) -> str:
    """Measured numbers in points, without the counts."""
    names = {
        "ap50": "AP50",
        "ap25": "AP25",
        "ap75": "AP75",
        "miou": "mIoU",
        "video_ap": "video AP",
        "video_ap50": "video AP50",
    }
    measured_ones = {text: numbers.get(name) for name, text in names.items()}
    return ", ".join(
        f"{text} {100 * value:.1f}" for text, value in measured_ones.items() if value is not None
    )
