"""What every test shares: one thread per library, no clock on generated examples."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

# examples are small, but a busy machine may stall any one of them
hypothesis.settings.register_profile("wsvis", deadline=None)
hypothesis.settings.load_profile("wsvis")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The fault matrix takes an hour: it runs where it is asked for by its marker."""
    if "faults" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("faults")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
