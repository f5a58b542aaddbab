"""Structure of the packages: folders without import circles, of limited size, short files."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"wsvis": ROOT / "wsvis", "wsvis_platform": ROOT / "platform" / "wsvis_platform"}
MOST_FILES = {"data": 27}
"""Files in a folder; 20 elsewhere."""


def folder_of(module: str) -> str:
    """``wsvis.cam.fcam`` lies in ``wsvis.cam``; files beside the folders join them all."""
    parts = module.split(".")
    if len(parts) < 3 and not (PACKAGES[parts[0]].joinpath(*parts[1:])).is_dir():
        return ""
    return ".".join(parts[:2])


def imported(path: Path) -> set[str]:
    """Modules of ours that a file imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in PACKAGES and "." in name}


def folders(package: str) -> dict[str, set[str]]:
    """Folder -> the other folders of the package its files import from."""
    reads: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGES[package].rglob("*.py"):
        parts = path.relative_to(PACKAGES[package]).with_suffix("").parts
        folder = folder_of(".".join((package, *parts)))
        targets = {folder_of(name) for name in imported(path) if name.startswith(f"{package}.")}
        reads[folder] |= {target for target in targets if target.count(".") == 1} - {folder}
    reads.pop("", None)
    return reads


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_folders_import_each_other_even_by_way_of_others(package):
    reads = folders(package)
    assert len(reads) > 8
    order = list(TopologicalSorter(reads).static_order())  # raises on a circle
    assert set(reads) <= set(order)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_has_few_files(package):
    subfolders = [path for path in PACKAGES[package].iterdir() if path.is_dir()]
    counts = {
        folder.name: len([p for p in folder.glob("*.py") if p.stem != "__init__"])
        for folder in subfolders
    }
    assert {name: n for name, n in counts.items() if n > MOST_FILES.get(name, 20)} == {}


def test_files_are_short():
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in PACKAGES.values()
        for path in folder.rglob("*.py")
        if path.stem != "__init__"
    }
    assert {name: n for name, n in lines.items() if n > 350} == {}
    assert median(lines.values()) < 150


def test_no_ten_equal_lines_stand_in_two_files():
    places: dict[tuple[str, ...], str] = {}
    repeated = set()
    for folder in PACKAGES.values():
        for path in sorted(folder.rglob("*.py")):
            lines = [line.strip() for line in path.read_text().splitlines()]
            code = [line for line in lines if line and not line.startswith(("import ", "from "))]
            name = str(path.relative_to(ROOT))
            for start in range(len(code) - 9):
                window = tuple(code[start : start + 10])
                if places.setdefault(window, name) != name:
                    repeated.add((places[window], name, window[0]))
    assert repeated == set()


TELLS_WHAT_PEOPLE_SEE = ("report/", "run/", "record/pictures.py")
"""Where the platform may name stages: what reports and pictures show, and ``wsvis run``."""
ORDINARY = {"frames", "tracks"}
"""Stages whose names are words of tables, files and commands too."""


def test_the_platform_knows_no_stage_and_no_system_by_name():
    from wsvis.pipeline import BY_NAME
    from wsvis.systems import SYSTEMS

    names = {*BY_NAME, *SYSTEMS} - ORDINARY
    named = {}
    for path in PACKAGES["wsvis_platform"].rglob("*.py"):
        file = path.relative_to(PACKAGES["wsvis_platform"]).as_posix()
        texts = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        if not file.startswith(TELLS_WHAT_PEOPLE_SEE) and texts & names:
            named[file] = texts & names
    assert named == {}


def test_the_loop_knows_no_system():
    for path in sorted((ROOT / "wsvis" / "learning").glob("*.py")):
        assert not {name for name in imported(path) if name.startswith("wsvis.systems")}, path.name
