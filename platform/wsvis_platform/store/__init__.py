"""Stored results: keys, quarantine, workers that compute what is missing."""

from __future__ import annotations

from wsvis.renamed import contents_of

__getattr__ = contents_of("wsvis_platform.store.store")
