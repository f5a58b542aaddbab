"""Between Tune and the order of trials: jobs go to Tune, outcomes and troubles come back."""

from __future__ import annotations

import json
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from wsvis_platform.results import Measurement
from wsvis_platform.study.trial_order import Job, TrialOrder


class Jobs(Searcher):
    """Hands the order's jobs to Tune."""

    def __init__(self, order: TrialOrder) -> None:
        super().__init__()
        self.order = order
        self.jobs: dict[str, Job] = {}
        """Tune's id of a trial -> what it does."""
        self.trouble: Exception | None = None
        """What went wrong in this process with an outcome: the sweep ends with it."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune saves its searcher; a sweep that is run again starts anew and finds what it measured
        # in the store
        return {}

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """The order knows them already."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # pyright: ignore
        """The next job; ``None`` when all there is waits for results."""
        if self.trouble:
            return Searcher.FINISHED
        job = self.order.next()
        if job is None:
            return Searcher.FINISHED if self.order.finished else None
        self.jobs[trial_id] = job
        return {"overrides": dict(job.overrides), "seeds": list(job.seeds)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: :class:`Listener` hears it with the reason."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing, as :meth:`__getstate__`."""


class Listener(tune.Callback):
    """Brings Tune's outcomes to the order."""

    def __init__(self, jobs: Jobs | None) -> None:
        self.jobs = jobs

    def __getstate__(self) -> dict[str, Any]:
        # Tune saves its callbacks; what listens in this process has no place in a file
        return {"jobs": None}

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A measurement, or the fault of its setting."""
        result = trial.last_result or {}
        measurement = _measurement(result.get("measurement"))
        self._report(trial, measurement or result.get("error", "reported nothing"))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job that failed at every attempt."""
        lines = str(trial.get_error() or "failed").strip().splitlines()
        self._report(trial, lines[-1].strip())

    def _report(self, trial: Any, result: Measurement | str) -> None:
        if self.jobs is None or self.jobs.trouble:
            return
        seconds = float((trial.last_result or {}).get("time_total_s", 0.0))
        try:
            self.jobs.order.report(self.jobs.jobs[trial.trial_id], result, seconds)
        except Exception as error:
            # Tune would show a stack dump, take it for the trial's and try the trial again
            self.jobs.trouble = error


class EndOnTrouble(tune.Stopper):
    """Ends Tune's loop when an outcome could not be taken."""

    def __init__(self, jobs: Jobs | None) -> None:
        self.jobs = jobs

    def __getstate__(self) -> dict[str, Any]:
        return {"jobs": None}  # as the listener

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial ends by this."""
        return False

    def stop_all(self) -> bool:
        """Whether there was trouble."""
        return self.jobs is not None and self.jobs.trouble is not None


def plain_measurement(measurement: Measurement) -> dict[str, Any]:
    """What :class:`Listener` reads again."""
    return {
        "overrides": measurement.overrides,
        "seeds": list(measurement.seeds),
        "per_seed": measurement.per_seed,
        "keys": measurement.keys,
        "computed": list(measurement.computed),
        "reused": list(measurement.reused),
        "coverage": measurement.coverage,
    }


def _measurement(text: str | None) -> Measurement | None:
    if not text:
        return None
    plain = json.loads(text)
    return Measurement(
        plain["overrides"],
        tuple(plain["seeds"]),
        plain["per_seed"],
        plain["keys"],
        tuple(plain["computed"]),
        tuple(plain["reused"]),
        plain["coverage"],
    )
