"""Ray: starting, joining, watching, and what a machine has."""

from __future__ import annotations

from wsvis.renamed import contents_of

__getattr__ = contents_of("wsvis_platform.cluster.start")
