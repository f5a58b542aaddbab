"""``wsvis track``: its inputs and pictures."""
