"""What the fault matrix compares with: one sweep that nobody disturbed."""

from __future__ import annotations

import pytest

from faults.sweep_process import run_through
from faults.sweep_result import Result, result


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The sweep from start to end in an output of its own."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    return result(output, run_through(output))
