"""The list of runs that MLflow opens on: sorted by what was asked for, with the swept settings.

MLflow keeps a shared view in a tag of the experiment; an address that names the tag's key opens it
(tried with MLflow 3.17 in Chromium; what an older or newer one does not know it passes over).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wsvis
from wsvis_platform.record.database_uri import database_file
from wsvis_platform.record.image_grid import MASKS

VIEW_KEY = "wsvis"
_CLONE = Path(wsvis.__file__).parents[1] / "Makefile"
"""There in a clone, where ``wsvis`` need not be on the path."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"


def leaderboard_view(metrics: Sequence[str], params: Sequence[str], parent: str) -> str:
    """The tag's content: the runs below a parent, sorted by the first metric, best first.

    Args:
        metrics: columns of numbers, the objective first.
        params: columns of settings.
        parent: id of the sweep's run; numbers of other sweeps are no rivals.
    """
    columns = ["attributes.`Date`", "attributes.`Duration`"]
    columns += [f"metrics.`{name}`" for name in metrics]
    columns += [f"params.`{name}`" for name in params]
    return json.dumps(
        {
            "selectedColumns": columns,
            "orderByKey": f"metrics.`{metrics[0]}`",
            "orderByAsc": False,
            "searchFilter": f"tags.mlflow.parentRunId = '{parent}'",
            **_charts(),
        }
    )


def _charts() -> dict[str, Any]:
    """The page of charts begins with the masks of all runs; MLflow adds one for each metric."""
    section, chart = "wsvis-pictures", "wsvis-masks"
    return {
        "compareRunSections": [
            {
                "uuid": section,
                "name": MASKS.partition("/")[0],
                "display": True,
                "isReordered": False,
                "deleted": False,
                "isGenerated": True,
                "columns": 1,
                "cardHeight": 600,
            }
        ],
        "compareRunCharts": [
            {
                "uuid": chart,
                "metricSectionId": section,
                "type": "IMAGE",
                "imageKeys": [MASKS],
                "step": 0,
                "showRunParams": False,
                "runsCountToCompare": 10,
                "deleted": False,
                "isGenerated": False,
            }
        ],
        "isAccordionReordered": True,  # else sections are sorted by name
    }


def leaderboard_path(experiment_id: str) -> str:
    """What follows a server's address to open the view."""
    return (
        f"/#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW_KEY}"
        "&workflowType=machine_learning"
    )


def browse_line(uri: str, experiment_id: str) -> str:
    """What to type, and where to go, to look at the runs of an experiment."""
    database, path = database_file(uri), leaderboard_path(experiment_id)
    if database is None:
        return f"{uri}{path}"
    if database.name == "mlflow.db":
        command = f"wsvis ui --output {shlex.quote(str(database.parent))}"
        if _CLONE.exists():
            folder = f" OUTPUT={shlex.quote(str(database.parent))}"
            command = "make ui" + ("" if database == Path("runs/mlflow.db").resolve() else folder)
    else:
        command = f"mlflow server --host 127.0.0.1 --backend-store-uri {shlex.quote(uri)}"
    return f"{command}, then open http://127.0.0.1:5000{path}"
