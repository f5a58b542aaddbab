"""Ray's files lie in a folder of this user alone; those of dead runs go, all others stay."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsvis.errors import InputError
from wsvis_platform.cluster import ray_folder as module
from wsvis_platform.cluster.ray_folder import PREFIX, ray_folder

PATHS = [folder for folder in sys.path if folder]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path instead of /tmp, so that no other run is near."""
    with tempfile.TemporaryDirectory(prefix="w", dir="/tmp") as name:
        monkeypatch.setattr(module, "_places", lambda: [Path(name)])
        yield Path(name)


def killed_run(place: Path) -> Path:
    """The folder of a run that was killed while it held it."""
    code = f"""
import sys, time; sys.path[:0] = {PATHS!r}
from pathlib import Path
from wsvis_platform.cluster import ray_folder
ray_folder._places = lambda: [Path({str(place)!r})]
with ray_folder.ray_folder() as folder:
    (folder / "log").write_text("")
    print(folder, flush=True)
    time.sleep(60)
"""
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    folder = Path(run.stdout.readline().strip())
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    return folder


def test_the_folder_above_rays_is_private_and_short_and_goes_at_the_end(place: Path):
    with ray_folder() as folder:
        os.chmod(folder, 0o777)  # as Ray does
        private = folder.parent
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert private.name.startswith(PREFIX)
        assert list(folder.iterdir()) == []
    assert list(place.iterdir()) == []
    assert len(f"/tmp/{PREFIX}12345678/r") < module._LONGEST


def test_the_folder_of_a_killed_run_goes_at_the_next_start_and_that_of_a_live_one_stays(
    place: Path,
):
    dead = killed_run(place)
    assert (dead / "log").exists()
    foreign = place / f"{PREFIX}nobodys"  # no lock: not one of a run's
    foreign.mkdir()
    file = place / f"{PREFIX}file"
    file.write_text("")
    outside = place / "outside"
    outside.mkdir()
    (outside / "lock").write_text("")
    (place / f"{PREFIX}link").symlink_to(outside)
    with ray_folder() as first, ray_folder() as second:
        assert not dead.parent.exists()
        assert first.exists()
        assert second.exists()
    left = {path.name for path in place.iterdir()}
    assert left == {foreign.name, file.name, "outside", f"{PREFIX}link"}
    assert (outside / "lock").exists()


def test_the_folder_of_another_user_stays(place: Path, monkeypatch: pytest.MonkeyPatch):
    dead = killed_run(place)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with ray_folder():
        pass
    assert dead.parent.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, InputError])
def test_a_run_that_was_stopped_leaves_no_logs(place: Path, error: type[BaseException]):
    with pytest.raises(error), ray_folder():
        raise error("stopped")
    assert list(place.iterdir()) == []


def test_logs_of_a_failure_stay_also_at_the_next_start(place: Path):
    error = RuntimeError()

    def fail() -> None:
        with ray_folder() as folder:
            (folder / "log").write_text("why")
            raise error

    with pytest.raises(RuntimeError):
        fail()
    folder = Path(error.__notes__[0].removeprefix("Ray's logs are in ")) / "r"
    assert folder.parent.parent == place
    with ray_folder():
        pass
    assert (folder / "log").read_text() == "why"
    shutil.rmtree(folder.parent)


def test_no_place_for_sockets_is_one_line(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_places", lambda: [place / "gone"])
    with (
        pytest.raises(InputError, match=r"Ray's sockets \(.*gone: No such file.*TMPDIR"),
        ray_folder(),
    ):
        pass


def test_a_long_or_relative_tmpdir_is_passed_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", "/" + "t" * 60)
    monkeypatch.setenv("TEMP", "relative")
    monkeypatch.setenv("TMP", "/short")
    assert module._places() == [Path(p) for p in ("/tmp", "/short", "/var/tmp", "/dev/shm")]
