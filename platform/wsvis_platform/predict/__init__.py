"""``wsvis predict``: a trained detector on more videos."""
