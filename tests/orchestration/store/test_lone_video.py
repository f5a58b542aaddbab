"""A video at which processes die is tried alone, then set aside with what is known."""

import os
import signal

import pytest
import ray

from wsvis.config import Config
from wsvis.data.load import load_dataset
from wsvis.data.write_ytvis import write_ytvis
from wsvis.passing_faults import PassingFault
from wsvis.plan import make_plan, stage_keys
from wsvis.settings import with_overrides
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.command.store import cleared_reasons
from wsvis_platform.store import extract
from wsvis_platform.store.extract import ray_data_runner
from wsvis_platform.store.lone_video import try_alone
from wsvis_platform.store.manifest import DIED
from wsvis_platform.store.materialise import Materialiser
from wsvis_platform.store.store import Store
from wsvis_platform.store.video_worker import Task, VideoWorkers

CRASH = """
# reading a frame of the killer's folder ends the process, as a fault in native code would
import importlib.abc, importlib.util, os, sys, time
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "wsvis.data.images":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            real = module.read_image
            def read_image(path):
                if os.environ["KILLER"] in path:
                    ENDING
                return real(path)
            module.read_image = read_image
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def killer(tmp_path, monkeypatch):
    """Three clips; processes that read the second one die, in the way that the caller writes."""

    def make(ending):
        config = with_overrides(Config(), {"data.synthetic_videos": 3, "data.videos": 3})
        path = write_ytvis(load_dataset(config.data), str(tmp_path / "clips"))
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(CRASH.replace("ENDING", ending))
        inherited = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{inherited}")
        # children find their modules where this process does, and the site folder first
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        config = with_overrides(
            config,
            {
                "data.kind": "ytvis",
                "data.path": str(path),
                "data.split": "all",
                "flow.provider": "dis-ultrafast",
            },
        )
        data = load_dataset(config.data)
        monkeypatch.setenv("KILLER", f"/{data.videos[1].id}/")
        return config, data

    return make


def _task(config, data, n=1):
    return Task(make_plan(config, data, ["frames"]).step("frames"), data.videos[n])


@pytest.mark.parametrize(
    ("ending", "known"),
    [
        ("os.kill(os.getpid(), 11)", "of SIGSEGV in read_image"),
        ("os.kill(os.getpid(), 9)", "of SIGKILL (too little memory, most often)"),
        ("os._exit(7)", "with exit code 7"),
    ],
)
def test_how_a_process_died_is_in_the_reason(killer, tmp_path, ending, known):
    config, data = killer(ending)
    task, store = _task(config, data), Store(tmp_path / "store")
    staging = store.staging("frames", task.step.key)
    for _ in range(2):  # that died before, as workers would
        staging.begin([])
        with open(staging.folder / f"{task.video.id}.attempt", "a") as file:
            file.write("process 1 on this machine\n")
    assert VideoWorkers("frames", store).run(task).status == "suspect"
    row = try_alone("frames", task, store)
    assert row.status == "quarantined"
    assert known in row.detail
    assert "3 times" in row.detail
    assert staging.reasons()[task.video.id].kind == DIED


def test_a_sound_video_that_was_only_unlucky_gets_its_result(killer, tmp_path):
    config, data = killer("os._exit(7)")
    task, store = _task(config, data, 0), Store(tmp_path / "store")
    assert try_alone("frames", task, store).status == "done"
    assert store.is_staged("frames", task.step.key, task.video.id)


def test_a_process_that_somebody_stopped_is_nobodys_fault(killer, tmp_path):
    config, data = killer("os.kill(os.getpid(), 15)")
    store = Store(tmp_path / "store")
    with pytest.raises(PassingFault, match="stopped"):
        try_alone("frames", _task(config, data), store)


def test_a_mark_stays_only_when_the_process_dies(tmp_path):
    staging = Store(tmp_path).staging("flow", "0123")
    with staging.attempt("v1"):
        assert staging.deaths("v1") == 1
    assert staging.deaths("v1") == 0
    with pytest.raises(KeyboardInterrupt), staging.attempt("v1"):
        raise KeyboardInterrupt
    assert staging.deaths("v1") == 0
    child = os.fork()
    if child == 0:
        with staging.attempt("v1"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert staging.deaths("v1") == 1


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("network", [False, True])
def test_a_video_that_kills_workers_is_set_aside_and_the_rest_goes_on(
    network, killer, tmp_path, monkeypatch
):
    # stages with a network run in actors, the others in Ray's worker processes
    monkeypatch.setattr(extract, "wants_actors", lambda stage, config, with_gpus: network)
    # not SIGSEGV: Ray's handler runs in any thread, and the video goes on meanwhile
    config, data = killer("os.kill(os.getpid(), 9)")
    store = Store(tmp_path / "store")
    rows: list[tuple[str, int, int]] = []
    with start_ray(num_cpus=2):
        here = Materialiser(
            store, ray_data_runner(workers=2), progress=lambda *row: rows.append(row)
        )
        keys, _ = here.ensure(config, data, ["flow"])
    manifest = store.manifest("frames", keys["frames"])
    assert manifest is not None
    assert set(manifest.items) == {data.videos[0].id, data.videos[2].id}
    assert "SIGKILL" in manifest.quarantined[data.videos[1].id]
    assert manifest.causes[data.videos[1].id]["kind"] == DIED
    assert [row for row in rows if row[0] == "frames"][-1] == ("frames", 3, 3)
    # remembered, until somebody says that the cause is gone; then also the stages behind know
    monkeypatch.setenv("KILLER", "/nothing/")
    here = Materialiser(Store(tmp_path / "store"))
    here.ensure(config, data, ["flow"])
    assert data.videos[1].id in here.store.manifest("flow", keys["flow"]).quarantined
    assert set(cleared_reasons(here.store, "frames", keys["frames"])) == {data.videos[1].id}
    here.ensure(config, data, ["flow"])
    assert here.store.manifest("flow", keys["flow"]).coverage == 1.0


@ray.remote(num_cpus=1, max_retries=2)
def _ensure(config, data, root):
    Materialiser(Store(root)).ensure(config, data, ["frames"])


@pytest.mark.slow
@pytest.mark.ray
def test_a_process_like_a_trials_dies_once_at_a_video(killer, tmp_path):
    config, data = killer("os.kill(os.getpid(), 9)")
    root = tmp_path / "store"
    with start_ray(num_cpus=1):
        ray.get(_ensure.remote(config, data, str(root)))
    key = stage_keys(config, data, ["frames"])["frames"]
    manifest = Store(root).manifest("frames", key)
    assert manifest is not None
    assert list(manifest.quarantined) == [data.videos[1].id]
