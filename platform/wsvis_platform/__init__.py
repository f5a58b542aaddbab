"""Orchestration for wsvis: store, Ray Data extraction, Ray Tune sweeps, MLflow, command line."""
