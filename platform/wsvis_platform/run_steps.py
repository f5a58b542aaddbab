"""The steps of ``wsvis run``: which stages each needs, and how good its instances are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wsvis.config import Config
from wsvis.evaluation.stages import quality_of, track_quality_of
from wsvis.pipeline import BY_NAME, DETECTOR_LABELS
from wsvis.types import Dataset
from wsvis_platform.store import Store
from wsvis_platform.video_worker import StoreInputs

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
    learnt_from: str = ""
    """Stage of the labels behind a detector."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Stages to bring into the store."""
        return (self.stage, "step_flow")


def prefix_of(labels: str) -> str:
    """What the names of the detector's stages begin with that learns from a stage."""
    return next(prefix for prefix, stage in DETECTOR_LABELS.items() if stage == labels)


FCAM = "fcam_labels" if "fcam_labels" in BY_NAME else "pseudo_masks"
FLOWIRN = "refined_labels" if "refined_labels" in BY_NAME else "pseudo_labels"
MASKS = Step("masks", "masks from f-CAM", FCAM)
LABELS = Step("labels", "labels of flowIRN", FLOWIRN)


def detector_steps(labels: str) -> tuple[Step, Step]:
    """The detector that learns from a stage of labels, and the tracks of what it finds."""
    prefix = prefix_of(labels)
    source = "f-CAM masks" if labels == FCAM else "flowIRN labels"
    return (
        Step("detector", f"detector, learnt from {source}", f"{prefix}predictions", labels),
        Step("tracks", "tracks of the detector", f"{prefix}tracks", labels),
    )


def wanted(step: Name, stop_after: Name) -> bool:
    """Whether a run that stops after a step does this one."""
    return ORDER.index(step) <= ORDER.index(stop_after)


def annotated_part(dataset: Dataset) -> Dataset | None:
    """The videos with annotated masks, ``None`` where there is none."""
    videos = tuple(video for video in dataset.videos if video.instances is not None)
    return replace(dataset, videos=videos) if videos else None


def measured(
    step: Step, config: Config, annotated: Dataset | None, store: Store, keys: dict[str, str]
) -> dict[str, float | None]:
    """How good a step's result is where there are annotated masks; empty where there are none."""
    if annotated is None:
        return {}
    measure = (track_quality_of if step.name == "tracks" else quality_of)(step.stage)
    return dict(measure(config, annotated, StoreInputs(store, keys), None).data)


def all_targets(stop_after: Name, labels: Literal["auto", "fcam", "flowirn"]) -> Sequence[str]:
    """Every stage that a run may come to need, for checks before any work."""
    steps = [MASKS]
    sources = {"auto": (FLOWIRN, FCAM), "fcam": (FCAM,), "flowirn": (FLOWIRN,)}[labels]
    if labels != "fcam":
        steps.append(LABELS)
    for source in sources:
        if source in DETECTOR_LABELS.values():
            steps += detector_steps(source)
    return [target for step in steps if wanted(step.name, stop_after) for target in step.targets]
