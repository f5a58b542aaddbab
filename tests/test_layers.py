"""Imports go one way, experiments -> wsvis_platform -> wsvis; ``platform/`` is a plain folder."""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORCHESTRATION = {"ray", "mlflow", "optuna", "tyro", "rich", "fsspec", "pandas", "wsvis_platform"}
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")])}
"""So that the scripts run from a clone that is not installed too."""
HEAVY = {"torch", "torchvision", "cv2", "matplotlib", "scipy"}
SCRIPTS = [p for p in sorted((ROOT / "experiments").glob("*.py")) if p.stem != "presets"]


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def modules_after(statements: str) -> set[str]:
    """Top-level names in ``sys.modules`` of a fresh interpreter that ran ``statements``."""
    code = f"import sys\n{statements}\nprint(*sys.modules)"
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


def imports_of(path: Path) -> set[str]:
    """Top-level names of every absolute import in a file, wherever it stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def files_under(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"no Python file under {folder}"
    return found


def test_importing_every_science_module_loads_no_orchestration():
    everything = "\n".join(
        [
            "import importlib, pkgutil, wsvis",
            "for found in pkgutil.walk_packages(wsvis.__path__, 'wsvis.'):",
            "    importlib.import_module(found.name)",
            "assert 'wsvis.masks' in sys.modules",
        ]
    )
    assert modules_after(everything) & ORCHESTRATION == set()


@pytest.mark.parametrize("module", ["wsvis", "wsvis.config", "wsvis.errors", "wsvis.types"])
def test_configuration_and_types_load_no_heavy_library(module: str):
    assert modules_after(f"import {module}") & (HEAVY | ORCHESTRATION) == set()


def test_science_never_names_orchestration_or_experiments():
    # Also catches an import inside a function, which loading the modules would miss.
    stray = {str(path): imports_of(path) & ORCHESTRATION for path in files_under("wsvis")}
    assert {path: names for path, names in stray.items() if names} == {}


def test_platform_never_imports_experiments():
    above = {"experiments"} | {path.stem for path in (ROOT / "experiments").glob("*.py")}
    stray = {str(p): imports_of(p) & above for p in files_under("platform") + files_under("wsvis")}
    assert {path: names for path, names in stray.items() if names} == {}


def test_no_package_shadows_the_standard_platform_module():
    assert not (ROOT / "platform/__init__.py").exists()
    assert not (ROOT / "tests/platform").exists()
    done = run_python("-c", "import platform; print(platform.system(), platform.__file__)")
    assert done.returncode == 0, done.stderr
    assert str(ROOT) not in done.stdout.split()[-1]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_is_instant(script: Path):
    """Less than a second of CPU (not of wall time, which other work on the machine would spoil)."""
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run_python("-X", "importtime", str(script), "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert loaded & {"torch", "ray", "mlflow", "optuna"} == set()
        best = min(best, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        if best < 1:
            break
    assert best < 1
