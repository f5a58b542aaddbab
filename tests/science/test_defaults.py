"""A default stands once, in the configuration: functions refer to it instead of repeating it."""

import ast
import dataclasses
from pathlib import Path

import wsvis
from wsvis.config import Config

ROOT = Path(wsvis.__file__).parent
OTHERS = {
    ("classification_ap.py", "batch_size"),  # of inference, not of training
}
"""Parameters that bear the name of a setting and mean something else."""


def defaults_by_folder() -> dict[str, dict[str, list[object]]]:
    """Folder -> name of a setting -> its default in each of the folder's groups."""
    folders: dict[str, dict[str, list[object]]] = {}
    config = Config()
    for group in dataclasses.fields(config):
        value = getattr(config, group.name)
        if dataclasses.is_dataclass(value):
            folder = folders.setdefault(type(value).__module__.split(".")[1], {})
            for leaf in dataclasses.fields(value):
                folder.setdefault(leaf.name, []).append(getattr(value, leaf.name))
    return folders


def literal_defaults(path: Path):
    """(name, value) of every parameter of a file whose default is written out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef):
            continue
        given = node.args.args[len(node.args.args) - len(node.args.defaults) :]
        pairs = [*zip(given, node.args.defaults, strict=True)]
        pairs += [*zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
        for parameter, default in pairs:
            if isinstance(default, ast.Constant | ast.Tuple):
                yield parameter.arg, ast.literal_eval(default)


def test_no_function_repeats_a_default_of_its_folder():
    folders = defaults_by_folder()
    assert {"cam", "irn", "systems", "tracking"} <= set(folders)
    repeated = [
        f"{path.relative_to(ROOT)}: {name}={value!r}"
        for folder, leaves in folders.items()
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name, value in literal_defaults(path)
        if (path.name, name) not in OTHERS
        and any(type(value) is type(d) and value == d for d in leaves.get(name, ()))
    ]
    assert repeated == []
