"""Stored pseudo-labels as files for other programs."""

from __future__ import annotations

from pathlib import Path

from wsvis.data.write_ytvis import write_pseudo_labels
from wsvis.payload import payload_to_instances
from wsvis.types import Dataset, FrameInstances
from wsvis_platform.results import Measurement
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import StoreInputs


def write_labels(
    folder: Path, name: str, measurement: Measurement, dataset: Dataset, store: Store
) -> list[Path]:
    """Pseudo-labels of a setting's first seed as YouTube-VIS JSON."""
    inputs = StoreInputs.of_keys(store, measurement.keys[0])

    def labels(video: str) -> list[FrameInstances] | None:
        payload = inputs.video("pseudo_labels", video)
        return None if payload is None else payload_to_instances(payload)

    file = folder / f"pseudo_labels_{name}_seed{measurement.seeds[0]}.json"
    write_pseudo_labels(dataset, labels, file)
    return [file]
