"""The notebook in docs/ runs from its first cell to its last."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "library.ipynb"


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs(capsys):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 5
    names: dict = {}
    for number, source in enumerate(code):
        exec(compile(source, f"cell {number}", "exec"), names)
    shown = capsys.readouterr().out
    assert "3 videos; classes:" in shown
    assert "'ap50'" in shown
    assert names["picture"].ndim == 3
