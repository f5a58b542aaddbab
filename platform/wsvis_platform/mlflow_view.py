"""The list of runs that MLflow opens on: sorted by what was asked for, with the swept settings.

MLflow keeps a shared view in a tag of the experiment; an address that names the tag's key opens it
(tried with MLflow 3.17).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

VIEW_KEY = "wsvis"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"


def leaderboard_view(metrics: Sequence[str], params: Sequence[str]) -> str:
    """The tag's content: runs sorted by the first metric, best first.

    Args:
        metrics: columns of numbers, the objective first.
        params: columns of settings.
    """
    columns = ["attributes.`Date`", "attributes.`Duration`"]
    columns += [f"metrics.`{name}`" for name in metrics]
    columns += [f"params.`{name}`" for name in params]
    return json.dumps(
        {
            "selectedColumns": columns,
            "orderByKey": f"metrics.`{metrics[0]}`",
            "orderByAsc": False,
        }
    )


def leaderboard_path(experiment_id: str) -> str:
    """What follows a server's address to open the view."""
    return (
        f"/#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW_KEY}"
        "&workflowType=machine_learning"
    )
