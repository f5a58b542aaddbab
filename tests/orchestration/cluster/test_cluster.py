"""Ray: closed to other machines, joined only with a token, one line when it cannot be joined."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wsvis.errors import InputError
from wsvis_platform.cluster.checks import preflight
from wsvis_platform.cluster.ray_process import patient_start, token_known
from wsvis_platform.cluster.start import object_store_bytes, package_folders, start_ray, worker_path

PATHS = [folder for folder in sys.path if folder]


def run_alone(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter without any Ray token or address of the person who runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TUNE_"))}
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {PATHS!r}\n{code}"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**kept, **environment},
    )


@pytest.mark.parametrize(
    ("address", "cure"),
    [
        ("ray://10.0.0.1:10001", "Ray Client is not supported"),
        ("10.0.0.1", "give host:port"),
        ("10.0.0.1:port", "give host:port"),
        ("10.0.0.1:70000", "give host:port"),
    ],
)
def test_an_address_that_is_none_is_one_line(address: str, cure: str):
    with pytest.raises(InputError, match=f"--address {address}: .*{cure}"), start_ray(address):
        pass


def test_an_address_where_nothing_listens_is_one_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        pytest.raises(InputError, match=f"--address 127.0.0.1:{port}: no cluster answers"),
        start_ray(f"127.0.0.1:{port}"),
    ):
        pass


def test_joining_without_a_token_is_refused_before_ray_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match="no token to join with"), start_ray(address):
            pass
    assert "RAY_AUTH_MODE" not in os.environ


def test_workers_get_the_folders_the_driver_imports_from():
    science, orchestration = package_folders()
    path = worker_path({"PYTHONPATH": f"/one{os.pathsep}{science.parent}"}).split(os.pathsep)
    assert path == [str(science.parent), str(orchestration.parent), "/one"]


def test_the_object_store_is_small():
    assert 80 * 2**20 <= object_store_bytes() <= 2 * 2**30


def test_preflight_says_what_is_free_and_leaves_nothing(tmp_path: Path):
    folder = tmp_path / "new" / "runs"
    assert f"GB free under {folder}" in preflight(folder, needed_gb=0)
    assert list(folder.iterdir()) == []


def test_preflight_refuses_a_full_disk_and_a_folder_that_cannot_be(tmp_path: Path):
    with pytest.raises(InputError, match=r"--output .*: .* GB are free and 1e\+12 GB needed"):
        preflight(tmp_path, needed_gb=1e12)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--output .*file/runs: cannot be written"):
        preflight(tmp_path / "file" / "runs")


@pytest.mark.ray
@pytest.mark.slow
def test_a_local_ray_is_closed_quiet_and_leaves_nothing(tmp_path: Path):
    code = """
import os, sys
import psutil
from pathlib import Path
from wsvis_platform.cluster.start import start_ray
import ray  # already imported when Ray is started, as in an experiment
with start_ray(num_cpus=1) as cluster:
    print(cluster.line())
    @ray.remote
    def where():
        import wsvis, wsvis_platform
        return wsvis.__file__, wsvis_platform.__file__
    import wsvis, wsvis_platform
    assert ray.get(where.remote()) == (wsvis.__file__, wsvis_platform.__file__)
    mine = [psutil.Process(), *psutil.Process().children(recursive=True)]
    ports = [c for p in mine for c in p.net_connections("tcp") if c.status == "LISTEN"]
    assert len(ports) >= 4, ports
    print({c.laddr.ip.removeprefix("::ffff:") for c in ports})
    folder = Path(ray._private.worker._global_node.get_temp_dir_path())
    # Ray opens its folder to all; the one above it stays closed to other users
    private = folder.parent
    assert private.stat().st_mode & 0o777 == 0o700, private
    with start_ray() as again:  # a Ray that runs already is used, and left running
        pass
    assert ray.is_initialized()
