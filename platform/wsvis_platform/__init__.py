"""Orchestration for wsvis: store, Ray Data extraction, Ray Tune sweeps, MLflow, command line."""

from __future__ import annotations

from wsvis.renamed import keep_old_names
from wsvis_platform.renamed import RENAMED

keep_old_names(__name__, RENAMED)
