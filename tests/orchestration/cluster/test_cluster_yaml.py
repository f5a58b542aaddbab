"""cluster.yaml: what Ray accepts, closed to the outside, complete, explained."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "cluster.yaml").read_text()


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    return yaml.safe_load(TEXT)


@pytest.fixture(scope="module")
def prepared(given: dict[str, Any]) -> dict[str, Any]:
    """The configuration as ``ray up`` would use it, Ray's defaults filled in."""
    from ray.autoscaler._private.util import prepare_config

    return prepare_config(copy.deepcopy(given))


def test_ray_accepts_it_and_refuses_it_with_a_mistake(
    given: dict[str, Any], prepared: dict[str, Any]
):
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepared)
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config({**copy.deepcopy(given), "max_worker": 4}))


def test_the_head_has_cpus_and_the_workers_gpus_and_come_and_go(prepared: dict[str, Any]):
    types = prepared["available_node_types"]
    head = types[prepared["head_node_type"]]
    assert "GPU" not in head["resources"]
    workers = [kind for name, kind in types.items() if name != prepared["head_node_type"]]
    assert [kind["resources"]["GPU"] for kind in workers] == [1]
    assert [(kind["min_workers"], kind["max_workers"]) for kind in workers] == [(0, 4)]


def test_every_ray_start_authenticates_and_nothing_is_public(prepared: dict[str, Any]):
    starts = prepared["head_start_ray_commands"] + prepared["worker_start_ray_commands"]
    starts = [command for command in starts if "ray start" in command]
    assert len(starts) == 2
    for command in starts:
        assert re.search(r"RAY_AUTH_MODE=token .*ray start", command)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "0.0.0.0" not in yaml.safe_dump(prepared)
    assert "~/.ray/auth_token" in prepared["file_mounts"]
    assert any("chmod 600 ~/.ray/auth_token" in c for c in prepared["head_setup_commands"])
    assert any("chmod 600 ~/.ray/auth_token" in c for c in prepared["worker_setup_commands"])


def test_every_node_installs_the_project_and_finds_ray_at_login(prepared: dict[str, Any]):
    for where in ("head_setup_commands", "worker_setup_commands"):
        commands = "\n".join(prepared[where])
        assert "-C ~/wsvis install" in commands
        assert "/usr/local/bin/ray" in commands


def test_the_copied_files_are_the_project_and_only_it(given: dict[str, Any]):
    mounts = {k: v for k, v in given["file_mounts"].items() if k.startswith("~/wsvis/")}
    assert all(there == f"~/wsvis/{here}" for there, here in mounts.items())
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git here to ask what belongs to the project")
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True
    )
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    # README.md and pyproject.toml are what the build needs, tracked or not
    assert top | {".git"} <= set(mounts.values())
    assert ".venv" not in mounts.values()
    assert "runs" not in mounts.values()


def test_every_setting_is_explained():
    """Each top-level key and each command has a comment on a line above it in its block."""
    commented = False
    bare = []
    for line in TEXT.splitlines():
        if line.lstrip().startswith("#"):
            commented = True
        elif not line.strip():
            commented = False
        elif not line.startswith(" "):
            follows = line.endswith((":", "{"))  # a block explains its own lines
            if not commented and not follows:
                bare.append(line)
    assert bare == []
    for command in re.findall(r"(?m)^  - .*", TEXT):
        before = TEXT[: TEXT.index(command)]
        assert "#" in before[before.rfind("\n\n") :], command


def test_every_command_is_sound_shell(prepared: dict[str, Any]):
    kinds = [name for name in prepared if name.endswith("_commands")]
    commands = [command for kind in kinds for command in prepared[kind]]
    assert len(commands) > 10
    for command in commands:
        done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
