"""Sweeps and ablations: settings, seeds, trials, and what they scored."""
