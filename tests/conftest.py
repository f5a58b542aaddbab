"""What every test shares: one thread per library, no clock on generated examples."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

# examples are small, but a busy machine may stall any one of them
hypothesis.settings.register_profile("wsvis", deadline=None)
hypothesis.settings.load_profile("wsvis")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files that start Ray come first; the fault matrix, an hour long, only where it is asked for.

    Where files are shared out between processes, a long one begun last would run alone at the end.
    """
    slow_files = {item.path for item in items if item.get_closest_marker("ray")}
    items.sort(key=lambda item: item.path not in slow_files)
    if "faults" in config.option.markexpr:
        return
    left_out = [item for item in items if _of_the_long_matrix(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _of_the_long_matrix(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("faults")
    return marker is not None and not marker.kwargs.get("quick")
