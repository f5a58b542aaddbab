"""MLflow's client, wrapped so that every write can be repeated without doubling anything."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from filelock import FileLock

from wsvis_platform.record.image_grid import write_grid
from wsvis_platform.record.place import open_experiment

IDENTITY = "wsvis.identity"
"""Tag by which a run is found again."""
SUPERSEDED = "wsvis.superseded_by"
"""Tag of a run that no longer counts: the id of the one that came in its place."""
INTERRUPTED = "wsvis.interrupted"
"""Tag of a run whose driver was killed."""
_OF_ONE_ATTEMPT = {SUPERSEDED, INTERRUPTED, "reason", "not_finite"}
"""Tags that go when the run is written again without them."""

_LONGEST_PARAMETER = 6000
_LONGEST_TAG = 8000
_PER_CALL = {"metrics": 1000, "params": 100, "tags": 100}
"""MLflow's limits of one log_batch."""

_CODING = {
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
    # a tenth of the time and a third of the bytes of PNG on a strip of pictures
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111],
}

T = TypeVar("T")


class Runs:
    """The runs of one experiment in one MLflow store."""

    def __init__(
        self, client: Any, experiment_id: str, uri: str, lock: FileLock | None = None
    ) -> None:
        self.client, self.experiment_id, self.uri = client, experiment_id, uri
        self.newest = 0
        """Time of the newest value read; of two at one step MLflow shows the later one."""
        self.lock = lock or nullcontext()
        """Held from the search for a run until it is made: two drivers must not both make it."""

    @classmethod
    def open(cls, uri: str, output: Path, experiment: str) -> Runs:
        """The store at ``uri``, or sqlite in ``output`` when it is empty.

        Raises:
            InputError: no server answers at ``uri``, or the database cannot be used; one line.
        """
        client, number, uri, lock = open_experiment(uri, output, experiment)
        return cls(client, number, uri, lock)

    def find_or_create(
        self,
        name: str,
        identity: str,
        tags: dict[str, str],
        parent: str | None,
        started: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> tuple[str, bool]:
        """Id of the run with this identity and these settings, and whether it was made just now.

        MLflow never lets a setting of a run be changed. So a run of this identity with another
        value of a setting stays what it was, a new one is made, and the old one and those below it
        say by the tag ``wsvis.superseded_by`` which one counts. A command that goes back to earlier
        settings finds their run again, and then that one counts.
        """
        whole = _coded(f"{parent}/{identity}" if parent else identity)
        tags = {key: _cut(value, _LONGEST_TAG) for key, value in tags.items()}
        with self.lock:
            known_runs = self._of_identity(whole)
            same = next((run for run in known_runs if _agree(run.data.params, params or {})), None)
            if same is None:
                run = self._create(name, {**tags, IDENTITY: whole}, parent, started)
            else:
                run = same.info.run_id
                for key in _OF_ONE_ATTEMPT & same.data.tags.keys() - tags.keys():
                    self.client.delete_tag(run, key)
                # the name too: the same setting may be another trial of a longer sweep
                self.write(run, tags={**tags, "mlflow.runName": name})
            for other in known_runs:
                if other.info.run_id != run and SUPERSEDED not in other.data.tags:
                    self._supersede(other, run)
        return run, same is None

    def below(self, parent: str) -> list[Any]:
        """The runs below a run."""
        return self._search(f"tags.mlflow.parentRunId = '{parent}'")

    def running(self) -> list[Any]:
        """The experiment's runs that say RUNNING."""
        return self._search("attributes.status = 'RUNNING'")

    def interrupt(self, run: Any) -> None:
        """End a RUNNING run as KILLED: whoever wrote it is gone."""
        self.write(run.info.run_id, tags={INTERRUPTED: "its driver ended without a word"})
        self.end(run.info.run_id, "KILLED", int(time.time() * 1000))

    def _create(
        self, name: str, tags: dict[str, str], parent: str | None, started: int | None
    ) -> str:
        from mlflow.entities import RunTag

        if parent:
            tags["mlflow.parentRunId"] = parent
        # the first hundred with the run itself: one transaction less
        first = dict(itertools.islice(reversed(tags.items()), _PER_CALL["tags"]))
        run = self.client.create_run(self.experiment_id, started, first, run_name=name).info.run_id
        rest = {key: value for key, value in tags.items() if key not in first}
        for part in _chunks([RunTag(k, v) for k, v in rest.items()], _PER_CALL["tags"]):
            self.client.log_batch(run, tags=part)
        return run

    def _of_identity(self, whole: str) -> list[Any]:
        """Newest first; some databases find ``A`` for ``a``, so each is looked at again."""
        runs = self._search(f"tags.`{IDENTITY}` = '{whole}'")
        return [run for run in runs if run.data.tags.get(IDENTITY) == whole]

    def _supersede(self, run: Any, by: str) -> None:
        for each in [run, *self.below(run.info.run_id)]:
            self.write(each.info.run_id, tags={SUPERSEDED: by})
            if each.info.status == "RUNNING":
                self.interrupt(each)

    def _search(self, condition: str) -> list[Any]:
        runs: list[Any] = []
        page = None
        while True:
            part = self.client.search_runs(
                [self.experiment_id], condition, max_results=1000, page_token=page
            )
            runs += part
            page = getattr(part, "token", None)
            if not page:
                return runs

    def end(self, run: str, status: str, at: int, *, keep: bool = False) -> None:
        """End a run; ``at`` in milliseconds since 1970.

        ``keep``: one that an earlier attempt ended like this keeps its end, and so its duration.
        """
        if keep:
            info = self.client.get_run(run).info
            if info.status == status and info.end_time:
                return
        self.client.set_terminated(run, status, at)

    def points_there(self, run: str, keys: Iterable[str]) -> dict[tuple[int, str], float]:
        """(step, metric) -> the value that MLflow shows, for what a run has already."""
        shown: dict[tuple[int, str], tuple[int, float]] = {}
        for key in keys:
            for metric in self.client.get_metric_history(run, key):
                self.newest = max(self.newest, metric.timestamp)
                at = metric.step, key
                if at not in shown or metric.timestamp >= shown[at][0]:
                    shown[at] = metric.timestamp, metric.value
        return {at: value for at, (_, value) in shown.items()}

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

        now = max(int(time.time() * 1000), self.newest + 1)
        all_metrics = [Metric(key, float(value), now, step) for step, key, value in points]
        all_params = [Param(k, _shown(v)) for k, v in (params or {}).items()]
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
        grid: Mapping[str, Sequence[np.ndarray]] | None = None,
    ) -> None:
        """Files of a run in one upload: settings.json, pictures/<name>, copies of ``files``, grid.

        ``grid`` is shown by MLflow as pictures over steps: a key, and one picture for each step.
        """
        if params is None and not pictures and not files and not grid:
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
            write_grid(folder, grid or {})
            self.client.log_artifacts(run, str(folder))


def _coded(identity: str) -> str:
    """Without the characters that mean something in MLflow's search; no two become the same."""
    return "".join(f"%{ord(c):02X}" if c in "'\"`%\\" else c for c in identity)


def _agree(logged: Mapping[str, str], params: Mapping[str, Any]) -> bool:
    """Whether no setting of a run has another value; one that it lacks can be added."""
    return all(logged.get(k, shown) == shown for k, v in params.items() for shown in [_shown(v)])


def _shown(value: Any) -> str:
    return _cut(str(value), _LONGEST_PARAMETER)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = f"... ({len(text)} characters)"
    return text[: longest - len(end)] + end


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
