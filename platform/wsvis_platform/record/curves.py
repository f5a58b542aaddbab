"""Loss curves of the networks behind a measurement, as series for MLflow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from wsvis.pipeline import BY_NAME
from wsvis.plan import TEACHER
from wsvis_platform.results import Measurement
from wsvis_platform.store.store import Store

MOST_POINTS = 200
"""Per curve: what a plot can show, and what a database takes in a moment."""


def training_curves(store: Store, measurement: Measurement) -> list[tuple[int, dict[str, float]]]:
    """(step, values) of every network trained for a setting, seed by seed.

    A value is called ``<network>/<what>.seed<n>``, for instance ``system/loss.seed0``.
    """
    series: list[tuple[int, dict[str, float]]] = []
    for seed, keys in zip(measurement.seeds, measurement.keys, strict=True):
        for name in sorted(keys):
            stage = name.removeprefix(TEACHER)
            if not BY_NAME[stage].training or store.manifest(stage, keys[name]) is None:
                continue
            curve = store.read(stage, keys[name]).data.get("curve", [])
            for row in thinned(curve, MOST_POINTS):
                numbers = {
                    f"{name}/{what}.seed{seed}": value
                    for what, value in row.items()
                    if what not in ("step", "steps") and math.isfinite(value)
                }
                series.append((int(row["step"]), numbers))
    return series


def thinned(curve: Sequence[Mapping[str, float]], most: int) -> list[dict[str, float]]:
    """At most ``most`` rows: means of neighbours, at the last step of each group."""
    every = max(math.ceil(len(curve) / most), 1)
    groups = [curve[i : i + every] for i in range(0, len(curve), every)]
    return [
        {
            name: float(group[-1][name])
            if name == "step"
            else sum(float(row[name]) for row in group if name in row)
            / sum(name in row for row in group)
            for name in group[-1]
        }
        for group in groups
    ]
