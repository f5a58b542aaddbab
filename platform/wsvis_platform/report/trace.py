"""Tables as JSON in which every number names the stored results it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsvis_platform.report.tables import reference_row
from wsvis_platform.results import Row


def traced_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Every number with the seeds, settings and stored results it comes from, ready for JSON."""
    traced = []
    for row in rows:
        sides = {
            "training": row.measurement,
            **({"held_out": row.held_out} if row.held_out else {}),
        }
        traced.append(
            {
                "name": row.name,
                "paper": dict(row.paper),
                "compared_with": reference_row(row, rows).name,
                **{
                    side: {
                        "settings": measurement.overrides,
                        "coverage": measurement.coverage,
                        "runs": [
                            {"seed": seed, "scores": scores, "store_keys": keys}
                            for seed, scores, keys in zip(
                                measurement.seeds,
                                measurement.per_seed,
                                measurement.keys,
                                strict=True,
                            )
                        ],
                    }
                    for side, measurement in sides.items()
                },
            }
        )
    return traced
