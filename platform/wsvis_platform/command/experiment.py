"""``wsvis experiment``: the scripts of experiments/ by name, from a checkout or a wheel."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from wsvis.errors import InputError
from wsvis.settings import suggestion

_INSTALLED = Path(__file__).parents[1] / "experiments"
_CHECKOUT = Path(__file__).parents[3] / "experiments"


def experiment(arguments: Sequence[str]) -> None:
    """Run an experiment by its name with the arguments that follow, or list them all.

    Args:
        arguments: the name, such as ``sweep_fcam``, and the experiment's own arguments.

    Raises:
        InputError: no such experiment.
        SystemExit: after ``--help``.
    """
    scripts = experiments()
    asked = bool(arguments) and arguments[0] in ("-h", "--help")
    if asked or not arguments:
        width = max(map(len, scripts), default=0)
        print(
            "Run an experiment by its name: wsvis experiment NAME [OPTIONS]; --help after it too\n"
        )
        for name, path in scripts.items():
            print(f"  {name:<{width}}  {_first_line(path)}")
        if asked:
            raise SystemExit(0)
        return
    name = arguments[0].removesuffix(".py")
    if name not in scripts:
        raise InputError(f"no experiment is called {arguments[0]!r}; {suggestion(name, scripts)}")
    sys.argv = [f"wsvis experiment {name}", *arguments[1:]]
    runpy.run_path(str(scripts[name]), run_name="__main__")


def experiments() -> dict[str, Path]:
    """Name -> script, of every experiment that is here."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    return {path.stem: path for path in sorted(folder.glob("*.py")) if path.stem != "presets"}


def _first_line(script: Path) -> str:
    return (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").split("\n")[0]
