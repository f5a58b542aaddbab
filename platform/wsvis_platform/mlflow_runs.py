"""MLflow's client, wrapped so that every write can be repeated without doubling anything."""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import socket
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from filelock import FileLock

from wsvis.errors import InputError
from wsvis_platform.database_place import database_uri

IDENTITY = "wsvis.identity"
"""Tag by which a run is found again."""

_LONGEST_PARAMETER = 6000
_LONGEST_TAG = 8000
_PER_CALL = {"metrics": 1000, "params": 100, "tags": 100}
"""MLflow's limits of one log_batch."""

_CODING = {
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
    # a tenth of the time and a third of the bytes of PNG on a strip of pictures
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111],
}

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # a dead server must not hold a sweep for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}

T = TypeVar("T")


class Runs:
    """The runs of one experiment in one MLflow store."""

    def __init__(self, client: Any, experiment_id: str, uri: str) -> None:
        self.client, self.experiment_id, self.uri = client, experiment_id, uri

    @classmethod
    def open(cls, uri: str, output: Path, experiment: str) -> Runs:
        """The store at ``uri``, or sqlite in ``output`` when it is empty.

        Raises:
            InputError: no server answers at ``uri``, or the database cannot be used; one line.
        """
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        _check_server(uri)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        place = None
        if not uri:
            uri = database_uri((output / "mlflow.db").resolve())
            place = (output / "mlflow-artifacts").resolve().as_uri()
        try:
            output.mkdir(parents=True, exist_ok=True)
            # two drivers must not make the database at once
            with FileLock(output / ".mlflow.lock"):
                client = MlflowClient(tracking_uri=uri)
                found = client.get_experiment_by_name(experiment)
                if found is None:
                    number = client.create_experiment(experiment, artifact_location=place)
                elif found.lifecycle_stage == "deleted":
                    client.restore_experiment(found.experiment_id)
                    number = found.experiment_id
                else:
                    number = found.experiment_id
        except (MlflowException, SQLAlchemyError, OSError) as error:
            reason = str(error).splitlines()[0][:300]
            raise InputError(
                f"MLflow at {uri} cannot be used ({reason}); give another --tracking-uri "
                "or --output"
            ) from error
        return cls(client, number, uri)

    def find_or_create(
        self,
        name: str,
        identity: str,
        tags: dict[str, str],
        parent: str | None,
        started: int | None = None,
    ) -> tuple[str, bool]:
        """Id of the run with this identity, and whether it was made just now."""
        from mlflow.entities import RunTag

        whole = f"{parent}/{identity}" if parent else identity
        tags = {key: _cut(value, _LONGEST_TAG) for key, value in tags.items()}
        quoted = whole.replace("'", "")
        found = self.client.search_runs(
            [self.experiment_id], f"tags.`{IDENTITY}` = '{quoted}'", max_results=1
        )
        if found:
            self.write(found[0].info.run_id, tags=tags)
            return found[0].info.run_id, False
        tags[IDENTITY] = quoted
        if parent:
            tags["mlflow.parentRunId"] = parent
        # the first hundred with the run itself: one transaction less
        first = dict(itertools.islice(tags.items(), _PER_CALL["tags"]))
        run = self.client.create_run(self.experiment_id, started, first, run_name=name).info.run_id
        rest = {key: value for key, value in tags.items() if key not in first}
        for part in _chunks([RunTag(k, v) for k, v in rest.items()], _PER_CALL["tags"]):
            self.client.log_batch(run, tags=part)
        return run, True

    def end(self, run: str, status: str, at: int) -> None:
        """End a run; ``at`` in milliseconds since 1970."""
        self.client.set_terminated(run, status, at)

    def new_params(self, run: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Those of ``params`` that a run does not have."""
        there = self.client.get_run(run).data.params
        return {key: value for key, value in params.items() if key not in there}

    def steps_there(self, run: str, keys: Iterable[str]) -> set[tuple[int, str]]:
        """(step, metric) pairs a run has already."""
        return {(m.step, key) for key in keys for m in self.client.get_metric_history(run, key)}

    def write(
        self,
        run: str,
        *,
        params: Mapping[str, Any] | None = None,
        points: Sequence[tuple[int, str, float]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Settings, (step, metric, value) points and tags, in as few calls as MLflow allows."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        all_metrics = [Metric(key, float(value), now, step) for step, key, value in points]
        all_params = [Param(k, _cut(str(v), _LONGEST_PARAMETER)) for k, v in (params or {}).items()]
        all_tags = [RunTag(k, _cut(str(v), _LONGEST_TAG)) for k, v in (tags or {}).items()]
        for metrics, some, marks in itertools.zip_longest(
            # 800 metrics leave room for 100 settings and 100 tags in the 1000 entries of a call
            _chunks(all_metrics, _PER_CALL["metrics"] - 200),
            _chunks(all_params, _PER_CALL["params"]),
            _chunks(all_tags, _PER_CALL["tags"]),
            fillvalue=(),
        ):
            self.client.log_batch(run, metrics=metrics, params=some, tags=marks)

    def artifacts(
        self,
        run: str,
        params: Mapping[str, Any] | None,
        pictures: Mapping[str, np.ndarray],
        files: Sequence[Path],
    ) -> None:
        """Files of a run in one upload: settings.json, pictures/<name>, and copies of ``files``."""
        if params is None and not pictures and not files:
            return
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if params is not None:
                text = json.dumps(dict(params), indent=1, default=str) + "\n"
                (folder / "settings.json").write_text(text)
            for file_name, picture in pictures.items():
                target = folder / "pictures" / file_name
                target.parent.mkdir(exist_ok=True)
                blue_first = np.ascontiguousarray(picture[..., ::-1])
                _, coded = cv2.imencode(target.suffix, blue_first, _CODING[target.suffix])
                target.write_bytes(coded.tobytes())
            for file in files:
                shutil.copyfile(file, folder / file.name)
            self.client.log_artifacts(run, str(folder))


def _check_server(uri: str) -> None:
    """A server that does not answer is found here, in seconds, not after MLflow's retries."""
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=5).close()
    except OSError as error:
        raise InputError(
            f"--tracking-uri {uri}: no server answers ({error}); start it, or leave the option out "
            "to use a database in the output folder"
        ) from None


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = f"... ({len(text)} characters)"
    return text[: longest - len(end)] + end


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
