"""The stages in a plain loop in one process, and what can be tried before any of them runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.evaluation.stages import need_truth
from wsvis.flow import stages as flow_stages
from wsvis.later import later
from wsvis.learning.share import Share
from wsvis.payload import Payload
from wsvis.pipeline import BY_NAME, SYSTEM
from wsvis.plan import Source, Step, make_plan
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
    steps = make_plan(config, dataset, targets).steps
    if any(step.definition().sees_truth for step in steps):
        for videos in (dataset, *([held_out] if held_out else [])):
            need_truth(videos)
    flow_stages.flow(config, {})
    later("wsvis.cam.stages", "initial_classifier")(config, dataset)
    if any(step.stage == SYSTEM for step in steps):
        later("wsvis.systems.stages", "check_initial")(config, dataset)


class InMemory:
    """Results of a run that keeps everything in memory: key -> result, or -> {video: result}."""

    def __init__(self) -> None:
        self.wholes: dict[str, Payload] = {}
        self.videos: dict[str, dict[str, Payload]] = {}

    def of(self, step: Step) -> MemoryInputs:
        """What a step reads."""
        return MemoryInputs(self, step.inputs)


class MemoryInputs:
    """The inputs of a step, by role."""

    def __init__(self, memory: InMemory, inputs: Mapping[str, Source]) -> None:
        self.memory, self.inputs = memory, inputs

    def whole(self, role: str) -> Payload:
        """A network."""
        return self.memory.wholes[self.inputs[role].key]

    def video(self, role: str, video_id: str) -> Payload | None:
        """A video's result."""
        return self.memory.videos[self.inputs[role].key].get(video_id)


def run_step(step: Step, dataset: Dataset, memory: InMemory, report: Report | None = None) -> None:
    """One step in this process; its result, or that of every usable video, goes into memory."""
    stage, inputs = step.definition(), memory.of(step)
    settings = stage.view(step.config)
    per_video = [r for r, source in step.inputs.items() if not BY_NAME[source.stage].over_data]
    earlier = [memory.videos[step.inputs[role].key] for role in per_video]
    usable = tuple(v for v in dataset.videos if all(v.id in done for done in earlier))
    shown = stage.shown(replace(dataset, videos=usable))
    if stage.training is not None:
        share = Share(report=report)
        memory.wholes[step.key] = stage.training.train(settings, shown, inputs, share)
    elif stage.whole is not None:
        memory.wholes[step.key] = stage.whole(settings, shown, inputs, report)
    else:
        assert stage.per_video is not None
        networks = {role: inputs.whole(role) for role in step.inputs if role not in per_video}
        process = stage.per_video(settings, networks)
        done: dict[str, Payload] = {}
        for video in shown.videos:
            given = {role: memory.videos[step.inputs[role].key][video.id] for role in per_video}
            try:
                done[video.id] = process(video, given)
            except InputError:
                continue
        memory.videos[step.key] = done


def run_pipeline(
    config: Config, dataset: Dataset, targets: Iterable[str], report: Report | None = None
) -> Mapping[str, Payload | dict[str, Payload]]:
    """All stages in this process, results in memory: for small data, notebooks and tests.

    Returns:
        Stage name -> payload, or -> {video id: payload}. A video that cannot be read is left out.
    """
    memory, plan = InMemory(), make_plan(config, dataset, targets)
    for step in plan.steps:
        run_step(step, dataset, memory, report)
    results = {**memory.wholes, **memory.videos}
    return {step.name: results[step.key] for step in plan.steps}
