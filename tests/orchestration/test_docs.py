"""The documents name functions, files and commands that exist."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from wsvis_platform.cli import COMMANDS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_files_exist(document):
    text = document.read_text()
    named = re.findall(
        r"`((?:wsvis|platform|experiments|tests|docs|benchmarks|tools)/[\w/.-]+\.\w+)`", text
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_files_are_links(document):
    prose = re.sub(r"^```.*?^```|^    .*?$", "", document.read_text(), flags=re.M | re.S)
    named = re.findall(
        r"(?<!\[)`((?:wsvis|platform|experiments|tests|docs|benchmarks|tools)/[\w/.-]+\.\w+)`",
        prose,
    )
    assert named == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    targets = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    local = [target.split("#")[0] for target in targets if "://" not in target]
    assert [name for name in local if name and not (document.parent / name).exists()] == []


def test_every_document_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    names = {path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".ipynb")}
    assert {name for name in names - {"index.md"} if f"({name})" not in index} == set()


def test_every_function_of_the_table_of_equations_exists():
    rows = re.findall(r"`(wsvis(?:\.\w+)+)`", (ROOT / "docs" / "equations.md").read_text())
    assert len(rows) > 10
    for name in rows:
        try:
            import_module(name)
        except ModuleNotFoundError:
            module, _, function = name.rpartition(".")
            assert hasattr(import_module(module), function), name


def test_commands_of_the_readme_exist():
    said = re.findall(
        r"^\s*(?:.*?\s{3,})?wsvis (\w+)(?: (\w+))?", (ROOT / "README.md").read_text(), re.M
    )
    known = {command[0] for command in COMMANDS}
    assert {word for word, _ in said} <= known
    assert len(said) >= 4


def test_dotted_settings_in_the_documents_exist():
    from wsvis.config import Config
    from wsvis.settings import RENAMED, flatten

    known = {*flatten(Config()), *RENAMED}  # the log tells what was run, by the names of its day
    groups = {name.split(".")[0] for name in known if "." in name}
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    named = {f"{a}.{b}" for a, b in re.findall(r"`(?:--)?(\w+)\.([\w-]+)`", text) if a in groups}
    named = {name.replace("-", "_") for name in named}
    assert {
        name
        for name in named
        if name not in known and not name.endswith((".py", ".md", ".safetensors"))
    } == set()
