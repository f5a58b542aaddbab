"""What the workers of one training are handed, and how their troubles travel.

Which stage it is, and how that trains, only its step says: starting workers, training states and
dead workers are the same for all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from wsvis.errors import InputError
from wsvis.plan import Step
from wsvis.types import Dataset
from wsvis_platform.store.store import CorruptEntryError, Store
from wsvis_platform.store.video_worker import StoreInputs


@dataclass(frozen=True)
class Job:
    """One training: what is trained, on what, and what each process holds."""

    step: Step
    dataset: Dataset
    """The videos as the stage may see them."""
    root: str
    """Of the store."""
    checkpoint_every: int = 0
    readers: int = 0
    """Actors that make batches for each worker; 0: it makes them itself."""
    cpus: float = 1.0
    """That a worker holds, and each of its readers."""

    def inputs(self) -> StoreInputs:
        """The inputs of the step."""
        return StoreInputs(Store(self.root), self.step.inputs)


def trouble_text(error: InputError | CorruptEntryError) -> str:
    """An error that the driver has to hear of, as text that crosses processes."""
    if isinstance(error, InputError):
        return json.dumps({"input": str(error)})
    return json.dumps({"corrupt": [error.stage, error.key, error.item, error.reason]})


def trouble_error(text: str) -> InputError | CorruptEntryError:
    """The inverse of :func:`trouble_text`."""
    trouble = json.loads(text)
    return (
        InputError(trouble["input"])
        if "input" in trouble
        else CorruptEntryError(*trouble["corrupt"])
    )
