"""Synchronous halving: which setting is measured next, and which goes on, whatever the workers.

Settings come in batches of one size, and each is measured seed by seed, in segments. A segment of a
batch is a rung. Every decision waits for a complete rung and compares all settings measured up to
that rung, in their order; the next batch is suggested from all batches before the last one and from
the first rung of that. So neither the number nor the speed of the workers changes a sweep, and one
that was killed and run again is the undisturbed one. While a batch is on its later rungs, the next
one's first rung keeps the workers busy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsvis_platform.results import Measurement, merged

ONE_IN = 4
"""Successive halving lets the best of so many settings go on."""

GoesOn = Callable[[Sequence[float]], Sequence[bool]]
"""The scores of a rung, in the settings' order, to who goes on."""


@dataclass(frozen=True)
class Job:
    """One setting to be measured with some seeds."""

    number: int
    """Of the setting, from 1 on, in the order of suggestion."""
    overrides: Mapping[str, Any]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Known:
    """What the search may know of a setting when it suggests the next batch."""

    overrides: Mapping[str, Any]
    score: float
    rungs: int
    """How many the score rests on."""
    pruned: bool


@dataclass
class Setting:
    """A setting and what became of it."""

    number: int
    overrides: Mapping[str, Any]
    batch: int
    parts: list[Measurement] = field(default_factory=list)
    """One per rung reached."""
    error: str = ""
    pruned: bool = False
    seconds: float = 0.0

    def score(self, metric: str, rungs: int) -> float:
        """Mean over the seeds of the first rungs; NaN where they are not all measured."""
        return merged(self.parts[:rungs]).mean(metric) if len(self.parts) >= rungs else math.nan


Suggest = Callable[[Sequence[Known], int, int], Sequence[Mapping[str, Any]]]
"""What is known, how many settings there are already and how many to propose, to those."""


class TrialOrder:
    """Hands out jobs and takes their results, in any order, with one outcome."""

    def __init__(
        self,
        *,
        total: int,
        batch: int,
        segments: Sequence[tuple[int, ...]],
        metric: str,
        goes_on: GoesOn,
        suggest: Suggest,
        on_settled: Callable[[Setting], None],
    ) -> None:
        """See :func:`rungs` for ``segments`` and :func:`survivors` for ``goes_on``.

        Args:
            total: settings to try.
            batch: suggested and compared at once; nothing here may depend on the workers.
            segments: seeds of each rung.
            metric: what is compared, higher is better.
            goes_on: decides a rung.
            suggest: proposes a batch.
            on_settled: called with each setting that is done, pruned or failed.
        """
        self.total, self.batch, self.segments, self.metric = total, batch, segments, metric
        self.goes_on, self.suggest, self.on_settled = goes_on, suggest, on_settled
        self.settings: list[Setting] = []
        self.decided: list[int] = []
        """For each batch the rungs it has passed."""
        self.waiting: list[Job] = []
        self._suggest_next()

    @property
    def finished(self) -> bool:
        """Whether there is and will be no job."""
        whole = all(passed == len(self.segments) for passed in self.decided)
        return len(self.settings) >= self.total and whole

    def next(self) -> Job | None:
        """A job to run now; ``None`` when all there is waits for results."""
        return self.waiting.pop(0) if self.waiting else None

    def report(self, job: Job, result: Measurement | str, seconds: float) -> None:
        """Take a job's measurement, or the reason why there is none."""
        setting = self.settings[job.number - 1]
        setting.seconds += seconds
        if isinstance(result, str):
            setting.error = result
            self.on_settled(setting)
        else:
            setting.parts.append(result)
            if len(setting.parts) == len(self.segments):
                self.on_settled(setting)
        self._decide()
        self._suggest_next()

    def _decide(self) -> None:
        """Cut every rung that is complete, earlier batches first."""
        for batch, passed in enumerate(self.decided):
            while passed < len(self.segments) and self._complete(batch, passed):
                passed += 1
                self.decided[batch] = passed
                self._cut(batch, passed)

    def _complete(self, batch: int, passed: int) -> bool:
        """Whether a batch and all before it have been measured on the next rung."""
        before = all(other > passed for other in self.decided[:batch])
        ours = self.settings[batch * self.batch : (batch + 1) * self.batch]
        return before and all(len(s.parts) > passed or s.error or s.pruned for s in ours)

    def _cut(self, batch: int, passed: int) -> None:
        if passed == len(self.segments):
            return
        reached = [
            setting
            for setting in self.settings
            if setting.batch <= batch and len(setting.parts) >= passed
        ]
        keep = self.goes_on([setting.score(self.metric, passed) for setting in reached])
        for setting, good in zip(reached, keep, strict=True):
            if setting.batch != batch or setting.error:
                continue
            if good:
                seeds = self.segments[passed]
                self.waiting.append(Job(setting.number, setting.overrides, seeds))
            else:
                setting.pruned = True
                self.on_settled(setting)

    def _suggest_next(self) -> None:
        """Suggest a batch once the last has passed its first rung and the others are done."""
        while len(self.settings) < self.total:
            last = len(self.decided) - 1
            earlier = all(passed == len(self.segments) for passed in self.decided[:-1])
            if last >= 0 and not (earlier and self.decided[last] >= 1):
                return
            count = min(self.batch, self.total - len(self.settings))
            known = [self._known(setting, last) for setting in self.settings if setting.parts]
            for overrides in self.suggest(known, len(self.settings), count):
                number = len(self.settings) + 1
                self.settings.append(Setting(number, dict(overrides), last + 1))
                self.waiting.append(Job(number, dict(overrides), self.segments[0]))
            self.decided.append(0)

    def _known(self, setting: Setting, last: int) -> Known:
        rungs = 1 if setting.batch == last else len(setting.parts)
        pruned = setting.pruned and len(setting.parts) == rungs
        return Known(setting.overrides, setting.score(self.metric, rungs), rungs, pruned)


def rungs(seeds: Sequence[int], prune: str) -> list[tuple[int, ...]]:
    """The seeds of each rung: halving compares after 1, 4, 16, ... seeds, the others after each."""
    ends = [1]
    while ends[-1] < len(seeds):
        ends.append(ends[-1] * ONE_IN if prune == "halving" else ends[-1] + 1)
    ends[-1] = len(seeds)
    if prune == "none":
        ends = sorted({1, len(seeds)})
    return [tuple(seeds[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def survivors(prune: str) -> GoesOn:
    """The rule of ``--prune``: the best quarter, the better half, or all.

    At least one setting always goes on; of equal ones the first. The median rule cuts nothing
    before there are three scores.
    """

    def go_on(scores: Sequence[float]) -> list[bool]:
        count = len(scores)
        if prune == "halving":
            count = math.ceil(count / ONE_IN)
        elif prune == "median" and count >= 3:
            count = math.ceil(count / 2)
        order = sorted(range(len(scores)), key=lambda n: (-scores[n], n))
        best = set(order[:count])
        return [n in best for n in range(len(scores))]

    return go_on
