"""Training over several workers by Ray Train."""

from __future__ import annotations

from wsvis.renamed import contents_of

__getattr__ = contents_of("wsvis_platform.training.driver")
