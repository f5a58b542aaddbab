"""wsvis: masks and tracks per object from class labels per frame.

Five functions do the whole way in one process: ``load_dataset``, ``preset``, ``run``, ``evaluate``
and ``draw`` (:mod:`wsvis.library`). The package is the science: it knows nothing of clusters,
sweeps or experiment trackers, which live in ``wsvis_platform``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsvis.renamed import RENAMED, keep_old_names

if TYPE_CHECKING:
    from wsvis.library import draw, evaluate, load_dataset, preset, run

keep_old_names(__name__, RENAMED)
__version__ = "0.1.0"
__all__ = ["__version__", "draw", "evaluate", "load_dataset", "preset", "run"]


def __getattr__(name: str) -> Any:
    # at first use: ``wsvis --help`` need not wait for numpy
    if name in __all__:
        from wsvis import library

        return getattr(library, name)
    raise AttributeError(f"module 'wsvis' has no attribute {name!r}")
