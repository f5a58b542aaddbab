"""Plans: settings, videos and targets become a graph of steps, each with the key of its result.

Everything that walks stages walks a plan: one machine, Ray, trials, tables. Two steps with one key
are one step, whichever setting, seed or table asked for it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from wsvis import pipeline
from wsvis.config import Config
from wsvis.seeds import stage_seed
from wsvis.settings import config_slice
from wsvis.stage import Stage
from wsvis.types import Dataset
from wsvis.weights_files import FILES, SYNONYMS, WEIGHTS, names_a_file

SCHEME = 3
"""Of the keys; raised where they change although results do not (3: a stage's groups of settings
and the roles of its inputs are named, the system and its labels are settings)."""
TEACHER = "teacher:"
"""Before the name of a stage: as it is in the run that gives self-training its labels."""


@dataclass(frozen=True)
class Source:
    """Where an input is stored."""

    stage: str
    key: str


@dataclass(frozen=True)
class Step:
    """One stage under some settings, on some videos."""

    name: str
    """Of the stage; with ``teacher:`` where only that run needs it."""
    stage: str
    key: str
    """Content-addressed: of everything that the result depends on."""
    config: Config
    """Of the run; the stage is handed a view of it."""
    inputs: Mapping[str, Source]
    """Role -> where that result is."""
    data: str
    """Fingerprint of the videos."""

    def definition(self) -> Stage:
        """The stage as the pipeline has it."""
        return pipeline.BY_NAME[self.stage]

    def origin(self, dataset: Dataset) -> dict[str, Any]:
        """What a stored result says of where it comes from."""
        stage = self.definition()
        return {
            "settings": config_slice(self.config, stage.depends_on(self.config)),
            "inputs": {role: source.key for role, source in self.inputs.items()},
            "data": dataset.fingerprint,
            "data_name": dataset.name,
            "stage_version": stage.version,
        }


@dataclass(frozen=True)
class Plan:
    """The steps of one or more runs, inputs first."""

    steps: tuple[Step, ...]
    """On the videos at hand."""
    datasets: Mapping[str, Dataset]
    """Fingerprint -> videos."""
    networks: Mapping[str, Plan] = field(default_factory=dict)
    """Key of a network trained on other videos -> the plan that makes it; its last step is it."""

    def keys(self) -> dict[str, str]:
        """Name of a step -> key, networks trained on other videos among them."""
        given = {plan.steps[-1].name: key for key, plan in self.networks.items()}
        return {**given, **{step.name: step.key for step in self.steps}}

    def step(self, name: str) -> Step:
        """The step of a name."""
        steps = (*self.steps, *(plan.steps[-1] for plan in self.networks.values()))
        return next(step for step in steps if step.name == name)

    def dataset(self, step: Step) -> Dataset:
        """The videos of a step."""
        return self.datasets[step.data]

    def until(self, step: Step) -> Plan:
        """The part that a step needs, itself the last."""
        needed, steps = {step.key}, []
        for each in reversed(self.steps):
            if each.key in needed:
                steps.append(each)
                needed |= {source.key for source in each.inputs.values()}
        networks = {key: plan for key, plan in self.networks.items() if key in needed}
        return Plan(tuple(reversed(steps)), self.datasets, networks)

    def levels(self) -> Iterator[list[Step]]:
        """Steps of one stage that wait for nothing of each other, inputs first."""
        depth: dict[str, int] = {}
        groups: dict[tuple[int, int, str], list[Step]] = {}
        order = {stage.name: number for number, stage in enumerate(pipeline.STAGES)}
        for step in self.steps:
            before = [depth.get(source.key, -1) for source in step.inputs.values()]
            depth[step.key] = max(before, default=-1) + 1
            place = depth[step.key], order.get(step.stage, 0), step.stage
            groups.setdefault(place, []).append(step)
        for place in sorted(groups):
            yield groups[place]


def make_plan(
    config: Config, dataset: Dataset, targets: Iterable[str], trained_on: Dataset | None = None
) -> Plan:
    """The steps that lead to some stages' results.

    Args:
        config: all settings of the run.
        dataset: the videos.
        targets: stages whose results are asked for.
        trained_on: networks are trained on these videos, to measure them on others.

    Raises:
        KeyError: a target is no stage.
    """
    maker = _Maker(dataset, trained_on)
    for target in targets:
        maker.step(target, config)
    datasets = {videos.fingerprint: videos for videos in (dataset, trained_on) if videos}
    return Plan(tuple(maker.steps.values()), datasets, maker.networks)


def merged(plans: Sequence[Plan]) -> Plan:
    """One plan for several runs: steps with equal keys are one."""
    steps = {step.key: step for plan in plans for step in plan.steps}
    datasets = {name: videos for plan in plans for name, videos in plan.datasets.items()}
    networks = {key: each for plan in plans for key, each in plan.networks.items()}
    return Plan(tuple(steps.values()), datasets, networks)


def stage_keys(
    config: Config, dataset: Dataset, targets: Iterable[str], trained_on: Dataset | None = None
) -> dict[str, str]:
    """Stage -> key of everything that the targets need; see :func:`make_plan`."""
    return make_plan(config, dataset, targets, trained_on).keys()


def settings_read(config: Config, steps: Iterable[Step]) -> dict[str, Any]:
    """Dotted name -> value of what these steps depend on, and of what names the data."""
    names = dict.fromkeys(n for step in steps for n in step.definition().depends_on(step.config))
    return config_slice(config, ("data", *(name for name in names if name != "seed")))


def affected(plan: Plan, names: Iterable[str]) -> set[str]:
    """Keys of the steps that change with any of these settings."""
    changing, swept = set(), set(names)
    for step in plan.steps:
        reads = step.definition().depends_on(step.config)
        mine = any(n == s or s.startswith(f"{n}.") for n in reads for s in swept)
        if mine or any(source.key in changing for source in step.inputs.values()):
            changing.add(step.key)
    return changing


def shown_stage(target: str) -> str:
    """The stage whose instances a quality stage measures; of tracks what they join."""
    return pipeline.BY_NAME[target].roles(Config()).get("masks", "predictions")


class _Maker:
    """Steps by key, as they are found on the way from the targets back."""

    def __init__(self, dataset: Dataset, trained_on: Dataset | None) -> None:
        self.dataset, self.trained_on = dataset, trained_on
        self.steps: dict[str, Step] = {}
        self.networks: dict[str, Plan] = {}
        self._made: dict[tuple[str, bool], Step] = {}

    def step(self, stage: str, config: Config, teacher: bool = False) -> Step:
        """The step of a stage, with all before it."""
        if (stage, teacher) not in self._made:
            self._made[stage, teacher] = self._step(stage, config, teacher)
        return self._made[stage, teacher]

    def _step(self, stage: str, config: Config, teacher: bool) -> Step:
        definition = pipeline.BY_NAME[stage]
        if definition.training and self.trained_on is not None:
            elsewhere = _Maker(self.trained_on, None)
            network = elsewhere.step(stage, config, teacher)
            datasets = {self.trained_on.fingerprint: self.trained_on}
            plan = Plan(tuple(elsewhere.steps.values()), datasets, {})
            return self.networks.setdefault(network.key, plan).steps[-1]
        inputs: dict[str, Source] = {}
        for role, source in definition.roles(config).items():
            if source.startswith(TEACHER):
                run = replace(config, labels=config.self_training.teacher)
                before = self.step(source.removeprefix(TEACHER), run, teacher=True)
            else:
                before = self.step(source, config, teacher)
            inputs[role] = Source(before.stage, before.key)
        key = _key(definition, config, inputs, self.dataset)
        known = self.steps.get(key)
        if known is None:
            # what both runs need bears its own name
            alone = teacher and _reads_labels(config, definition)
            name = f"{TEACHER}{stage}" if alone else stage
            known = Step(name, stage, key, config, inputs, self.dataset.fingerprint)
            self.steps[key] = known
        return known


def _reads_labels(config: Config, stage: Stage) -> bool:
    """Whether a stage is the detector or comes after it."""
    names, waiting = set(), [stage.name]
    while waiting:
        name = waiting.pop().removeprefix(TEACHER)
        if name not in names:
            names.add(name)
            waiting += pipeline.BY_NAME[name].roles(config).values()
    return pipeline.SYSTEM in names


def _key(stage: Stage, config: Config, inputs: Mapping[str, Source], dataset: Dataset) -> str:
    names = [name for name in stage.depends_on(config) if name != "seed"]
    identity: dict[str, Any] = {
        "stage": stage.name,
        "version": stage.version,
        "settings": _with_contents(config_slice(config, names)),
        "inputs": {role: source.key for role, source in inputs.items()},
        "data": dataset.fingerprint,
    }
    if stage.seed:
        identity["seed"] = stage_seed(config.seed, stage.seed)
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _with_contents(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with what a file holds in place of where it lies.

    With the ImageNet head the shipped table of class names counts too.
    """
    counted = dict(settings)
    for name, value in settings.items():
        if name in FILES or (name in WEIGHTS and names_a_file(value)):
            counted[name] = _digest(value) or value
    if counted.get("classifier.head") == "imagenet":
        counted["class names"] = _digest(str(SYNONYMS))
    return counted


def _digest(path: str) -> str:
    """SHA-256 of a file; empty where there is none (a name of torchvision's weights, say)."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return ""
    return "" if os.path.isdir(path) else _digest_of(path, about.st_size, about.st_mtime_ns)


@lru_cache
def _digest_of(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
