"""Metrics: one table of their names, headings and units, and of what a sweep can maximise.

Every table, figure, sweep and MLflow name reads it. A quality stage stores its numbers under these
names, as shares (0..1) unless the table says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number that a quality stage measures."""

    name: str
    heading: str
    """Of a column, of an axis."""
    stages: tuple[str, ...]
    """The quality stages that store it, by the beginnings of their names."""
    share: bool = True
    """Lies in 0..1 and is shown in points of 0..100; else as it is."""


_MASKS = ("pseudo_label", "pseudo_mask", "prediction")
METRICS = {
    metric.name: metric
    for metric in (
        Metric("ap50", "AP50", _MASKS),
        Metric("ap25", "AP25", _MASKS),
        Metric("ap75", "AP75", _MASKS),
        Metric("miou", "mIoU", _MASKS),
        Metric("instances_per_frame", "instances per frame", _MASKS, share=False),
        Metric("video_ap", "video AP", ("track",)),
        Metric("video_ap50", "video AP50", ("track",)),
        Metric("video_ap75", "video AP75", ("track",)),
        Metric("video_ar1", "AR1", ("track",)),
        Metric("video_ar10", "AR10", ("track",)),
        Metric("tc", "TC", ("consistency",)),
    )
}
"""Name -> metric."""

SHOWN = ("ap50", "ap25", "miou")
"""What a sweep or table shows unless it says otherwise."""


def _objectives() -> dict[str, tuple[str, str]]:
    """``prediction_ap50`` where several stages measure a metric, its own name where one does."""
    chosen = {}
    for metric in METRICS.values():
        for stage in metric.stages if metric.share else ():
            name = f"{stage}_{metric.name}" if len(metric.stages) > 1 else metric.name
            chosen[name] = (stage if stage == "consistency" else f"{stage}_quality", metric.name)
    return chosen


OBJECTIVES = _objectives()
"""What a sweep can maximise -> (the stage that measures it, the metric)."""
OF_DETECTORS = tuple(
    name
    for name, (stage, _) in OBJECTIVES.items()
    if stage in ("prediction_quality", "track_quality", "consistency")
)
"""Those that need a trained detector."""


def heading(metric: str) -> str:
    """How a column or an axis of a metric is headed; an unknown one by its own name."""
    return METRICS[metric].heading if metric in METRICS else metric


def shown_with(objective: str) -> tuple[str, ...]:
    """The metric a sweep maximises first, then the usual ones."""
    return (objective, *(name for name in SHOWN if name != objective))
