"""Training over several workers by Ray Train."""
