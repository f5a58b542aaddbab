"""Clips and their labels: readers, writers, splits, checks and the embedded synthetic set."""