assert not ray.is_initialized()
assert not private.exists()
print(os.environ["RAY_AUTH_MODE"], Path.home().joinpath(".ray").exists())
"""
    done = run_alone(code, HOME=str(tmp_path))
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "Ray on this machine: 1 node, 1 CPUs, 0 GPUs",
        "{'127.0.0.1'}",
        "token False",
    ]


@pytest.mark.parametrize("mode", ["foo", "", "tokens"])
def test_a_mistyped_auth_mode_is_one_line_and_not_no_token(
    mode: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(InputError, match=f"RAY_AUTH_MODE is '{mode}'.*unset it"), start_ray():
        pass


def test_a_ray_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch):
    import ray

    def late(**settings: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen")

    monkeypatch.setattr(ray, "init", late)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)
    line = (
        r"^Ray cannot be started on this machine \(The current node timed out during startup. This"
    )
    with pytest.raises(InputError, match=line), start_ray():
        pass


def test_a_machine_full_of_work_gets_the_time_to_start_ray(monkeypatch: pytest.MonkeyPatch):
    from ray._private import services

    asked = []

    def get_node(address: str, node: str) -> str:
        asked.append((address, node))
        if len(asked) < 3:
            raise RuntimeError("not registered")
        return "it is up"

    monkeypatch.setattr(services, "get_node", get_node)
    with patient_start():
        assert services.get_node("127.0.0.1:1", "n") == "it is up"
    assert asked == [("127.0.0.1:1", "n")] * 3
    assert services.get_node is get_node


@pytest.mark.parametrize("home", [None, "/dev/null", "unreadable"])
def test_without_a_home_that_can_be_read_there_is_no_token_to_find(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    if home is None:
        monkeypatch.setattr(Path, "home", lambda: Path("~nobody-has-this-name").expanduser())
    elif home == "unreadable":  # root may read all: what others see is put in
        monkeypatch.setattr(Path, "read_text", refused)
    else:
        monkeypatch.setenv("HOME", home)
    assert not token_known()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)
    assert token_known()


def refused(*arguments: object, **more: object) -> str:
    raise PermissionError(13, "Permission denied")


def test_an_empty_token_file_holds_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_text("\n")
    assert not token_known()
    (tmp_path / "token").write_text("a" * 64)
    assert token_known()


@pytest.mark.ray
@pytest.mark.slow
def test_what_the_environment_says_of_other_clusters_and_places_does_not_matter(tmp_path: Path):
    code = """
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.console import Screen, run_command
def main():
    import ray
    @ray.remote
    def twice(n): return 2 * n
    with Screen() as screen, start_ray(num_cpus=1) as cluster:
        assert ray.get_runtime_context().gcs_address.startswith("127.0.0.1:")
        screen.line(f"{cluster.line()} \\u00b1 {ray.get(twice.remote(3))}")
run_command(main)
"""
    done = run_alone(
        code,
        HOME="/dev/null",
        TMPDIR=str(tmp_path / "none"),
        RAY_ADDRESS="192.0.2.1:6379",  # an address that nobody has
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
        LC_ALL="C",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Ray on this machine: 1 node, 1 CPUs, 0 GPUs +- 6\n"


@pytest.mark.ray
@pytest.mark.slow
def test_after_a_failure_rays_logs_stay_and_the_error_says_where(tmp_path: Path):
    code = """
from wsvis_platform.cluster.start import start_ray
with start_ray(num_cpus=1):
    raise RuntimeError("a bug")
"""
    done = run_alone(code, HOME=str(tmp_path))
    assert done.returncode == 1
    *_, bug, note = done.stderr.strip().splitlines()
    assert bug == "RuntimeError: a bug"
    folder = Path(note.removeprefix("Ray's logs are in "))
    assert folder.is_dir()
    shutil.rmtree(folder)


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_is_joined_with_its_token_and_refuses_another(tmp_path: Path):
    head = """
import ray, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.shutdown()
"""
    join = """
import sys
from pathlib import Path
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.console import run_command
from wsvis_platform.cluster.checks import preflight
def main():
    with start_ray(sys.argv[1], num_cpus=7) as cluster:
        import ray
        @ray.remote
        def where():
            import wsvis_platform, wsvis.masks
            return wsvis_platform.__file__
        import wsvis_platform
        print(cluster.nodes, cluster.cpus, ray.get(where.remote()) != wsvis_platform.__file__)
        preflight(Path(sys.argv[2]), needed_gb=0)
run_command(main)
"""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    server = subprocess.Popen(
        [sys.executable, "-c", head],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**kept, **secret},
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        code = f"sys.argv[1:] = {[address, str(tmp_path)]!r}\n{join}"
        joined = run_alone(code, RAY_AUTH_TOKEN="a" * 64)
        assert joined.stdout == "2 2 True\n", joined.stderr
        refused = run_alone(code, RAY_AUTH_TOKEN="b" * 64)
        assert refused.returncode == 2
        assert refused.stderr == (
            f"error: --address {address}: the cluster refused, its token is another one; "
            "copy its ~/.ray/auth_token to this machine\n"
        )
    finally:
        server.communicate("\n", timeout=60)
