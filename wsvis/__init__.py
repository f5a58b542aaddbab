"""wsvis: masks and tracks per object from class labels per frame.

The science library. It knows nothing of clusters, sweeps or experiment trackers:
those live in ``wsvis_platform``, which imports this package and never the other way round.
"""

__version__ = "0.1.0"
