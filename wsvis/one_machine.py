"""The stages in a plain loop in one process, and what can be tried before any of them runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.evaluation.stages import need_truth
from wsvis.flow import stages as flow_stages
from wsvis.payload import Payload
from wsvis.pipeline import BY_NAME, DETECTORS
from wsvis.stage import later
from wsvis.stage_keys import needed
from wsvis.types import Dataset, Report


def check_settings(
    config: Config,
    dataset: Dataset,
    targets: Iterable[str] = (),
    held_out: Dataset | None = None,
) -> None:
    """Try what would otherwise fail late in a run: weights files, flow providers, missing masks.

    Args:
        config: the whole run's settings.
        dataset: gives the class names.
        targets: what will be asked for; a detector is only tried where one is needed.
        held_out: videos that will be measured too.

    Raises:
        InputError: a file is absent or of another architecture; there is nothing to measure
            against; no video has two frames of a pair.
    """
    stages = needed(targets)
    if any(stage.sees_truth for stage in stages):
        for videos in (dataset, *([held_out] if held_out else [])):
            need_truth(videos)
    flow_stages.flow(config, {})
    later("wsvis.cam.stages", "initial_classifier")(config, dataset)
    if any(stage.name in DETECTORS for stage in stages):
        later("wsvis.systems.stages", "check_initial")(config, dataset)


class InMemory:
    """Results of a run that keeps everything in memory."""

    def __init__(self) -> None:
        self.wholes: dict[str, Payload] = {}
        self.videos: dict[str, dict[str, Payload]] = {}

    def whole(self, stage: str) -> Payload:
        """A network."""
        return self.wholes[stage]

    def video(self, stage: str, video_id: str) -> Payload | None:
        """A video's result."""
        return self.videos[stage].get(video_id)


def run_pipeline(
    config: Config, dataset: Dataset, targets: Iterable[str], report: Report | None = None
) -> Mapping[str, Payload | dict[str, Payload]]:
    """All stages in this process, results in memory: for small data, notebooks and tests.

    Returns:
        Stage name -> payload, or -> {video id: payload}. A video that cannot be read is left out.
    """
    memory = InMemory()
    for stage in needed(targets):
        earlier = [memory.videos[n] for n in stage.inputs if BY_NAME[n].per_video]
        usable = tuple(v for v in dataset.videos if all(v.id in done for done in earlier))
        shown = stage.shown(replace(dataset, videos=usable))
        if stage.whole is not None:
            memory.wholes[stage.name] = stage.whole(config, shown, memory, report)
            continue
        assert stage.per_video is not None
        process = stage.per_video(
            config, {name: memory.wholes[name] for name in stage.inputs if name in memory.wholes}
        )
        done: dict[str, Payload] = {}
        for video in shown.videos:
            names = [name for name in stage.inputs if BY_NAME[name].per_video]
            inputs = {name: memory.videos[name][video.id] for name in names}
            try:
                done[video.id] = process(video, inputs)
            except InputError:
                continue
        memory.videos[stage.name] = done
    return {**memory.wholes, **memory.videos}
