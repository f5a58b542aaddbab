"""Old names of modules still import, with a warning, and are the same modules."""

import importlib
import sys

import pytest

import wsvis.renamed
import wsvis_platform.renamed

OLD = [
    *((f"wsvis.{old}", f"wsvis.{new}") for old, new in wsvis.renamed.RENAMED.items()),
    *(
        (f"wsvis_platform.{old}", f"wsvis_platform.{new}")
        for old, new in wsvis_platform.renamed.RENAMED.items()
    ),
]


@pytest.mark.parametrize(("old", "new"), OLD)
def test_an_old_name_is_the_module_of_the_new_one(old, new):
    if new.endswith(("detectron2_backend", "detectron2_parts")):
        pytest.importorskip("detectron2")
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match="is now called"):
        module = importlib.import_module(old)
    assert module is importlib.import_module(new)
    assert module.__name__ == new
    sys.modules.pop(old, None)


def test_what_rooms_held_as_modules_is_found_in_them():
    from wsvis_platform.cluster import start_ray
    from wsvis_platform.cluster.start import start_ray as same
    from wsvis_platform.store import Store
    from wsvis_platform.store.store import Store as also

    assert start_ray is same
    assert Store is also
    with pytest.raises(ImportError, match="no_such_thing"):
        importlib.import_module("wsvis_platform.store.no_such_thing")
